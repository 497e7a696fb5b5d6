"""Customers' receivers of callbacks: one that answers 200 at once or when it is told to, and one that hangs."""

import asyncio
import time

import httptools

HANG_S = 30.0
_LOOK_EVERY_S = 0.25
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    """Keeps the body of every POST that came in, and when it came (of `time.perf_counter`)."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.came_s: list[float] = []
        self._held: list[asyncio.Transport] | None = None
        self._wanted = 0
        self._arrived: asyncio.Future[None] | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> str:
        """Listen on loopback and return the URL for callbacks."""
        self._server = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/callbacks"

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
            for transport in tuple(self._open):
                transport.close()
            await self._server.wait_closed()

    def hold(self) -> None:
        """Forget what came, and answer nothing from now on: who delivers fills its places and waits."""
        self.bodies = []
        self.came_s = []
        self._held = []

    def go_on(self) -> None:
        """Answer what was held, and everything from now on at once."""
        held, self._held = self._held or [], None
        for transport in held:
            transport.write(_OK)

    async def arrived(self, count: int) -> None:
        """Wait until that many have come since `hold`."""
        if len(self.bodies) < count:
            self._wanted = count
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        """Take one POST in."""
        self.bodies.append(body)
        self.came_s.append(time.perf_counter())
        if self._held is None:
            transport.write(_OK)
        else:
            self._held.append(transport)
        if self._arrived is not None and len(self.bodies) == self._wanted and not self._arrived.done():
            self._arrived.set_result(None)

    def _connection(self) -> "_PushConnection":
        return _PushConnection(self, self._open)


class HangingReceiver(Receiver):
    """Answers a push only after `HANG_S`, long after the gateway has given it up.

    Whenever fewer than `places` pushes hang, it answers one of them with 200: an endpoint that never does is left alone
    by the gateway but for a try an hour, and would be no trouble to anybody.
    """

    def __init__(self, places: int) -> None:
        super().__init__()
        self._places = places
        self._hanging: dict[asyncio.Transport, float] = {}
        self._answering: asyncio.Task[None] | None = None

    async def start(self) -> str:
        self._answering = asyncio.create_task(self._answer_some())
        return await super().start()

    async def stop(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
        await super().stop()

    def hanging(self) -> int:
        """Return how many pushes wait for an answer now."""
        for transport in [one for one in self._hanging if one.is_closing()]:
            del self._hanging[transport]
        return len(self._hanging)

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        """Take one POST in and let it wait."""
        self._hanging[transport] = time.perf_counter()

    async def _answer_some(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            hanging = self.hanging()
            now_s = time.perf_counter()
            late = [one for one, came_s in self._hanging.items() if now_s - came_s > HANG_S]
            for transport in late or list(self._hanging)[: hanging < self._places]:
                del self._hanging[transport]
                transport.write(_OK)


class _PushConnection(asyncio.Protocol):
    def __init__(self, receiver: Receiver, siblings: set[asyncio.Transport]) -> None:
        self._receiver = receiver
        self._siblings = siblings
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        self._transport = transport
        self._siblings.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._siblings.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        assert self._transport is not None
        body, self._body = self._body, b""
        self._receiver.take(self._transport, body)
