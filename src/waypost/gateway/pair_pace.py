"""How often one recipient may be written to from one business phone. Without I/O.

Meta's rule: one message in six seconds, or a burst of up to 45 within six seconds that is paid back, six seconds for
each, before the next message.
"""

from collections import OrderedDict

import msgspec

from waypost.model import Noun

INTERVAL_MS = 6_000
BURST_SPAN_MS = 6_000
BURST = 45
# Meta counts when a message reaches it, and by its own clock: what leaves earlier by ours may come later there.
MARGIN_MS = 250
_MOST_STEPS = 6  # 4^6 s is more than an hour
_LOOKED_AT = 2  # pairs that each sending looks at to forget: more than it adds, so the paid-back ones go


class _Burst(Noun, frozen=True, kw_only=True):
    """Messages that borrow from the future: since when, how many; and what a refusal of Meta's added."""

    started_ms: int
    count: int
    refused: int = 0  # 131056 in a row
    not_before_ms: int = 0

    def paid_back_ms(self) -> int:
        """When the next message is on its own again."""
        return max(self.started_ms + self.count * INTERVAL_MS + MARGIN_MS, self.not_before_ms)


class PairPace:
    """The pairs of one process that owe something; a pair that is not known owes nothing."""

    def __init__(self) -> None:
        # not a plain dict, which looks for its first entry among all that were ever in front of it
        self._bursts: OrderedDict[tuple[str, str], _Burst] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bursts)

    def wait_ms(self, phone_number_id: str, recipient: str, now_ms: int) -> int:
        """Return how long a message has to wait for this recipient's sake; 0: not at all."""
        burst = self._bursts.get((phone_number_id, recipient))
        if burst is None:
            return 0
        if burst.not_before_ms <= now_ms < burst.started_ms + BURST_SPAN_MS - MARGIN_MS and burst.count < BURST:
            return 0
        return max(0, burst.paid_back_ms() - now_ms)

    def left(self, phone_number_id: str, recipient: str, now_ms: int) -> None:
        """Count a message that leaves now."""
        pair = (phone_number_id, recipient)
        burst = self._bursts.pop(pair, None)
        if burst is None or now_ms >= burst.paid_back_ms():
            refused = 0 if burst is None else burst.refused
            burst = _Burst(started_ms=now_ms, count=1, refused=refused)
        else:
            burst = _Burst(started_ms=burst.started_ms, count=burst.count + 1, refused=burst.refused)
        self._bursts[pair] = burst  # at the end: the front holds what has been quiet longest
        self._forget(now_ms)

    def returned(self, phone_number_id: str, recipient: str) -> None:
        """Take back a message that was counted and certainly never reached Meta."""
        pair = (phone_number_id, recipient)
        burst = self._bursts.get(pair)
        if burst is not None and burst.count > 1:
            self._bursts[pair] = msgspec.structs.replace(burst, count=burst.count - 1)
        elif burst is not None:
            del self._bursts[pair]

    def throttled(self, phone_number_id: str, recipient: str, now_ms: int) -> int:
        """Learn from a 131056 and return the milliseconds to wait: 4^n seconds, n counting such refusals in a row."""
        pair = (phone_number_id, recipient)
        burst = self._bursts.pop(pair, None) or _Burst(started_ms=now_ms, count=0)
        wait_ms = 1_000 << 2 * min(burst.refused, _MOST_STEPS)
        self._bursts[pair] = _Burst(
            started_ms=burst.started_ms, count=burst.count, refused=burst.refused + 1, not_before_ms=now_ms + wait_ms
        )
        return wait_ms

    def accepted(self, phone_number_id: str, recipient: str) -> None:
        """Note that Meta took a message: its refusals are over."""
        pair = (phone_number_id, recipient)
        burst = self._bursts.get(pair)
        if burst is not None and burst.refused:
            self._bursts[pair] = _Burst(started_ms=burst.started_ms, count=burst.count)

    def _forget(self, now_ms: int) -> None:
        """Drop pairs that owe nothing, from those on that were written to longest ago."""
        for _ in range(min(_LOOKED_AT, len(self._bursts))):
            pair, burst = self._bursts.popitem(last=False)
            if now_ms < burst.paid_back_ms():
                self._bursts[pair] = burst
