"""What has to happen now and then: leases of dead work end, and what was kept long enough is erased."""

import asyncio

import structlog

from waypost.clock import Clock
from waypost.model import Noun
from waypost.store.base import Store

log = structlog.get_logger("waypost.upkeep")

_LEASE_ROUND_S = 5.0
_PURGE_ROUND_S = 60.0
_PURGE_PAUSE_S = 0.2  # between two portions: writers come first, and some 5,000 rows a second still go
_DAY_MS = 86_400_000


class Retention(Noun, frozen=True, kw_only=True):
    """For how many days bodies, Meta's raw webhooks and whole messages are kept (decision D15)."""

    bodies: float
    raw_webhooks: float
    messages: float


class Upkeep:
    """Runs beside the gateway until it is cancelled; a journal that is away for a while only delays it."""

    def __init__(self, store: Store, clock: Clock, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def recover(self) -> None:
        """Call every message in flight unknown: the process that sent it is gone, for this one owns the data folder."""
        for message in await self._store.expire_leases(self._clock.now_ms(), all_owners=True):
            log.warning(
                "message_unknown", message_id=message.id, state=message.state, reason="the process ended in flight"
            )

    async def run(self) -> None:
        """Do the rounds for ever."""
        async with asyncio.TaskGroup() as rounds:
            rounds.create_task(self._end_leases(), name="leases")
            rounds.create_task(self._keep_purging(), name="purge")

    async def _end_leases(self) -> None:
        while True:
            await self._clock.sleep(_LEASE_ROUND_S)
            try:
                ended = await self._store.expire_leases(self._clock.now_ms(), all_owners=False)
            except Exception as error:  # whatever it is: leases must go on ending
                log.warning("leases_delayed", reason=f"{type(error).__name__}: {error}")
                continue
            for message in ended:
                log.warning("message_unknown", message_id=message.id, state=message.state, reason="lease ended")

    async def _keep_purging(self) -> None:
        while True:
            try:
                more = await self.purge()
            except Exception as error:
                log.warning("purge_delayed", reason=f"{type(error).__name__}: {error}")
                more = 0
            await self._clock.sleep(_PURGE_PAUSE_S if more else _PURGE_ROUND_S)

    async def purge(self) -> int:
        """Erase one bounded portion of what has been kept long enough, and return how many rows that was."""
        now = self._clock.now_ms()
        return await self._store.purge(
            bodies_before_ms=now - int(self._retention.bodies * _DAY_MS),
            webhooks_before_ms=now - int(self._retention.raw_webhooks * _DAY_MS),
            messages_before_ms=now - int(self._retention.messages * _DAY_MS),
            now_ms=now,
        )
