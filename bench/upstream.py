"""What stands in for Meta: a lean server that takes every message, or the simulator with all its checks."""

import asyncio
from typing import Protocol

import aiohttp
import httptools
import msgspec

from waypost.simulator import Simulator


def meta_id(number: int) -> str:
    """Return the id that `LeanUpstream` gives the message it takes as that one, 1 the first; of Meta's usual form."""
    return f"wamid.HBgNODYxMzkwMDAwMDAwMBUCABEYEj{number:016X}=="


class Upstream(Protocol):
    """A server that answers like Meta and counts the messages it took."""

    async def start(self) -> str:
        """Listen on loopback and return the base URL."""

    async def count(self) -> int:
        """Return how many messages were taken so far."""

    async def stop(self) -> None:
        """Stop listening."""


class LeanUpstream:
    """Answers every POST as Meta answers an accepted message; costs so little that it does not hide the gateway."""

    def __init__(self) -> None:
        self.taken = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> str:
        self._server = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def count(self) -> int:
        return self.taken

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in tuple(self._open):
                transport.close()
            await self._server.wait_closed()

    def _connection(self) -> "_GraphConnection":
        return _GraphConnection(self, self._open)


class _GraphConnection(asyncio.Protocol):
    def __init__(self, upstream: LeanUpstream, siblings: set[asyncio.Transport]) -> None:
        self._upstream = upstream
        self._siblings = siblings
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        self._transport = transport
        self._siblings.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._siblings.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        self._upstream.taken += 1
        body = (
            b'{"messaging_product":"whatsapp","contacts":[{"input":"+8613900000000","wa_id":"8613900000000"}],'
            b'"messages":[{"id":"%b","message_status":"accepted"}]}'
        ) % meta_id(self._upstream.taken).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nfacebook-api-version: v26.0\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


class SimulatorUpstream:
    """Our simulator of Meta, with its own cost: what `make demo` talks to."""

    def __init__(self) -> None:
        self._simulator = Simulator(seed=1)

    async def start(self) -> str:
        return await self._simulator.start()

    async def count(self) -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self._simulator.control_url}/_simulator/count") as answer,
        ):
            counted = msgspec.json.decode(await answer.read(), type=dict[str, int])
            return counted["messages"]

    async def stop(self) -> None:
        await self._simulator.stop()
