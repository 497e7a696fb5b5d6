"""`POST /api/wa/mt`: the script of one message. Read this once and you know the whole story."""

import hashlib

from waypost.gateway import auth
from waypost.gateway.registry import Registry
from waypost.gateway.send import Sender
from waypost.protocol import messages, replies, signing
from waypost.protocol.errors import ParameterInvalid, SignatureInvalid
from waypost.telemetry import WideLine, mask
from waypost.web.asgi import BodyRefused

ACTION = "mt"
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
        caller = auth.identify(tenants, headers, action=ACTION, now_ms=now_ms)
        line.note(account=caller.account.name)
        if isinstance(body, BodyRefused):
            raise ParameterInvalid(str(body))
        try:
            auth.verify(caller, body)
        except SignatureInvalid:
            # what an operator may see of a signature that does not fit: enough to compare, nothing to forge with
            line.note(
                canonical_prefix=signing.masked(caller.headers, None).partition("&accessSecret")[0],
                body_bytes=len(body),
                body_sha256=hashlib.sha256(body).hexdigest(),
            )
            raise
        request = messages.decode(body)
        line.note(
            appkey=request.appkey,
            type=request.type,
            business_phone=request.business_phone,
            to=request.to if self._log_recipients else mask(request.to),
        )
        line.lap("check_ms")
        message_id = await self._sender.submit(tenants, caller, request, line)
        return replies.success(message_id, line.trace_id)
