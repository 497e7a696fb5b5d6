"""Whatever leaves by our pace is taken by Meta's limits, told a second time by the simulator; and nothing is wasted."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from waypost.gateway.pacing import SECOND_US, NumberPace
from waypost.gateway.pair_pace import BURST, PairPace
from waypost.simulator.clock import Clock
from waypost.simulator.config import Limits, Phone
from waypost.simulator.errors import GraphError
from waypost.simulator.limits import RateLimits

PHONE_ID = "106540352242922"
START_US = SECOND_US * 1_000_000


class HandClock(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.us = START_US

    def now_ms(self) -> int:
        return self.us // 1_000


class Slots:
    """The row that slots are leased from, and the number behind it."""

    def __init__(self, per_s: int, *, metas_per_s: int | None = None, commit_us: int = 0) -> None:
        self.clock = HandClock()
        self.commit_us = commit_us
        self.pace = NumberPace(per_s)
        self.limits = RateLimits(self.clock)
        self.phone = Phone(id=PHONE_ID, messages_per_second=metas_per_s or per_s)
        self.free_us = 0
        self.taken = self.refused = 0

    def send(self) -> None:
        """Send one message as soon as our pace allows it; tell the pace what Meta said."""
        wait_us = self.pace.take(self.clock.us)
        while wait_us is None:
            self.lease()
            wait_us = self.pace.take(self.clock.us)
        assert wait_us >= 0
        self.clock.us += wait_us
        try:
            self.limits.take_throughput(self.phone)
        except GraphError:
            self.refused += 1
            self.pace.throttled(self.clock.us)
        else:
            self.taken += 1
            self.pace.accepted(self.clock.us)

    def lease(self) -> None:
        count = self.pace.wanted(self.clock.us)
        assert count > 0
        first_us = max(self.clock.us, self.free_us)
        self.free_us = first_us + count * self.pace.interval_us
        self.clock.us += self.commit_us
        self.pace.granted(first_us, count, self.clock.us)


rates = st.integers(1, 1000)
pauses_us = st.one_of(st.just(0), st.integers(0, 5_000), st.integers(0, 3 * SECOND_US))


@given(rates, st.lists(pauses_us, max_size=300))
def test_no_arrivals_make_us_faster_than_the_number_may_be(per_s: int, arrivals: list[int]) -> None:
    slots = Slots(per_s)
    for pause_us in arrivals:
        slots.clock.us += pause_us
        slots.send()
    assert slots.refused == 0


@given(rates, st.lists(st.integers(0, 60), min_size=20, max_size=200))
def test_inbound_messages_use_up_slots_too(per_s: int, inbound: list[int]) -> None:
    slots = Slots(per_s)
    for count in inbound:
        came_in = 0
        for _ in range(min(count, per_s)):
            try:
                slots.limits.take_throughput(slots.phone)
            except GraphError:
                break
            came_in += 1
        slots.pace.inbound(came_in, slots.clock.us)
        for _ in range(5):
            slots.send()
        slots.clock.us += SECOND_US  # what came in at once is worked off within the second
    assert slots.refused == 0


@given(rates)
def test_a_constant_backlog_leaves_at_95_percent_of_the_rate_at_least(per_s: int) -> None:
    slots = Slots(per_s)
    began_us = slots.clock.us
    for _ in range(20 * per_s if per_s < 100 else 2_000):
        slots.send()
    elapsed_s = (slots.clock.us - began_us) / SECOND_US
    assert slots.taken >= 0.95 * per_s * elapsed_s
    assert slots.refused == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 200), st.integers(2, 12))
def test_a_rate_that_meta_does_not_grant_is_learned(metas_per_s: int, times: int) -> None:
    slots = Slots(min(1000, metas_per_s * times), metas_per_s=metas_per_s)
    while slots.clock.us < START_US + 60 * SECOND_US:  # a minute, in which Meta's allowance is found
        slots.send()
    learned = slots.refused
    slots.taken = 0
    began_us = slots.clock.us
    while slots.clock.us < began_us + 120 * SECOND_US:
        slots.send()
    assert slots.refused == learned, "what was learned is kept to"
    assert slots.taken >= 0.9 * metas_per_s * 120
    assert learned <= 6


@given(st.integers(20, 1000), st.floats(0.02, 0.4), st.integers(1, 50))
@example(23, 0.39999999999999997, 25)
def test_a_refusal_of_a_number_that_sends_little_is_somebody_else_s_doing(per_s: int, share: float, after: int) -> None:
    slots = Slots(per_s)
    for _ in range(after):
        slots.clock.us += int(SECOND_US / (share * per_s))
        slots.send()
    for _ in range(3):
        assert not slots.pace.throttled(slots.clock.us)
        slots.clock.us += 3 * SECOND_US
    assert slots.pace.per_s == per_s


def test_what_was_not_our_own_doing_is_forgotten_in_little_more_than_an_hour() -> None:
    slots = Slots(80)
    for _ in range(60):
        slots.clock.us += SECOND_US // 45
        slots.send()
    assert slots.pace.throttled(slots.clock.us)
    rates = [slots.pace.per_s]
    for _ in range(7):
        slots.clock.us += 600 * SECOND_US
        slots.send()
        rates.append(slots.pace.per_s)
    assert rates == sorted(rates)
    assert rates[1] < 1.04 * rates[0], "carefully at first: it may have been our doing"
    assert rates[-1] == 80


def test_a_burst_after_an_hour_of_little_tells_what_meta_grants() -> None:
    slots = Slots(80, metas_per_s=20)
    for _ in range(3_600):
        slots.clock.us += SECOND_US
        slots.send()
    while not slots.refused:
        slots.send()
    assert 18 <= slots.pace.per_s <= 20


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20_000)), max_size=300))
def test_no_order_of_recipients_breaks_the_limit_of_a_pair(sends: list[tuple[int, int]]) -> None:
    clock, pairs = HandClock(), PairPace()
    limits = RateLimits(clock)
    phone = Phone(id=PHONE_ID)
    for recipient, pause_ms in sends:
        clock.us += pause_ms * 1_000
        number = f"861390000000{recipient}"
        clock.us += pairs.wait_ms(PHONE_ID, number, clock.now_ms()) * 1_000
        assert pairs.wait_ms(PHONE_ID, number, clock.now_ms()) == 0, "a wait ends"
        pairs.left(PHONE_ID, number, clock.now_ms())
        limits.take_pair(phone, number, Limits())


@given(st.integers(20, 1000), st.integers(0, 2 * SECOND_US), st.integers(1, 400))
def test_a_journal_slower_than_a_block_lasts_only_makes_it_slower(per_s: int, takes_us: int, number: int) -> None:
    slots = Slots(per_s, commit_us=takes_us)
    began_us = slots.clock.us
    for _ in range(number):
        slots.send()
    assert (slots.taken, slots.refused) == (number, 0)
    leases = 1 + number // max(1, per_s // 5)
    assert slots.clock.us - began_us <= number * slots.pace.interval_us + leases * (takes_us + SECOND_US)


def test_what_came_in_while_nothing_was_sent_is_soon_forgotten() -> None:
    slots = Slots(80)
    slots.pace.inbound(80, slots.clock.us)
    assert slots.pace.wait_us(0, slots.clock.us) == 80 * slots.pace.interval_us
    slots.clock.us += SECOND_US // 2
    assert slots.pace.wait_us(0, slots.clock.us) == 40 * slots.pace.interval_us
    slots.clock.us += SECOND_US // 2
    assert slots.pace.wait_us(0, slots.clock.us) == 0
    slots.send()
    assert slots.clock.us == START_US + SECOND_US


def test_a_slot_that_was_not_used_is_the_next_one_s() -> None:
    slots = Slots(10)
    slots.send()
    for _ in range(1_000):
        slots.lease() if slots.pace.wanted(slots.clock.us) else None
        wait_us = slots.pace.take(slots.clock.us)
        assert wait_us is not None
        assert wait_us <= 100_000
        slots.pace.give_back()


def test_a_clock_that_is_put_back_stops_nothing() -> None:
    slots = Slots(80)
    for _ in range(30):
        slots.send()
    slots.clock.us -= 3_600 * SECOND_US
    slots.free_us = 0  # the journal does not believe in the next hour's slots either
    began_us = slots.clock.us
    for _ in range(80):
        slots.pace.accepted(slots.clock.us)
        wait_us = slots.pace.take(slots.clock.us)
        while wait_us is None:
            slots.lease()
            wait_us = slots.pace.take(slots.clock.us)
        slots.clock.us += wait_us
    assert slots.clock.us - began_us <= 1.1 * SECOND_US


def test_an_upgrade_makes_the_tenants_rate_hold_again() -> None:
    slots = Slots(100, metas_per_s=50)
    while not slots.refused:
        slots.send()
    assert slots.pace.per_s < 50
    slots.pace.upgraded()
    assert slots.pace.per_s == 100


def test_a_burst_of_45_leaves_at_once_and_is_paid_back() -> None:
    pairs = PairPace()
    for index in range(BURST):
        assert pairs.wait_ms(PHONE_ID, "1", 1_000 + index) == 0
        pairs.left(PHONE_ID, "1", 1_000 + index)
    assert 265_000 < pairs.wait_ms(PHONE_ID, "1", 2_000) < 271_000


def test_refusals_of_a_pair_wait_four_times_longer_each_time() -> None:
    pairs, now = PairPace(), 1_000
    waits = []
    for _ in range(9):
        pairs.left(PHONE_ID, "1", now)
        waits.append(pairs.throttled(PHONE_ID, "1", now))
        now += waits[-1]
        assert pairs.wait_ms(PHONE_ID, "2", now) == 0, "others go on"
        now += pairs.wait_ms(PHONE_ID, "1", now)
    assert waits == [1_000 * 4 ** min(n, 6) for n in range(9)]
    pairs.accepted(PHONE_ID, "1")
    assert pairs.throttled(PHONE_ID, "1", now) == 1_000


def test_pairs_that_owe_nothing_are_forgotten() -> None:
    pairs = PairPace()
    for number in range(100_000):
        pairs.left(PHONE_ID, str(number), number * 12)  # 80 a second
    assert len(pairs) < 2 * 6_250 // 12
