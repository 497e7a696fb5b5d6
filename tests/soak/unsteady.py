"""A customer's receiver that fails at random, and notes what it accepted."""

import collections
import random

from tests.receiver import RESET, Received, Receiver
from tests.soak.callback_books import Arrival
from waypost.clock import Clock
from waypost.gateway.endpoints import OPEN_AFTER

FAILS = 0.3
HOW = (500, 503, 404, 204, 301, RESET)
MOST_IN_A_ROW = OPEN_AFTER - 2  # more would close the endpoint for an hour; that has tests of its own

MOST_OF_ONE = 4  # and one callback that fails more often is not tried again for a quarter of an hour


class UnsteadyReceiver(Receiver):
    """Answers 200 to seven of ten callbacks; which, is a matter of the seed and of the order in which they come."""

    def __init__(self, rng: random.Random, clock: Clock) -> None:
        super().__init__()
        self.answer = self._decide
        self.arrivals: list[Arrival] = []
        self.failed = 0
        self._rng = rng
        self._time = clock
        self._in_a_row = 0
        self._failed: collections.Counter[bytes] = collections.Counter()

    def _decide(self, item: Received) -> int:
        may_fail = self._in_a_row < MOST_IN_A_ROW and self._failed[item.body] < MOST_OF_ONE
        if self._rng.random() < FAILS and may_fail:
            self._in_a_row += 1
            self._failed[item.body] += 1
            self.failed += 1
            return self._rng.choice(HOW)
        self._in_a_row = 0
        (status,) = item.content["statuses"]
        self.arrivals.append(Arrival(status["meta_message_id"], status["status"], self._time.now_ms()))
        return 200
