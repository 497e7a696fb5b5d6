"""Connections to customers' servers: each to an address that was checked as it is used, and each with limits."""

import asyncio
import socket
from functools import partial
from typing import cast

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from waypost.net.addresses import refusal
from waypost.net.progress import Progress, current_progress

MAX_RECEIVED_BYTES = 524_288  # of an answer with its head and framing
MAX_ADDRESSES = 8  # of one name; with thousands, one push would knock at thousands of doors
MAX_KEPT = 256  # connections of all hosts; more serve one push each, so that many names can't use up all descriptors
KEEP_ALIVE_S = 15.0


class AddressRefused(OSError):
    """An address that must not be connected to; the text names it."""


class GuardedResolver(AbstractResolver):
    """Gives the connector only those addresses of a name that may be connected to.

    The connector connects to what it is given and asks nobody again, so a name can't change between check and use.
    """

    def __init__(self, names: AbstractResolver, allow_private: bool) -> None:
        self._names = names
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up; raises OSError if it has no address, or none that is allowed."""
        found = await self._names.resolve(host, port, family)
        if not found:
            raise OSError("it has no address")
        why = [refusal(one["host"], allow_private=self._allow_private) for one in found]
        if None not in why:
            raise AddressRefused(f"address {found[0]['host']} of host {host} is {why[0]}")
        return [one for one, reason in zip(found, why, strict=True) if reason is None][:MAX_ADDRESSES]

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._names.close()


class _Wire(ResponseHandler):
    """One connection; it breaks off when more comes than an answer may hold, or anything that nobody asked for.

    Limits on the body don't see an endless head, "100 Continue" without end, or the inside of a chunk's header. And
    what came while a connection was idle would pile up, and be taken for the answer to the next push.
    """

    progress: Progress | None = None

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp says so itself when it reads on after an answer; nothing has come
            super().data_received(data)
            return
        if self.progress is not None:
            self.progress.received += len(data)
            if self.progress.received <= MAX_RECEIVED_BYTES:
                super().data_received(data)
                return
        if self.transport is not None:
            self.transport.abort()

    def rest(self) -> None:
        """From here on nothing is asked of the other side."""
        self.progress = None


class GuardedConnector(aiohttp.TCPConnector):
    """A pool that tells a connection which push it serves, and keeps few connections."""

    def __init__(self, resolver: AbstractResolver, allow_private: bool) -> None:
        super().__init__(
            resolver=resolver,
            socket_factory=partial(_open_socket, allow_private=allow_private),
            limit=0,  # whoever pushes has limits of its own; one here would be shared by all accounts
            keepalive_timeout=KEEP_ALIVE_S,
            use_dns_cache=False,  # the resolver has one, in which no account waits for another's look-up
        )
        self._factory = cast("partial[ResponseHandler]", partial(_Wire, loop=asyncio.get_running_loop()))
        self._kept: set[_Wire] = set()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        wire = connection.protocol
        assert isinstance(wire, _Wire)
        wire.progress = current_progress.get()
        wire.progress.connected = True
        connection.add_callback(wire.rest)
        if wire not in self._kept:
            self._kept = {kept for kept in self._kept if kept.is_connected()}
            if len(self._kept) < MAX_KEPT:
                self._kept.add(wire)
            else:
                wire.force_close()
        return connection


def _open_socket(address: AddrInfoType, *, allow_private: bool) -> socket.socket:
    """Open a socket for one address: the last door, through which addresses written in the URL come too."""
    family, kind, protocol, _, (host, *_) = address
    why = refusal(str(host), allow_private=allow_private)
    if why is not None:
        raise AddressRefused(f"address {host} is {why}")
    return socket.socket(family, kind, protocol)
