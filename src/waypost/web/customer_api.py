"""`/api/wa/*`: every well-formed request gets HTTP 200 and JSON with a documented code; here is the one place."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import structlog

from waypost.clock import Clock
from waypost.gateway.further_attempts import hung_up
from waypost.protocol import replies
from waypost.protocol.errors import Failure, ParameterInvalid, RequestFailed
from waypost.telemetry import Metrics, WideLine
from waypost.web.asgi import BodyRefused, ClientGone, Receive, Scope, Send, answer, hang_up, headers_of, read_body
from waypost.web.http_protocol import HEAD_TOO_LARGE
from waypost.web.mt import MAX_BODY_BYTES


class Endpoint(Protocol):
    """What one path of the customers' API does with a whole request."""

    async def answer(self, headers: dict[str, str], body: bytes | BodyRefused, line: WideLine, now_ms: int) -> bytes:
        """Return the answer's bytes or raise the `Failure` to answer."""


class CustomerApi:
    """The customers' API: reads a request, lets its endpoint answer, and turns whatever goes wrong into a code."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], clock: Clock, metrics: Metrics, *, receive_timeout_s: float
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._metrics = metrics
        self._receive_timeout_s = receive_timeout_s
        self._log = structlog.get_logger("waypost.api").bind()  # bound here once, and not for each line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and write its line."""
        line = WideLine("request", self._clock.uuid7_hex(), self._clock.monotonic_s)
        path = scope["path"]
        name = path if path in self._endpoints else "other"
        body: bytes | BodyRefused
        try:
            body = await read_body(receive, MAX_BODY_BYTES, self._receive_timeout_s)
        except BodyRefused as refused:
            body = refused
        except ClientGone:
            line.note(path=name, code="none", client_gone=True)
            line.write(self._log)
            return
        hung_up.set(partial(hang_up, receive))
        code, reply = await self._reply(scope, body, line)
        line.note(path=name, code=code)
        self._metrics.answers.labels(name, str(code)).inc()
        self._metrics.answer_seconds.labels(name).observe(line.seconds())
        if (outcome := line.fields.get("outcome")) is not None:
            self._metrics.meta_outcomes.labels(outcome).inc()
        # the line first: who has the answer in hand finds it in the log
        line.write(self._log, "info" if code >= 0 else "error")
        await answer(send, reply, close=isinstance(body, BodyRefused))

    async def _reply(self, scope: Scope, body: bytes | BodyRefused, line: WideLine) -> tuple[int, bytes]:
        """Return code and bytes of the answer: the one error boundary of the customers' API (decision D11)."""
        try:
            endpoint = self._endpoints.get(scope["path"])
            if endpoint is None or scope["method"] != "POST":
                raise RequestFailed(f"no {scope['method']} here")
            if scope.get("state", {}).get(HEAD_TOO_LARGE):
                raise ParameterInvalid("too many or too large headers")
            return 0, await endpoint.answer(headers_of(scope), body, line, self._clock.now_ms())
        except Failure as refusal:
            failure = refusal
        except Exception as error:
            self._log.exception("unexpected", trace_id=line.trace_id)
            failure = RequestFailed(type(error).__name__)
        line.note(failure=str(failure))
        return failure.code, replies.failure(failure, line.trace_id)
