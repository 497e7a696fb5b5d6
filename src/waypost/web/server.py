"""The HTTP server: one uvicorn inside the caller's event loop, which keeps its signal handlers to itself."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn

from waypost.web.http_protocol import LINGER, GuardedHttpProtocol

log = structlog.get_logger("waypost.server")

_BACKLOG = 2048
_TICK_S = 1.0
_LOOK_AGAIN_S = 0.005
_LAST_ACCEPTS_S = 0.05
_KEEP_ALIVE_S = 75  # longer than the idle limits of common clients and balancers, so that they close first


class AddressUnusable(Exception):
    """The address can't be listened on; the message says why and what to do."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, linger_s: float) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()
        self._linger_s = linger_s

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
        if self._linger_s:
            for listener in sockets or ():
                listener.listen(0)  # no more are let in, and those that are in already are taken
            await asyncio.sleep(_LAST_ACCEPTS_S)
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


class HttpServer:
    """Serves one ASGI application until it is stopped."""

    def __init__(self, app: Any, *, drain_s: float, linger_s: float = 0.0) -> None:
        """`drain_s` is how long requests under way may take to finish when the server stops.

        `linger_s` is how long it still takes what comes over open connections, and connections that a balancer makes.
        """
        config = uvicorn.Config(
            app,
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
        self._server = _Server(config, linger_s)
        self._task: asyncio.Task[None] | None = None

    def start(self, host: str, port: int, listener: socket.socket | None = None) -> str:
        """Listen (port 0: on any free port), or serve a listener, and return the base URL; raises `AddressUnusable`."""
        if listener is None:
            listener = listen(host, port)
        listener.setblocking(False)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http server")
        return url_of(listener, host)

    async def stop(self) -> None:
        """Stop listening, let requests under way finish, close the connections."""
        if self._task is not None:
            self._server.end()
            await self._task
            self._task = None
