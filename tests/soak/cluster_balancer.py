"""A plain TCP balancer: knows nothing of HTTP, gives each connection to the next backend that takes it."""

import asyncio
import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_AGAIN_S = 0.05
_GIVE_UP_S = 5.0  # nobody takes connections any more


class Balancer:
    """Passes bytes between clients and ports of the loopback address, round-robin; one that refuses is passed over."""

    def __init__(self, backends: Sequence[int], port: int = 0) -> None:
        self._backends = tuple(backends)
        self._turn = itertools.count()
        self._port = port
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.turned_away = 0  # connections that no backend took in time

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", self._port, backlog=1024)
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

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        backend = await self._backend()
        if backend is None:
            self.turned_away += 1
            to_client.transport.abort()
            return
        from_backend, to_backend = backend
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(from_client, to_backend))
                both.create_task(_pass_on(from_backend, to_client))
        except* OSError:  # one side was cut off: so is the other
            to_backend.transport.abort()
            to_client.transport.abort()
        finally:
            to_backend.close()
            to_client.close()

    async def _backend(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to the next backend that takes connections."""
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                while True:
                    for _ in self._backends:
                        port = self._backends[next(self._turn) % len(self._backends)]
                        try:
                            return await asyncio.open_connection("127.0.0.1", port)
                        except OSError:
                            continue
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            return None


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, and end it there too."""
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
