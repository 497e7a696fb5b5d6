"""`/admin/v1/callbacks` and `/admin/v1/events`: what was pushed to customers, what was not, and pushing it again."""

from collections.abc import Callable

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.gateway.deliver import Deliverer
from waypost.model import Attempt, AuditEntry, Callback
from waypost.store.base import CallbackFilter, Store
from waypost.web.admin_queries import (
    CALLBACK_CURSOR,
    CALLBACK_NAMES,
    EVENT_NAMES,
    read_events,
    read_filter,
    read_limit,
    read_page,
    read_replay,
)
from waypost.web.answers import MAX_PAGE, masked, reply
from waypost.web.token import Guard

log = structlog.get_logger("waypost.audit")

REPLAY_AT_ONCE = 1_000  # rows of one transaction; a replay of more goes on with the next
MAX_IDS = MAX_PAGE  # of one replay: what one page lists, so that its audit entry stays small
MAX_ID_CHARS = 64  # ours have half of that
OPERATOR = "admin"  # the admin token has no name


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
            Route("/admin/v1/audit", self._guard(self.list_audit), methods=["GET"]),
        ]

    async def list_callbacks(self, request: Request) -> Response:
        """Answer callbacks oldest first, without their bodies."""
        asked = read_page(request.query_params, CALLBACK_CURSOR, *CALLBACK_NAMES)
        wanted = (read_filter(request.query_params),)
        return await self._page(asked, "callbacks", wanted, lambda item: summary(item, self._deliverer))

    async def list_events(self, request: Request) -> Response:
        """Answer what customers were or are to be told, with the payload and id of the callback, for reconciling."""
        asked = read_page(request.query_params, CALLBACK_CURSOR, *EVENT_NAMES)
        return await self._page(asked, "events", read_events(request.query_params), with_payload)

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
        """Push callbacks (again) now: `{"ids": […]}`, or a selection; `dry_run` only counts.

        Those that wait for their next try only if they are asked for, by id or by their state.
        """
        wanted = await read_replay(request)
        values = msgspec.structs.asdict(wanted)
        dry_run = values.pop("dry_run")
        if all(value is None for value in values.values()):
            return reply({"error": "name ids, or a state, account, appkey, message_id or since_ms"}, 400)
        if wanted.ids is not None and (len(wanted.ids) > MAX_IDS or any(len(one) > MAX_ID_CHARS for one in wanted.ids)):
            return reply({"error": f"ids may be {MAX_IDS} at most, of {MAX_ID_CHARS} characters each"}, 400)
        selection = CallbackFilter(**values, settled=wanted.ids is None and wanted.state is None)
        missing = {} if wanted.ids is None else {"unknown_ids": await self._unknown(wanted.ids)}
        if dry_run:
            return reply({"count": await self._store.count_callbacks(selection), **missing})
        given = {name: value for name, value in values.items() if value is not None}
        return reply({"replayed": await self._replay(selection, given), **missing})

    async def _unknown(self, ids: tuple[str, ...]) -> list[str]:
        """Return those ids that no callback has."""
        page = await self._store.callbacks(CallbackFilter(ids=ids), limit=len(ids), cursor=None)
        known = {callback.id for callback in page.callbacks}
        return [callback_id for callback_id in dict.fromkeys(ids) if callback_id not in known]

    async def _replay(self, selection: CallbackFilter, given: dict[str, object]) -> int:
        """Note who asked for what, then make the callbacks due portion by portion; each is taken once."""
        asked = msgspec.json.encode(given).decode()
        audit_id = await self._store.begin_audit(who=OPERATOR, action="replay", selection=asked)
        replayed, cursor = 0, None
        now_ms = self._deliverer.now_ms()
        while True:
            portion = await self._store.replay_callbacks(
                selection, now_ms=now_ms, limit=REPLAY_AT_ONCE, cursor=cursor, audit_id=audit_id
            )
            replayed += len(portion.endpoints)
            self._deliverer.replayed(set(portion.endpoints))
            cursor = portion.next_cursor
            if cursor is None:
                break
        log.info("callbacks_replayed", audit_id=audit_id, replayed=replayed)
        return replayed

    async def list_audit(self, request: Request) -> Response:
        """Answer what operators did through this API, newest first; `?limit=` as everywhere."""
        limit = read_limit(request.query_params)
        return reply({"entries": [shown_entry(entry) for entry in await self._store.audit(limit=limit)]})

    async def _page(
        self,
        asked: tuple[int, str | None],
        name: str,
        wanted: tuple[CallbackFilter, ...],
        shown: Callable[[Callback], dict[str, object]],
    ) -> Response:
        limit, cursor = asked
        page = await self._store.callbacks(*wanted, limit=limit, cursor=cursor)
        return reply({name: [shown(item) for item in page.callbacks], "next_cursor": page.next_cursor})


def summary(callback: Callback, deliverer: Deliverer) -> dict[str, object]:
    """Return what a list shows of a callback."""
    return {
        "id": callback.id,
        "kind": callback.kind,
        "status": callback.status,
        "state": callback.state,
        "url": masked(callback.url),
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
        "url": masked(callback.url),
        "message_id": callback.message_id,
        "created_at_ms": callback.created_at_ms,
        "payload": msgspec.Raw(callback.body),
    }


def shown_entry(entry: AuditEntry) -> dict[str, object]:
    """Return an audit entry as it is shown."""
    return msgspec.structs.asdict(entry) | {"selection": msgspec.Raw(entry.selection.encode())}


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
