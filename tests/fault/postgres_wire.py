"""A wire between a store and its PostgreSQL server: it can be cut at a commit, and it can pass nothing on."""

import asyncio
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

# What becomes of the next commit: the server doesn't get it; it does, but its answer is lost; or nothing is passed on
# from then on.
Trouble = Literal["before", "after", "hangs"]
_COMMIT = b"COMMIT\0"
_CHUNK = 65_536


class Wire:
    """Passes bytes between stores and `server`; `url` is the database as the stores are to see it."""

    def __init__(self, server: str) -> None:
        self._parts = urlsplit(server)
        self.url = ""
        self.trouble: Trouble | None = None
        self.for_good = False  # whether nobody gets through once it has been cut
        self._passes = asyncio.Event()
        self._passes.set()
        self._refuses = False
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        host = f"postgres@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = urlunsplit(self._parts._replace(netloc=host))
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

    def hang(self) -> None:
        """Pass nothing on, and cut nothing."""
        self._passes.clear()

    def mend(self) -> None:
        """Pass everything on from now on."""
        self.trouble, self._refuses = None, False
        self._passes.set()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        lost = asyncio.Event()
        directions = [
            asyncio.create_task(self._to_server(reader, to_server, lost)),
            asyncio.create_task(self._to_store(from_server, writer, lost)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            to_server.transport.abort()
            writer.transport.abort()

    async def _to_server(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while chunk := await source.read(_CHUNK):
            await self._passes.wait()
            if _COMMIT in chunk and self.trouble is not None:
                trouble, self.trouble, self._refuses = self.trouble, None, self.for_good
                if trouble == "before":
                    return
                if trouble == "after":
                    lost.set()
                else:
                    self.hang()
            sink.write(chunk)
            await sink.drain()

    async def _to_store(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while chunk := await source.read(_CHUNK):
            await self._passes.wait()
            if lost.is_set():
                return
            sink.write(chunk)
            await sink.drain()
