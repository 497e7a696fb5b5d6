"""Why nothing may leave: holds of every kind, the breaker of a WABA, and news that is older than what was done."""

import pytest

from waypost.gateway.brakes import (
    APP,
    APPLICATION,
    FIRST_PROBE_MS,
    LONGEST_PROBE_MS,
    OPEN_AFTER,
    PHONE,
    WABA,
    Brakes,
    Breaker,
    Hold,
    Place,
)

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000
PLACE = Place(phone_number_id="1", waba_id="10", app="100")
ENDLESS = Hold(reason="token refused", until_ms=None)


def until(at_ms: int) -> Hold:
    return Hold(reason="throttled", until_ms=at_ms)


def opened(now_ms: int = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(OPEN_AFTER):
        breaker.failed(now_ms)
    return breaker


# --- the breaker ---------------------------------------------------------------------------------------------------


def test_it_opens_at_the_fifth_failure_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    assert [breaker.failed(NOW) for _ in range(7)] == [False] * 4 + [True, False, False]
    assert breaker.is_open
    assert breaker.is_wary


def test_an_answer_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(10):
        for _ in range(OPEN_AFTER - 1):
            assert not breaker.failed(NOW)
        assert not breaker.answered()
    assert not breaker.is_open
    assert not breaker.is_wary


def test_probes_come_ever_more_rarely_up_to_twice_a_minute() -> None:
    breaker, now, waits = opened(), NOW, []
    for _ in range(8):
        hold = breaker.hold(now)
        assert hold is not None
        assert hold.until_ms is not None
        waits.append(hold.until_ms - now)
        now = hold.until_ms
        assert breaker.hold(now) is None, "the probe may be made"
        breaker.failed(now)
    assert waits == [FIRST_PROBE_MS * 2**n for n in range(5)] + [LONGEST_PROBE_MS] * 3


def test_what_had_left_before_it_opened_does_not_put_the_probe_off() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(NOW + 500)
    assert breaker.hold(NOW + FIRST_PROBE_MS) is None


def test_while_it_is_open_one_probe_is_under_way_at_a_time() -> None:
    breaker = opened()
    assert (breaker.room(0), breaker.room(1), breaker.room(160)) == (1, 0, 0)


def test_each_answer_doubles_what_may_be_under_way_until_there_is_no_bound() -> None:
    breaker = opened()
    rooms: list[int] = []
    while breaker.is_wary:
        assert breaker.answered() == (not rooms), "that Meta is back is told once"
        rooms.append(breaker.room(0))
        assert not breaker.is_open
    assert rooms == [2, 4, 8, 16, 32, 64, 64]
    assert breaker.room(1_000) == 64, "no bound of ours"


def test_a_failure_while_it_recovers_counts_from_nothing() -> None:
    breaker = opened()
    breaker.answered()
    rooms = [(breaker.failed(NOW), breaker.room(0)) for _ in range(OPEN_AFTER)]
    assert rooms == [(False, 2)] * (OPEN_AFTER - 1) + [(True, 1)]


def test_a_clock_that_is_put_back_does_not_keep_it_open_for_hours_nor_make_it_probe_all_the_time() -> None:
    breaker, before = opened(), NOW - HOUR_MS
    assert breaker.hold(before) is None
    breaker.failed(before)
    hold = breaker.hold(before)
    assert hold is not None
    assert hold.until_ms == before + 2 * FIRST_PROBE_MS


def test_a_clock_that_is_put_back_ends_what_was_to_last_a_moment_and_makes_no_news_old() -> None:
    brakes = Brakes()
    brakes.put_on(PHONE, "1", until(NOW + 500), now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW - HOUR_MS) is None
    assert brakes.put_on(PHONE, "1", until(NOW - HOUR_MS + 500), now_ms=NOW - HOUR_MS)
    brakes.take_off(WABA, "10", NOW)
    assert brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW - HOUR_MS, began_ms=NOW - HOUR_MS)
    assert brakes.hold_of(PLACE, NOW - 2 * HOUR_MS) == ENDLESS, "what a person has to lift stays"


# --- holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "key"), [(PHONE, "1"), (WABA, "10"), (APP, "100")])
def test_a_place_is_held_by_its_phone_its_waba_or_its_app(kind: str, key: str) -> None:
    brakes = Brakes()
    assert brakes.put_on(kind, "another", ENDLESS, now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW) is None
    assert brakes.put_on(kind, key, ENDLESS, now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW) == ENDLESS
    assert brakes.hold_of_application(key, NOW) is None


def test_an_application_is_held_by_its_key() -> None:
    brakes = Brakes()
    brakes.put_on(APPLICATION, "shop", ENDLESS, now_ms=NOW)
    assert brakes.hold_of_application("shop", NOW) == ENDLESS
    assert brakes.hold_of_application("other", NOW) is None
    assert brakes.hold_of(PLACE, NOW) is None


def test_of_several_reasons_the_one_that_holds_longest_is_told() -> None:
    brakes = Brakes()
    brakes.put_on(PHONE, "1", until(NOW + 500), now_ms=NOW)
    brakes.put_on(WABA, "10", until(NOW + 2_000), now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW) == until(NOW + 2_000)
    for _ in range(OPEN_AFTER):
        brakes.breaker("10").failed(NOW + 1_500)
    hold = brakes.hold_of(PLACE, NOW + 1_500)
    assert hold is not None
    assert hold.reason == "Meta does not answer"
    brakes.put_on(APP, "100", ENDLESS, now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW) == ENDLESS


def test_a_hold_ends_by_itself_at_its_time() -> None:
    brakes = Brakes()
    brakes.put_on(PHONE, "1", until(NOW + 500), now_ms=NOW)
    assert brakes.holds(NOW + 499) == {(PHONE, "1"): until(NOW + 500)}
    assert brakes.hold_of(PLACE, NOW + 500) is None
    assert brakes.holds(NOW + 500) == {}


def test_a_longer_hold_takes_the_place_of_a_shorter_one_and_never_the_other_way_round() -> None:
    brakes = Brakes()
    assert brakes.put_on(PHONE, "1", until(NOW + 500), now_ms=NOW)
    assert not brakes.put_on(PHONE, "1", until(NOW + 500), now_ms=NOW), (
        "the same news, brought by every message under way"
    )
    assert not brakes.put_on(PHONE, "1", until(NOW + 100), now_ms=NOW)
    assert brakes.put_on(PHONE, "1", until(NOW + 900), now_ms=NOW)
    assert brakes.put_on(PHONE, "1", ENDLESS, now_ms=NOW)
    assert not brakes.put_on(PHONE, "1", until(NOW + 9_000), now_ms=NOW)
    assert brakes.hold_of(PLACE, NOW + 9_000) == ENDLESS


def test_what_is_taken_off_can_be_put_on_again_but_not_by_old_news() -> None:
    brakes = Brakes()
    brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW, began_ms=NOW)
    assert brakes.take_off(WABA, "10", NOW + 100)
    assert not brakes.take_off(WABA, "10", NOW + 100), "nothing was held"
    assert not brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW + 200, began_ms=NOW + 100)
    assert brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW + 200, began_ms=NOW + 101)


def test_old_news_is_old_also_where_nothing_was_held() -> None:
    brakes = Brakes()
    brakes.take_off(WABA, "10", NOW)
    assert not brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW, began_ms=NOW - 1)
    assert brakes.put_on(WABA, "11", ENDLESS, now_ms=NOW, began_ms=NOW - 1), "another WABA's is news"
    assert brakes.put_on(WABA, "10", ENDLESS, now_ms=NOW), "an operator's word is never old"
