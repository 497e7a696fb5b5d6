"""Scaling: 1, 2 and 3 gateway processes on one PostgreSQL, beside one on SQLite; what each part costs of the CPU.

`python -m bench.scaling [ROUNDS] [SECONDS] [IN_ALL]`: so many requests under way at each process, or, with the last
one, at all of them together. On two cores no rate shows what more machines would give: gateways,
database, load and upstream share them. What carries over is the CPU of each part for one message.
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench.contender import take_turns
from bench.failure import BenchFailed
from bench.installation import Database, Installation
from bench.load import Block, Load
from bench.plan import Measured, Plan
from bench.process import StackProcess
from bench.requests import Requests
from bench.stacks import UNPINNED
from bench.upstream import LeanUpstream
from tests.servers import Postgres

CONCURRENCY = 64
_LEAST = 8 * CONCURRENCY
_LATE_S = 20.0
_CPU = ("database_us", "load_us")


class Split(msgspec.Struct, frozen=True):
    """What one round's messages cost besides the gateways, for each of them."""

    database_us: float
    load_us: float  # of load generator and Meta's stand-in, which share a process
    commits: float
    wal_bytes: float


class Several:
    """Gateway processes that share a journal, with their part of the load each."""

    def __init__(
        self, name: str, processes: Sequence[StackProcess], upstream: LeanUpstream, database: Database, each: int
    ) -> None:
        """`each` is how many requests are under way at each process."""
        self.name = name
        self.splits: list[Split] = []
        self._processes = processes
        self._loads = [Load(process.url, each) for process in processes]
        self._requests = Requests()
        self._upstream = upstream
        self._database = database
        self._rate = 0.0

    async def open(self) -> None:
        """Connect."""
        for load in self._loads:
            await load.open()

    def close(self) -> None:
        """Hang up."""
        for load in self._loads:
            load.close()

    async def warm_up(self, seconds: float) -> None:
        """Send ever larger blocks for about that long."""
        size, spent = _LEAST, 0.0
        while spent < seconds:
            blocks = await self._send(size)
            spent += max(block.elapsed_s for block in blocks)
            self._rate = sum(block.per_s for block in blocks)
            size = max(_LEAST, min(2 * size, int(self._rate * (seconds - spent))))

    async def measure(self, seconds: float) -> Measured:
        """Measure one block of about that many seconds; raises `BenchFailed` if not every message arrived once."""
        await self._send(_LEAST)
        size = max(_LEAST, int(self._rate * seconds))
        before = await self._database.written()
        cpu_s, database_s, load_s = await self._cpu_s(), self._database.cpu_s(), time.process_time()
        blocks = await self._send(size)
        count = sum(len(block.latencies_s) for block in blocks)
        load_s, database_s = time.process_time() - load_s, self._database.cpu_s() - database_s
        written = await self._database.written()
        self.splits.append(
            Split(
                database_us=database_s / count * 1e6,
                load_us=load_s / count * 1e6,
                commits=(written.commits - before.commits) / count,
                wal_bytes=(written.wal_bytes - before.wal_bytes) / count,
            )
        )
        self._rate = sum(block.per_s for block in blocks)
        quantiles = statistics.quantiles([one for block in blocks for one in block.latencies_s], n=100)
        return Measured(
            count=count,
            per_s=count / max(block.elapsed_s for block in blocks),
            cpu_us=(await self._cpu_s() - cpu_s) / count * 1e6,
            p50_ms=quantiles[49] * 1000,
            p99_ms=quantiles[98] * 1000,
        )

    async def _send(self, size: int) -> list[Block]:
        before = await self._upstream.count()
        each = size // len(self._loads)
        blocks = await asyncio.gather(*(load.send(self._requests.make(each)) for load in self._loads))
        expected = each * len(self._loads)
        try:
            async with asyncio.timeout(_LATE_S):  # one whose slot another process has waits a moment
                while await self._upstream.count() - before < expected:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            arrived = await self._upstream.count() - before
            raise BenchFailed(f"void round of {self.name}: {arrived} arrived instead of {expected}") from None
        return blocks

    async def _cpu_s(self) -> float:
        return sum([await process.cpu_s() for process in self._processes])


async def run(
    rounds: int, seconds: float, in_all: int | None
) -> tuple[dict[str, list[Measured]], dict[str, list[Split]]]:
    """Measure every configuration in each round; raises `BenchFailed` if any round is void."""
    plan = Plan(rounds=rounds, seconds=seconds, warm_up_s=2, concurrency=CONCURRENCY, upstream="lean", folder=None)
    async with contextlib.AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="waypost-bench-")))
        postgres, upstream = Postgres(durable=True), LeanUpstream()
        await postgres.start()
        running.push_async_callback(postgres.remove)
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        installation = Installation(folder, url, postgres)
        contenders: list[Several] = []
        for number in (0, 1, 2, 3):
            if number:
                journal = await installation.new_database(f"bench{number}")
                processes = [await installation.start(journal) for _ in range(number)]
            else:
                processes = [await StackProcess.start("full", url, folder / "sqlite", UNPINNED)]
            for process in processes:
                running.push_async_callback(process.stop)
            name = f"PostgreSQL x{number}" if number else "SQLite x1"
            each = CONCURRENCY if in_all is None else in_all // len(processes)
            contenders.append(Several(name, processes, upstream, installation.database, each))
            await contenders[-1].open()
            running.callback(contenders[-1].close)
        measured = await take_turns(contenders, plan)
        return measured, {contender.name: contender.splits for contender in contenders}


def show(measured: dict[str, list[Measured]], splits: dict[str, list[Split]]) -> None:
    """Print the medians of all rounds."""
    columns = ("messages/s", "range", "p50 ms", "p99 ms", "gateway us", "database us", "load us", "commits", "WAL kB")
    table = Table("journal x gateways", *columns)
    for name, rounds in measured.items():
        rates = [one.per_s for one in rounds]
        table.add_row(
            name,
            f"{statistics.median(rates):.0f}",
            f"{min(rates):.0f}-{max(rates):.0f}",
            *(f"{statistics.median(getattr(one, field) for one in rounds):.1f}" for field in ("p50_ms", "p99_ms")),
            f"{statistics.median(one.cpu_us for one in rounds):.0f}",
            *(f"{statistics.median(getattr(one, field) for one in splits[name]):.0f}" for field in _CPU),
            f"{statistics.median(one.commits for one in splits[name]):.3f}",
            f"{statistics.median(one.wal_bytes for one in splits[name]) / 1000:.1f}",
        )
    Console(width=130).print(table)


def main(rounds: int = 5, seconds: float = 1.5, in_all: int | None = None) -> None:
    """Measure and print."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        show(*runner.run(run(rounds, seconds, in_all)))


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float, int), sys.argv[1:], strict=False)))
