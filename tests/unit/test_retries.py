"""When a callback is tried again: the published schedule, jitter either way, and what a receiver may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.retries import HORIZON_S, JITTER, SCHEDULE_S, wait_s

# As the page for receivers says: 5 s, 30 s, 1, 5, 15 and 30 min, 1, 2, 4, 8, 12, 24 and 24 h.
PUBLISHED_S = (5, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400, 86_400)
LAST = len(PUBLISHED_S)


def test_the_schedule_is_the_published_one_and_comes_to_76_hours() -> None:
    assert SCHEDULE_S == PUBLISHED_S
    assert sum(PUBLISHED_S) == HORIZON_S
    assert round(HORIZON_S / 3600) == 76


@pytest.mark.parametrize("attempt", range(1, LAST + 1))
def test_each_wait_is_spread_by_a_fifth_either_way(attempt: int) -> None:
    due = PUBLISHED_S[attempt - 1]
    assert wait_s(attempt, 0.5, None) == due
    assert wait_s(attempt, 0.0, None) == pytest.approx(due * 0.8)
    assert wait_s(attempt, 1.0, None) == pytest.approx(due * 1.2)


@pytest.mark.parametrize("attempt", [LAST + 1, LAST + 2, 1_000])
def test_after_the_last_wait_it_is_given_up_whatever_the_receiver_asks_for(attempt: int) -> None:
    assert wait_s(attempt, 0.5, None) is None
    assert wait_s(attempt, 0.5, 5.0) is None


@pytest.mark.parametrize(
    ("retry_after_s", "expected"),
    [(0, 300), (299, 300), (301, 301), (450, 450), (600, 600), (601, 600), (86_400, 600)],
)
def test_retry_after_stretches_a_wait_up_to_twice_and_never_shortens_it(retry_after_s: float, expected: float) -> None:
    assert wait_s(4, 0.5, retry_after_s) == expected


def test_retry_after_within_the_jitter_is_kept() -> None:
    assert wait_s(4, 1.0, 310) == pytest.approx(360)
    assert wait_s(4, 0.0, 310) == 310


@given(
    attempt=st.integers(1, LAST + 3),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 86_400),
)
def test_no_wait_is_shorter_than_the_jitter_or_longer_than_twice(
    attempt: int, chance: float, asked: float | None
) -> None:
    wait = wait_s(attempt, chance, asked)
    if attempt > LAST:
        assert wait is None
        return
    due = PUBLISHED_S[attempt - 1]
    assert wait is not None
    assert due * (1 - JITTER) <= wait <= due * 2
    if asked is not None and asked <= due * 2:
        assert wait >= asked
