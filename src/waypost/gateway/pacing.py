"""How fast messages may leave through one business phone: slots, leased in blocks, and what Meta taught. Without I/O.

Times are microseconds of the caller's clock, so that a thousand messages a second still have slots of their own.
"""

import math

SECOND_US = 1_000_000
BLOCK_US = 250_000  # slots are leased a quarter of a second ahead: few leases, and little lost when nothing more comes
MARGIN = 0.97  # of what Meta evidently takes: a little inside, for its clock and ours count different seconds
PAUSE_US = SECOND_US // 2  # after Meta said that it was too fast: its allowance is used up
_OLD_NEWS_US = 2 * SECOND_US  # refusals of messages that had left before the rate was lowered say nothing new
_FULL_AFTER_US = SECOND_US  # of less than half of the pace, after which Meta's allowance counts as full again
_ENOUGH = 5  # messages from which on a rate can be told
_QUIET_US = 600 * SECOND_US  # without a refusal for so long, a little more is tried
_RAISE = 0.03  # of the rate; twice as much each further time, for what came of somebody else's doing should not last
_LOWEST = 0.2  # messages a second
_STEP_US = 120 * SECOND_US  # the journal gives out no slot so far ahead


class _Measured:
    """What Meta took since its allowance was full (which holds a second's worth) or empty; so, what it grants."""

    def __init__(self, began_us: int, *, full: bool) -> None:
        self._began_us = began_us
        self._full = full
        self._taken = 0
        self._second_us = began_us  # since when, and how many in that second
        self._in_second = 0

    def count(self, now_us: int) -> None:
        """Count a message that Meta took."""
        self._taken += 1
        if now_us >= self._second_us + SECOND_US:
            self._second_us, self._in_second = now_us, 0
        self._in_second += 1

    def is_stale(self, per_s: float, now_us: int) -> bool:
        """Tell whether so little was sent for a second that the allowance has filled up; or wall time was put back."""
        since_us = now_us - self._second_us
        return since_us < -PAUSE_US or (
            since_us >= _FULL_AFTER_US and (2 * self._in_second < per_s or since_us >= 2 * _FULL_AFTER_US)
        )

    def tells(self, per_s: float, now_us: int) -> bool:
        """Tell whether we sent enough, and at half of our pace at least, so that a refusal is about our rate."""
        between = self._taken - 1  # from the first one, which began this
        return self._taken >= _ENOUGH and 2 * between * SECOND_US >= per_s * (now_us - self._began_us)

    def granted(self, now_us: int) -> float:
        """Return the rate, in messages a second, that has emptied the allowance just now."""
        elapsed_us = now_us - self._began_us + (SECOND_US if self._full else 0)
        return self._taken * SECOND_US / max(1, elapsed_us)


class NumberPace:
    """The pace of one number.

    Whoever sends asks `wanted` how many slots to lease from the journal, hands them over by `granted`, and takes one
    for each message by `take`. A slot that was missed is still good while its block lasts and the next one has not
    begun; so a late event loop loses nothing, and no more than one block can leave at once. A block that itself comes
    late, because the journal is slow, is good for as long as others are: leases take turns, so the rate stays below.
    """

    def __init__(self, configured_per_s: float, *, is_shared: bool = False) -> None:
        """Where other processes lease slots of the number too, no more are leased than were used of late."""
        self._is_shared = is_shared
        self._granted = 0  # slots of the block when it began
        self._used_of_late = 1
        self.per_s = 0.0  # messages a second at present
        self.interval_us = 0  # the time from slot to slot, rounded up
        self._adopt(configured_per_s, configured_per_s)
        self._next_us = 0  # the next slot
        self._left = 0  # slots of the block
        self._block_ends_us = 0
        self._good_until_us = 0
        self._debt = 0.0  # inbound messages that no slot has been used up for yet, and when that was counted
        self._debt_at_us = 0
        self._measured = _Measured(-_FULL_AFTER_US, full=True)
        self._changed_us = -_OLD_NEWS_US
        self._raise = _RAISE
        self._not_before_us = 0

    # --- the rate ---

    def _adopt(self, configured_per_s: float, allowed_per_s: float) -> None:
        """Go at the lower one of the rates that the tenants give and that Meta grants."""
        self.configured_per_s, self._allowed = float(configured_per_s), float(allowed_per_s)
        self.per_s = min(self._allowed, self.configured_per_s)
        self.interval_us = math.ceil(SECOND_US / self.per_s)

    def configure(self, per_s: float) -> None:
        """Take over a new rate from the tenants; what was learned from Meta is forgotten."""
        self._adopt(per_s, per_s)

    def upgraded(self) -> None:
        """Take in that Meta raised the limit of the number, so that what its refusals taught holds no more.

        The tenants' rate stays the upper bound: whoever set it may have had other reasons than Meta's limit.
        """
        self._adopt(self.configured_per_s, self.configured_per_s)

    def accepted(self, now_us: int) -> None:
        """Count a message that Meta took."""
        if self._measured.is_stale(self.per_s, now_us):
            self._measured = _Measured(now_us, full=True)
        self._measured.count(now_us)

    def throttled(self, now_us: int) -> bool:
        """Learn from a 130429, in one step, and pause; return whether the rate was lowered.

        It is not lowered where we sent much less than we might: then somebody else uses the number up, and our own
        messages say nothing about what Meta grants.
        """
        self._not_before_us = max(self._not_before_us, now_us + PAUSE_US)
        self._left, self._block_ends_us = 0, now_us  # leased at a rate, and for a time, that hold no more
        measured, self._measured = self._measured, _Measured(now_us + PAUSE_US, full=False)
        if 0 <= now_us - self._changed_us < _OLD_NEWS_US or not measured.tells(self.per_s, now_us):
            return False
        self._changed_us, self._raise = now_us, _RAISE
        self._adopt(self.configured_per_s, max(_LOWEST, MARGIN * min(self.per_s, measured.granted(now_us))))
        return True

    def _recover(self, now_us: int) -> None:
        if self._allowed < self.configured_per_s and now_us >= self._changed_us + _QUIET_US:
            self._changed_us = now_us
            self._adopt(self.configured_per_s, min(self.configured_per_s, self._allowed * (1 + self._raise)))
            self._raise *= 2

    # --- slots ---

    def wanted(self, now_us: int, asking: int = 1) -> int:
        """Return how many slots to lease before the next `take`, for which so many ask: 0 while there are some.

        A whole block that is hardly used makes others wait for their turn, so among several it is as large as it has to
        be: twice the last one if that was used up, else what was used of it.
        """
        self._recover(now_us)
        self._expire(now_us)
        if self._left:
            return 0
        block = max(1, round(self.per_s * BLOCK_US / SECOND_US))
        if self._is_shared:
            block = min(block, max(asking, self._used_of_late))
        return block + math.ceil(self._owed(now_us))

    def granted(self, first_us: int, count: int, now_us: int) -> None:
        """Take over leased slots, of which inbound messages have used up the first ones."""
        owed = self._owed(now_us)
        used = min(math.ceil(owed), count)
        self._debt, self._debt_at_us = max(0.0, owed - used), now_us
        self._left = self._granted = count - used
        self._next_us = max(first_us, self._not_before_us, self._block_ends_us) + used * self.interval_us
        self._block_ends_us = self._next_us + self._left * self.interval_us
        self._good_until_us = max(self._block_ends_us, now_us + BLOCK_US)

    def take(self, now_us: int) -> int | None:
        """Take the next slot; return the microseconds until it may be used, or None where slots have to be leased."""
        self._expire(now_us)
        if not self._left:
            return None
        wait_us = max(0, self._next_us - now_us)
        self._left -= 1
        if not self._left:
            self._used_of_late = 2 * self._granted
        self._next_us += self.interval_us
        return wait_us

    def give_back(self) -> None:
        """Take back a slot that was not used after all: the next one to ask has it."""
        self._left += 1
        self._next_us -= self.interval_us

    def inbound(self, count: int, now_us: int) -> None:
        """Count messages that came in: Meta counts them against the same limit.

        Bounded by a second's worth, as Meta's allowance is, which fills up again while nothing is sent.
        """
        self._debt = min(self._owed(now_us) + count, math.ceil(self.per_s))
        self._debt_at_us = now_us

    def _owed(self, now_us: int) -> float:
        """Return how many slots inbound messages have yet to use up."""
        idle_us = now_us - max(self._debt_at_us, self._block_ends_us)
        return max(0.0, self._debt - max(0, idle_us) / self.interval_us)

    def wait_us(self, ahead: int, now_us: int) -> int:
        """Forecast the microseconds until a message with so many before it leaves."""
        first = max(self._next_us if self._left else self._block_ends_us, self._not_before_us, now_us)
        ahead += 0 if self._left else math.ceil(self._owed(now_us))
        return first + ahead * self.interval_us - now_us

    def _expire(self, now_us: int) -> None:
        if self._block_ends_us > now_us + _STEP_US:  # wall time was put back: what was planned by it holds no more
            self._next_us = self._block_ends_us = self._not_before_us = now_us
            self._left = 0
        if self._left and now_us >= self._good_until_us:
            self._used_of_late = max(1, self._granted - self._left)
            self._left = 0
