"""Meta's rate limits, on the simulated clock: per number, per pair of number and person, per account, per app."""

from collections import deque

from waypost.simulator.clock import Clock
from waypost.simulator.config import Limits, Phone
from waypost.simulator.errors import GraphError

BURST_SPAN_MS = 6_000  # Meta's pair limit: a burst is what falls into six seconds
HOUR_MS = 3_600_000
MOST_PAIRS = 50_000


class RateLimits:
    """Raises `GraphError` 130429, 131056, 80008 or 4 when a call is one too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forgets all that was used."""
        self._tokens: dict[str, tuple[float, int]] = {}
        self._bursts: dict[tuple[str, str], tuple[int, int]] = {}
        self._calls: dict[str, deque[int]] = {}

    def take_throughput(self, phone: Phone) -> None:
        """One message that a business phone sends: a bucket as large as one second's messages, in both directions."""
        left = self._left(phone)
        if left < 1:
            raise GraphError(130429, "Cloud API message throughput has been reached.")
        self._tokens[phone.id] = (left - 1, self._clock.now_ms())

    def count_inbound(self, phone: Phone) -> None:
        """One message that a person wrote: it comes through however much is left, and counts all the same."""
        self._tokens[phone.id] = (max(0.0, self._left(phone) - 1), self._clock.now_ms())

    def _left(self, phone: Phone) -> float:
        now_ms, rate = self._clock.now_ms(), phone.messages_per_second
        left, at_ms = self._tokens.get(phone.id, (float(rate), now_ms))
        return min(float(rate), left + (now_ms - at_ms) * rate / 1000)

    def take_pair(self, phone: Phone, number: str, limits: Limits) -> None:
        """One message to one person: a burst borrows from the future, and is paid back before the next message."""
        now_ms, pair = self._clock.now_ms(), (phone.id, number)
        started_ms, count = self._bursts.get(pair, (0, 0))
        paid_back = now_ms >= started_ms + count * limits.pair_interval_s * 1000
        if paid_back:
            self._forget_paid(limits)
            self._bursts[pair] = (now_ms, 1)
        elif now_ms < started_ms + BURST_SPAN_MS and count < limits.pair_burst:
            self._bursts[pair] = (started_ms, count + 1)
        else:
            raise GraphError(
                131056,
                "Message failed to send because there were too many messages sent from this phone number to the same"
                " phone number in a short period of time.",
            )

    def _forget_paid(self, limits: Limits) -> None:
        if len(self._bursts) < MOST_PAIRS:
            return
        now_ms, owed_ms = self._clock.now_ms(), limits.pair_interval_s * 1000
        self._bursts = {pair: burst for pair, burst in self._bursts.items() if now_ms < burst[0] + burst[1] * owed_ms}

    def take_call(self, waba_id: str, limits: Limits) -> None:
        """One call other than a send: counted per WABA and for the whole app, over the last hour."""
        for key, most, code in ((waba_id, limits.waba_calls_per_hour, 80008), ("", limits.app_calls_per_hour, 4)):
            if self.calls(key) >= most:
                raise GraphError(code, "The hourly limit of calls has been reached.")
        for key in (waba_id, ""):
            self._calls.setdefault(key, deque()).append(self._clock.now_ms())

    def calls(self, key: str) -> int:
        """How many calls a WABA, or with "" the app, has made in the last hour."""
        calls = self._calls.get(key)
        if calls is None:
            return 0
        while calls and calls[0] <= self._clock.now_ms() - HOUR_MS:
            calls.popleft()
        return len(calls)
