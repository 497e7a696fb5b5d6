"""The HTTP server: one uvicorn inside the caller's event loop, which keeps its signal handlers to itself."""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.web.http_protocol import LINGER, GuardedHttpProtocol

log = structlog.get_logger("waypost.server")

_BACKLOG = 2048
_TICK_S = 1.0
_LOOK_AGAIN_S = 0.005
_LAST_ACCEPTS_S = 0.05
# Linux: a socket option, and the one instruction (BPF_RET | BPF_K) of a packet filter that lets nothing through.
_ATTACH_FILTER, _KEEP_NOTHING = 26, 0x06
_KEEP_ALIVE_S = 75  # longer than the idle limits of common clients and balancers, so that they close first


class AddressUnusable(Exception):
    """The address can't be listened on; the message says why and what to do."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()
        self.last_accepts = False  # whether connections that are just being made are waited for at the end

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever started us."""
        yield

    async def main_loop(self) -> None:
        """Keep the Date header right, and stop at once when asked to, instead of looking now and then."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close as uvicorn does, but also connections that come at that moment, and end with the last one.

        Uvicorn tells those alone that are there when it begins: one that arrives just then would hold up the stop for
        as long as requests under way may.
        """
        if self.last_accepts:
            for listener in sockets or ():
                _let_nobody_in(listener)
            await asyncio.sleep(_LAST_ACCEPTS_S)  # those that are in already are taken
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:
                    for connection in tuple(state.connections):
                        connection.shutdown()  # at once, or after the answer that is under way
                    await asyncio.sleep(_LOOK_AGAIN_S)
                for server in self.servers:
                    await server.wait_closed()
        if state.tasks:
            log.error("requests_cut_off", requests=len(state.tasks), reason="they were not done in time")
        for connection in tuple(state.connections):
            if isinstance(connection, GuardedHttpProtocol):  # as all are
                connection.cut_off()
        for task in tuple(state.tasks):
            task.cancel()

    def end(self) -> None:
        """Stop serving."""
        self.should_exit = True
        self._stopping.set()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens (port 0: on any free port); raises `AddressUnusable`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # told that it is TCP, asyncio's own loop sends without delay, as uvloop always does
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise AddressUnusable(
            f"cannot listen on {host}:{port}: {error}; choose another with --host or --port"
        ) from None
    return listener


def url_of(listener: socket.socket, host: str) -> str:
    """Return the base URL of a socket that listens on a host."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _let_nobody_in(listener: socket.socket) -> None:
    """Have the system drop who asks for a connection: he asks again, and finds nobody or another process.

    One that is let in while the socket is being closed would be cut off, and a balancer has sent a request by then.
    """
    with contextlib.suppress(OSError):  # a system that has no such filter
        instruction = ctypes.create_string_buffer(struct.pack("@HBBI", _KEEP_NOTHING, 0, 0, 0))
        program = struct.pack("@HP", 1, ctypes.addressof(instruction))
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _cut_off_in_silence(app: ASGIApp) -> ASGIApp:
    """Have an application that is cancelled end as if it had answered: its connection is closed, and nobody hears."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):  # it had begun to answer
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})

    return run


class HttpServer:
    """Serves one ASGI application until it is stopped."""

    def __init__(self, app: Any, *, drain_s: float, linger_s: float = 0.0) -> None:
        """`drain_s` is how long requests under way may take to finish when the server stops.

        `linger_s` is how long it still takes what comes over open connections, and connections that a balancer makes.
        """
        config = uvicorn.Config(
            _cut_off_in_silence(app),
            http=GuardedHttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        setattr(config, LINGER, linger_s)
        self._server = _Server(config)
        self._linger_s = linger_s
        self._task: asyncio.Task[None] | None = None

    def start(self, host: str, port: int, listener: socket.socket | None = None) -> str:
        """Listen (port 0: on any free port), or serve a listener, and return the base URL; raises `AddressUnusable`."""
        if listener is None:
            listener = listen(host, port)
            self._server.last_accepts = self._linger_s > 0  # what others listen on too is not closed by this
        listener.setblocking(False)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http server")
        return url_of(listener, host)

    async def stop(self) -> None:
        """Stop listening, let requests under way finish, close the connections."""
        if self._task is not None:
            self._server.end()
            await self._task
            self._task = None
