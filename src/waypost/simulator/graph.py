"""The Graph side: from HTTP request to answer, with Meta's headers, and an entry in the journal for every call."""

import asyncio
import re

import msgspec
from starlette.types import Receive, Scope, Send

from waypost.simulator.calls import LARGEST_JSON, LARGEST_UPLOAD, Answer, GraphCall, json_answer, parse_call, read_body
from waypost.simulator.clock import Clock, Dice
from waypost.simulator.config import Waba
from waypost.simulator.errors import GraphError, unknown_object, unknown_path
from waypost.simulator.faults import SEND_ENDPOINTS
from waypost.simulator.journal import Call
from waypost.simulator.listener import cut, drop
from waypost.simulator.media import DOWNLOAD_PATH
from waypost.simulator.objects import Objects, asks_for_waba
from waypost.simulator.sending import Books, Sender

LARGEST_LOGGED = 1 << 14
PHONE_EDGES = SEND_ENDPOINTS | {"media"}
WABA_EDGES = frozenset({"phone_numbers", "message_templates", "subscribed_apps"})


class GraphApi:
    """The ASGI application of the Graph side."""

    def __init__(self, books: Books, clock: Clock, dice: Dice, sender: Sender, objects: Objects) -> None:
        self._books, self._clock, self._dice = books, clock, dice
        self._sender, self._objects = sender, objects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        path: str = scope["path"]
        raw = b""
        call: GraphCall | None = None
        waba: Waba | None = None
        try:
            received = await read_body(receive, LARGEST_UPLOAD if path.endswith("/media") else LARGEST_JSON)
            if received is None:
                return
            raw = received
            if path == DOWNLOAD_PATH:
                answer = self._download(scope)
            else:
                call = parse_call(scope, raw)
                waba, answer = self._routed(call)
        except GraphError as error:
            answer = json_answer(error.body(self._dice.trace_id()), error.http_status)
        self._log(scope, raw, answer)
        if answer.delay_ms:
            await asyncio.sleep(answer.delay_ms / 1000)
        await self._write(scope, receive, send, answer, self._headers(answer, call, waba))

    def _routed(self, call: GraphCall) -> tuple[Waba | None, Answer]:
        if call.edge in PHONE_EDGES and call.method == "POST":
            phone, waba = self._books.world.phone(call.object_id, call.method)
            self._check_token(call, waba)
            if call.edge in SEND_ENDPOINTS:
                return waba, self._sender.answer(call, phone, waba)
            return waba, self._books.media.upload(call)
        if call.edge in WABA_EDGES:
            waba = self._books.world.waba(call.object_id, call.method)
            self._check_call(call, waba)
            return waba, self._on_waba(call, waba)
        if call.edge:
            raise unknown_path(f"/{call.edge}")
        return self._on_object(call)

    def _on_waba(self, call: GraphCall, waba: Waba) -> Answer:
        if call.edge == "subscribed_apps" and call.method in ("GET", "POST", "DELETE"):
            return self._objects.subscribed_apps(waba, call)
        if call.method != "GET":
            raise unknown_object(call.method, call.object_id)
        if call.edge == "phone_numbers":
            return self._objects.phone_numbers(waba, call)
        return self._objects.templates(waba, call)

    def _on_object(self, call: GraphCall) -> tuple[Waba | None, Answer]:
        media = self._books.media.find(call.object_id)
        if media is not None and call.method in ("GET", "DELETE"):
            _, waba = self._books.world.phone(media.phone_number_id, call.method)
            self._check_call(call, waba)
            answer_media = self._books.media.metadata if call.method == "GET" else self._books.media.delete
            return waba, answer_media(media, call)
        if call.method != "GET":
            raise unknown_object(call.method, call.object_id)
        world = self._books.world
        if world.is_waba(call.object_id) or (not world.is_phone(call.object_id) and asks_for_waba(call)):
            waba = self._books.world.waba(call.object_id, call.method)
            self._check_call(call, waba)
            return waba, self._objects.waba(waba, call)
        phone, waba = self._books.world.phone(call.object_id, call.method)
        self._check_call(call, waba)
        return waba, self._objects.phone(phone, call)

    def _check_call(self, call: GraphCall, waba: Waba) -> None:
        self._check_token(call, waba)
        if self._books.world.config.checks("limits"):
            self._books.limits.take_call(waba.waba_id, self._books.world.config.limits)

    def _check_token(self, call: GraphCall, waba: Waba) -> None:
        """A token must always be there, unless this check is switched off; where tokens are checked, it must fit."""
        config, token = self._books.world.config, call.token
        if token is None and config.check_tokens is not False:
            raise GraphError(104, message="An access token is required to request this resource.", http_status=401)
        if config.checks("tokens") and waba.access_token is not None and token != waba.access_token:
            raise GraphError(190, message="Error validating access token: The session is invalid or has expired.")

    def _download(self, scope: Scope) -> Answer:
        token = re.match(r"(?i)bearer +(\S+)", dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
        return self._books.media.download(scope["query_string"].decode("latin-1"), token and token[1])

    def _headers(self, answer: Answer, call: GraphCall | None, waba: Waba | None) -> list[tuple[bytes, bytes]]:
        trace = self._dice.trace_id().encode()
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-fb-trace-id", trace),
            (b"x-fb-request-id", trace[1:]),
        ]
        if call is not None:
            headers.append((b"facebook-api-version", b"v%d.0" % call.version))
        if waba is not None:
            config, limits = self._books.world.config, self._books.limits
            app = min(100, limits.calls("") * 100 // config.limits.app_calls_per_hour)
            used = min(100, limits.calls(waba.waba_id) * 100 // config.limits.waba_calls_per_hour)
            headers.append((b"x-app-usage", b'{"call_count":%d,"total_cputime":0,"total_time":0}' % app))
            usage = (
                b'{"%s":[{"type":"whatsapp","call_count":%d,"total_cputime":0,"total_time":0,'
                b'"estimated_time_to_regain_access":%d}]}'
            )
            headers.append(
                (b"x-business-use-case-usage", usage % (waba.waba_id.encode(), used, 60 if used == 100 else 0))
            )
        return headers

    async def _write(
        self, scope: Scope, receive: Receive, send: Send, answer: Answer, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if answer.wire in ("drop", "reset"):
            await drop(scope, receive, reset=answer.wire == "reset")
        elif answer.wire == "half":
            head = b"".join(b"%s: %s\r\n" % header for header in headers)
            half = answer.body[: len(answer.body) // 2]
            await cut(scope, receive, b"HTTP/1.1 %d OK\r\n%s\r\n%s" % (answer.status, head, half))
        else:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})

    def _log(self, scope: Scope, raw: bytes, answer: Answer) -> None:
        self._books.journal.calls.append(
            Call(
                at_ms=self._clock.now_ms(),
                method=scope["method"],
                path=scope["path"],
                query=re.sub(r"(access_token=)[^&]*", r"\1***", scope["query_string"].decode("latin-1")),
                body=_loggable(raw),
                http_status=answer.status,
                answer=_loggable(answer.body),
                wire=answer.wire,
                fault=answer.fault,
                unknown_fields=answer.unknown_fields,
            )
        )


def _loggable(raw: bytes) -> object:
    """The bytes as they are if they are small, for `shown` to make sense of when somebody asks."""
    return msgspec.Raw(raw) if len(raw) <= LARGEST_LOGGED else f"{len(raw)} bytes"


def shown(part: object) -> object:
    """A logged body as the control API shows it: JSON if it is JSON, else text."""
    if not isinstance(part, msgspec.Raw):
        return part
    raw = bytes(part)
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")
