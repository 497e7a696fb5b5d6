"""The ways in which programs get a signature wrong: other bodies, other strings, other digests. For diagnosis only.

Each guess names a cause, says it in words, and builds what a program with that habit would have signed. Strings are
built from a secret that is handed in, so that the same guess can be shown with the secret masked.
"""

import hashlib
import hmac
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple
from urllib.parse import quote

from waypost.protocol.signing import SignedHeaders

Builder = Callable[[SignedHeaders, bytes | None, str], bytes]  # headers, body, secret → signed string
Taker = Callable[[bytes, str], str]  # signed string, secret → digest in hex
Pair = tuple[str, bytes]  # a name and its value in the signed string


class BodyGuess(NamedTuple):
    """A body that may have been signed in place of the one that arrived; None: none was signed."""

    cause: str
    explanation: str
    body: bytes | None


class StringGuess(NamedTuple):
    """A string that may have been signed in place of the right one."""

    cause: str
    explanation: str
    build: Builder


class DigestGuess(NamedTuple):
    """A digest that may have been taken in place of the right one."""

    cause: str
    explanation: str
    take: Taker


def bodies(body: bytes) -> Iterator[BodyGuess]:
    """Yield other bodies, the most likely first."""
    yield from _body_rules(body)
    yield from _line_ends(body)
    yield from _serialised_again(body)


def _body_rules(body: bytes) -> Iterator[BodyGuess]:
    if not body:
        for word in (b"{}", b"null"):
            yield BodyGuess("empty body", f"the request had no body, but {word.decode()} was signed as one", word)
        return
    yield BodyGuess("body left out", "the body is missing from the signed string; a JSON body is always signed", None)
    encoded = quote(body, safe="").encode()
    yield BodyGuess("body URL-encoded", "the body was URL-encoded before signing; sign it raw", encoded)


def _line_ends(body: bytes) -> Iterator[BodyGuess]:
    if body.startswith(BOM_UTF8):
        yield BodyGuess("byte order mark", "a byte order mark was sent but not signed", body.removeprefix(BOM_UTF8))
    else:
        yield BodyGuess("byte order mark", "a byte order mark was signed but not sent", BOM_UTF8 + body)
    unix = body.replace(b"\r\n", b"\n")
    yield BodyGuess("line ends", "the body was sent with CRLF line ends and signed with LF", unix)
    yield BodyGuess(
        "line ends", "the body was sent with LF line ends and signed with CRLF", unix.replace(b"\n", b"\r\n")
    )
    for end in (b"\n", b"\r\n"):
        yield BodyGuess("trailing newline", "a newline was signed at the end of the body but not sent", body + end)
    yield BodyGuess("trailing newline", "white space around the body was sent but not signed", body.strip())


def _serialised_again(body: bytes) -> Iterator[BodyGuess]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    forms = (
        ("compact", (",", ":"), None),
        ("with spaces", (", ", ": "), None),
        ("indented by 2", None, 2),
        ("indented by 4", None, 4),
    )
    for sort in (False, True):
        for form, separators, indent in forms:
            for ascii_only in (False, True):
                text = json.dumps(value, separators=separators, indent=indent, ensure_ascii=ascii_only, sort_keys=sort)
                how = (
                    form + (", keys sorted" if sort else "") + (", non-ASCII characters escaped" if ascii_only else "")
                )
                again = f"the JSON was written out twice, and what was signed ({how}) is not what was sent"
                yield BodyGuess("body re-serialised", again, text.encode("utf-8", "surrogatepass"))
                slashed = text.replace("/", "\\/").encode("utf-8", "surrogatepass")
                yield BodyGuess("body re-serialised", again.replace(how, f"{how}, slashes escaped"), slashed)


def strings(request_algorithm: str | None) -> Iterator[StringGuess]:
    """Yield other strings, the most likely first."""
    yield from _secrets()
    yield from _values(request_algorithm)
    yield StringGuess(
        "names in lower case",
        "the names in the string are accessKey, action, bizType, ts, body, accessSecret, whatever HTTP does to headers",
        lambda headers, body, secret: _join(_pairs(headers, body, secret), str.lower),
    )
    yield from _orders()


def _secrets() -> Iterator[StringGuess]:
    yield StringGuess(
        "accessSecret missing",
        "the string ends before &accessSecret=…",
        lambda headers, body, _: _join(_pairs(headers, body, "")[:-1]),
    )
    for between in (b"", b"&"):
        yield StringGuess(
            "accessSecret missing", "the secret stands at the end without its name", _nameless_secret(between)
        )
    yield StringGuess(
        "key and secret swapped",
        "accessKey and accessSecret have changed places",
        lambda headers, body, secret: _join(_pairs(headers._replace(access_key=secret), body, headers.access_key)),
    )
    for before, after in (("", "\n"), ("", "\r\n"), ("", " "), (" ", ""), (" ", " ")):
        yield StringGuess(
            "white space around the secret",
            f"the secret was read with {(before + after)!r} around it, from a file perhaps",
            _padded_secret(before, after),
        )
    yield StringGuess(
        "white space around the secret",
        "the secret as known here has white space around it, the one that signed has not",
        lambda headers, body, secret: _join(_pairs(headers, body, secret.strip())),
    )


def _values(algorithm: str | None) -> Iterator[StringGuess]:
    yield StringGuess(
        "ts in seconds",
        "ts was signed in seconds and sent in milliseconds",
        lambda headers, body, secret: _join(_pairs(headers._replace(ts=headers.ts[:-3]), body, secret)),
    )
    yield StringGuess(
        "ts in seconds",
        "ts was signed in milliseconds and sent in seconds",
        lambda headers, body, secret: _join(_pairs(headers._replace(ts=headers.ts + "000"), body, secret)),
    )
    yield StringGuess(
        "values URL-encoded",
        "the values were URL-encoded before signing; they stand raw",
        lambda headers, body, secret: _join(
            [(name, quote(value, safe="").encode()) for name, value in _pairs(headers, body, secret)]
        ),
    )
    yield StringGuess(
        "empty body",
        "&body= stands in the string although there is no body",
        lambda headers, body, secret: _join(_pairs(headers, body or b"", secret, keep_empty=True)),
    )
    yield StringGuess(
        "algorithm signed",
        "the header algorithm is not part of the string",
        lambda headers, body, secret: _join(
            _inserted(_pairs(headers, body, secret), 2, ("algorithm", (algorithm or "").encode()))
        ),
    )


def _orders() -> Iterator[StringGuess]:
    why = "the names stand in another order; right is accessKey, action, bizType, ts, then body, then accessSecret"
    yield StringGuess("order of names", why, lambda headers, body, secret: _join(sorted(_pairs(headers, body, secret))))
    for order in permutations(range(4)):
        for secret_first in (False, True):
            yield StringGuess("order of names", why, _in_order(order, secret_first=secret_first))


def digests() -> Iterator[DigestGuess]:
    """Yield all digests that programs take; the right one is among them."""
    for name in ("md5", "sha256"):
        yield DigestGuess(
            "other algorithm",
            f"the digest is {name.upper()}, but the header algorithm does not say so (without one, MD5 is expected)",
            _plain(name),
        )
        yield DigestGuess(
            "HMAC",
            f"the digest is an HMAC-{name.upper()} with the secret as key; a plain digest of the string is expected",
            _keyed(name),
        )
    for name in ("sha1", "sha512"):
        yield DigestGuess("other algorithm", f"the digest is {name.upper()}; MD5 or SHA-256 is expected", _plain(name))


def _plain(name: str) -> Taker:
    return lambda data, _: hashlib.new(name, data, usedforsecurity=False).hexdigest()


def _keyed(name: str) -> Taker:
    return lambda data, secret: hmac.new(_wire(secret), data, name).hexdigest()


def _nameless_secret(between: bytes) -> Builder:
    return lambda headers, body, secret: _join(_pairs(headers, body, "")[:-1]) + between + _wire(secret)


def _padded_secret(before: str, after: str) -> Builder:
    return lambda headers, body, secret: _join(_pairs(headers, body, f"{before}{secret}{after}"))


def _in_order(order: tuple[int, ...], *, secret_first: bool) -> Builder:
    return lambda headers, body, secret: _join(_reordered(_pairs(headers, body, secret), order, secret_first))


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _pairs(headers: SignedHeaders, body: bytes | None, secret: str, *, keep_empty: bool = False) -> list[Pair]:
    names = ("accessKey", "action", "bizType", "ts")
    pairs = [(name, _wire(value)) for name, value in zip(names, headers, strict=True)]
    if body or (keep_empty and body is not None):
        pairs.append(("body", body))
    return [*pairs, ("accessSecret", _wire(secret))]


def _join(pairs: list[Pair], spell: Callable[[str], str] = str) -> bytes:
    return b"&".join(spell(name).encode() + b"=" + value for name, value in pairs)


def _inserted(pairs: list[Pair], at: int, pair: Pair) -> list[Pair]:
    return [*pairs[:at], pair, *pairs[at:]]


def _reordered(pairs: list[Pair], order: tuple[int, ...], secret_first: bool) -> list[Pair]:
    *others, secret = pairs
    mixed = [others[n] for n in order] + others[4:]
    return [secret, *mixed] if secret_first else [*mixed, secret]
