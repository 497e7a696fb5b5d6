"""Meta in a process of its own, so that nothing of a run slows it down: `python -m tests.soak.cluster_meta SEED`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.fault.process import LISTENS, GatewayProcess, environment
from tests.harness import APP_SECRET, VERIFY_TOKEN, Control
from waypost.simulator import Simulator


class MetaProcess(Control):
    """The simulator's control API, from outside its process."""

    def __init__(self, seed: int, folder: Path, http: aiohttp.ClientSession) -> None:
        command = ["-m", "tests.soak.cluster_meta", str(seed)]
        self._process = GatewayProcess(command, environment(folder), folder / "meta.log")
        self._http = http
        self.url = ""

    async def start(self) -> None:
        """Start it and wait until it takes calls."""
        self.url = await self._process.start()

    async def end(self) -> None:
        """End it."""
        self._process.kill()
        await self._process.ended()

    async def call(self, method: str, path: str, body: object | None = None) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        async with self._http.request(method, f"{self.url}/_simulator/{path}", data=data) as answer:
            content = await answer.read()
            assert answer.status == 200, content
            return msgspec.json.decode(content) if content else None

    async def connect(self, url: str, time_factor: float, **config: object) -> None:
        """Have Meta report to a gateway."""
        given = await self.config(
            webhook_url=f"{url}/meta/webhook",
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            time_factor=time_factor,
            **config,
        )
        assert given["webhook"]["verified"], given["webhook"]


async def _serve(seed: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    simulator = Simulator(seed=seed)
    await simulator.start()
    print(f"{LISTENS}{simulator.url}", flush=True)
    try:
        await stop.wait()
    finally:
        await simulator.stop()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
