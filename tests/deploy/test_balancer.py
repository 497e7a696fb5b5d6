"""The balancer as it is configured, in front of gateways that come and go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.deploy import balancer, programs
from tests.docs.source import ROOT
from tests.harness import WAIT_S, settings_for
from tests.servers import free_port
from waypost.service import Service


@asynccontextmanager
async def running_balancer(folder: Path, *ports: int) -> AsyncIterator[str]:
    """Run haproxy as it is configured, but on ports of this machine, and return where it listens."""
    text = balancer.configuration(ROOT)
    listens = free_port()
    for number, port in enumerate(ports, 1):
        text = text.replace(f"web-{number}:8080", f"127.0.0.1:{port}")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{listens}").replace(":8404", f":{free_port()}")
    text = text.replace("maxconn 16384", "maxconn 64")  # it refuses to start where it may not open so many files
    file = folder / "haproxy.cfg"
    file.write_text(text)
    with (folder / "log").open("wb") as log:
        program = str(programs.haproxy())
        process = await asyncio.create_subprocess_exec(program, "-db", "-f", str(file), stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{listens}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ask(url: str, times: int = 50) -> Counter[str]:
    """Ask as customers do, each time on a connection of its own, and count the answers."""
    answers: Counter[str] = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        for _ in range(times):
            try:
                async with http.post(f"{url}/api/wa/mt", data=b"{}") as answer:
                    answers[str(answer.status)] += 1
            except aiohttp.ClientError as error:
                answers[type(error).__name__] += 1
    return answers


async def first_answer(url: str) -> None:
    """Wait until somebody answers behind an address."""
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)


async def until_it_answers_too(url: str, port: int) -> Counter[str]:
    """Ask until a gateway has answered one of the requests, and return how all were answered."""
    answers: Counter[str] = Counter()
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
        while True:
            answers += await ask(url, 4)
            async with http.get(f"http://127.0.0.1:{port}/metrics") as page:
                if 'waypost_answers_total{code="1001"' in await page.text():
                    return answers


async def test_a_gateway_that_has_gone_is_not_missed_and_one_that_came_back_is_used(tmp_path: Path) -> None:
    ports = (free_port(), free_port())
    async with AsyncExitStack() as stack:

        async def start(port: int) -> Service:
            service = Service(settings_for(tmp_path / str(port), "http://127.0.0.1:9"))
            await service.start("127.0.0.1", port)
            stack.push_async_callback(service.stop)
            return service

        running = [await start(port) for port in ports]
        url = await stack.enter_async_context(running_balancer(tmp_path, *ports))
        await first_answer(f"{url}/healthz")
        answers = await ask(url)
        for service, port in zip(running, ports, strict=True):
            await service.stop()
            answers += await ask(url)
            await start(port)
            answers += await until_it_answers_too(url, port)
    assert set(answers) == {"200"}


async def test_while_none_is_ready_customers_are_answered_by_whichever_lives(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503 if request.path == "/readyz" else 200)

    async def until_asked() -> None:
        async with asyncio.timeout(WAIT_S):
            while asked["/readyz"] < 2:
                await asyncio.sleep(0.01)

    asked: Counter[str] = Counter()

    @web.middleware
    async def count(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        asked[request.path] += 1
        return await handler(request)

    app = web.Application(middlewares=[count])
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    lives, dead = free_port(), free_port()
    await web.TCPSite(runner, "127.0.0.1", lives).start()
    async with running_balancer(tmp_path, dead, lives) as url:
        await until_asked()  # twice not ready: it is out, and so is the one that does not live
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            for _ in range(5):
                async with http.get(f"{url}/api/wa/mt") as reply:
                    assert reply.status == 200
    await runner.cleanup()
