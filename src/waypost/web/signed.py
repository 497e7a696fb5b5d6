"""What every path of the customers' API does first: who calls, and is the body what was signed."""

import hashlib

from waypost.gateway import auth
from waypost.gateway.tenants import Tenants
from waypost.protocol import signing
from waypost.protocol.errors import ParameterInvalid, SignatureInvalid
from waypost.telemetry import WideLine
from waypost.web.asgi import BodyRefused

ACTION = "mt"


def caller_of(
    tenants: Tenants, headers: dict[str, str], body: bytes | BodyRefused, line: WideLine, now_ms: int
) -> tuple[auth.Caller, bytes]:
    """Return the caller and the body that it signed; raises the `Failure` to answer (decision D12)."""
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
    return caller, body
