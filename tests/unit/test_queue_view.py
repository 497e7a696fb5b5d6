"""What an operator is told of the queue: when a backlog ends, why a message waits, what holds it, in words."""

from typing import Any

import msgspec
import pytest

from tests.harness import APPKEY, PHONE_ID, TENANTS, WABA
from waypost.gateway import queue_names
from waypost.gateway.brakes import FIRST_PROBE_MS, OPEN_AFTER, Hold
from waypost.gateway.holds import Held, Holds, seconds, span, words
from waypost.gateway.pauses import Pauses
from waypost.gateway.queue_names import NameUnknown
from waypost.gateway.queue_view import BEHIND, ITS_TURN, forecast_s, reason_of
from waypost.gateway.registry import Registry
from waypost.gateway.tenant_file import objects, read
from waypost.gateway.tenants import snapshot
from waypost.store.base_queue import Pause, QueueFilter, Standing, Waiting

NOW = 1_790_000_000_000
KNOWN = snapshot(objects(read(TENANTS, {})))


def held(left: float | None = None, *, has_end: bool = True, **changes: Any) -> Held:
    made = Held(kind="phone", key=PHONE_ID, reason="spam", by="gateway", has_end=has_end, seconds_left=left)
    return msgspec.structs.replace(made, **changes)


def waiting(**changes: Any) -> Waiting:
    made = Waiting(
        message_id="wamid.1", phone_number_id=PHONE_ID, waba_id=WABA, account="acme", appkey=APPKEY, recipient="86",
        priority=1, template=None, since_ms=NOW, due_at_ms=NOW, expires_at_ms=None, tries=0, reason=None,
        standing=Standing.READY,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


# --- when a backlog ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "per_s", "starts", "holds", "expected"),
    [
        (0, 80, [], [], 0.0),
        (0, 80, [5.0], [held(has_end=False)], 0.0),
        (800, 80, [], [], 10.0),
        (1, 80, [0.0], [], 0.0),
        (100_000, 80, [0.2], [], 1250.2),
        (800, 80, [0.2, 30.0], [], 40.0),
        (800, 80, [-3.0], [], 10.0),
        (800, 80, [0.0], [held(45.0), held(8.0)], 55.0),
        (800, 80, [60.0], [held(45.0)], 70.0),
        (1, 0.2, [], [], 5.0),
        (800, 80, [], [held(None, has_end=False)], None),
        (800, 80, [], [held(45.0), held(12.0, has_end=False)], None),
    ],
)
def test_a_backlog_ends_after_its_holds_at_its_pace(
    number: int, per_s: float, starts: list[float], holds: list[Held], expected: float | None
) -> None:
    assert forecast_s(number, per_s, starts, holds) == expected


# --- why a message waits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "holds", "expected"),
    [
        (waiting(), [], ITS_TURN),
        (waiting(reason="pair limit"), [], ITS_TURN),
        (waiting(due_at_ms=NOW + 4_000, reason="pair limit"), [], "pair limit, 4 s left"),
        (waiting(due_at_ms=NOW + 86_400_000, reason="131049: later"), [], "131049: later, 24 h left"),
        (waiting(due_at_ms=NOW + 1_000), [], f"{ITS_TURN}, 1 s left"),
        (waiting(standing=Standing.BEHIND, due_at_ms=NOW + 4_000), [held(9.0)], BEHIND),
        (waiting(), [held(1.2)], "spam, 2 s left"),
        (waiting(due_at_ms=NOW + 4_000, reason="pair limit"), [held(1.0)], "pair limit, 4 s left"),
        (waiting(due_at_ms=NOW + 4_000, reason="pair limit"), [held(45.0)], "spam, 45 s left"),
        (waiting(due_at_ms=NOW + 4_000), [held(45.0), held(None, has_end=False, reason="by hand")], "by hand"),
        (waiting(), [held(2.0, has_end=False, reason="Meta does not answer: next probe in 2 s")],
         "Meta does not answer: next probe in 2 s"),
    ],
)  # fmt: skip
def test_the_reason_that_lasts_longest_is_told(row: Waiting, holds: list[Held], expected: str) -> None:
    assert reason_of(row, holds, NOW) == expected


@pytest.mark.parametrize(
    ("length", "words_for_it"),
    [(0, "0 s"), (0.2, "1 s"), (4, "4 s"), (120, "120 s"), (121, "3 min"), (7_200, "120 min"), (7_201, "3 h")],
)
def test_a_time_is_told_in_one_unit_and_never_too_short(length: float, words_for_it: str) -> None:
    assert span(length) == words_for_it


def test_a_time_is_rounded_and_never_negative() -> None:
    assert [seconds(value) for value in (-5, 0, 49, 51, 1_234)] == [0, 0, 0, 0.1, 1.2]


# --- what holds it -----------------------------------------------------------------------------------------------


@pytest.fixture
def pauses() -> Pauses:
    registry = Registry(None, None, None)  # type: ignore[arg-type]  # nothing is journalled here
    registry.tenants = KNOWN
    return Pauses(None, registry, None)  # type: ignore[arg-type]  # the same


def holds(pauses: Pauses, *said: Pause) -> Holds:
    return Holds(pauses, KNOWN, said, NOW)


def pause(kind: Any, key: str, reason: str, by: Any = "operator") -> Pause:
    return Pause(kind=kind, key=key, reason=reason, since_ms=NOW, until_ms=None, by=by)


def test_nothing_holds_a_phone_that_is_among_the_tenants(pauses: Pauses) -> None:
    assert holds(pauses).of_phone(PHONE_ID) == ()
    assert holds(pauses).of_application(APPKEY) == ()
    assert holds(pauses).paused() == ()


def test_holds_of_phone_waba_and_app_are_told_with_what_is_left(pauses: Pauses) -> None:
    pauses.brakes.put_on("phone", PHONE_ID, Hold(reason="throughput of the number", until_ms=NOW + 2_000), now_ms=NOW)
    pauses.brakes.put_on("waba", WABA, Hold(reason="call limit of the WABA", until_ms=NOW + 30_000), now_ms=NOW)
    pauses.brakes.put_on("app", WABA, Hold(reason="call limit of the app", until_ms=NOW + 60_000), now_ms=NOW)
    pauses.brakes.put_on("waba", "another", Hold(reason="not ours", until_ms=None), now_ms=NOW)
    pauses.brakes.put_on("application", APPKEY, Hold(reason="not of the phone", until_ms=None), now_ms=NOW)
    found = holds(pauses).of_phone(PHONE_ID)
    assert [(one.kind, words(one)) for one in found] == [
        ("phone", "throughput of the number, 2 s left"),
        ("waba", "call limit of the WABA, 30 s left"),
        ("app", "call limit of the app, 60 s left"),
    ]
    assert [(one.kind, one.key) for one in holds(pauses).paused()] == [("application", APPKEY), ("waba", "another")]


def test_a_hold_that_is_over_is_told_no_more(pauses: Pauses) -> None:
    pauses.brakes.put_on("phone", PHONE_ID, Hold(reason="throughput of the number", until_ms=NOW), now_ms=NOW)
    assert holds(pauses).of_phone(PHONE_ID) == ()


@pytest.mark.parametrize(
    ("said", "expected", "by"),
    [
        ((), "the token has expired", "gateway"),
        ((pause("waba", WABA, "the token has expired", "gateway"),), "the token has expired", "gateway"),
        ((pause("waba", WABA, "ours"),), "paused by an operator: ours", "operator"),
        ((pause("waba", WABA, ""),), "paused by an operator", "operator"),
        ((pause("phone", WABA, "another"),), "the token has expired", "gateway"),
    ],
)
def test_a_pause_is_told_in_the_words_of_whoever_spoke_last(
    said: tuple[Pause, ...], expected: str, by: str, pauses: Pauses
) -> None:
    pauses.brakes.put_on("waba", WABA, Hold(reason="the token has expired", until_ms=None), now_ms=NOW)
    (found,) = holds(pauses, *said).of_phone(PHONE_ID)
    assert (words(found), found.by, found.has_end, found.seconds_left) == (expected, by, False, None)


def test_a_silent_meta_is_told_with_its_next_probe(pauses: Pauses) -> None:
    breaker = pauses.brakes.breaker(WABA)
    for _ in range(OPEN_AFTER):
        assert holds(pauses).of_phone(PHONE_ID) == ()
        breaker.failed(NOW)
    (found,) = holds(pauses).of_phone(PHONE_ID)
    assert words(found) == "Meta does not answer: next probe in 1 s"
    assert (found.has_end, found.seconds_left) == (False, FIRST_PROBE_MS / 1000)
    (found,) = Holds(pauses, KNOWN, (), NOW + FIRST_PROBE_MS).of_phone(PHONE_ID)
    assert (words(found), found.seconds_left) == ("Meta does not answer: it is being probed", 0)
    breaker.answered()
    assert holds(pauses).of_phone(PHONE_ID) == ()


def test_what_left_the_tenants_holds_its_messages_and_says_so(pauses: Pauses) -> None:
    assert [one.reason for one in holds(pauses).of_phone("1")] == ["the phone is not among the tenants"]
    assert [one.reason for one in holds(pauses).of_application("x")] == ["the application is disabled"]
    without = msgspec.structs.replace(KNOWN, wabas={})
    (found,) = Holds(pauses, without, (), NOW).of_phone(PHONE_ID)
    assert (found.kind, found.key, found.reason) == ("waba", WABA, "the WABA is not among the tenants")


# --- what things are called ----------------------------------------------------------------------------------------


def test_a_phone_is_known_by_its_id_and_by_its_number() -> None:
    (phone,) = KNOWN.phones.values()
    for name in (PHONE_ID, phone.number, f"+{phone.number}"):
        assert queue_names.key_of(KNOWN, "phone", name) == PHONE_ID
        assert queue_names.selection(KNOWN, phone=name, appkey=None, account=None, template=None) == QueueFilter(
            phone_number_id=PHONE_ID
        )


def test_a_selection_keeps_names_that_nobody_has_and_says_so_when_asked() -> None:
    wanted = queue_names.selection(KNOWN, phone="1", appkey="x", account="y", template="z")
    assert wanted == QueueFilter(phone_number_id="1", appkey="x", account="y", template="z")
    for part, word in (("phone_number_id", "phone"), ("appkey", "appkey x"), ("account", "name y")):
        only = QueueFilter(**{part: getattr(wanted, part)})
        with pytest.raises(NameUnknown, match=word):
            queue_names.check_known(KNOWN, only)
    queue_names.check_known(KNOWN, QueueFilter(template="z"))
    queue_names.check_known(KNOWN, QueueFilter(phone_number_id=PHONE_ID, appkey=APPKEY, account="acme"))


def test_priorities_have_words() -> None:
    assert [queue_names.priority_name(priority) for priority in (0, 1)] == ["prompt", "ordinary"]
