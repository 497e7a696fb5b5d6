"""`POST /api/wa/mt`: the script of one message. Read this once and you know the whole story."""

from waypost.gateway.registry import Registry
from waypost.gateway.send import Sender
from waypost.protocol import messages, replies
from waypost.telemetry import WideLine, mask
from waypost.web import signed
from waypost.web.asgi import BodyRefused

MAX_BODY_BYTES = 1_048_576  # a JSON body over 1 MB is 9000


class MtEndpoint:
    """Takes one message from a customer's program to Meta and answers what became of it."""

    def __init__(self, registry: Registry, sender: Sender, *, log_recipients: bool) -> None:
        self._registry = registry
        self._sender = sender
        self._log_recipients = log_recipients

    async def answer(self, headers: dict[str, str], body: bytes | BodyRefused, line: WideLine, now_ms: int) -> bytes:
        """Return the answer to a request; raises the `Failure` to answer instead.

        The order of the checks is decision D12: headers, key, size, signature, body, application, phone, binding,
        template, price; then the message is journalled and sent.
        """
        tenants = self._registry.tenants
        caller, raw = signed.caller_of(tenants, headers, body, line, now_ms)
        request = messages.decode(raw)
        line.note(
            appkey=request.appkey,
            type=request.type,
            business_phone=request.business_phone,
            to=request.to if self._log_recipients else mask(request.to),
        )
        line.lap("check_ms")
        message_id = await self._sender.submit(tenants, caller, request, line)
        return replies.success(message_id, line.trace_id)
