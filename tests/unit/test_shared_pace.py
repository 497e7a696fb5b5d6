"""Slots of a number that several processes lease: none is kept from others that is not used."""

from waypost.gateway.pacing import BLOCK_US, NumberPace

PER_S = 80
WHOLE = PER_S * BLOCK_US // 1_000_000
START_US = 1_790_000_000_000_000


def lease(pace: NumberPace, now_us: int, asking: int = 1) -> int:
    """Lease what it wants, as if no other process had leased anything."""
    count = pace.wanted(now_us, asking)
    if count:
        pace.granted(now_us, count, now_us)
    return count


def test_alone_a_process_leases_a_quarter_of_a_second_at_once() -> None:
    assert lease(NumberPace(PER_S), START_US) == WHOLE


def test_among_others_it_leases_what_is_asked_for_and_doubles_that_while_it_is_used_up() -> None:
    pace = NumberPace(PER_S, is_shared=True)
    now, leased = START_US, []
    for _ in range(6):
        count = lease(pace, now)
        leased.append(count)
        for _ in range(count):
            wait = pace.take(now)
            assert wait is not None
            now += wait
        now += pace.interval_us
    assert leased == [1, 2, 4, 8, 16, WHOLE]


def test_what_was_not_used_of_a_block_is_not_leased_again() -> None:
    pace = NumberPace(PER_S, is_shared=True)
    assert lease(pace, START_US, asking=WHOLE) == WHOLE
    for _ in range(3):
        pace.take(START_US)
    assert lease(pace, START_US + 2 * BLOCK_US) == 3
    assert lease(pace, START_US + 4 * BLOCK_US) == 1


def test_so_many_as_ask_at_once_have_their_slots_in_one_lease_of_a_block_at_most() -> None:
    assert lease(NumberPace(PER_S, is_shared=True), START_US, asking=7) == 7
    assert lease(NumberPace(PER_S, is_shared=True), START_US, asking=1_000) == WHOLE
