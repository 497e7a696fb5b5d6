"""The doorbell of one process: from the journal's writer thread to the event loop that does the work."""

import asyncio
from collections.abc import Callable, Iterable

from waypost.queue.base import MAX_NAME, News, Ring
from waypost.queue.waiting import Waiting

MAX_WAITING = 10_000  # rings: more names than that are the sweep's
MAX_TAKEN = 1_000  # rings at a time, so that whoever takes them lets others have a turn in between


class EmbeddedQueue:
    """The engine for one process: there is nobody else to tell anything."""

    connected = True

    def __init__(self) -> None:
        self._rings: Waiting[Ring] = Waiting(MAX_WAITING, once=True)

    async def start(self) -> None:
        self._rings.start()

    def put(self, ring: Ring) -> None:
        if len(ring.name) <= MAX_NAME:
            self._rings.put(ring)

    async def take(self) -> tuple[Ring, ...]:
        return await self._rings.take(MAX_TAKEN)

    def publish(self, topic: str, body: bytes) -> None:
        """Tell nobody: there is no other process."""

    async def hear(self) -> tuple[News, ...]:
        await asyncio.Event().wait()  # for ever
        return ()

    async def close(self) -> None:
        """Do nothing: what waits goes with the process, and a sweep finds it."""


class Bell:
    """Rung with the name of an endpoint, from any thread; nobody hears it until someone answers."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: Callable[[Iterable[str]], None] | None = None

    def answered_by(self, answer: Callable[[Iterable[str]], None]) -> None:
        """Have every ring from now on handed to a function, in the event loop that is running now."""
        self._loop = asyncio.get_running_loop()
        self._answer = answer

    def ring(self, endpoint: str) -> None:
        """Tell that an endpoint has something new; a ring at the very end of the loop's life is lost, as it may be."""
        if self._loop is not None and self._answer is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer, (endpoint,))
