"""What the loss of a NATS server delays: while one of three is gone, its leader, and all of them.

People write to two business phones now and then, and nothing else happens: nobody but the doorbell tells a worker that
there is a callback. The delay is from a person's message to the callback at the receiver.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from tests.receiver import Received, Receiver
from tests.servers import Nats
from tests.soak.cluster_meta import MetaProcess
from tests.soak.cluster_nodes import Cluster
from tests.soak.cluster_traffic import PARTIES, meta_wabas, tenant_tables
from tests.soak.cluster_troubles import stream_leader
from waypost.service import apply_offline

WEB, WORKERS, SERVERS = 2, 2, 3
WRITES_S = (0.05, 0.25)  # from one message to the next
LAST_S = 30.0  # a bound for what is still on its way in the end
BEARABLE_MS = 6_000  # a sweep comes every two seconds


class Phase(NamedTuple):
    """A stretch of the run, and the delays of the messages that were written in it."""

    name: str
    began_ms: int
    delays_ms: list[int]


class DelayRun:
    """One run of five phases, each as long as it is told."""

    def __init__(self, phase_s: float, seed: int, folder: Path, console: Console) -> None:
        self._phase_s = phase_s
        self._rng = random.Random(seed)
        self._folder = folder
        self._console = console
        self._phases: list[Phase] = []
        self._written: dict[str, int] = {}  # messages, and when
        self._told: dict[str, int] = {}
        self._receiver = Receiver()
        self._receiver.answer = self._note

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        async with AsyncExitStack() as running, asyncio.timeout(10 * self._phase_s + 180):
            http = await running.enter_async_context(aiohttp.ClientSession())
            await self._receiver.start()
            running.push_async_callback(self._receiver.stop)
            meta = MetaProcess(self._rng.randrange(1 << 32), self._folder, http)
            await meta.start()
            running.push_async_callback(meta.end)
            cluster = Cluster(self._folder, nats_servers=SERVERS, meta_url=meta.url)
            running.push_async_callback(cluster.end)
            await cluster.start_servers()
            await apply_offline(cluster.settings, tenant_tables(self._receiver.url))
            await cluster.start_nodes(WEB, WORKERS)
            await meta.connect(f"http://127.0.0.1:{cluster.web[0].port}", 0.1, wabas=meta_wabas())

            writing = asyncio.create_task(self._write(meta))
            await self._go_through(cluster.nats)
            writing.cancel()
            missing = await self._missing()
        return self._judge(missing)

    async def _write(self, meta: MetaProcess) -> None:
        for number in itertools.count():
            party = PARTIES[number % len(PARTIES)]
            name = f"wamid.inbound-{number}"
            self._written[name] = _now_ms()
            message = {
                "id": name,
                "phone_number_id": party.phones[0].id,
                "from": "8613912345678",
                "text": {"body": "hi"},
            }
            await meta.call("POST", "inbound", message)
            await asyncio.sleep(self._rng.uniform(*WRITES_S))

    def _note(self, item: Received) -> int:
        (message,) = item.content["messages"]
        self._told.setdefault(message["id"], _now_ms())
        return 200

    async def _go_through(self, servers: list[Nats]) -> None:
        async def nothing() -> None:
            return

        await self._phase("all three run", nothing)
        leader = await stream_leader(servers)
        follower = next(server for server in servers if server.name != leader)
        await self._phase("a node is killed", follower.kill)
        await self._phase("it is back", lambda: _back([follower]))
        leader = await stream_leader(servers)
        leading = next((server for server in servers if server.name == leader), servers[0])
        await self._phase("the leader is killed", leading.kill)
        await self._phase("it is back", lambda: _back([leading]))

        async def kill_all() -> None:
            await asyncio.gather(*(server.kill() for server in servers))

        await self._phase("all are killed", kill_all)
        await self._phase("they are back", lambda: _back(servers))

    async def _phase(self, name: str, begin: Callable[[], Awaitable[None]]) -> None:
        self._phases.append(Phase(name, _now_ms(), []))
        await begin()
        await asyncio.sleep(self._phase_s)

    async def _missing(self) -> list[str]:
        """Wait for the last callbacks, sort the delays into their phases, and name what never came."""
        until = time.monotonic() + LAST_S
        while (missing := self._written.keys() - self._told.keys()) and time.monotonic() < until:
            await asyncio.sleep(0.1)
        for name in self._written.keys() & self._told.keys():
            at_ms = self._written[name]
            phase = next(phase for phase in reversed(self._phases) if phase.began_ms <= at_ms)
            phase.delays_ms.append(self._told[name] - at_ms)
        return sorted(missing)

    def _judge(self, missing: list[str]) -> dict[str, list[str]]:
        table = Table("NATS", "callbacks", "median", "95 %", "longest", box=None)
        late = []
        for name, _, delays in self._phases:
            if len(delays) < 2:
                late.append(f"{name}: {len(delays)} callbacks only")
                continue
            most = max(delays)
            table.add_row(
                name,
                str(len(delays)),
                f"{median(delays):.0f} ms",
                f"{quantiles(delays, n=20)[-1]:.0f} ms",
                f"{most} ms",
            )
            if most > BEARABLE_MS:
                late.append(f"{name}: a callback came {most} ms late")
        self._console.print(table)
        return {"callbacks missing without NATS": missing, "callbacks late without NATS": late}


async def _back(servers: list[Nats]) -> None:
    await asyncio.gather(*(server.start() for server in servers))
    await asyncio.gather(*(server.until_ready() for server in servers))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
