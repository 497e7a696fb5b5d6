"""What becomes of a message that Meta refused: every row of the table, and what must hold for all of them."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.retry_policy import (
    RETRIES_EXHAUSTED,
    RULES,
    Decision,
    Rule,
    WiderHold,
    decide,
    render_table,
    rule_of,
)
from waypost.meta.errors import RANGES, TABLE, UNKNOWN_OBJECT, MetaError, RetryClass, classify

DOCUMENT = Path(__file__).parents[2] / "docs" / "operate" / "retries.md"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EVERY_ERROR: list[MetaError] = [
    *TABLE.values(),
    *(classify(code, 400, False) for row in RANGES for code in range(row.first, row.last + 1)),
    UNKNOWN_OBJECT,
    *(classify(code, 400, False) for code in (132999, 133999, 2388999, 2494999, 2593999)),
    *(classify(999999, status, transient) for status in (400, 429, 500) for transient in (False, True)),
]
STOPS_WABA = {0, 3, 10, 102, 104, 190, *range(200, 300), 368, 131031, 131064}  # until somebody lifts it
STOPS_PHONE = {33, 100, 803, 131005, 131037, 131045, 133010, 131048}


def error_of(code: int) -> MetaError:
    return classify(code, 400, False)


def refused(code: int, tries: int = 1, *, waited_ms: int = 0, chance: float = 0.5) -> Decision:
    return decide(error_of(code), tries=tries, waited_ms=waited_ms, chance=chance)


def waits_s(code: int, *tries: int) -> list[float]:
    """The message's own waits, without jitter where it goes both ways."""
    return [refused(code, number).wait_ms / 1000 for number in tries]


def holds_s(code: int, *tries: int) -> list[float | None]:
    holds = [refused(code, number).hold for number in tries]
    return [hold.wait_ms / 1000 if hold and hold.wait_ms else None for hold in holds]


# --- every row -------------------------------------------------------------------------------------------------------


def test_a_number_that_is_too_fast_pauses_and_its_message_stays_the_oldest() -> None:
    hold = WiderHold(kind="phone", wait_ms=1000, reason="throughput of the number")
    assert refused(130429) == Decision(fate="retry", keeps_place=True, hold=hold)
    assert holds_s(130429, 1, 2, 3, 4, 5, 50) == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(("chance", "wait_ms"), [(0.0, 36_000), (0.5, 45_000), (1.0, 54_000)])
def test_maintenance_holds_the_number_between_half_a_minute_and_a_minute(chance: float, wait_ms: int) -> None:
    decision = refused(131057, 7, chance=chance)
    hold = WiderHold(kind="phone", wait_ms=wait_ms, reason="maintenance of the number")
    assert decision == Decision(fate="retry", keeps_place=True, hold=hold)


def test_a_code_nobody_knows_with_429_slows_the_number_but_only_its_message_steps_back() -> None:
    error = classify(999999, 429, False)
    for tries, wait_ms in ((1, 2000), (5, 32_000), (9, 300_000), (50, 300_000)):
        decision = decide(error, tries=tries, waited_ms=0, chance=0.5)
        hold = WiderHold(kind="phone", wait_ms=1000, reason="throttled by Meta")
        assert decision == Decision(fate="retry", wait_ms=wait_ms, hold=hold)
    assert decide(error, tries=11, waited_ms=DAY_MS, chance=0.5).code == RETRIES_EXHAUSTED


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        *((code, "waba", "call limit of the WABA") for code in (80007, 80008)),
        *((code, "app", "call limit of the app") for code in (4, 17, 32, 341, 613)),
    ],
)
def test_too_many_calls_hold_all_that_is_counted_together(code: int, kind: str, words: str) -> None:
    decision = refused(code)
    assert (decision.fate, decision.keeps_place, decision.wait_ms) == ("retry", True, 0)
    assert decision.hold is not None
    assert (decision.hold.kind, decision.hold.reason, decision.hold.wait_ms is None) == (kind, words, False)
    assert holds_s(code, 1, 2, 3, 4, 50) == [30, 60, 120, 300, 300]


def test_a_pair_waits_four_times_longer_each_time_and_never_less_than_meta_asks() -> None:
    assert [refused(131056, tries, chance=0).wait_ms for tries in (1, 2, 3, 4, 5, 6, 50)] == [
        1000,
        4000,
        16_000,
        64_000,
        256_000,
        300_000,
        300_000,
    ]
    hold = WiderHold(kind="pair", wait_ms=4800, reason="pair limit")
    assert refused(131056, 2, chance=1) == Decision(fate="retry", wait_ms=4800, hold=hold)


def test_a_pair_that_never_recovers_costs_the_message_but_still_holds_the_pair() -> None:
    decision = refused(131056, 11, waited_ms=DAY_MS)
    assert (decision.fate, decision.code) == ("fail", RETRIES_EXHAUSTED)
    assert decision.hold is not None
    assert decision.hold.kind == "pair"


def test_a_template_that_is_being_prepared_is_tried_every_ten_minutes_for_an_hour() -> None:
    assert refused(134101) == Decision(fate="retry", wait_ms=600_000, aside=True)
    assert waits_s(134101, 2, 6, 50) == [600, 600, 600]
    assert refused(134101, 6, waited_ms=HOUR_MS).fate == "retry"
    assert refused(134101, 7, waited_ms=HOUR_MS) == Decision(fate="fail", code=RETRIES_EXHAUSTED)


def test_a_service_of_metas_that_is_away_makes_each_message_back_off_alone() -> None:
    assert refused(131016) == Decision(fate="retry", wait_ms=2000)
    assert waits_s(131016, *range(1, 11)) == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_an_unexplained_fault_at_meta_is_not_repeated() -> None:
    for error in (classify(999999, 500, False), classify(999999, 400, True), error_of(2)):
        assert decide(error, tries=1, waited_ms=0, chance=0.5) == Decision(fate="fail")


@pytest.mark.parametrize(
    ("code", "kind"),
    [*((code, "waba") for code in sorted(STOPS_WABA)), *((code, "phone") for code in sorted(STOPS_PHONE))],
)
def test_what_stops_a_whole_waba_or_number_waits_for_a_person_and_tells_one(code: int, kind: str) -> None:
    error = UNKNOWN_OBJECT if code == 100 else error_of(code)
    decision = decide(error, tries=30, waited_ms=30 * DAY_MS, chance=0.5)
    assert (decision.fate, decision.code, decision.keeps_place, decision.wait_ms) == ("retry", None, True, 0)
    assert decision.hold is not None
    assert (decision.hold.kind, decision.hold.wait_ms) == (kind, None)
    assert decision.hold.reason == f"{error.title} (Meta's code {code})"


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_withheld_marketing_message_is_repeated_once_and_not_before_a_day(chance: float) -> None:
    first = refused(131049, chance=chance)
    assert first == Decision(fate="retry", wait_ms=round(DAY_MS * (1 + 0.2 * chance)), aside=True)
    assert refused(131049, 2, waited_ms=first.wait_ms) == Decision(fate="fail", code=RETRIES_EXHAUSTED)


def test_an_earlier_refusal_for_another_reason_does_not_use_up_the_one_repeat() -> None:
    assert refused(131049, 3, waited_ms=5000).fate == "retry"


def test_a_flow_that_is_throttled_is_tried_at_most_ten_times_an_hour() -> None:
    assert waits_s(132069, 1, 2, 3, 4, 5, 50) == [360, 720, 1440, 2880, 3600, 3600]
    assert refused(132069).hold is None
    assert refused(132069, 11, waited_ms=DAY_MS) == Decision(fate="fail", code=RETRIES_EXHAUSTED)


@pytest.mark.parametrize(
    "code",
    [
        130472,  # an experiment of Meta's with this recipient
        *(131042,),  # payment: replies are free
        *(131044, 134011),  # calls; messages that ask for a payment
        *(131063, 134102, 134103),  # marketing messages and their endpoint
        *(2500, 133999),  # an address or code that says too little to stop a number
    ],
)
def test_what_may_concern_one_kind_of_message_only_fails_that_message_and_stops_nobody(code: int) -> None:
    assert refused(code) == Decision(fate="fail")


@pytest.mark.parametrize("retry_class", ["PERM", "TPL", "USER", "MGMT"])
def test_what_is_refused_for_good_is_never_repeated(retry_class: str) -> None:
    errors = [error for error in EVERY_ERROR if error.retry_class == retry_class]
    assert errors
    for error in errors:
        for tries in range(1, 51):
            assert decide(error, tries=tries, waited_ms=0, chance=0.5) == Decision(fate="fail"), error


# --- the table as a whole --------------------------------------------------------------------------------------------


def fits(rule: Rule, error: MetaError) -> bool:
    about = error.code in rule.about if isinstance(rule.about, tuple) else rule.about == error.scope
    return rule.retry_class == error.retry_class and about


def test_every_error_leads_to_exactly_one_row() -> None:
    for error in EVERY_ERROR:
        fitting = [rule for rule in RULES if fits(rule, error)]
        rest = [rule for rule in RULES if rule.retry_class == error.retry_class and rule.about is None]
        assert len(fitting) <= 1, error
        assert [rule_of(error)] == (fitting or rest), error


def test_every_row_is_met_by_some_error_and_every_code_in_it_by_one_of_its_class() -> None:
    assert {id(rule_of(error)) for error in EVERY_ERROR} == {id(rule) for rule in RULES}
    met = {(error.retry_class, error.code) for error in EVERY_ERROR}
    named = {(rule.retry_class, code) for rule in RULES if isinstance(rule.about, tuple) for code in rule.about}
    assert named <= met


def test_every_class_has_one_row_for_what_its_others_leave() -> None:
    rest = [rule.retry_class for rule in RULES if rule.about is None]
    assert sorted(rest) == sorted(get_args(RetryClass))


def test_what_meta_refused_for_a_while_is_exactly_what_is_tried_again_by_itself() -> None:
    """Apart from that only what a person has to lift, and the two that Meta says to repeat after hours."""
    again = {error.code for error in EVERY_ERROR if refused_once(error).fate == "retry"}
    retryable = {error.code for error in EVERY_ERROR if error.retryable}
    assert again == retryable | STOPS_WABA | STOPS_PHONE | {131049, 132069}


def refused_once(error: MetaError) -> Decision:
    return decide(error, tries=1, waited_ms=0, chance=0.5)


def test_what_has_no_end_is_a_person_s_to_lift_and_what_meta_restricts_a_person_s_alone() -> None:
    holds = {error.code: hold for error in EVERY_ERROR if (hold := refused_once(error).hold)}
    assert {code for code, hold in holds.items() if hold.wait_ms is None} == STOPS_WABA | STOPS_PHONE
    assert {code for code, hold in holds.items() if hold.restricted} == {131048, 131064, 368, 131031}


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_all_waits_are_within_bounds_however_often_a_message_is_refused(chance: float) -> None:
    for error in EVERY_ERROR:
        for tries in range(1, 51):
            decision = decide(error, tries=tries, waited_ms=0, chance=chance)
            hold_ms = decision.hold.wait_ms if decision.hold else None
            assert 0 <= decision.wait_ms <= (1.2 * HOUR_MS if error.code != 131049 else 1.2 * DAY_MS)
            assert hold_ms is None or 800 <= hold_ms <= 360_000
            kind = decision.hold.kind if decision.hold else None
            if decision.fate == "retry":
                assert decision.keeps_place == (decision.wait_ms == 0)
                assert not decision.keeps_place or kind in ("phone", "waba", "app")


def test_later_messages_go_first_only_where_the_trouble_is_not_theirs() -> None:
    aside = {error.code for error in EVERY_ERROR if decide(error, tries=1, waited_ms=0, chance=0.5).aside}
    assert aside == {131049, 132069, 134101}, "marketing to him, a flow, a template"


def test_jitter_is_a_fifth_either_way_unless_meta_names_the_least() -> None:
    for error in EVERY_ERROR:
        low, middle, high = (decide(error, tries=3, waited_ms=0, chance=chance).wait_ms for chance in (0, 0.5, 1))
        if error.code in (131049, 131056):
            assert (middle, high) == (round(1.1 * low), round(1.2 * low))
        else:
            assert (low, high) == (round(0.8 * middle), round(1.2 * middle))


# --- when a message has been tried for too long ----------------------------------------------------------------------

GIVES_UP = {131016: (10, 24), 131056: (10, 24), 132069: (10, 24), 134101: (6, 1), 131049: (1, 24)}


@pytest.mark.parametrize("code", GIVES_UP)
def test_a_message_is_given_up_when_it_was_refused_often_and_is_old(code: int) -> None:
    tries, hours = GIVES_UP[code]
    horizon_ms = hours * HOUR_MS
    assert refused(code, tries, waited_ms=100 * DAY_MS).fate == "retry"  # it may have waited for other reasons
    assert refused(code, 50, waited_ms=horizon_ms - 1).fate == "retry"  # or been refused for others
    given_up = refused(code, tries + 1, waited_ms=horizon_ms)
    assert (given_up.fate, given_up.code, given_up.keeps_place) == ("fail", 910_004, False)


def test_what_waits_for_its_number_waba_or_app_is_never_given_up() -> None:
    for error in EVERY_ERROR:
        if refused_once(error).keeps_place:
            late = decide(error, tries=10_000, waited_ms=365 * DAY_MS, chance=1)
            assert (late.fate, late.code, late.keeps_place) == ("retry", None, True), error


def test_an_outage_of_twelve_hours_told_as_131016_costs_no_message() -> None:
    now_ms, tries = 0, 0
    while now_ms < 12 * HOUR_MS:
        tries += 1
        decision = refused(131016, tries, waited_ms=now_ms, chance=1)
        assert decision.fate == "retry"
        now_ms += decision.wait_ms
    assert tries < 150


def test_every_message_that_backs_off_ends_however_often_it_is_refused() -> None:
    for code, (_, hours) in GIVES_UP.items():
        now_ms, tries = 0, 1
        while (decision := refused(code, tries, waited_ms=now_ms, chance=0)).fate == "retry":
            now_ms, tries = now_ms + decision.wait_ms, tries + 1
        assert hours * HOUR_MS <= now_ms <= hours * HOUR_MS + HOUR_MS
        assert decision.code == RETRIES_EXHAUSTED


# --- what Meta's usage header says -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4, 17, 32, 341, 613, 80007, 80008])
@pytest.mark.parametrize(
    ("regain_s", "wait_ms"), [(420.0, 420_000), (0.2, 1000), (1e9, HOUR_MS), (float("inf"), HOUR_MS)]
)
def test_the_hold_lasts_as_long_as_meta_says_within_reason(code: int, regain_s: float, wait_ms: int) -> None:
    for chance in (0.0, 1.0):
        hold = decide(error_of(code), tries=1, waited_ms=0, chance=chance, regain_s=regain_s).hold
        assert hold is not None
        assert hold.wait_ms == wait_ms


@pytest.mark.parametrize("regain_s", [None, 0.0, -60.0, float("nan")])
def test_a_header_that_says_nothing_leaves_it_to_us(regain_s: float | None) -> None:
    hold = decide(error_of(80007), tries=2, waited_ms=0, chance=0.5, regain_s=regain_s).hold
    assert hold is not None
    assert hold.wait_ms == 60_000


@given(
    error=st.sampled_from(
        [error for error in EVERY_ERROR if error.scope not in ("waba", "app") or not error.retryable]
    ),
    regain_s=st.floats(allow_nan=True),
    tries=st.integers(1, 60),
    waited_ms=st.integers(0, 10 * DAY_MS),
    chance=st.floats(0, 1),
)
def test_nothing_else_is_changed_by_that_header(
    error: MetaError, regain_s: float, tries: int, waited_ms: int, chance: float
) -> None:
    told = decide(error, tries=tries, waited_ms=waited_ms, chance=chance, regain_s=regain_s)
    assert told == decide(error, tries=tries, waited_ms=waited_ms, chance=chance)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_operators_page_holds_the_table_as_it_is() -> None:
    _, marker, table = DOCUMENT.read_text("utf-8").partition("<!-- generated from waypost.gateway.retry_policy -->\n\n")
    assert marker, "the marker before the generated part is gone"
    assert table == render_table(), "write render_table() after the marker again"


def test_the_rendered_table_says_every_rule_in_a_line() -> None:
    head, _, *rows = render_table().splitlines()
    assert len(rows) == len(RULES)
    assert {row.count("|") for row in (head, *rows)} == {head.count("|")}
    for line in (
        "| RATE | 130429 | keeps its place | phone: 1 s, 2 s, 4 s, 8 s |",
        "| RATE | 80007, 80008 | keeps its place | waba: 30 s, 1 min, 2 min, 5 min |",
        "| LATER | 131049 | again after 24 h, later ones first; fails if refused more than once and older",
        "| CONF | 3, 10, 200–299 | keeps its place | waba: until lifted, alarm |",
        "| CONF | others | fails |  |",
        "| PERM | all | fails |  |",
    ):
        assert line in render_table()


def test_every_reason_is_said_in_sentences_without_breaking_the_table() -> None:
    for rule in RULES:
        assert rule.why.rstrip(")").endswith(".")
        assert rule.why[0].isupper() or rule.why[0].isdigit()
        assert "|" not in rule.why
