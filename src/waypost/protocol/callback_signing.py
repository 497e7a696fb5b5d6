"""Signatures of callbacks: NxCloud's scheme, and Standard Webhooks beside it (decision D9); each made and checked here.

The library `standardwebhooks` is not used: it takes base64 secrets only, and a customer may give us any string.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from waypost.protocol.signing import ALGORITHM_HEADER, WHATSAPP_BIZ_TYPE, SignedHeaders, sign, uses_sha256, verify

MT_ACTION = "mt"
# NxCloud's callback pages: all six, spelt like this, none empty, or the customer's check fails.
NXCLOUD_HEADERS = ("accesskey", "action", "biztype", "ts", ALGORITHM_HEADER, "sign")

WEBHOOK_ID = "webhook-id"  # the three headers of the Standard Webhooks specification
WEBHOOK_TIMESTAMP = "webhook-timestamp"
WEBHOOK_SIGNATURE = "webhook-signature"
STANDARD_HEADERS = (WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE)
STANDARD_VERSION = "v1"
BASE64_SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark of a secret, not one
MAX_TIMESTAMP_DIGITS = 15


def nxcloud_headers(
    body: bytes, *, access_key: str, secret: str, algorithm: str, ts_ms: int, action: str = MT_ACTION
) -> dict[str, str]:
    """Return the six headers of NxCloud's callback signature; `algorithm` is `md5` or `sha256`.

    What is signed is what requests sign. NxCloud's pages leave the value of `action` open; checks take it as it comes.
    """
    signed = SignedHeaders(access_key, action, WHATSAPP_BIZ_TYPE, str(ts_ms))
    name = "sha256" if uses_sha256(algorithm) else "md5"
    values = (*signed, name, sign(signed, body, secret, name))
    return dict(zip(NXCLOUD_HEADERS, values, strict=True))


def nxcloud_fits(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Tell whether a callback carries NxCloud's signature made with this secret; header names in lower case.

    As with NxCloud a missing or empty header or secret means no, and the age of `ts` does not matter. Never raises.
    """
    values = [headers.get(name, "") for name in NXCLOUD_HEADERS]
    if not secret or not all(values):
        return False
    *signed, algorithm, signature = values
    try:
        return verify(SignedHeaders(*signed), body, secret, signature, algorithm)
    except UnicodeEncodeError:  # header values with half surrogate pairs were never on any wire
        return False


def standard_headers(body: bytes, *, callback_id: str, secrets: Iterable[str], at_s: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks: the callback's id, the time in seconds, a signature for each secret.

    During a rotation two secrets are live and the receiver may know either. Without a secret there are no headers.
    """
    timestamp = str(at_s)
    signatures = [standard_signature(callback_id, timestamp, body, secret) for secret in secrets if secret]
    if not signatures:
        return {}
    return dict(zip(STANDARD_HEADERS, (callback_id, timestamp, " ".join(signatures)), strict=True))


def standard_fits(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], *, now_s: int, tolerance_s: int
) -> bool:
    """Tell whether a callback carries a Standard Webhooks signature made with any of the secrets.

    Header names are in lower case. A time further than `tolerance_s` from now, either way, means no. Compares in
    constant time. Never raises.
    """
    callback_id, timestamp, given = (headers.get(name, "") for name in STANDARD_HEADERS)
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= MAX_TIMESTAMP_DIGITS
    if not callback_id or not given or not digits or abs(now_s - int(timestamp)) > tolerance_s:
        return False
    try:
        offered = [signature.encode() for signature in given.split(" ")]
        expected = [standard_signature(callback_id, timestamp, body, secret).encode() for secret in secrets if secret]
    except UnicodeEncodeError:
        return False
    return any(hmac.compare_digest(one, other) for one in offered for other in expected)


def standard_signature(callback_id: str, timestamp: str, body: bytes, secret: str) -> str:
    """Return `v1,` and the base64 of the HMAC-SHA256 over `<id>.<timestamp>.<body>`."""
    signed = f"{callback_id}.{timestamp}.".encode() + body
    digest = hmac.digest(standard_key(secret), signed, hashlib.sha256)
    return f"{STANDARD_VERSION},{base64.b64encode(digest).decode()}"


def standard_key(secret: str) -> bytes:
    """Return the bytes that a secret stands for: `whsec_` and base64 are decoded, any other string is its UTF-8."""
    encoded = secret.removeprefix(BASE64_SECRET_PREFIX)
    if encoded != secret:
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if key:
            return key
    return secret.encode("utf-8", "surrogateescape")
