"""The HTTP server: one uvicorn inside the caller's event loop, which keeps its signal handlers to itself."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn

from waypost.web.http_protocol import GuardedHttpProtocol

log = structlog.get_logger("waypost.server")

_BACKLOG = 2048
_TICK_S = 1.0
_LOOK_AGAIN_S = 0.005
_KEEP_ALIVE_S = 75  # longer than the idle limits of common clients and balancers, so that they close first


class AddressUnusable(Exception):
    """The address can't be listened on; the message says why and what to do."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

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


class HttpServer:
    """Serves one ASGI application until it is stopped."""

    def __init__(self, app: Any, *, drain_s: float) -> None:
        """`drain_s` is how long requests under way may take to finish when the server stops."""
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
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    def start(self, host: str, port: int) -> str:
        """Listen (port 0: on any free port) and return the base URL; raises `AddressUnusable`."""
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
        listener.setblocking(False)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http server")
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        return f"http://{shown}:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening, let requests under way finish, close the connections."""
        if self._task is not None:
            self._server.end()
            await self._task
            self._task = None
