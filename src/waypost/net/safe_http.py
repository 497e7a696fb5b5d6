"""POST to a customer's URL: only to addresses that may be theirs, bounded in time and size, and told in one line."""

import asyncio
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from waypost.clock import Clock
from waypost.model import Noun
from waypost.net.connections import MAX_RECEIVED_BYTES, AddressRefused, GuardedConnector, GuardedResolver
from waypost.net.lookups import Lookups, SystemResolver
from waypost.net.progress import Progress, current_progress
from waypost.protocol.rules import url_fault

MAX_ANSWER_BYTES = 65_536  # of the body; an honest receiver answers a few bytes, its error page some thousand
MAX_EXCERPT_CHARS = 200
MAX_ERROR_CHARS = 300  # an exception's text may quote what the other side sent
MAX_RETRY_AFTER_S = 86_400.0


class Pushed(Noun, frozen=True, kw_only=True):
    """What became of one push.

    `http_status` is None without a complete answer, and then `error` says why in one line. `excerpt` is the printable
    beginning of the answer's body, None if there is none. `retry_after_s` is what the other side asked for, 0 to
    86,400 seconds.
    """

    http_status: int | None
    error: str | None
    excerpt: str | None
    duration_ms: int
    retry_after_s: float | None


class SafeHttp:
    """Posts JSON to URLs that customers gave us; each push is one attempt and is never repeated.

    `timeout_s` bounds the whole of it: waiting for a connection, DNS, TCP, TLS, the request and the last byte of the
    answer. `allow_private` lets pushes reach loopback and private addresses. `resolver` stands in for the system's.
    No redirects, no cookies, no proxies or passwords from the environment.
    """

    def __init__(
        self, clock: Clock, *, timeout_s: float, allow_private: bool, resolver: AbstractResolver | None = None
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._lookups: Lookups | None = None

    async def start(self) -> None:
        """Open the connection pool; no connection is made yet."""
        guard = GuardedResolver(self._resolver or SystemResolver(), self._allow_private)
        self._lookups = Lookups(guard, self._clock)
        self._session = aiohttp.ClientSession(
            connector=GuardedConnector(self._lookups, self._allow_private),
            headers={
                "User-Agent": f"Waypost/{version('waypost')}",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close every connection; pushes that are still under way fail."""
        if self._session is not None and self._lookups is not None:
            await self._session.close()
            await self._lookups.close()

    async def push(self, url: str, body: bytes, headers: Mapping[str, str], *, account: str = "") -> Pushed:
        """Post a JSON body once and say what came of it; whether the status is a success is the caller's decision.

        Only pushes of the same account wait for each other's look-ups.
        Never raises for what the URL, the network or the other side does. An answer's body is read up to 64 KB, and
        what exceeds it is cut off with the connection: the status stands.
        """
        began_s = self._clock.monotonic_s()
        progress = Progress(account)
        status = error = excerpt = retry_after_s = None
        try:
            status, answer, retry_after = await self._exchange(progress, url, body, headers)
            excerpt = _printable(answer[:4096].decode("utf-8", "ignore"))[:MAX_EXCERPT_CHARS] or None
            retry_after_s = seconds_to_wait(retry_after, self._clock.now_ms()) if retry_after is not None else None
        except Exception as failure:  # whatever it is, the attempt must be recorded
            error = _printable(self._describe(failure, progress))[:MAX_ERROR_CHARS]
        return Pushed(
            http_status=status,
            error=error,
            excerpt=excerpt,
            duration_ms=round((self._clock.monotonic_s() - began_s) * 1000),
            retry_after_s=retry_after_s,
        )

    async def _exchange(
        self, progress: Progress, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str | None]:
        if self._session is None:
            raise _Unusable("pushing has not been started")
        target = _target(url)
        before = current_progress.set(progress)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(target, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return response.status, await _read_body(response), response.headers.get("Retry-After")
        finally:
            current_progress.reset(before)

    def _describe(self, failure: Exception, progress: Progress) -> str:
        if progress.received > MAX_RECEIVED_BYTES:
            return f"answer is longer than {MAX_RECEIVED_BYTES} bytes"
        match failure:
            case TimeoutError():
                return f"{_missing(progress)} within {self._timeout_s:g} s"
            case _Unusable() | aiohttp.ClientConnectorError(os_error=AddressRefused()):
                return str(failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure)
            case aiohttp.ClientConnectorCertificateError():
                why = failure.certificate_error
                return f"TLS: certificate not trusted: {getattr(why, 'verify_message', why)}"
            case aiohttp.ClientConnectorSSLError():
                reason = getattr(failure.os_error, "reason", None)  # of OpenSSL, like WRONG_VERSION_NUMBER
                return f"TLS: {reason.lower().replace('_', ' ') if reason else failure.os_error}"
            case aiohttp.ClientConnectorDNSError():
                return f"host {failure.host} can't be resolved: {failure.os_error.strerror or failure.os_error}"
            case aiohttp.ClientConnectorError():
                return f"no connection: {failure.os_error.strerror or failure.os_error}"
            case aiohttp.ClientResponseError():
                return f"no HTTP answer: {failure.message}"
            case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | aiohttp.ClientPayloadError():
                return "connection lost before the answer was complete"
            case _:
                return f"{type(failure).__name__}: {failure}"


def _missing(progress: Progress) -> str:
    """Say what a push still waited for when its time was over."""
    if progress.connected:
        return "no complete answer"
    return "no answer from DNS" if progress.is_looking_up else "no connection"


class _Unusable(Exception):
    """A push that can't even be tried; the text says why."""


def seconds_to_wait(retry_after: str, now_ms: int) -> float | None:
    """Read a Retry-After header (RFC 9110: whole seconds, or a date) as 0 to 86,400 seconds; None if it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_ms / 1000
    except (ValueError, OverflowError, TypeError, IndexError):  # a library's parser, and a stranger's text
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _target(url: str) -> URL:
    fault = url_fault(url)
    if fault is not None:
        raise _Unusable(f"URL {fault}")
    return URL(url)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(body[:MAX_ANSWER_BYTES])


def _printable(text: str) -> str:
    """Make one line of a text that may hold anything."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
