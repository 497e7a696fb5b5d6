"""What the admin API is asked becomes values that a journal takes, or one line."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from waypost.model import CallbackState
from waypost.store.base import CallbackFilter
from waypost.web.admin_queries import (
    CALLBACK_CURSOR,
    EVENT_NAMES,
    MAX_REPLAY_BYTES,
    MESSAGE_CURSOR,
    QueryInvalid,
    ReplayRequest,
    read_events,
    read_filter,
    read_limit,
    read_page,
    read_replay,
)

ID = "0190f3c2a4b87d10a3f5c6d7e8f90a1b"
NO_NUMBERS = [
    "",
    "-1",
    "+1",
    "1.5",
    "1e3",
    " 1",
    "٣",
    "３",
    "²",
    "0x1",
    "1_0",
    "9" * 16,
    str(2**63),
    "9" * 5000,
    "\0",
    "1\n",
]


def refusal(ask: Any, *given: Any) -> str:
    with pytest.raises(QueryInvalid) as caught:
        ask(*given)
    return str(caught.value)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_time_is_a_whole_number_that_a_database_takes(text: str) -> None:
    for name in ("since_ms", "until_ms"):
        assert refusal(read_filter, {name: text}) == f"{name} must be a whole number of 15 digits at most"
    assert refusal(read_events, {"since": text}) == "since_ms must be a whole number of 15 digits at most"


@pytest.mark.parametrize("text", [*NO_NUMBERS, "0", "501"])
def test_a_limit_is_a_number_from_1_to_500(text: str) -> None:
    assert refusal(read_page, {"limit": text}, CALLBACK_CURSOR) == "limit must be a number from 1 to 500"


@pytest.mark.parametrize(
    "cursor", ["", "x", ID[1:], ID + "0", ID.upper(), f"wamid.{ID}", ID + "\n", "\0", "9" * 100_000]
)
def test_a_cursor_is_one_that_was_given(cursor: str) -> None:
    assert (
        refusal(read_page, {"cursor": cursor}, CALLBACK_CURSOR) == "cursor must be the next_cursor of the page before"
    )
    assert read_page({"cursor": ID}, CALLBACK_CURSOR) == (50, ID)
    assert read_page({"cursor": f"wamid.{ID}", "limit": "500"}, MESSAGE_CURSOR) == (500, f"wamid.{ID}")
    assert refusal(read_page, {"cursor": ID}, MESSAGE_CURSOR)


@pytest.mark.parametrize("name", ["", "Limit", "limit ", "application", "cursor\0", "\ud800", "x" * 100_000])
def test_a_name_that_nobody_knows_is_refused_with_those_that_are_known(name: str) -> None:
    said = refusal(read_page, {"limit": "5", name: "1"}, CALLBACK_CURSOR, "state")
    assert said.endswith(": the query may have limit, cursor, state")
    assert said.isprintable()
    assert len(said) < 150
    assert refusal(read_limit, {"cursor": ID}) == "nobody knows 'cursor' here: the query may have limit"
    assert read_page({"state": "due"}, CALLBACK_CURSOR, "state") == (50, None)


def test_events_that_were_not_accepted_wait_or_were_given_up() -> None:
    assert read_events({"since": "7"}) == (CallbackFilter(since_ms=7),)
    assert read_events({"since": "7", "delivered": "false"}) == (
        CallbackFilter(since_ms=7, state=CallbackState.DUE),
        CallbackFilter(since_ms=7, state=CallbackState.ABANDONED),
    )
    assert read_events({"delivered": "false", "state": "due"}) == (CallbackFilter(state=CallbackState.DUE),)
    assert read_events({"delivered": "false", "state": "done"}) == ()
    assert refusal(read_events, {"delivered": "no"}) == "delivered must be true or false"
    assert refusal(read_events, {"state": "lost"}) == "state must be one of due, done, abandoned"


async def replay(body: bytes) -> ReplayRequest:
    parts = [
        {"type": "http.request", "body": body[:7], "more_body": True},
        {"type": "http.request", "body": body[7:], "more_body": False},
    ]

    async def receive() -> Any:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    return await read_replay(Request({"type": "http", "headers": []}, receive))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"state":"lost"}',
        b'{"state":"done","dry_run":1}',
        b'{"states":"done"}',
        b'{"ids":[]}',
        b'{"ids":[7]}',
        b'{"account":"\\ud800"}',
        b'{"account":"' + b"x" * 129 + b'"}',
        b'{"since_ms":-1}',
        b'{"since_ms":1.5}',
        b'{"since_ms":"1"}',
        b'{"since_ms":9223372036854775808}',
        b'{"until_ms":1000000000000000}',
        b'{"until_ms":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_a_replay_of_something_that_can_not_be_is_refused_with_one_line(body: bytes) -> None:
    with pytest.raises(QueryInvalid, match="the body must say which callbacks") as caught:
        await replay(body)
    assert caught.value.status == 400


async def test_a_replay_is_no_longer_than_it_may_be_and_whole() -> None:
    assert (await replay(b'{"account":"\\u0000","since_ms":0}')).account == "\0"
    with pytest.raises(QueryInvalid, match=f"more than {MAX_REPLAY_BYTES} bytes") as caught:
        await replay(b" " * (MAX_REPLAY_BYTES + 1))
    assert caught.value.status == 413


TEXTS = st.text() | st.sampled_from(["1", "500", ID, "due", "false", "true", "9" * 15])
NAMES = st.sampled_from([*EVENT_NAMES, "limit", "cursor"]) | st.text()


@given(st.dictionaries(NAMES, TEXTS))
def test_any_query_is_values_that_a_journal_takes_or_refused(query: dict[str, str]) -> None:
    try:
        filters = read_events(query)
        limit, cursor = read_page(query, CALLBACK_CURSOR, *EVENT_NAMES)
    except QueryInvalid:
        return
    assert set(query) <= {"limit", "cursor", *EVENT_NAMES}
    assert 1 <= limit <= 500
    assert cursor is None or len(cursor) == 32
    for wanted in filters:
        for value in msgspec.structs.asdict(wanted).values():
            assert not isinstance(value, int) or 0 <= value < 2**63
