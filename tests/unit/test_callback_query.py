"""A customer's query for stored callbacks: which moments it names, and what is refused with which place."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.protocol.callback_query import LENIENCE_MS, WINDOW_DAYS, CallbackQuery, decode
from waypost.protocol.errors import ParameterInvalid
from waypost.web import openapi

NOW_MS = int(datetime(2026, 3, 8, 4, 0, tzinfo=UTC).timestamp()) * 1000  # noon in UTC+8


def body(**changes: Any) -> bytes:
    members = {
        "appkey": "f543ertg",
        "messaging_product": "whatsapp",
        "business_phone": "+86 158-0000-1795",
        "field": "account_update",
        "start_ime": "2026-03-08 10:00:00",
        "end_time": "2026-03-08 11:00:00",
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


def refusal(**changes: Any) -> tuple[str, str]:
    with pytest.raises(ParameterInvalid) as caught:
        decode(body(**changes)).window(NOW_MS)
    return caught.value.path or "", caught.value.details


def test_times_are_those_of_utc_plus_8_and_the_last_second_counts_whole() -> None:
    query = decode(body())
    assert query.business_phone == "8615800001795"
    assert query.window(NOW_MS) == (NOW_MS - 2 * 3_600_000, NOW_MS - 3_600_000 + 1000)


def test_the_pages_spelling_and_the_right_one_are_understood() -> None:
    plain = decode(body(start_ime=..., start_time="2026-03-08 10:00:00"))
    assert plain.window(NOW_MS) == decode(body()).window(NOW_MS)
    both = decode(body(start_time="no time at all"))
    assert both.window(NOW_MS) == decode(body()).window(NOW_MS)


def test_a_query_may_name_one_second_and_an_end_that_is_yet_to_come() -> None:
    assert decode(body(end_time="2026-03-08 10:00:00")).window(NOW_MS)[1] == NOW_MS - 2 * 3_600_000 + 1000
    assert decode(body(end_time="2026-03-08 23:59:59")).window(NOW_MS)[1] > NOW_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-08",
        "2026-03-08T10:00:00",
        "2026-03-08 10:00",
        "2026-03-08 10:00:00 ",
        "2026-03-08 10:00:00\n",
        "2026-3-8 10:00:00",
        "2026-02-30 10:00:00",
        "2026-13-01 10:00:00",
        "2026-03-08 24:00:00",
        "2026-03-08 10:60:00",
        "0000-01-01 00:00:00",
        "２０２６-03-08 10:00:00",
        "1772935200000",
    ],
)
def test_what_is_no_time_is_refused_with_its_place(text: str) -> None:
    expected = "expected a time such as 2026-01-31 23:59:59, in UTC+8"
    assert refusal(start_ime=text) == ("$.start_ime", expected)
    assert refusal(start_ime=..., start_time=text) == ("$.start_time", expected)
    assert refusal(end_time=text) == ("$.end_time", expected)


def test_a_window_has_a_start_before_its_end_within_thirty_days() -> None:
    assert refusal(start_ime=...) == ("$.start_ime", "is required")
    assert refusal(end_time="2026-03-08 09:59:59") == ("$.end_time", "must not be before the start")
    assert refusal(start_ime="2026-02-06 11:58:59") == ("$.start_ime", "must be within the last 30 days")
    assert refusal(start_ime="0001-01-01 00:00:00") == ("$.start_ime", "must be within the last 30 days")
    since_ms, _ = decode(body(start_ime="2026-02-06 11:59:00")).window(NOW_MS)
    assert since_ms == NOW_MS - WINDOW_DAYS * 86_400_000 - LENIENCE_MS


CURSOR = "0190f3c2a4b87d10a3f5c6d7e8f90a1b"


def test_a_page_is_asked_for_by_limit_or_cursor_and_by_nothing_else() -> None:
    for changes, size in (
        ({}, None),
        ({"limit": None, "cursor": None}, None),
        ({"limit": "", "cursor": ""}, None),
        ({"limit": 1}, 1),
        ({"limit": "500"}, 500),
        ({"cursor": CURSOR}, 100),
        ({"cursor": CURSOR, "limit": 7}, 7),
    ):
        query = decode(body(**changes))
        assert (query.page_size, query.cursor) == (size, changes.get("cursor") or None)


@pytest.mark.parametrize("limit", [0, -1, 501, 10**30, "0", "501", "-5", "1e2", "٣", "³", "5 ", "1_0", "9" * 5000])
def test_a_limit_is_a_number_from_1_to_500(limit: object) -> None:
    assert refusal(limit=limit) == ("$.limit", "expected a number from 1 to 500")


@pytest.mark.parametrize("limit", [1.5, True, [5], {}])
def test_a_limit_of_another_kind_is_refused_with_its_place(limit: object) -> None:
    assert refusal(limit=limit)[0] == "$.limit"


@pytest.mark.parametrize(
    "cursor", ["x", CURSOR.upper(), CURSOR[1:], CURSOR + "0", CURSOR + "\n", "\0" * 32, "%00", "9" * 9999]
)
def test_a_cursor_is_one_that_was_given(cursor: str) -> None:
    assert refusal(cursor=cursor) == ("$.cursor", "expected the next_cursor of the page before")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"appkey": ...}, "$.appkey"),
        ({"appkey": ""}, "$.appkey"),
        ({"business_phone": ...}, "$.business_phone"),
        ({"business_phone": "86x"}, "$.business_phone"),
        ({"messaging_product": "sms"}, "$.messaging_product"),
        ({"messaging_product": ...}, "$.messaging_product"),
        ({"field": ...}, "$.field"),
        ({"field": ""}, "$.field"),
        ({"field": ["account_update"]}, "$.field"),
        ({"field": "a\0b"}, "$.field"),
        ({"end_time": ...}, "$.end_time"),
        ({"end_time": 1772935200}, "$.end_time"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_refused_with_its_place(changes: dict[str, Any], path: str) -> None:
    assert refusal(**changes)[0] == path


def test_the_described_query_is_the_one_that_is_understood() -> None:
    described = openapi.build()["components"]["schemas"]["CallbackQuery"]["properties"]
    assert {*described, "start_time"} == set(CallbackQuery.__struct_fields__)


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_271_999))  # the years 1 to 9999
def test_every_second_is_read_as_it_is_meant(second: int) -> None:
    there = datetime(1970, 1, 1, 8, tzinfo=UTC) + timedelta(seconds=second)
    text = there.isoformat(sep=" ")[: len("2026-01-31 23:59:59")]
    assert decode(body(start_ime=text, end_time=text)).window(second * 1000) == (second * 1000, second * 1000 + 1000)


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.dictionaries(st.text(), st.text()).map(lambda it: json.dumps(it).encode())
)
def test_arbitrary_bytes_are_refused_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(ParameterInvalid):
        decode(raw).window(NOW_MS)
