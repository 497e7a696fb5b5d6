"""Sign a request and check a signature: a plain digest over a fixed string of headers, raw body and secret.

The string is `accessKey=…&action=…&bizType=…&ts=…&body=…&accessSecret=…`: values stand raw, without any escaping, and
`&body=` is left out where there is no body. The digest is MD5, or SHA-256 where the header `algorithm` asks for it.
Path and query are not signed (NxCloud's API call convention).
"""

import hashlib
import hmac
from typing import NamedTuple

REQUIRED_HEADERS = ("accessKey", "action", "bizType", "ts", "sign")
ALGORITHM_HEADER = "algorithm"
WHATSAPP_BIZ_TYPE = "2"  # the seed: fixed value
WINDOW_MS = 60_000  # the seed: largest difference between `ts` and the server's clock, either way
TS_DIGITS = 13  # milliseconds since 1970 have 13 digits from 2001 to 2286
SECRET_MASK = "***"  # noqa: S105 - what is shown in place of a secret


class SignedHeaders(NamedTuple):
    """The four header values that are signed, in the order in which they are signed.

    Values that came from the wire are decoded as UTF-8 with `surrogateescape`, so that their bytes survive.
    """

    access_key: str
    action: str
    biz_type: str
    ts: str


def canonical(headers: SignedHeaders, body: bytes | None, secret: str) -> bytes:
    """Return the bytes whose digest is the signature.

    `body` is the raw body as transmitted; None or empty where none is signed (multipart, or no body at all).
    """
    prefix = "accessKey={}&action={}&bizType={}&ts={}".format(*headers)
    suffix = f"&accessSecret={secret}"
    return b"".join((_wire(prefix), b"&body=" + body if body else b"", _wire(suffix)))


def masked(headers: SignedHeaders, body: bytes | None) -> str:
    """Return the canonical string for people's eyes: no secret in it, and what is not UTF-8 in the body escaped."""
    return canonical(headers, body, SECRET_MASK).decode("utf-8", "backslashreplace")


def uses_sha256(algorithm: str | None) -> bool:
    """Tell whether a value of the header `algorithm` means SHA-256; whatever else it says means MD5."""
    return algorithm is not None and algorithm.lower() == "sha256"


def digest(data: bytes, algorithm: str | None) -> str:
    """Return the MD5 or SHA-256 of some bytes as lower-case hex."""
    if uses_sha256(algorithm):
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sign(headers: SignedHeaders, body: bytes | None, secret: str, algorithm: str | None = "md5") -> str:
    """Return the value of the header `sign`: 32 hex digits, or 64 with SHA-256."""
    return digest(canonical(headers, body, secret), algorithm)


def verify(headers: SignedHeaders, body: bytes | None, secret: str, signature: str, algorithm: str | None) -> bool:
    """Tell, in constant time and whatever the letter case, whether a signature fits a request."""
    expected = sign(headers, body, secret, algorithm)
    return hmac.compare_digest(expected.encode(), _wire(signature.lower()))


def within_window(ts: str, now_ms: int) -> bool:
    """Tell whether `ts` is a time in milliseconds at most 60 seconds away from now, the limits included."""
    if len(ts) != TS_DIGITS or not (ts.isascii() and ts.isdigit()):
        return False
    return abs(now_ms - int(ts)) <= WINDOW_MS


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
