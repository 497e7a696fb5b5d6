"""The few lines of ASGI that the hot routes need: a bounded body, lower-case headers, one answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")


class BodyRefused(Exception):
    """The body was too large or too slow; the connection is to be closed after the answer."""


class ClientGone(Exception):
    """The client hung up before its request was whole; there is nobody to answer and nothing to do."""


async def hang_up(receive: Receive) -> None:
    """Wait until a client whose request was read whole has hung up: nothing else can come before the answer."""
    await receive()


async def read_body(receive: Receive, max_bytes: int, timeout_s: float) -> bytes:
    """Read a whole body; raises `BodyRefused` if it is too large or not there in time, `ClientGone` on a hang-up.

    One that is too large is read on and dropped, so that the client can read the answer.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size <= max_bytes:
                    chunks.append(chunk)
                else:
                    chunks.clear()
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise BodyRefused(f"the body did not arrive within {timeout_s:g} s") from None
    if size > max_bytes:
        raise BodyRefused(f"the body is larger than {max_bytes} bytes")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name; of a repeated one the first, so that none can be added behind a proxy."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
    return headers


async def answer(send: Send, body: bytes, *, status: int = 200, close: bool = False, kind: bytes | None = None) -> None:
    """Send one whole answer, JSON unless `kind` names another media type."""
    headers = [_JSON if kind is None else (b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
