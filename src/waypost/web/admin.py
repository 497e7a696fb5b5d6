"""`/admin/v1/*`: what operators and the command line see and do, as JSON behind the admin token."""

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.gateway.checkup import Checkup
from waypost.gateway.pauses import Pauses
from waypost.gateway.registry import Registry
from waypost.gateway.tenant_file import TenantFileInvalid
from waypost.model import Attempt, Callback, Message, State, StatusRecord
from waypost.protocol import callback_json
from waypost.store.base import Store
from waypost.web.admin_queries import MESSAGE_CURSOR, read_body, read_page
from waypost.web.answers import masked, reply
from waypost.web.token import Guard

log = structlog.get_logger("waypost.admin")

MAX_TENANT_BYTES = 64 * 1_048_576  # 6,000 templates with components are some 20 MB


class AdminApi:
    """The admin API's handlers; `routes` lists them."""

    def __init__(self, registry: Registry, store: Store, checkup: Checkup, pauses: Pauses, guard: Guard) -> None:
        self._registry = registry
        self._store = store
        self._checkup = checkup
        self._pauses = pauses
        self._guard = guard

    def routes(self) -> list[Route]:
        """Return the routes, each behind the token."""
        return [
            Route("/admin/v1/messages", self._guard(self.list_messages), methods=["GET"]),
            Route("/admin/v1/messages/{any_id:path}", self._guard(self.show_message), methods=["GET"]),
            Route("/admin/v1/apply", self._guard(self.apply), methods=["POST"]),
            Route("/admin/v1/checkup", self._guard(self.check_up), methods=["GET"]),
        ]

    async def list_messages(self, request: Request) -> Response:
        """Answer messages newest first: `?state=`, `limit=` (1 to 500), `cursor=` from the page before."""
        query = request.query_params
        state = query.get("state")
        if state is not None and state not in set(State):
            return reply({"error": f"state must be one of {', '.join(State)}"}, 400)
        limit, cursor = read_page(query, MESSAGE_CURSOR, "state")
        page = await self._store.list(state=state, limit=limit, cursor=cursor)
        return reply({"messages": [summary(message) for message in page.messages], "next_cursor": page.next_cursor})

    async def show_message(self, request: Request) -> Response:
        """Answer one message by our id, `cus_message_id` or Meta's id, with everything that was reported about it."""
        message = await self._store.find(request.path_params["any_id"])
        if message is None:
            return reply({"error": "no message has this id (ours, cus_message_id or Meta's)"}, 404)
        callbacks = [
            (callback, await self._store.attempts(callback.id))
            for callback in await self._store.callbacks_of(message.id)
        ]
        return reply(timeline(message, await self._store.statuses(message.id), callbacks))

    async def apply(self, request: Request) -> Response:
        """Make the tenants what the tables of a tenant file say, `env:` names already replaced; answer what changed."""
        body = await read_body(request, MAX_TENANT_BYTES)
        try:
            tables = msgspec.json.decode(body, type=dict[str, object])
            changes = await self._registry.apply(tables)
            await self._pauses.tenants_changed(changes)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return reply({"error": "the body must be a JSON object: the tables of a tenant file"}, 400)
        except TenantFileInvalid as error:
            return reply({"error": str(error)}, 400)
        log.info("tenants_applied", changes=len(changes))
        return reply({"changes": changes})

    async def check_up(self, _: Request) -> Response:
        """Answer what there is to say about the tenants; asks Meta about each WABA, so it may take some seconds."""
        return reply({"findings": await self._checkup.findings()})


def summary(message: Message) -> dict[str, object]:
    """Return what a list shows of a message; never its token, its key's signature or its body."""
    return {
        "id": message.id,
        "cus_message_id": message.cus_message_id,
        "meta_message_id": message.meta_message_id,
        "state": message.state,
        "type": message.type,
        "to": message.recipient,
        "business_phone": message.business_phone,
        "account": message.account,
        "appkey": message.appkey,
        "category": message.category,
        "endpoint": message.endpoint,
        "price": message.price,
        "currency": message.currency,
        "answer_code": message.answer_code,
        "attempt": message.attempt,
        "created_at_ms": message.created_at_ms,
        "outcome_at_ms": message.outcome_at_ms,
        "trace_id": message.trace_id,
    }


def timeline(
    message: Message,
    statuses: tuple[StatusRecord, ...],
    callbacks: list[tuple[Callback, tuple[Attempt, ...]]],
) -> dict[str, object]:
    """Return one message with its statuses, its callbacks and Meta's answer."""
    return {
        **summary(message),
        "biz_opaque_callback_data": message.opaque,
        "dr_webhook": message.dr_webhook and masked(message.dr_webhook),
        "statuses": [_shown(item) for item in statuses],
        "callbacks": [_callback(callback, attempts) for callback, attempts in callbacks],
        "meta_answer": _parsed(message.meta_answer),
    }


def _callback(callback: Callback, attempts: tuple[Attempt, ...]) -> dict[str, object]:
    """Return a callback with its attempts; a first try that succeeded is told by the callback's own row."""
    tried: list[dict[str, object]] = [
        {
            "at_ms": attempt.at_ms,
            "http_status": attempt.http_status,
            "duration_ms": attempt.duration_ms,
            "error": attempt.error,
        }
        for attempt in attempts
    ]
    if not tried and callback.attempts:
        tried.append(
            {
                "at_ms": callback.first_attempt_at_ms,
                "http_status": callback.http_status,
                "duration_ms": max((callback.settled_at_ms or 0) - (callback.first_attempt_at_ms or 0), 0),
                "error": None,
            }
        )
    return {
        "id": callback.id,
        "status": callback.status,
        "state": callback.state,
        "url": masked(callback.url),
        "attempts": tried,
    }


def _shown(item: StatusRecord) -> dict[str, object]:
    """Return a status as it is shown; with Meta's errors where it has any, for they are told nowhere else."""
    shown: dict[str, object] = {
        "status": item.status,
        "timestamp_ms": item.timestamp_ms,
        "received_at_ms": item.received_at_ms,
    }
    errors = callback_json.read_object(item.raw).get("errors")
    if errors:  # written clean, because Meta's text may hold what is no JSON
        shown |= msgspec.json.decode(callback_json.write({"errors": errors}))
    return shown


def _parsed(text: str | None) -> object:
    """Return Meta's answer as JSON where it is JSON, else as the text it was."""
    if text is None:
        return None
    try:
        answer: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return answer
