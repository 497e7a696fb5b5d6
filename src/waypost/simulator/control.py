"""The control API under /_simulator: everything that a test or a person may change or look at. Not part of Meta."""

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.simulator.desk import Desk, Unknown
from waypost.simulator.graph import shown
from waypost.simulator.journal import Message
from waypost.simulator.listener import CONTROL_PREFIX

LARGEST_BODY = 8 << 20


def control_app(desk: Desk) -> Starlette:
    """The Starlette application of the control API."""
    api = _ControlApi(desk)
    routes = [
        Route(f"{CONTROL_PREFIX}/config", api.config, methods=["GET", "PUT"]),
        Route(f"{CONTROL_PREFIX}/messages", api.messages, methods=["GET"]),
        Route(f"{CONTROL_PREFIX}/messages/{{message_id:path}}", api.message, methods=["GET"]),
        Route(f"{CONTROL_PREFIX}/count", api.count, methods=["GET"]),
        Route(f"{CONTROL_PREFIX}/requests", api.requests, methods=["GET"]),
        Route(f"{CONTROL_PREFIX}/webhooks", api.webhooks, methods=["GET"]),
        Route(f"{CONTROL_PREFIX}/inbound", api.inbound, methods=["POST"]),
        Route(f"{CONTROL_PREFIX}/status", api.status, methods=["POST"]),
        Route(f"{CONTROL_PREFIX}/faults", api.faults, methods=["GET", "POST", "DELETE"]),
        Route(f"{CONTROL_PREFIX}/reset", api.reset, methods=["POST"]),
        Route(f"{CONTROL_PREFIX}/clock", api.clock, methods=["POST"]),
    ]
    problems = {HTTPException: _http_problem, ValueError: _bad_call, Unknown: _unknown, ClientDisconnect: _bad_call}
    return Starlette(routes=routes, exception_handlers=problems)  # type: ignore[arg-type]  # handlers are narrower


class _ControlApi:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def config(self, request: Request) -> Response:
        if request.method == "GET":
            return _json(self._desk.config_shown())
        return _json(await self._desk.configure(await _body(request)))

    async def messages(self, request: Request) -> Response:
        query = request.query_params
        return _json([_message(m) for m in self._desk.journal.messages(query.get("to"), query.get("opaque"))])

    async def message(self, request: Request) -> Response:
        return _json(_message(self._desk.message(request.path_params["message_id"])))

    async def count(self, _request: Request) -> Response:
        return _json({"messages": self._desk.journal.accepted})

    async def requests(self, _request: Request) -> Response:
        calls = self._desk.journal.calls
        return _json([msgspec.structs.replace(c, body=shown(c.body), answer=shown(c.answer)) for c in calls])

    async def webhooks(self, _request: Request) -> Response:
        return _json(list(self._desk.journal.pushes))

    async def inbound(self, request: Request) -> Response:
        return _json({"id": self._desk.inbound(await _body(request))})

    async def status(self, request: Request) -> Response:
        return _json({"id": self._desk.report(await _body(request))})

    async def faults(self, request: Request) -> Response:
        if request.method == "GET":
            return _json(self._desk.faults.active)
        if request.method == "DELETE":
            await self._desk.end_faults()
            return _json({"faults": 0})
        return _json(await self._desk.add_fault(await _body(request)))

    async def reset(self, _request: Request) -> Response:
        await self._desk.reset()
        return _json({"messages": 0})

    async def clock(self, request: Request) -> Response:
        return _json({"now_ms": self._desk.advance(await _body(request))})


def _message(message: Message) -> dict[str, object]:
    return {
        "id": message.id,
        "phone_number_id": message.phone_number_id,
        "endpoint": message.endpoint,
        "payload": message.payload,
        "received_at_ms": message.received_at_ms,
    }


async def _body(request: Request) -> dict[str, object]:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise ValueError(f"the body is larger than {LARGEST_BODY} bytes")
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("send a JSON object")
    return body


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _http_problem(_request: Request, error: HTTPException) -> Response:
    return _json({"error": f"{error.detail}; the calls are listed in docs/simulator.md"}, error.status_code)


async def _bad_call(_request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


async def _unknown(_request: Request, error: Unknown) -> Response:
    return _json({"error": str(error)}, 404)
