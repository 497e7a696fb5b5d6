"""The simulator's clock at the speed of the gateway's, so that limits mean the same on both sides."""

from tests.soak.fast_clock import FastClock
from waypost.simulator.clock import Clock


class FastMetaClock(Clock):
    """The simulated time, in step with a fast clock."""

    def __init__(self, fast: FastClock) -> None:
        super().__init__()
        self._fast = fast

    def now_ms(self) -> int:
        """The fast time, and what was added to it."""
        return self._fast.now_ms() + self._advanced_ms
