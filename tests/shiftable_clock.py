"""The clock of the tests: real time that a hand can move on, so that nobody has to wait for it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from waypost.clock import Clock

WAIT_S = 20.0  # a bound that ends a broken test, not a wait
_HURRY_S = 0.1


class ShiftableClock(Clock):
    """The real clock, with a hand on it: `advance` moves wall time on, and wakes whoever has slept enough by that.

    Moved back, it makes nobody sleep longer: only wall time goes back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shift_ms = 0
        self._moved_back_ms = 0
        self._moves: set[asyncio.Future[None]] = set()

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms

    def advance(self, seconds: float) -> None:
        self.shift_ms += int(seconds * 1000)
        self._moved_back_ms += max(0, int(-seconds * 1000))
        for move in self._moves:
            if not move.done():
                move.set_result(None)

    async def hurry(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until something is true, by a clock that runs fast for so many seconds and then goes on as ever."""
        async with asyncio.timeout(WAIT_S):
            while not true():
                if seconds > 0:
                    self.advance(_HURRY_S)
                    seconds -= _HURRY_S
                await asyncio.sleep(0.01)

    async def sleep(self, seconds: float) -> None:
        until_ms = self._passed_ms() + seconds * 1000
        await asyncio.sleep(0)
        while (left_ms := until_ms - self._passed_ms()) > 0:
            with self._next_move() as move:
                await asyncio.wait((move,), timeout=left_ms / 1000)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait until an event is set, the clock is moved, or that many seconds have passed."""
        waiter = asyncio.ensure_future(event.wait())
        try:
            with self._next_move() as move:
                await asyncio.wait((move, waiter), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    def _passed_ms(self) -> int:
        return self.now_ms() + self._moved_back_ms

    @contextmanager
    def _next_move(self) -> Iterator[asyncio.Future[None]]:
        move: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._moves.add(move)
        try:
            yield move
        finally:
            self._moves.discard(move)
