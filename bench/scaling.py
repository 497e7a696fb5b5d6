"""Scaling: 1, 2 and 3 gateway processes on one PostgreSQL, beside one on SQLite; what each part costs of the CPU.

`python -m bench.scaling [ROUNDS] [SECONDS]`. On two cores no rate shows what more machines would give: gateways,
database, load and upstream share them. What carries over is the CPU of each part for one message.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench.contender import take_turns
from bench.failure import BenchFailed
from bench.load import Block, Load
from bench.plan import Measured, Plan
from bench.process import StackProcess
from bench.requests import Requests
from bench.upstream import LeanUpstream
from tests.servers import Postgres

CONCURRENCY = 64  # requests under way at each gateway process, so that its groups are as large whatever the others do
_LEAST = 8 * CONCURRENCY
_LATE_S = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Split(msgspec.Struct, frozen=True):
    """What one round's messages cost besides the gateways: the database's CPU, and its commits, for each."""

    database_us: float
    commits: float


class Several:
    """Gateway processes that share a journal, with their part of the load each."""

    def __init__(self, name: str, processes: Sequence[StackProcess], upstream: LeanUpstream, server: "Server") -> None:
        self.name = name
        self.splits: list[Split] = []
        self._processes = processes
        self._loads = [Load(process.url, CONCURRENCY) for process in processes]
        self._requests = Requests()
        self._upstream = upstream
        self._server = server
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
        cpu_s, database_s, commits = await self._cpu_s(), self._server.cpu_s(), await self._server.commits()
        blocks = await self._send(size)
        count = sum(len(block.latencies_s) for block in blocks)
        self.splits.append(
            Split(
                database_us=(self._server.cpu_s() - database_s) / count * 1e6,
                commits=(await self._server.commits() - commits) / count,
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


class Server:
    """The PostgreSQL server seen from outside: its CPU time and its commits."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def cpu_s(self) -> float:
        """Return the CPU time of all its processes so far, those that have ended included."""
        parent = self._postgres.pid
        return _own_s(parent, ended_too=True) + sum(_own_s(child) for child in _children(parent))

    async def commits(self) -> int:
        """Return how many transactions it has committed."""
        connection = await asyncpg.connect(self._postgres.url)
        try:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            number: int = await connection.fetchval("SELECT SUM(xact_commit)::bigint FROM pg_stat_database")
        finally:
            await connection.close()
        return number


def _own_s(pid: int, *, ended_too: bool = False) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile, and its parent counts it
        return 0.0
    return sum(map(int, fields[11 : 15 if ended_too else 13])) / _TICKS


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


async def run(rounds: int, seconds: float) -> tuple[dict[str, list[Measured]], dict[str, list[Split]]]:
    """Measure every configuration in each round; raises `BenchFailed` if any round is void."""
    plan = Plan(rounds=rounds, seconds=seconds, warm_up_s=2, concurrency=CONCURRENCY, upstream="lean", folder=None)
    async with contextlib.AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="waypost-bench-")))
        postgres, upstream = Postgres(durable=True), LeanUpstream()
        await postgres.start()
        running.push_async_callback(postgres.remove)
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        server = Server(postgres)
        contenders: list[Several] = []
        for number in (0, 1, 2, 3):
            processes = await _start(number, url, folder, postgres)
            for process in processes:
                running.push_async_callback(process.stop)
            name = f"PostgreSQL x{number}" if number else "SQLite x1"
            contenders.append(Several(name, processes, upstream, server))
            await contenders[-1].open()
            running.callback(contenders[-1].close)
        measured = await take_turns(contenders, plan)
        return measured, {contender.name: contender.splits for contender in contenders}


async def _start(number: int, upstream: str, folder: Path, postgres: Postgres) -> list[StackProcess]:
    if not number:
        return [await StackProcess.start("full", upstream, folder / "sqlite", -1)]
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE bench{number} TEMPLATE template0")
    await connection.close()
    database = postgres.url.replace("/postgres?", f"/bench{number}?").removesuffix("/postgres") + f"/bench{number}"
    environment = {"BENCH_DATABASE_URL": database}
    return [
        await StackProcess.start("shared", upstream, folder / f"{number}-{one}", -1, environment)
        for one in range(number)
    ]


def show(measured: dict[str, list[Measured]], splits: dict[str, list[Split]]) -> None:
    """Print the medians of all rounds."""
    table = Table(
        "journal x gateways", "messages/s", "range", "p50 ms", "p99 ms", "gateway us", "database us", "commits"
    )
    for name, rounds in measured.items():
        rates = [one.per_s for one in rounds]
        table.add_row(
            name,
            f"{statistics.median(rates):.0f}",
            f"{min(rates):.0f}-{max(rates):.0f}",
            *(f"{statistics.median(getattr(one, field) for one in rounds):.1f}" for field in ("p50_ms", "p99_ms")),
            f"{statistics.median(one.cpu_us for one in rounds):.0f}",
            *(
                f"{statistics.median(getattr(one, field) for one in splits[name]):.{digits}f}"
                for field, digits in (("database_us", 0), ("commits", 3))
            ),
        )
    Console(width=110).print(table)


def main(rounds: int = 5, seconds: float = 1.5) -> None:
    """Measure and print."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        show(*runner.run(run(rounds, seconds)))


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float), sys.argv[1:], strict=False)))
