"""The doorbell of one process: from the journal's writer thread to the event loop that does the work."""

import asyncio

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
