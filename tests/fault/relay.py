"""A wire with a hand on it: between a client and a server, to act at one exact moment of their talk."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

# `connect`: the client has connected; `write`: its first bytes have come; `read`: the server's first bytes have come.
Moment = Literal["connect", "write", "read"]
_CHUNK = 65_536


class Relay:
    """Passes bytes between clients and `target`; at the first `moment` it calls `strike` and cuts that connection.

    What had just come is not passed on: at `write` the server has got nothing of the request, at `read` the client
    nothing of the answer. Afterwards it only passes bytes on.
    """

    def __init__(self, target: str, moment: Moment, strike: Callable[[], None]) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._moment = moment
        self._strike = strike
        self.struck = asyncio.Event()
        self.url = ""
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._strikes("connect"):
            writer.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on("write", reader, to_server))
                both.create_task(self._pass_on("read", from_server, writer))
        finally:
            to_server.transport.abort()
            writer.transport.abort()

    async def _pass_on(self, moment: Moment, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Copy one direction to its end; closing the sink ends the other direction too."""
        try:
            while chunk := await source.read(_CHUNK):
                if self._strikes(moment):
                    break
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            return
        finally:
            sink.close()

    def _strikes(self, moment: Moment) -> bool:
        if moment != self._moment or self.struck.is_set():
            return False
        self.struck.set()
        self._strike()
        return True
