"""The HTTP server's outermost limits: how large a request's head may be, and how long it may take to come in."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADERS = 100  # NxCloud's five and what proxies add are far fewer
MAX_HEADER_BYTES = 32_768
MAX_HEAD_BYTES = 1_048_576  # beyond this nobody is listened to any longer
HEAD_TIMEOUT_S = 20.0
HEAD_TOO_LARGE = "waypost.head_too_large"
LINGER = "linger_s"  # on the server's configuration: how long an idle connection is kept when the server stops


class _Nowhere(asyncio.Transport):
    """Where the answer goes when the client has hung up: a closed transport may not be written to."""

    def write(self, data: object) -> None:
        """Drop the bytes."""

    def close(self) -> None:
        """Do nothing: it is closed."""

    def is_closing(self) -> bool:
        """Say so."""
        return True


class GuardedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with bounds on the head; a whole request is always handled.

    Headers beyond the limit are dropped and the request is marked, so that the application gives a proper answer. A
    head that does not end within its time or size is answered 408 or 431, and the connection closed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._reading_head = True
        self._head_bytes = 0
        self._header_bytes = 0
        self._is_closing = False
        self._is_cut_off = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._head_begins()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._reading_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._head_begins()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if len(self.headers) >= MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self.scope["state"][HEAD_TOO_LARGE] = True
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_ends()
        super().on_headers_complete()
        if self._is_closing:
            self.cycle.keep_alive = False  # it is answered, and told that the connection ends with that

    def shutdown(self) -> None:
        """Close after the answer that is under way, or when no request has come for a moment.

        One that is on its way while an idle connection is closed would be lost to its client.
        """
        if self._is_closing:
            return
        self._is_closing = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(getattr(self.config, LINGER, 0.0), self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def cut_off(self) -> None:
        """Hang up without an answer: of a request that is given up nobody knows what will become of it."""
        self._is_cut_off = True
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, but not a request that came in whole before the client hung up."""
        self._head_ends()
        cycle = self.cycle
        whole = cycle is not None and not (cycle.more_body or cycle.response_started or self._is_cut_off)
        super().connection_lost(exc)
        if whole:
            cycle.disconnected = False
            cycle.transport = _Nowhere()

    def _head_begins(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, 408, "Request Timeout")
        self._reading_head = True
        self._head_bytes = 0

    def _head_ends(self) -> None:
        self._reading_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, reason: str) -> None:
        self._head_ends()
        if self.transport.is_closing():
            return
        self.transport.write(
            f"HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode("ascii")
        )
        self.transport.close()
