"""A customer's receiver of callbacks: a real HTTP server whose answers a test can switch."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from tests.harness import ShiftableClock
from waypost.store.outbox import AFTER_OUTCOME_MS

HANG, RESET, ENDLESS = -1, -2, -3  # what an answer can be in place of a status: none, a cut, a 500 without an end


class Received(NamedTuple):
    """One callback as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def status(self) -> str | None:
        statuses = self.content.get("statuses")
        return statuses[0]["status"] if statuses else None


class Receiver:
    """Keeps what it gets; answers what `answer` says: a status, `HANG`…, or a function of what was received."""

    def __init__(self, clock: ShiftableClock | None = None) -> None:
        """`clock` is the gateway's, if it may run fast while a callback waits for its request to be answered first."""
        self._clock = clock or ShiftableClock()
        self.received: list[Received] = []
        self.accepted: list[Received] = []  # those that were answered 200
        self.answer: int | Callable[[Received], int] = 200
        self.hold = asyncio.Event()
        self.hold.set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.hold.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        taken = Received(
            request.path, {name.lower(): text for name, text in request.headers.items()}, await request.read()
        )
        self.received.append(taken)
        await self.hold.wait()
        status = self.answer if isinstance(self.answer, int) else self.answer(taken)
        if status < 0:
            return await _misbehave(request, status)
        if status == 200:
            self.accepted.append(taken)
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 301 else {})

    async def until(self, number: int) -> list[Received]:
        """Wait until so many callbacks have come, and return all."""
        await self._clock.hurry(lambda: len(self.received) >= number, AFTER_OUTCOME_MS / 1000)
        return self.received

    def statuses(self) -> list[str | None]:
        return [item.status for item in self.received]


async def _misbehave(request: web.Request, how: int) -> web.StreamResponse:
    """Go on until the other side has had enough."""
    answer = web.StreamResponse(status=500)
    if how == RESET and request.transport is not None:
        request.transport.abort()
    if how == ENDLESS:
        await answer.prepare(request)
    while request.transport is not None and not request.transport.is_closing():
        if how == ENDLESS:
            await answer.write(b"x" * 65_536)
        else:
            await asyncio.sleep(0.01)
    return answer
