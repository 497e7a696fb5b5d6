"""What the admin API is asked: query strings and bodies as typed values, or one line that says what is wrong."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from waypost.model import CallbackState
from waypost.store.base import CallbackFilter
from waypost.store.base_queue import PauseKind
from waypost.web.answers import MAX_PAGE

Asked = TypeVar("Asked")

DEFAULT_PAGE = "50"
MAX_REPLAY_BYTES = 1_048_576
CALLBACK_CURSOR = re.compile(r"[0-9a-f]{32}")
MESSAGE_CURSOR = re.compile(r"wamid\.[0-9a-f]{32}")

_NUMBER = re.compile(r"\d{1,15}", re.ASCII)  # milliseconds up to the year 33658; a database takes 64 bits
_TIMES = ("since_ms", "until_ms")
_TEXTS = ("account", "appkey", "message_id", "state")
_LONGEST_SAID = 40  # of a name that nobody knows
CALLBACK_NAMES = (*_TEXTS, *_TIMES)
EVENT_NAMES = (*CALLBACK_NAMES, "since", "delivered")
Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
Name = Annotated[str, msgspec.Meta(max_length=128)]  # what the tenant file and the gateway itself make of names and ids


Template = Annotated[str, msgspec.Meta(max_length=512)]  # Meta's longest name of one
Words = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


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


class CancelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a cancellation: which messages that wait, and whether only to count them."""

    phone: Name | None = None
    appkey: Name | None = None
    account: Name | None = None
    template: Template | None = None
    dry_run: bool = False


class HoldRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a pause or a resumption: of what, and for people why."""

    kind: PauseKind
    key: Name
    reason: Words = ""


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
    return await _read(request, ReplayRequest, "which callbacks")


async def read_cancel(request: Request) -> CancelRequest:
    """Read the body of a cancellation; raises `QueryInvalid`."""
    return await _read(request, CancelRequest, "which messages")


async def read_hold(request: Request) -> HoldRequest:
    """Read the body of a pause or a resumption; raises `QueryInvalid`."""
    return await _read(request, HoldRequest, "what: kind and key")


async def _read(request: Request, kind: type[Asked], what: str) -> Asked:
    body = await read_body(request, MAX_REPLAY_BYTES)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise QueryInvalid(f"the body must say {what}: {error}") from None


def read_page(query: Mapping[str, str], form: re.Pattern[str], *names: str) -> tuple[int, str | None]:
    """Return the page size and the cursor of a query that may also have these names; raises `QueryInvalid`."""
    limit = read_limit(query, "cursor", *names)
    cursor = query.get("cursor")
    if cursor is not None and not form.fullmatch(cursor):
        raise QueryInvalid("cursor must be the next_cursor of the page before")
    return limit, cursor


def read_limit(query: Mapping[str, str], *names: str) -> int:
    """Return the page size of a query that may also have these names; raises `QueryInvalid`.

    A name that nobody knows is refused: a list that was to be narrowed by it would show everything.
    """
    known = ("limit", *names)
    unknown = next((name for name in query if name not in known), None)
    if unknown is not None:
        raise QueryInvalid(f"nobody knows {unknown[:_LONGEST_SAID]!r} here: the query may have {', '.join(known)}")
    limit = query.get("limit", DEFAULT_PAGE)
    if not (_NUMBER.fullmatch(limit) and 1 <= int(limit) <= MAX_PAGE):
        raise QueryInvalid(f"limit must be a number from 1 to {MAX_PAGE}")
    return int(limit)


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
