"""A server that stops: idle connections end at once, requests under way are answered, endless ones are cut."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.harness import Complaints, Log
from waypost.web.server import HttpServer

SOON_S = 0.5  # half of what a request under way is given
Answer = Callable[[], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[HttpServer, str, aiohttp.ClientSession]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await answer()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    server = HttpServer(app, drain_s=1)
    url = server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        try:
            yield server, url, http
        finally:
            await server.stop()


async def nothing() -> None:
    """Answer at once."""


async def test_idle_connections_hold_nothing_up() -> None:
    async with serving(nothing) as (server, url, http):
        async with http.get(url) as answer:
            assert await answer.text() == "ok"
        async with asyncio.timeout(SOON_S):
            await server.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(url)


async def test_a_request_under_way_is_answered_and_then_the_server_is_gone() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await go.wait()

    async with serving(slow) as (server, url, http):
        asked = asyncio.create_task(http.get(f"{url}/slow"))
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(url, headers={"connection": "close"})
        assert not stopping.done()
        go.set()
        answer = await asked
        assert (answer.status, await answer.text()) == (200, "ok")
        async with asyncio.timeout(SOON_S):
            await stopping


async def test_a_request_that_is_not_done_in_time_is_cut_off_without_an_answer_and_told() -> None:
    log, complaints = Log(), Complaints()
    log.capture()
    logging.getLogger("uvicorn.error").addHandler(complaints)
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(endless) as (server, url, http):
        asked = asyncio.create_task(http.post(f"{url}/slow"))
        await begun.wait()
        await server.stop()
        async with asyncio.timeout(SOON_S):
            await cancelled.wait()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await asked
    logging.getLogger("uvicorn.error").removeHandler(complaints)
    assert complaints.heard == []
    (line,) = log.lines("requests_cut_off")
    assert line["requests"] == 1
