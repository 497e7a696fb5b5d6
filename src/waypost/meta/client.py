"""The HTTP calls to Meta: one attempt each, and an honest account of what may have become of it."""

import asyncio
import errno
import re
from contextvars import ContextVar

import aiohttp
import msgspec
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from waypost.meta.answer import MetaAnswer, NeverLeft, RefusedByMeta, Uncertain, read_answer
from waypost.meta.usage import HEADER, regain_s

MAX_ANSWER_BYTES = 1_048_576  # Meta's answers to a send are under 1 kB
# Common servers close a connection after 5 s without a request; a POST must not meet one that is just being closed,
# because then nobody can tell whether it was read.
KEEP_ALIVE_S = 4.0
DNS_CACHE_S = 60
MAX_REASON_CHARS = 300  # an exception's text may quote what the other side sent

_OUR_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,128}")


class MetaUnreachable(Exception):
    """A question to Meta got no complete answer; the text says why."""


class MetaClient:
    """Posts messages to Meta's Graph API over kept connections; each call is one attempt and is never repeated.

    `connect_timeout_s` bounds everything before the first byte is written: waiting for one of `max_connections`, DNS,
    TCP and TLS. `read_timeout_s` bounds everything after: writing the request and reading the whole answer. So no call
    lasts longer than both together. Whoever sends bounds what is under way by less than `max_connections`, so nobody
    waits for another's. No redirects, no cookies, no proxies from the environment.
    """

    def __init__(
        self,
        base_url: str,
        api_version: str,
        *,
        connect_timeout_s: float = 10,
        read_timeout_s: float = 30,
        max_connections: int = 2_048,
    ) -> None:
        self._root = f"{base_url.rstrip('/')}/{api_version.strip('/')}"
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool; no connection is made yet."""
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s)
        connector = _Connector(limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=DNS_CACHE_S)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    async def close(self) -> None:
        """Close every connection; calls that are still under way fail."""
        if self._session is not None:
            await self._session.close()

    async def post_message(self, phone_number_id: str, endpoint: str, token: str, body: bytes) -> MetaAnswer:
        """Post one message once and say what came of it; `endpoint` is "messages" or "marketing_messages".

        Never raises for anything that the network or Meta does. `NeverLeft` only where no connection was had, so that
        no byte can have been written; every failure after that is `Uncertain`. If the call is cancelled, the caller
        must take the message as uncertain, for the request may have been written already.
        """
        if not (_SEGMENT.fullmatch(phone_number_id) and _SEGMENT.fullmatch(endpoint)):
            return NeverLeft(reason="phone number id or endpoint can't stand in a URL")
        if not _is_token(token):
            return NeverLeft(reason="access token can't stand in a header")
        leg = _Leg(self._read_timeout_s)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            status, answer = await self._exchange(
                leg, "POST", f"{self._root}/{phone_number_id}/{endpoint}", headers=headers, data=body
            )
        except Exception as error:  # whatever it is, the message's fate must be told
            reason = _describe(error, leg)
            if leg.connected:
                return Uncertain(reason=reason, body=None)
            ours = isinstance(error, OSError) and error.errno in _OUR_LACKS
            return NeverLeft(reason=reason, ours=ours)
        taken = read_answer(status, answer)
        if isinstance(taken, RefusedByMeta) and taken.meta_error.retryable:
            return msgspec.structs.replace(taken, regain_s=regain_s(leg.usage))
        return taken

    async def get(self, path: str, token: str, params: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Ask Meta a question and return HTTP status and body; `path` follows the API version, without a query.

        Raises `MetaUnreachable` where there was no complete answer, or the token can't stand in a header.
        """
        if not _is_token(token):
            raise MetaUnreachable("access token can't stand in a header")
        leg = _Leg(self._read_timeout_s)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return await self._exchange(leg, "GET", f"{self._root}/{path.lstrip('/')}", headers=headers, params=params)
        except Exception as error:
            raise MetaUnreachable(_describe(error, leg)) from error

    async def _exchange(
        self,
        leg: "_Leg",
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        data: bytes | None = None,
        params: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise aiohttp.ClientError("the client has not been started")
        before = _current_leg.set(leg)
        try:
            async with (
                asyncio.timeout(None) as leg.deadline,
                self._session.request(
                    method, url, headers=headers, data=data, params=params, allow_redirects=False
                ) as response,
            ):
                leg.usage = response.headers.get(HEADER)
                return response.status, await _read_body(response)
        finally:
            _current_leg.reset(before)


class _Leg:
    """How far one call has come: whether it has a connection, and until when the answer must be complete."""

    def __init__(self, read_timeout_s: float) -> None:
        self.connected = False
        self.usage: str | None = None  # Meta's header
        self.deadline: asyncio.Timeout | None = None
        self._read_timeout_s = read_timeout_s

    def has_connection(self) -> None:
        """Start the read limit: from here on bytes may have been written."""
        self.connected = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._read_timeout_s)


_current_leg: ContextVar[_Leg] = ContextVar("_current_leg")


class _Connector(aiohttp.TCPConnector):
    """A pool that tells the call when it has its connection, and hands out none that has bytes waiting.

    Bytes that came while a connection was idle would be taken for the answer to the next request.
    """

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is not None and not connection.protocol.should_close:
                _current_leg.get().has_connection()
                return connection
            connection.close()


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise aiohttp.ClientPayloadError(f"answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _is_token(token: str) -> bool:
    return token.isascii() and token.isprintable() and token != ""


def _describe(error: Exception, leg: _Leg) -> str:
    if isinstance(error, TimeoutError):
        return "no complete answer in time" if leg.connected else "no connection in time"
    stage = "no complete answer" if leg.connected else "no connection"
    text = " ".join(f"{stage}: {type(error).__name__}: {error}".replace("\0", " ").split())
    return text[:MAX_REASON_CHARS]
