"""The sockets: uvicorn's HTTP protocol on listeners of our own, which can close, reopen and break connections."""

import asyncio
import socket
import struct
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

KEEP_ALIVE_S = 75
CONTROL_PREFIX = "/_simulator"
_EXTENSION = "waypost.simulator"


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with its transport put where the application can break it."""

    def on_message_begin(self) -> None:
        """Begins a request: uvicorn makes the scope, we add the transport."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


def transport_of(scope: Scope) -> asyncio.Transport:
    """The transport of the connection that a request came in on."""
    return cast(asyncio.Transport, scope["extensions"][_EXTENSION]["transport"])


async def drop(scope: Scope, receive: Receive, *, reset: bool = False) -> None:
    """Closes the connection without a further byte; with `reset`, by a TCP reset instead of an orderly end."""
    transport = transport_of(scope)
    if reset and not transport.is_closing():
        # a dup, because not every event loop lets its own socket object change options
        with transport.get_extra_info("socket").dup() as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await gone(receive)


async def cut(scope: Scope, receive: Receive, written: bytes) -> None:
    """Writes `written`, then closes the connection in mid-answer."""
    transport = transport_of(scope)
    transport.write(written)
    transport.close()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Waits until the connection is known to be closed, so that uvicorn does not miss an answer."""
    while (await receive())["type"] != "http.disconnect":
        continue


def quiet(app: ASGIApp) -> ASGIApp:
    """`app`, ending without a word when it is cancelled: that happens only to connections that were dropped."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            await drop(scope, receive)

    return run


class Listener:
    """One port. `open` and `close` may be called in turn; the port number stays the same, and stays ours meanwhile."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._config = uvicorn.Config(
            quiet(app), http=Connection, ws="none", lifespan="off", interface="asgi3", proxy_headers=False,
            log_config=None, access_log=False, server_header=False, date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None

    def _connection(self) -> asyncio.Protocol:
        return Connection(config=self._config, server_state=self._state, app_state={})

    async def open(self) -> None:
        """Accepts connections; does nothing if it does already."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, sock=self._socket, backlog=self._config.backlog)

    async def refuse(self) -> None:
        """Closes the listening socket and all connections, as a server that died; control calls may still answer.

        The port stays bound without listening, so nobody else gets it before `open`.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._socket = await _bound_again(self.host, self.port)
        for connection in list(self._state.connections):
            if _is_control(cast(Connection, connection)):
                connection.shutdown()
            else:
                cast(Connection, connection).transport.abort()

    async def close(self) -> None:
        """Closes everything: socket, connections, and the tasks of requests in work."""
        server, self._server = self._server, None
        if server is None:
            self._socket.close()
        else:
            server.close()
        for connection in list(self._state.connections):
            cast(Connection, connection).transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if server is not None:
            await server.wait_closed()


def _is_control(connection: Connection) -> bool:
    cycle = connection.cycle
    return cycle is not None and not cycle.response_complete and cycle.scope["path"].startswith(CONTROL_PREFIX)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


async def _bound_again(host: str, port: int) -> socket.socket:
    for _ in range(100):  # some event loops close a socket a few turns after they were asked to
        try:
            return _bound(host, port)
        except OSError:
            await asyncio.sleep(0)
    return _bound(host, port)
