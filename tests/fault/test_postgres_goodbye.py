"""A PostgreSQL server that says goodbye: its last word has come, and the end of the connection has not yet."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.postgres import database, postgres_server
from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.postgres import PostgresStore

_CHUNK = 65_536


class Wire:
    """Passes bytes between clients and a server; `goodbye` puts in what a server says that is shut down."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._clients: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        listener = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def goodbye(self) -> None:
        """Say to every client that the connection is terminated by an administrator, and leave it open."""
        told = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
        for client in self._clients:
            client.write(b"E" + struct.pack(">I", len(told) + 4) + told)
            await client.drain()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        self._clients.add(to_client)
        try:
            await asyncio.gather(_pass_on(from_client, to_server), _pass_on(from_server, to_client))
        finally:
            self._clients.discard(to_client)
            to_server.transport.abort()
            to_client.transport.abort()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    sink.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.mark.parametrize("turns", [0, 50])  # of the event loop: the driver has not read it yet, or has
async def test_when_the_server_says_goodbye_no_read_fails_and_no_write_but_the_first(server: str, turns: int) -> None:
    async with database(server, "waypost_goodbye") as url:
        parts = urlsplit(url)
        wire = Wire(parts.hostname or "", parts.port or 5432)
        async with wire.listening() as port:
            user = parts.netloc.rpartition("@")[0]
            store = PostgresStore(urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}")), Clock())
            await store.open()
            await store.ping()
            await store.tenants()
            await wire.goodbye()
            for _ in range(turns):
                await asyncio.sleep(0)

            assert await store.tenants() == ()
            with contextlib.suppress(StoreUnavailable):
                await store.ping()
            await store.ping()
            assert await store.tenants() == ()
            await store.close()
