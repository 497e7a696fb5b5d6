"""One connection to NATS, made anew whenever it is lost.

Each connection is a new client of nats-py that is not allowed to reconnect by itself: its own way to reconnect keeps
what was asked before the loss, waits ten seconds for a server that hangs, and ends for good on some refusals.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator

import structlog
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError

from waypost.clock import Clock
from waypost.queue.nats_servers import Servers

log = structlog.get_logger("waypost.doorbell")

Serve = Callable[[Client], Coroutine[object, object, None]]

_AGAIN_S = 0.25  # between two attempts: a server that is back is found within half a second
_CONNECT_S = 1  # for each step of connecting: a server that takes longer is no help to a doorbell
_PING_S = 3  # a server that hangs is left after two of these
_CLOSE_S = 0.5


class Standing:
    """Whether the doorbell works, told to the log once per change."""

    def __init__(self, servers: Servers) -> None:
        self.is_up = False
        self._servers = ", ".join(servers.addresses)
        self._told_lost = False

    def lost(self, reason: str) -> None:
        """It does not work, for a reason that holds no secret."""
        self.is_up = False
        if not self._told_lost:
            self._told_lost = True
            log.warning("doorbell_lost", reason=reason, servers=self._servers)

    def back(self) -> None:
        """It works."""
        self.is_up = True
        if self._told_lost:
            self._told_lost = False
            log.info("doorbell_back")


class ConnectionLost(Exception):
    """The connection has ended; the text is the reason."""


class Link:
    """Keeps a connection to one of several servers, and has something done as long as it holds."""

    def __init__(self, servers: Servers, clock: Clock, standing: Standing) -> None:
        self._servers = servers
        self._clock = clock
        self._standing = standing

    async def run(self, serve: Serve) -> None:
        """Connect, serve, and begin again whenever either ends; for ever, whatever happens."""
        while True:
            try:
                await self._hold(serve)
            except Exception as error:  # whatever it is: work that was committed must be told of again
                self._standing.lost(reason_of(error))
            await self._clock.sleep(_AGAIN_S)

    async def _hold(self, serve: Serve) -> None:
        client, watch = Client(), _Watch()
        try:
            with cancellable():
                await self._connect(client, watch)
            await together(self._until_lost(client, watch), serve(client))
        finally:
            await _end(client)

    async def _connect(self, client: Client, watch: "_Watch") -> None:
        user, password, token = self._servers.credentials
        try:
            await client.connect(
                servers=list(self._servers.addresses),
                error_cb=watch.failed,
                disconnected_cb=watch.closed,
                closed_cb=watch.closed,
                name="waypost",
                allow_reconnect=False,
                max_reconnect_attempts=1,  # of each server, then an error; without a limit it would never return
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_S,
                ping_interval=_PING_S,
                max_outstanding_pings=1,
                user=user,
                password=password,
                token=token,
            )
        except NatsError as error:
            raise ConnectionLost(watch.reason or reason_of(error)) from None

    async def _until_lost(self, client: Client, watch: "_Watch") -> None:
        while not client.is_closed:  # looked at too: nats-py tells late, or never, of a server that hangs
            await self._clock.wait(watch.ended, 1.0)
        raise ConnectionLost(watch.reason or "the server closed the connection")


class _Watch:
    """Hears what nats-py has to tell, which it would write to the log otherwise."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.reason = ""

    async def failed(self, error: Exception) -> None:
        self.reason = reason_of(error)

    async def closed(self) -> None:
        self.ended.set()


def reason_of(error: Exception) -> str:
    """Return an exception in a line."""
    return str(error) or type(error).__name__


async def together(*works: Coroutine[object, object, None]) -> None:
    """Do several things until one of them ends; end the others, and raise what was raised.

    Unlike a task group this lets a cancellation win over an error at the same time: closing must not begin again.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


@contextlib.contextmanager
def cancellable() -> Iterator[None]:
    """End a task that is cancelled meanwhile: below Python 3.12, nats-py's waits with a limit can swallow that."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def _end(client: Client) -> None:
    """Close a connection, dropping what a server that hangs would never read: nats-py would wait for that for ever."""
    try:
        with contextlib.suppress(Exception):  # an error would hide that we are cancelled
            async with asyncio.timeout(_CLOSE_S):
                await client.close()
    finally:
        transport = client._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:
            transport._io_writer.transport.abort()
