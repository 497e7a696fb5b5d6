"""Why a signature does not fit: find the likeliest mistake in a request that was answered 1003. Pure, and slow.

Every known mistake is tried alone, then mistakes of the body together with mistakes of the string. Nothing here ever
shows the secret.
"""

from collections.abc import Iterator
from typing import NamedTuple

from waypost.protocol import guesses
from waypost.protocol.guesses import BodyGuess, DigestGuess, StringGuess
from waypost.protocol.signing import SECRET_MASK, TS_DIGITS, SignedHeaders, canonical, digest, masked, verify

UPLOAD_ACTIONS = frozenset({"uploadMedia", "uploadTemplateFile", "updateFlowJson"})  # multipart: their body is unsigned
EXCERPT_LENGTH = 40
SECONDS_DIGITS = 10


class SignedRequest(NamedTuple):
    """A request as it arrived: the signed headers, `sign`, `algorithm` and `Content-Type` where given, the raw body."""

    headers: SignedHeaders
    signature: str
    algorithm: str | None
    content_type: str | None
    body: bytes


class Difference(NamedTuple):
    """The first place where two strings differ, as a byte position, with what stands there on either side."""

    position: int
    expected: str
    signed: str


class Finding(NamedTuple):
    """One thing that is wrong or noteworthy; `difference` where the string that was signed could be rebuilt."""

    cause: str
    explanation: str
    difference: Difference | None = None


class Diagnosis(NamedTuple):
    """Whether the signature fits, what should have been signed (the secret masked), and what was found."""

    matches: bool
    canonical: str
    findings: list[Finding]


class Guess(NamedTuple):
    """One combination of mistakes: None where that part is taken as right."""

    body: BodyGuess | None
    string: StringGuess | None
    digest: DigestGuess | None


def diagnose(request: SignedRequest, secret: str) -> Diagnosis:
    """Tell whether a signature fits its request, and if not, what its author most likely did."""
    body = _signed_body(request)
    matches = verify(request.headers, body, secret, request.signature, request.algorithm)
    findings = list(_at_first_sight(request))
    if not matches:
        findings += _search(request, body, secret) or [
            Finding(
                "secret or body",
                "no known mistake leads to this signature: the secret is most likely another one, or the body was "
                "changed on the way",
            )
        ]
    return Diagnosis(matches, masked(request.headers, body), findings)


def _signed_body(request: SignedRequest) -> bytes | None:
    multipart = (request.content_type or "").strip().lower().startswith("multipart/form-data")
    return None if multipart and request.headers.action in UPLOAD_ACTIONS else request.body


def _at_first_sight(request: SignedRequest) -> Iterator[Finding]:
    signature, ts = request.signature, request.headers.ts
    if signature != signature.lower():
        yield Finding("upper-case digest", "sign is in upper case; it is accepted, NxCloud documents lower case")
    if len(ts) == SECONDS_DIGITS and ts.isdigit():
        yield Finding("ts in seconds", "ts has 10 digits, so it is in seconds; milliseconds are expected (1004)")
    elif len(ts) != TS_DIGITS or not ts.isdigit():
        yield Finding("ts malformed", "ts is not a time in milliseconds of 13 digits (1004)")


def _search(request: SignedRequest, body: bytes | None, secret: str) -> list[Finding]:
    wanted = request.signature.strip().lower()
    for guess in _combinations(request):
        signed_body = guess.body.body if guess.body else body
        build = guess.string.build if guess.string else canonical
        signed = build(request.headers, signed_body, secret)
        taken = guess.digest.take(signed, secret) if guess.digest else digest(signed, request.algorithm)
        if taken == wanted:
            expected = canonical(request.headers, body, SECRET_MASK)
            shown = build(request.headers, signed_body, SECRET_MASK)
            return _findings(guess, _difference(expected, shown))
    return []


def _combinations(request: SignedRequest) -> Iterator[Guess]:
    """Yield what may have been done, single mistakes first."""
    bodies = list(guesses.bodies(request.body))
    if request.body and _signed_body(request) is None:
        bodies.insert(
            0, BodyGuess("multipart", "the body of a multipart upload is not part of the string", request.body)
        )
    strings = list(guesses.strings(request.algorithm))
    digests = list(guesses.digests())
    yield Guess(None, None, None)  # white space around the signature
    yield from (Guess(None, None, digest) for digest in digests)
    yield from (Guess(body, None, None) for body in bodies)
    yield from (Guess(None, string, None) for string in strings)
    yield from (Guess(body, None, digest) for digest in digests for body in bodies)
    yield from (Guess(None, string, digest) for digest in digests for string in strings)
    yield from (Guess(body, string, None) for string in strings for body in bodies)


def _findings(guess: Guess, difference: Difference | None) -> list[Finding]:
    parts = [part for part in guess if part is not None]
    if not parts:
        return [Finding("white space around sign", "the header sign has white space around the digest")]
    return [
        Finding(part.cause, part.explanation, None if isinstance(part, DigestGuess) else difference) for part in parts
    ]


def _difference(expected: bytes, signed: bytes) -> Difference | None:
    if expected == signed:
        return None
    shorter = min(len(expected), len(signed))
    position = next((n for n in range(shorter) if expected[n] != signed[n]), shorter)
    return Difference(position, _excerpt(expected, position), _excerpt(signed, position))


def _excerpt(data: bytes, position: int) -> str:
    return data[position : position + EXCERPT_LENGTH].decode("utf-8", "backslashreplace")
