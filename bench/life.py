"""A whole life: messages are sent, each is reported three times, each report is called back; what every part costs.

`python -m bench.life [ROUNDS] [MESSAGES]`. On two cores the rates say little; the CPU of each part for one message is
what carries over to other machines.
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench.installation import Installation
from bench.journal import Journal
from bench.load import Load
from bench.posts import STATUSES, single
from bench.process import StackProcess
from bench.receiver import Receiver
from bench.requests import BENCH, Requests
from bench.stacks import UNPINNED
from bench.upstream import LeanUpstream
from bench.webhooks import CONCURRENCY
from tests.servers import Nats, Postgres

SENDS = 64  # requests to send a message that are under way at once, at all web processes together
SHAPES = ((0, 0), (1, 1), (1, 2), (2, 2))  # web and worker processes; 0 and 0: one process on SQLite
_LATE_S = 120.0
_LOOK_S = 0.05
_CPU = ("web_us", "worker_us", "database_us", "nats_us", "load_us")
_CALLBACKS = "SELECT count(*) FROM work WHERE kind = 'callback'"


class Cost(msgspec.Struct, frozen=True):
    """What the lives of one round cost, for each message: CPU microseconds of each part, and what the database did."""

    web_us: float
    worker_us: float
    database_us: float
    nats_us: float
    load_us: float  # of load generator, receiver and Meta's stand-in, which share a process
    commits: float
    wal_bytes: float
    lives_per_s: float


class Outside(NamedTuple):
    """What stands around the gateways: Meta's stand-in, the customer's receiver and the servers they share."""

    upstream: LeanUpstream
    receiver: Receiver
    url: str  # of the receiver
    installation: Installation


class Shape:
    """Gateway processes that share their work."""

    def __init__(
        self, name: str, web: Sequence[StackProcess], workers: Sequence[StackProcess], outside: Outside
    ) -> None:
        self.name = name
        self.settled: Callable[[], Awaitable[None]] | None = None
        self._web = web
        self._workers = workers
        self._outside = outside
        self._sends = [Load(process.url, SENDS // len(web)) for process in web]
        self._webhooks = [Load(process.url, CONCURRENCY // len(web), b"ok") for process in web]
        self._requests = Requests(outside.url)

    async def _open(self) -> None:
        for load in (*self._sends, *self._webhooks):
            await load.open()

    def _close(self) -> None:
        for load in (*self._sends, *self._webhooks):
            load.close()

    async def measure(self, count: int) -> Cost:
        """Have so many messages live, over new connections: in its turn's absence a gateway closes idle ones."""
        await self._open()
        try:
            return await self._measured(count)
        finally:
            self._close()

    async def _measured(self, count: int) -> Cost:
        installation = self._outside.installation
        before = await installation.database.written()
        spent, began_s = await self._spent_s(), time.perf_counter()
        await self._live(count)
        elapsed_s = time.perf_counter() - began_s
        now = await self._spent_s()
        web, worker, database, nats, load = (
            (after - then) / count * 1e6 for after, then in zip(now, spent, strict=True)
        )
        written = await installation.database.written()
        return Cost(
            web_us=web,
            worker_us=worker,
            database_us=database,
            nats_us=nats,
            load_us=load,
            commits=(written.commits - before.commits) / count,
            wal_bytes=(written.wal_bytes - before.wal_bytes) / count,
            lives_per_s=count / elapsed_s,
        )

    async def _live(self, count: int) -> None:
        upstream, receiver = self._outside.upstream, self._outside.receiver
        receiver.hold()
        receiver.go_on()
        came = len(upstream.given)
        await self._spread(self._sends, self._requests.make(count))
        ids = upstream.given[came:]
        for status in STATUSES:
            await self._spread(self._webhooks, [single(BENCH, one, status) for one in ids])
        async with asyncio.timeout(_LATE_S):
            await receiver.arrived(count * len(STATUSES))
            assert self.settled is not None
            await self.settled()

    async def _spread(self, loads: Sequence[Load], requests: Sequence[bytes]) -> None:
        await asyncio.gather(*(load.send(requests[place :: len(loads)]) for place, load in enumerate(loads)))

    async def _spent_s(self) -> tuple[float, ...]:
        """Return the CPU time of web processes, workers, database, NATS and of this process so far."""
        installation = self._outside.installation
        web, workers = [
            sum([await process.cpu_s() for process in processes]) for processes in (self._web, self._workers)
        ]
        return web, workers, installation.database.cpu_s(), installation.nats_s(), time.process_time()


async def run(rounds: int, messages: int) -> dict[str, list[Cost]]:
    """Measure every shape in each round, another one first each time, after one that is not counted."""
    async with contextlib.AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="waypost-bench-")))
        postgres, nats, upstream, receiver = Postgres(durable=True), Nats(), LeanUpstream(), Receiver()
        for server in (postgres, nats):
            await server.start()
            running.push_async_callback(server.remove)
        meta_url, url = await upstream.start(), await receiver.start()
        running.push_async_callback(upstream.stop)
        running.push_async_callback(receiver.stop)
        outside = Outside(upstream, receiver, url, Installation(folder, meta_url, postgres, nats))
        shapes = [await _started(web, workers, outside, folder, running) for web, workers in SHAPES]
        for shape in shapes:
            await shape.measure(messages // 2)
        costs: dict[str, list[Cost]] = {shape.name: [] for shape in shapes}
        for number in range(rounds):
            first = number % len(shapes)
            for shape in (*shapes[first:], *shapes[:first]):
                costs[shape.name].append(await shape.measure(messages))
        return costs


async def _started(web: int, workers: int, outside: Outside, folder: Path, running: contextlib.AsyncExitStack) -> Shape:
    installation = outside.installation
    if not web:
        alone = await StackProcess.start("full", installation.upstream_url, folder / "sqlite", UNPINNED)
        running.push_async_callback(alone.stop)
        journal = Journal(alone.journal)
        running.callback(journal.close)
        shape = Shape("SQLite, 1 process", [alone], [], outside)
        shape.settled = partial(journal.settled, Requests(outside.url).endpoint)
    else:
        url = await installation.new_database(f"life{web}{workers}")
        roles = ["web"] * web + ["worker"] * workers
        processes = [await installation.start(url, role) for role in roles]
        for process in processes:
            running.push_async_callback(process.stop)
        shape = Shape(f"PostgreSQL, {web} web + {workers} worker", processes[:web], processes[web:], outside)
        shape.settled = partial(_settled, url)
    return shape


async def _settled(url: str) -> None:
    """Wait until no callback waits."""
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval(_CALLBACKS):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(_LOOK_S)
    finally:
        await connection.close()


def show(costs: dict[str, list[Cost]]) -> None:
    """Print the medians of all rounds, and how far they lie apart."""
    columns = ("web us", "worker us", "database us", "NATS us", "load us", "commits", "WAL kB", "lives/s")
    table = Table("journal and processes", *columns, title="CPU microseconds for one message's life")
    for name, rounds in costs.items():
        table.add_row(
            name,
            *(_shown([getattr(one, field) for one in rounds]) for field in _CPU),
            f"{statistics.median(one.commits for one in rounds):.2f}",
            f"{statistics.median(one.wal_bytes for one in rounds) / 1000:.1f}",
            f"{statistics.median(one.lives_per_s for one in rounds):.0f}",
        )
    Console(width=150).print(table)


def _shown(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def main(rounds: int = 5, messages: int = 2_000) -> None:
    """Measure and print."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        show(runner.run(run(rounds, messages)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
