"""Things that are due at a simulated time: one heap and one task, however many of them wait."""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable

from waypost.simulator.clock import Clock

_log = logging.getLogger("waypost.simulator")

ACTIONS_AT_A_STRETCH = 200  # then others get their turn on the event loop


class Schedule:
    """Runs actions when the simulated clock reaches their time; those of one instant in the order they were added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        """Runs `action` once the simulated time is `due_ms` or later."""
        if not self._heap or due_ms < self._heap[0][0]:
            self._changed.set()
        heapq.heappush(self._heap, (due_ms, next(self._order), action))

    def now_ms(self) -> int:
        """The simulated time in Unix milliseconds."""
        return self._clock.now_ms()

    def wake(self) -> None:
        """Looks again at once: the clock was moved."""
        self._changed.set()

    def clear(self) -> None:
        """Forgets all that waits."""
        self._heap.clear()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            self._changed.clear()
            await self._run_due()
            try:
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _run_due(self) -> None:
        done = 0
        while self._heap and self._heap[0][0] <= self._clock.now_ms():
            action = heapq.heappop(self._heap)[2]
            try:
                action()
            except Exception:
                _log.exception("a scheduled action failed; the others go on")
            done += 1
            if done % ACTIONS_AT_A_STRETCH == 0:
                await asyncio.sleep(0)

    def _seconds_to_next(self) -> float | None:
        if not self._heap:
            return None
        return max(0, self._heap[0][0] - self._clock.now_ms()) / 1000
