"""What the admin API is asked: query strings and bodies as typed values, or one line that says what is wrong."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from waypost.model import CallbackState
from waypost.store.base import CallbackFilter
from waypost.web.answers import MAX_PAGE

DEFAULT_PAGE = "50"
MAX_REPLAY_BYTES = 1_048_576
CALLBACK_CURSOR = re.compile(r"[0-9a-f]{32}")
MESSAGE_CURSOR = re.compile(r"wamid\.[0-9a-f]{32}")

_NUMBER = re.compile(r"\d{1,15}", re.ASCII)  # milliseconds up to the year 33658; a database takes 64 bits
_TIMES = ("since_ms", "until_ms")
_TEXTS = ("account", "appkey", "message_id", "state")
Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
Name = Annotated[str, msgspec.Meta(max_length=128)]  # what the tenant file and the gateway itself make of names and ids


class QueryInvalid(Exception):
    """What was asked can't be understood; the message says what is expected. `status` is that of the answer."""

    def __init__(self, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.status = status


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a replay: which callbacks, and whether only to count them."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    state: CallbackState | None = None
    account: Name | None = None
    appkey: Name | None = None
    message_id: Name | None = None
    since_ms: Milliseconds | None = None
    until_ms: Milliseconds | None = None
    dry_run: bool = False


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a whole body; raises `QueryInvalid` if it is too large or ends early."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise QueryInvalid(f"the body has more than {max_bytes} bytes", 413)
    except ClientDisconnect:
        raise QueryInvalid("the body ended early") from None
    return bytes(body)


async def read_replay(request: Request) -> ReplayRequest:
    """Read the body of a replay; raises `QueryInvalid`."""
    body = await read_body(request, MAX_REPLAY_BYTES)
    try:
        return msgspec.json.decode(body, type=ReplayRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise QueryInvalid(f"the body must say which callbacks: {error}") from None


def read_page(query: Mapping[str, str], form: re.Pattern[str]) -> tuple[int, str | None]:
    """Return the page size and the cursor of a query; raises `QueryInvalid`."""
    limit = query.get("limit", DEFAULT_PAGE)
    if not (_NUMBER.fullmatch(limit) and 1 <= int(limit) <= MAX_PAGE):
        raise QueryInvalid(f"limit must be a number from 1 to {MAX_PAGE}")
    cursor = query.get("cursor")
    if cursor is not None and not form.fullmatch(cursor):
        raise QueryInvalid("cursor must be the next_cursor of the page before")
    return int(limit), cursor


def read_filter(query: Mapping[str, str]) -> CallbackFilter:
    """Return which callbacks a query is about; raises `QueryInvalid`."""
    values: dict[str, Any] = {name: query[name] for name in _TEXTS if name in query}
    values |= {name: _time(query, name) for name in _TIMES}
    try:
        return msgspec.convert(values, CallbackFilter)
    except msgspec.ValidationError:
        raise QueryInvalid(f"state must be one of {', '.join(CallbackState)}") from None


def read_events(query: Mapping[str, str]) -> tuple[CallbackFilter, ...]:
    """Return which events a query is about, one of which they must fit; raises `QueryInvalid`.

    `since` is another name of `since_ms`; `delivered=false` leaves out what was accepted.
    """
    wanted = read_filter({**query, "since_ms": query["since"]} if "since" in query else query)
    delivered = query.get("delivered", "true")
    if delivered not in ("true", "false"):
        raise QueryInvalid("delivered must be true or false")
    if delivered == "true":
        return (wanted,)
    open_states = (CallbackState.DUE, CallbackState.ABANDONED)
    return tuple(msgspec.structs.replace(wanted, state=state) for state in open_states if wanted.state in (None, state))


def _time(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise QueryInvalid(f"{name} must be a whole number of 15 digits at most")
    return None if text is None else int(text)
