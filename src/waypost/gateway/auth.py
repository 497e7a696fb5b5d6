"""Who is calling: the five headers, the time window, the access key and the signature over the raw bytes."""

from collections.abc import Mapping

from waypost.gateway.tenants import Tenants
from waypost.model import Account, KeyPair, Noun
from waypost.protocol import signing
from waypost.protocol.errors import HeaderInvalid, MissingHeader, PermissionDenied, SignatureInvalid, TimestampExpired


class Caller(Noun, frozen=True, kw_only=True):
    """An account that presented a known access key; its signature is still to be checked."""

    account: Account
    pair: KeyPair
    headers: signing.SignedHeaders
    sign: str
    algorithm: str


def identify(tenants: Tenants, headers: Mapping[str, str], *, action: str, now_ms: int) -> Caller:
    """Find out who calls from lower-case header names alone, before the body is looked at (decision D12).

    Raises, in this order, `MissingHeader` 1001, `HeaderInvalid` 1002, `TimestampExpired` 1004, `PermissionDenied` 1005.
    """
    values = {name: headers.get(name.lower(), "") for name in signing.REQUIRED_HEADERS}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise MissingHeader(f"missing: {', '.join(missing)}")
    if values["bizType"] != signing.WHATSAPP_BIZ_TYPE:
        raise HeaderInvalid(f"bizType must be {signing.WHATSAPP_BIZ_TYPE}")
    if values["action"] != action:
        raise HeaderInvalid(f"action must be {action} here")
    if not signing.within_window(values["ts"], now_ms):
        raise TimestampExpired(f"ts must be in milliseconds and within {signing.WINDOW_MS} of {now_ms}")
    known = tenants.keys.get(values["accessKey"])
    if known is None:
        raise PermissionDenied("unknown accessKey")
    account, pair = known
    signed = signing.SignedHeaders(
        access_key=values["accessKey"], action=values["action"], biz_type=values["bizType"], ts=values["ts"]
    )
    return Caller(
        account=account, pair=pair, headers=signed, sign=values["sign"].lower(), algorithm=headers.get("algorithm", "")
    )


def verify(caller: Caller, body: bytes) -> None:
    """Check the signature over the exact bytes of the body; raises `SignatureInvalid` 1003.

    A JSON endpoint always signs its body, whatever Content-Type says (decision D12).
    """
    if not signing.verify(caller.headers, body, caller.pair.access_secret, caller.sign, caller.algorithm):
        raise SignatureInvalid("the signature does not fit the body that arrived")
