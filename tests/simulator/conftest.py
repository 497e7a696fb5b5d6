"""A running simulator, a client of its Graph side and control API, and a receiver of its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from waypost.simulator import Simulator

PHONE = "106540352242922"
WABA = "102290129340398"
TO = "+8613800000001"
Body = dict[str, Any]


def text_to(number: str = TO, **more: object) -> Body:
    """A minimal text message."""
    return {"messaging_product": "whatsapp", "to": number, "type": "text", "text": {"body": "hello"}, **more}


@dataclass(frozen=True)
class Hook:
    """One webhook as it came in."""

    headers: dict[str, str]
    raw: bytes

    @property
    def value(self) -> Body:
        (entry,) = json.loads(self.raw)["entry"]
        (change,) = entry["changes"]
        value: Body = change["value"]
        return value

    @property
    def status(self) -> Body:
        (status,) = self.value["statuses"]
        found: Body = status
        return found


class Receiver:
    """Meta's webhooks arrive here; `answers` holds HTTP statuses for the next ones (0 = none at all), then 200."""

    def __init__(self, verify_token: str) -> None:
        self.verify_token = verify_token
        self.url = ""
        self.hooks: list[Hook] = []
        self.answers: list[int] = []
        self.challenge_prefix = ""
        self._arrived = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            asked = request.query
            if asked["hub.mode"] != "subscribe" or asked["hub.verify_token"] != self.verify_token:
                return web.Response(status=403)
            return web.Response(text=self.challenge_prefix + asked["hub.challenge"])
        async with self._arrived:
            self.hooks.append(Hook(dict(request.headers), await request.read()))
            self._arrived.notify_all()
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            await asyncio.Event().wait()
        return web.Response(status=status)

    async def wait_for(self, count: int) -> list[Hook]:
        """All webhooks, once there are `count`."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.hooks) >= count)
            return list(self.hooks)

    async def statuses(self, count: int) -> list[str]:
        """The names of the first `count` statuses, in their order of arrival."""
        return [hook.status["status"] for hook in (await self.wait_for(count))[:count]]


class Meta:
    """A client of the simulator: Graph calls with a token, control calls by name."""

    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.simulator, self.http = simulator, http

    async def graph(
        self, method: str, path: str, body: object = None, token: str | None = "token"
    ) -> tuple[int, Body, dict[str, str]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, self.simulator.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    async def send(
        self, body: object, *, phone: str = PHONE, endpoint: str = "messages", version: str = "v23.0"
    ) -> tuple[int, Body]:
        status, answer, _ = await self.graph("POST", f"/{version}/{phone}/{endpoint}", body)
        return status, answer

    async def accepted(self, body: object, **where: str) -> str:
        """Sends what must be accepted; gives the message id."""
        status, answer = await self.send(body, **where)
        assert status == 200, answer
        message_id: str = answer["messages"][0]["id"]
        return message_id

    async def refused(self, body: object, **where: str) -> tuple[int, str]:
        """Sends what must be refused; gives the code and the details."""
        status, answer = await self.send(body, **where)
        assert status >= 400, answer
        error = answer["error"]
        return error["code"], error.get("error_data", {}).get("details", "")

    async def control(self, method: str, call: str, body: object = None, *, status: int = 200) -> Any:
        url = f"{self.simulator.control_url}/_simulator/{call}"
        async with self.http.request(method, url, json=body) as answer:
            content = await answer.json()
            assert answer.status == status, content
            return content

    async def config(self, **keys: object) -> Body:
        shown: Body = await self.control("PUT", "config", keys)
        return shown


@pytest.fixture
async def sim_http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def sim_meta(sim_http: aiohttp.ClientSession) -> AsyncIterator[Meta]:
    """A started simulator; afterwards nothing of it may be left on the event loop."""
    before = asyncio.all_tasks()
    simulator = Simulator(seed=7)
    await simulator.start()
    yield Meta(simulator, sim_http)
    await simulator.stop()
    assert not {str(task) for task in asyncio.all_tasks() - before - {asyncio.current_task()}}


@pytest.fixture
async def sim_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver("verify me")
    app = web.Application()
    app.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def sim_linked(sim_meta: Meta, sim_receiver: Receiver) -> Meta:
    """The simulator with its webhooks verified; statuses come at once."""
    shown = await sim_meta.config(
        webhook_url=sim_receiver.url, verify_token="verify me", app_secret="app secret", time_factor=0
    )
    assert shown["webhook"] == {"verified": True, "reason": ""}
    return sim_meta
