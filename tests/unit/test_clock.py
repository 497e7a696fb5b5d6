"""Ids never step back, whatever wall time does."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from waypost.clock import Clock, Uuid7Sequence

FORTY_EIGHT_BITS = 1 << 47


@given(st.lists(st.integers(min_value=0, max_value=FORTY_EIGHT_BITS), min_size=2, max_size=200))
def test_ids_strictly_increase_for_any_wall_time(times: list[int]) -> None:
    sequence = Uuid7Sequence()
    ids = [sequence.next_hex(now) for now in times]
    assert ids == sorted(set(ids))
    for made in ids:
        assert len(made) == 32
        assert made[12] == "7"  # the version
        assert made[16] in "89ab"  # the variant


def test_the_counter_may_run_over() -> None:
    sequence = Uuid7Sequence()
    ids = [sequence.next_hex(1_700_000_000_000) for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_an_id_carries_the_time_it_was_made() -> None:
    assert int(Uuid7Sequence().next_hex(1_700_000_000_000)[:12], 16) == 1_700_000_000_000


def test_threads_share_one_sequence() -> None:
    clock = Clock()
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: clock.message_id(), range(4_000)))
    assert len(set(ids)) == 4_000
    assert all(made.startswith("wamid.") and len(made) == 38 for made in ids)
