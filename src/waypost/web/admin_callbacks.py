"""`/admin/v1/callbacks` and `/admin/v1/events`: what was pushed to customers, what was not, and pushing it again."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.gateway.deliver import Deliverer
from waypost.model import Attempt, Callback, CallbackState
from waypost.store.base import CallbackFilter, Store
from waypost.web.answers import MAX_PAGE, reply
from waypost.web.token import Guard

log = structlog.get_logger("waypost.audit")

REPLAY_AT_ONCE = 1_000  # rows of one transaction; a replay of more goes on with the next
_NUMBERS = ("since_ms", "until_ms")
_TEXTS = ("account", "appkey", "message_id", "state")


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a replay: which callbacks, and whether only to count them."""

    ids: tuple[str, ...] | None = None
    state: CallbackState | None = None
    account: str | None = None
    appkey: str | None = None
    message_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    dry_run: bool = False


class QueryInvalid(Exception):
    """A query member is malformed; the message says what is expected."""


class CallbackAdmin:
    """Handlers for callbacks; every one is behind the admin token."""

    def __init__(self, store: Store, deliverer: Deliverer, guard: Guard) -> None:
        self._store = store
        self._deliverer = deliverer
        self._guard = guard

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/admin/v1/callbacks", self._guard(self.list_callbacks), methods=["GET"]),
            Route("/admin/v1/callbacks/replay", self._guard(self.replay), methods=["POST"]),
            Route("/admin/v1/callbacks/{callback_id:path}", self._guard(self.show_callback), methods=["GET"]),
            Route("/admin/v1/events", self._guard(self.list_events), methods=["GET"]),
        ]

    async def list_callbacks(self, request: Request) -> Response:
        """Answer callbacks oldest first, without their bodies."""
        return await self._page(request.query_params, "callbacks", lambda item: summary(item, self._deliverer))

    async def list_events(self, request: Request) -> Response:
        """Answer what customers were or are to be told, with the payload and id of the callback, for reconciling.

        `?since=` in milliseconds; `delivered=false` leaves out what was accepted.
        """
        query = dict(request.query_params)
        if "since" in query:
            query["since_ms"] = query.pop("since")
        delivered = query.pop("delivered", "true")
        if delivered not in ("true", "false"):
            return reply({"error": "delivered must be true or false"}, 400)
        wanted = None if delivered == "true" else (CallbackState.DUE, CallbackState.ABANDONED)
        return await self._page(query, "events", with_payload, wanted)

    async def show_callback(self, request: Request) -> Response:
        """Answer one callback with its payload and the attempts that are kept."""
        callback_id = request.path_params["callback_id"]
        page = await self._store.callbacks(CallbackFilter(ids=(callback_id,)), limit=1, cursor=None)
        if not page.callbacks:
            return reply({"error": "no callback has this id"}, 404)
        callback = page.callbacks[0]
        attempts = await self._store.attempts(callback_id)
        return reply(with_payload(callback) | {"attempts": [shown_attempt(item) for item in attempts]})

    async def replay(self, request: Request) -> Response:
        """Push settled callbacks again: `{"ids": […]}`, or a selection; `dry_run` only counts."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=ReplayRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return reply({"error": f"the body must say which callbacks: {error}"}, 400)
        values = msgspec.structs.asdict(wanted)
        dry_run = values.pop("dry_run")
        if all(value is None for value in values.values()):
            return reply({"error": "name ids, or a state, account, appkey, message_id or since_ms"}, 400)
        if wanted.state == CallbackState.DUE:
            return reply({"error": "what is due is pushed anyway; state may be done or abandoned"}, 400)
        selection = CallbackFilter(**values)
        if dry_run:
            return reply({"count": await self._count(selection)})
        replayed = await self._replay(selection)
        log.info("callbacks_replayed", replayed=replayed, **{name: value for name, value in values.items() if value})
        return reply({"replayed": replayed})

    async def _count(self, selection: CallbackFilter) -> int:
        """Return how many a replay would take: settled ones only."""
        states = (selection.state,) if selection.state is not None else (CallbackState.DONE, CallbackState.ABANDONED)
        counts = [
            await self._store.count_callbacks(msgspec.structs.replace(selection, state=state)) for state in states
        ]
        return sum(counts)

    async def _replay(self, selection: CallbackFilter) -> int:
        """Make them due again, portion by portion; a portion that is due is not settled, so each is taken once."""
        total = 0
        until_ms = selection.until_ms
        now_ms = self._deliverer.now_ms()
        selection = msgspec.structs.replace(selection, until_ms=until_ms if until_ms is not None else now_ms)
        while endpoints := await self._store.replay_callbacks(selection, now_ms=now_ms, limit=REPLAY_AT_ONCE):
            total += len(endpoints)
            self._deliverer.ring(set(endpoints), probe=True)
        return total

    async def _page(
        self,
        query: Mapping[str, str],
        name: str,
        shown: Callable[[Callback], dict[str, object]],
        states: tuple[CallbackState, ...] | None = None,
    ) -> Response:
        try:
            wanted, limit = read_query(query)
        except QueryInvalid as error:
            return reply({"error": str(error)}, 400)
        page = await self._store.callbacks(wanted, limit=limit, cursor=query.get("cursor"))
        items = [shown(item) for item in page.callbacks if states is None or item.state in states]
        return reply({name: items, "next_cursor": page.next_cursor})


def read_query(query: Mapping[str, str]) -> tuple[CallbackFilter, int]:
    """Turn a query into a filter and a page size; raises `QueryInvalid`."""
    values: dict[str, Any] = {name: query[name] for name in _TEXTS if name in query}
    for name in (*_NUMBERS, "limit"):
        text = query.get(name)
        if text is None:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise QueryInvalid(f"{name} must be a whole number")
        values[name] = int(text)
    limit = values.pop("limit", 50)
    if not 1 <= limit <= MAX_PAGE:
        raise QueryInvalid(f"limit must be a number from 1 to {MAX_PAGE}")
    try:
        return msgspec.convert(values, CallbackFilter), limit
    except msgspec.ValidationError:
        raise QueryInvalid(f"state must be one of {', '.join(CallbackState)}") from None


def summary(callback: Callback, deliverer: Deliverer) -> dict[str, object]:
    """Return what a list shows of a callback."""
    return {
        "id": callback.id,
        "kind": callback.kind,
        "status": callback.status,
        "state": callback.state,
        "url": callback.url,
        "account": callback.account,
        "appkey": callback.appkey,
        "message_id": callback.message_id,
        "created_at_ms": callback.created_at_ms,
        "settled_at_ms": callback.settled_at_ms,
        "attempts": callback.attempts,
        "http_status": callback.http_status,
        "error": callback.error,
        "endpoint_down": deliverer.is_down(callback.endpoint),
    }


def with_payload(callback: Callback) -> dict[str, object]:
    """Return a callback with the payload that the customer got or is to get."""
    return {
        "id": callback.id,
        "kind": callback.kind,
        "status": callback.status,
        "state": callback.state,
        "url": callback.url,
        "message_id": callback.message_id,
        "created_at_ms": callback.created_at_ms,
        "payload": msgspec.Raw(callback.body),
    }


def shown_attempt(attempt: Attempt) -> dict[str, object]:
    """Return one attempt as it is shown."""
    return {
        "number": attempt.number,
        "at_ms": attempt.at_ms,
        "http_status": attempt.http_status,
        "duration_ms": attempt.duration_ms,
        "error": attempt.error,
        "excerpt": attempt.excerpt,
    }
