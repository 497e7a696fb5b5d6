"""What stands in for Meta: a lean server that takes every message, or the simulator with all its checks."""

import asyncio
from typing import Protocol

import aiohttp
import httptools
import msgspec

from waypost.simulator import Simulator

_META_ID_HEAD = "wamid.HBgN"
_PHONE_ID_DIGITS = 15


def meta_id(phone_number_id: str, number: int) -> str:
    """Return the id of that message (1 the first) of a phone; of Meta's usual form, and it names the phone."""
    return f"{_META_ID_HEAD}{phone_number_id}UCABEYEj{number:016X}=="


def phone_of(meta_message_id: str) -> str:
    """Return the phone number id of the phone that sent the message with this id."""
    return meta_message_id.removeprefix(_META_ID_HEAD)[:_PHONE_ID_DIGITS]


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
        self.given: list[str] = []  # the ids of all messages, in the order in which they came
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> str:
        self._server = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def count(self) -> int:
        return len(self.given)

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
        self._phone_number_id = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP gives
        self._transport = transport
        self._siblings.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._siblings.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._phone_number_id = url.rsplit(b"/", 2)[1].decode()  # /VERSION/PHONE/messages

    def on_message_complete(self) -> None:
        assert self._transport is not None
        given = meta_id(self._phone_number_id, len(self._upstream.given) + 1)
        self._upstream.given.append(given)
        body = (
            b'{"messaging_product":"whatsapp","contacts":[{"input":"+8613900000000","wa_id":"8613900000000"}],'
            b'"messages":[{"id":"%b","message_status":"accepted"}]}'
        ) % given.encode()
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
