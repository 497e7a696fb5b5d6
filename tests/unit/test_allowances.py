"""How often an account may ask: as often a second as the tenants say, in whatever rhythm."""

from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.allowances import Allowances
from waypost.model import Account

NOW = 1_800_000_000_000


def account(per_s: int | None, name: str = "acme") -> Account:
    return Account(name=name, requests_per_second=per_s)


def test_an_account_without_a_limit_may_ask_as_often_as_it_likes() -> None:
    allowances = Allowances()
    assert all(allowances.take(account(None), NOW) for _ in range(10_000))


def test_a_second_s_worth_may_come_at_once_and_then_one_at_a_time() -> None:
    allowances = Allowances()
    assert [allowances.take(account(5), NOW) for _ in range(7)] == [True] * 5 + [False] * 2
    assert not allowances.take(account(5), NOW + 199)
    assert allowances.take(account(5), NOW + 200)
    assert not allowances.take(account(5), NOW + 200)
    assert [allowances.take(account(5), NOW + 60_000) for _ in range(7)] == [True] * 5 + [False] * 2


def test_what_was_refused_does_not_count() -> None:
    allowances = Allowances()
    assert allowances.take(account(1), NOW)
    assert not any(allowances.take(account(1), NOW + at_ms) for at_ms in range(1_000))
    assert allowances.take(account(1), NOW + 1_000)


def test_accounts_have_allowances_of_their_own() -> None:
    allowances = Allowances()
    assert allowances.take(account(1), NOW)
    assert allowances.take(account(1, "other"), NOW)
    assert not allowances.take(account(1), NOW)


def test_a_changed_limit_holds_from_the_next_request_on() -> None:
    allowances = Allowances()
    assert allowances.take(account(1), NOW)
    assert not allowances.take(account(1), NOW)
    assert [allowances.take(account(100), NOW + 50) for _ in range(6)] == [True] * 5 + [False]
    assert [allowances.take(account(2), NOW + 5_000) for _ in range(3)] == [True, True, False]


def test_a_clock_that_is_put_back_neither_gives_nor_takes() -> None:
    allowances = Allowances()
    assert allowances.take(account(1), NOW)
    assert not allowances.take(account(1), NOW - 3_600_000)
    assert allowances.take(account(1), NOW - 3_600_000 + 1_000)


@given(st.integers(1, 50), st.lists(st.integers(0, 500), max_size=200))
def test_no_rhythm_gets_more_than_the_rate_and_a_second_s_worth(per_s: int, pauses_ms: list[int]) -> None:
    allowances, now, taken = Allowances(), NOW, 0
    for pause_ms in pauses_ms:
        now += pause_ms
        taken += allowances.take(account(per_s), now)
    assert taken <= per_s + (now - NOW) * per_s / 1000 + 1e-6
