"""The load generator: keep-alive connections, each with one request under way; as fast as answers come, or paced."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import httptools
import msgspec

from bench.failure import BenchFailed

CODE_0 = b'{"code":0,'  # how the customer API's answer to an accepted message begins
_BLOCK_LIMIT_S = 120.0  # ends a bench whose server hangs
_SHOWN_BYTES = 300


class Block(msgspec.Struct, frozen=True):
    """One block of requests, all accepted: how long each took in the order of the answers, and all together.

    `answered_s` is when the answers came (of `time.perf_counter`), in the order of the requests.
    """

    latencies_s: list[float]
    elapsed_s: float
    answered_s: list[float]

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s


class Load:
    """Connections to one server, kept open from block to block; an answer that is HTTP 200 must begin as told."""

    def __init__(self, url: str, concurrency: int, accepted: bytes = CODE_0) -> None:
        self._url = urlsplit(url)
        self._concurrency = concurrency
        self._accepted = accepted
        self._connections: list[_Connection] = []

    async def open(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        for _ in range(self._concurrency):
            _, connection = await loop.create_connection(_Connection, str(self._url.hostname), self._url.port or 80)
            self._connections.append(connection)

    async def send(self, requests: Sequence[bytes], per_s: float | None = None) -> Block:
        """Send every request and wait for its answer; raises `BenchFailed` unless each is accepted.

        A connection sends its next request when it has its answer, and a request's time begins when it is sent. With
        `per_s` requests fall due evenly spaced, whatever the answers do, and a request's time begins when it is due: so
        the wait for a server that falls behind is counted.
        """
        turn = _Turn(len(requests), self._accepted)
        began = time.perf_counter()
        for connection in self._connections:
            turn.serve(connection)
        try:
            async with asyncio.timeout(_BLOCK_LIMIT_S):
                await _fall_due(turn, requests, per_s)
                await turn.done
        except TimeoutError:
            raise BenchFailed(f"{len(turn.latencies_s)} of {len(requests)} requests answered in time") from None
        return Block(turn.latencies_s, time.perf_counter() - began, turn.answered_s)

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()


async def _fall_due(turn: "_Turn", requests: Sequence[bytes], per_s: float | None) -> None:
    if per_s is None:
        turn.add((request, None) for request in requests)
        return
    began = time.perf_counter()
    for number, request in enumerate(requests):
        due_s = began + number / per_s
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        turn.add([(request, due_s)])


class _Turn:
    """What the connections share during one block."""

    def __init__(self, total: int, accepted: bytes) -> None:
        self.latencies_s: list[float] = []
        self.answered_s = [0.0] * total
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._total = total
        self._accepted = accepted
        self._waiting: deque[tuple[int, bytes, float | None]] = deque()
        self._added = itertools.count()
        self._idle: list[_Connection] = []

    def add(self, requests: Iterable[tuple[bytes, float | None]]) -> None:
        """Have requests sent, each with the time at which it fell due, or None if it does when it is sent."""
        self._waiting.extend((next(self._added), request, due_s) for request, due_s in requests)
        while self._idle and self._waiting:
            self._idle.pop().send(*self._waiting.popleft())

    def serve(self, connection: "_Connection") -> None:
        """Give a connection its next request, or keep it for later ones."""
        connection.turn = self
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def answered(self, connection: "_Connection", status: int, body: bytes) -> None:
        """Take an answer; one that is not as it should be ends the block."""
        now_s = time.perf_counter()
        self.latencies_s.append(now_s - connection.began_s)
        self.answered_s[connection.number] = now_s
        if status != 200 or not body.startswith(self._accepted):
            self.failed(f"an answer was HTTP {status}: {body[:_SHOWN_BYTES]!r}")
            return
        if len(self.latencies_s) == self._total and not self.done.done():
            self.done.set_result(None)
        self.serve(connection)

    def failed(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchFailed(reason))


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.turn: _Turn | None = None
        self.number = 0  # of the request that is under way, in its block
        self.began_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.turn is not None:
            self.turn.failed(f"the server closed a connection ({exc})")

    def send(self, number: int, request: bytes, due_s: float | None) -> None:
        assert self._transport is not None
        self.number = number
        self.began_s = time.perf_counter() if due_s is None else due_s
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        assert self.turn is not None
        self.turn.answered(self, self._parser.get_status_code(), body)
