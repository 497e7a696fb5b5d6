"""Which process sends what waits for a phone: all of it where there is but one, else one process for each phone."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog

from waypost.clock import Clock
from waypost.queue.base import Doorbell, Ring
from waypost.store.base import Store, StoreUnavailable

log = structlog.get_logger("waypost.queue")

OWN_MS = 15_000  # how long the queues of a process that is gone stand still
_KEEP_MS = 5_000  # how long before that a process that is there says so again


class Shares(ABC):
    """What a process has to know before it sends what waits for a phone."""

    are_alone: bool
    sends: bool  # whether this process sends what waits at all

    @abstractmethod
    async def has(self, phone_number_id: str) -> bool:
        """Take the queue of a phone, or keep it, and tell whether this process has it; raises `StoreUnavailable`."""

    @abstractmethod
    def had(self, phone_number_id: str) -> bool:
        """Tell whether this process had the queue of a phone when it last asked."""

    @abstractmethod
    async def give_up(self, phone_number_id: str) -> None:
        """Let another process have the queue of a phone."""

    @abstractmethod
    def ring(self, phone_number_id: str) -> None:
        """Have another process look at the queue of a phone, whichever sends."""

    @abstractmethod
    def tell_owner(self, phone_number_id: str) -> None:
        """Have the process that has the queue of a phone look at it."""


class AllQueues(Shares):
    """A process alone has every queue."""

    are_alone = True
    sends = True

    async def has(self, phone_number_id: str) -> bool:
        return True

    def had(self, phone_number_id: str) -> bool:
        return True

    async def give_up(self, phone_number_id: str) -> None:
        return

    def ring(self, phone_number_id: str) -> None:
        return

    def tell_owner(self, phone_number_id: str) -> None:
        return


class SharedQueues(Shares):
    """A process among others asks the journal, and asks again before its time is up."""

    are_alone = False

    def __init__(
        self, store: Store, doorbell: Doorbell, tell: Callable[[str], None], clock: Clock, *, sends: bool
    ) -> None:
        """`tell` tells all processes of a phone."""
        self.sends = sends
        self._store = store
        self._doorbell = doorbell
        self._tell = tell
        self._clock = clock
        self._owner = clock.uuid7_hex()
        self._until_ms: dict[str, int] = {}

    async def has(self, phone_number_id: str) -> bool:
        if not self.sends:
            return False
        now = self._clock.now_ms()
        until_ms = self._until_ms.get(phone_number_id, 0)
        if now + OWN_MS - _KEEP_MS < until_ms <= now + OWN_MS:
            return True
        wanted_ms = now + OWN_MS
        if await self._store.own_queue(phone_number_id, self._owner, now_ms=now, until_ms=wanted_ms):
            self._until_ms[phone_number_id] = wanted_ms
            return True
        self._until_ms.pop(phone_number_id, None)
        return False

    def had(self, phone_number_id: str) -> bool:
        return self._until_ms.get(phone_number_id, 0) > self._clock.now_ms()

    async def give_up(self, phone_number_id: str) -> None:
        if self._until_ms.pop(phone_number_id, None) is None:
            return
        try:
            await self._store.own_queue(phone_number_id, self._owner, now_ms=0, until_ms=0)
        except StoreUnavailable as error:  # it ends by itself
            log.warning("queue_not_given_up", phone_number_id=phone_number_id, reason=str(error))

    def ring(self, phone_number_id: str) -> None:
        self._doorbell.put(Ring(kind="queue", name=phone_number_id))

    def tell_owner(self, phone_number_id: str) -> None:
        self._tell(phone_number_id)
