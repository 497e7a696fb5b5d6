"""Keeps this process in step with others on the same journal: tenants, pauses, what waits, who is down.

The journal is looked at every second or two, so that a change is seen wherever it was made. A broadcast only makes it
quicker: what is lost of it costs that second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import msgspec
import structlog

from waypost.clock import Clock
from waypost.gateway.deliver import Deliverer
from waypost.gateway.registry import Change, Registry
from waypost.gateway.sending import Sending
from waypost.queue.base import MISSED, News, Queue
from waypost.store.base import Store, StoreUnavailable

log = structlog.get_logger("waypost.neighbours")

_LOOK_S = 1.0
_COUNT_S = 2.0
_COUNT_SHARE = 20  # counting what waits may take a twentieth of the time: a million takes a second
_CHANGED, _QUEUE, _PROBE, _DOWN, _UP = "changed", "queue", "probe", "down", "up"


class Neighbours:
    """Runs beside the gateway until it is cancelled; a journal that is away for a while only delays it."""

    def __init__(self, store: Store, registry: Registry, queue: Queue, parts: Sending, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._queue = queue
        self._parts = parts
        self._clock = clock
        self._deliverer: Deliverer | None = None
        self._look = asyncio.Event()

    def deliver_with(self, deliverer: Deliverer) -> None:
        """Share with the deliverers of other processes what this one finds out, and the other way round."""
        self._deliverer = deliverer
        deliverer.shared_with(self)

    def changed(self) -> None:
        """Tell the others that tenants or pauses were changed here."""
        self._queue.publish(_CHANGED, b"")

    def owner_of(self, phone_number_id: str) -> None:
        """Have whoever has the queue of a phone look at it."""
        self._queue.publish(_QUEUE, phone_number_id.encode())

    def tell(self, endpoint: str, *, is_down: bool) -> None:
        """Tell the others that an endpoint went down or came back."""
        self._queue.publish(_DOWN if is_down else _UP, endpoint.encode())

    def probe(self, endpoints: Collection[str]) -> None:
        """Have the others look at endpoints now."""
        self._queue.publish(_PROBE, msgspec.json.encode(list(endpoints)))

    async def run(self) -> None:
        """Look and listen for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="neighbours")
            tasks.create_task(self._keep(self._look_at_tenants, self._next_look), name="tenants")
            tasks.create_task(self._keep(self._parts.pauses.catch_up, self._next_look), name="pauses")
            tasks.create_task(self._keep_counting(), name="backlog")

    async def _keep(self, work: Callable[[], Awaitable[None]], wait: Callable[[], Awaitable[None]]) -> None:
        while True:
            await wait()
            try:
                await work()
            except Exception as error:  # whatever it is: the next round tries anew
                log.warning("neighbours_not_seen", reason=f"{type(error).__name__}: {error}")

    async def _next_look(self) -> None:
        await self._clock.wait(self._look, _LOOK_S)
        self._look.clear()

    async def _keep_counting(self) -> None:
        wait_s = _COUNT_S
        while True:
            await self._clock.sleep(wait_s)
            began_s = self._clock.monotonic_s()
            try:
                await self._parts.dispatcher.load()
            except StoreUnavailable as error:
                log.warning("neighbours_not_seen", reason=str(error))
            wait_s = max(_COUNT_S, _COUNT_SHARE * (self._clock.monotonic_s() - began_s))

    async def _look_at_tenants(self) -> None:
        before = self._registry.tenants
        if not await self._registry.catch_up():
            return
        now = self._registry.tenants
        changed = [waba_id for waba_id, waba in now.wabas.items() if before.wabas.get(waba_id) != waba]
        await self._parts.pauses.tenants_changed(Change(action="changed", kind="waba", key=key) for key in changed)
        log.info("tenants_changed_elsewhere")

    async def _listen(self) -> None:
        while True:
            for news in await self._queue.hear():
                try:
                    self._take_in(news)
                except (ValueError, msgspec.DecodeError) as error:
                    log.warning("news_not_understood", topic=news.topic, reason=str(error))

    def _take_in(self, news: News) -> None:
        if news.topic in (MISSED.topic, _CHANGED):
            self._look.set()
        elif news.topic == _QUEUE:
            phone_number_id = news.body.decode()
            if self._parts.dispatcher.shares.had(phone_number_id):
                self._parts.dispatcher.ring(phone_number_id)
        elif self._deliverer is not None and news.topic == _PROBE:
            self._deliverer.ring(msgspec.json.decode(news.body, type=list[str]), probe=True)
        elif self._deliverer is not None and news.topic in (_DOWN, _UP):
            self._deliverer.heard(news.body.decode(), is_down=news.topic == _DOWN)
