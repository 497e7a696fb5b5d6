"""The load generator: a fixed number of keep-alive connections, each with one request under way at a time."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httptools
import msgspec

from bench.failure import BenchFailed

_ACCEPTED = b'{"code":0,'
_BLOCK_LIMIT_S = 120.0  # ends a bench whose server hangs
_SHOWN_BYTES = 300


class Block(msgspec.Struct, frozen=True):
    """One block of requests, all answered with code 0: how long each took, and all together."""

    latencies_s: list[float]
    elapsed_s: float

    @property
    def messages_per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s


class Load:
    """Connections to one server, kept open from block to block."""

    def __init__(self, url: str, concurrency: int) -> None:
        self._url = urlsplit(url)
        self._concurrency = concurrency
        self._connections: list[_Connection] = []

    async def open(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        for _ in range(self._concurrency):
            _, connection = await loop.create_connection(_Connection, str(self._url.hostname), self._url.port or 80)
            self._connections.append(connection)

    async def send(self, requests: Sequence[bytes]) -> Block:
        """Send every request and wait for its answer; raises `BenchFailed` unless each is HTTP 200 with code 0."""
        turn = _Turn(requests, len(self._connections))
        began = time.perf_counter()
        for connection in self._connections:
            connection.begin(turn)
        try:
            async with asyncio.timeout(_BLOCK_LIMIT_S):
                await turn.done
        except TimeoutError:
            raise BenchFailed(f"{len(turn.latencies_s)} of {len(requests)} requests answered in time") from None
        return Block(turn.latencies_s, time.perf_counter() - began)

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()


class _Turn:
    """What the connections share during one block."""

    def __init__(self, requests: Sequence[bytes], connections: int) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.latencies_s: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._busy = connections

    def ended(self) -> None:
        """A connection found nothing more to send and has all its answers."""
        self._busy -= 1
        if self._busy == 0 and not self.done.done():
            self.done.set_result(None)

    def failed(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchFailed(reason))


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._turn: _Turn | None = None
        self._body = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.failed(f"the server closed a connection ({exc})")

    def begin(self, turn: _Turn) -> None:
        self._turn = turn
        self._send_next(turn)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        turn, body, self._body = self._turn, self._body, b""
        assert turn is not None
        turn.latencies_s.append(time.perf_counter() - self._sent_at)
        status = self._parser.get_status_code()
        if status == 200 and body.startswith(_ACCEPTED):
            self._send_next(turn)
        else:
            turn.failed(f"an answer was HTTP {status}: {body[:_SHOWN_BYTES]!r}")

    def _send_next(self, turn: _Turn) -> None:
        request = next(turn.requests, None)
        if request is None:
            self._turn = None
            turn.ended()
            return
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(request)
