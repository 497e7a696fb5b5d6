"""The course of a bench: start the stacks, warm them up, measure them in turns, and void what is not exact."""

import contextlib
import os
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench import machine
from bench.failure import BenchFailed
from bench.load import Block, Load
from bench.process import StackProcess
from bench.requests import Requests
from bench.stacks import STACKS, UNPINNED
from bench.upstream import LeanUpstream, SimulatorUpstream, Upstream

_FIRST_BLOCK = 4  # requests per connection: connects, fills pools, and tells how long the next block may be


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a bench is run; `seconds` is about how long each stack is measured in each round."""

    rounds: int
    seconds: float
    warm_up_s: float
    concurrency: int
    upstream: str  # "lean" or "simulator"
    folder: Path | None  # where the journal is put; None: the system's temporary folder


class Measured(msgspec.Struct, frozen=True):
    """One stack in one round."""

    messages: int
    messages_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server process, per message


class Results(msgspec.Struct, frozen=True):
    """Everything that was measured: a list of rounds for each stack, all of the same length."""

    machine: machine.Machine
    pinned: bool
    steal_percent: float | None
    rounds: dict[str, list[Measured]]


async def run(plan: Plan) -> Results:
    """Run a bench; raises `BenchFailed` if any round is void."""
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", dir=plan.folder) as folder:
        described = machine.describe(Path(folder))
        cores = machine.cores()
        if cores is not None:
            os.sched_setaffinity(0, {cores[1]})  # load and upstream; each server takes the other
        async with _contenders(plan, Path(folder), UNPINNED if cores is None else cores[0]) as contenders:
            for contender in contenders:
                await contender.warm_up(plan.warm_up_s)
            steal = machine.Steal()
            rounds: dict[str, list[Measured]] = {name: [] for name in STACKS}
            for number in range(plan.rounds):
                shift = number % len(contenders)  # another one comes first each time
                for contender in (*contenders[shift:], *contenders[:shift]):
                    rounds[contender.name].append(await contender.measure(plan.seconds))
        return Results(described, cores is not None, steal.percent(), rounds)


@asynccontextmanager
async def _contenders(plan: Plan, folder: Path, core: int) -> AsyncIterator[list["Contender"]]:
    upstream: Upstream = LeanUpstream() if plan.upstream == "lean" else SimulatorUpstream()
    requests = Requests()
    async with contextlib.AsyncExitStack() as running:
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        contenders: list[Contender] = []
        for name in STACKS:
            process = await StackProcess.start(name, url, folder / name, core)
            running.push_async_callback(process.stop)
            load = Load(process.url, plan.concurrency)
            await load.open()
            running.callback(load.close)
            contenders.append(Contender(process, load, requests, upstream, plan.concurrency))
        yield contenders


class Contender:
    """A running stack with its load."""

    def __init__(
        self, process: StackProcess, load: Load, requests: Requests, upstream: Upstream, concurrency: int
    ) -> None:
        self.name = process.name
        self._process = process
        self._load = load
        self._requests = requests
        self._upstream = upstream
        self._least = _FIRST_BLOCK * concurrency
        self._rate = 0.0

    async def warm_up(self, seconds: float) -> None:
        """Send ever larger blocks for about that long, and learn how fast this stack is."""
        size = self._least
        spent = 0.0
        while not self._rate or spent < seconds:
            block = await self._send(size)
            self._rate = block.messages_per_s
            spent += block.elapsed_s
            size = max(self._least, min(2 * size, int(self._rate * (seconds - spent))))

    async def measure(self, seconds: float) -> Measured:
        """Measure one block of about that many seconds, after a small one that is not counted."""
        await self._send(self._least)  # connections to Meta that idled in the meantime are made anew
        size = max(self._least, int(self._rate * seconds))
        before = await self._process.cpu_s()
        block = await self._send(size)
        cpu_s = await self._process.cpu_s() - before
        self._rate = block.messages_per_s
        latencies = statistics.quantiles(block.latencies_s, n=100)
        return Measured(
            messages=size,
            messages_per_s=block.messages_per_s,
            p50_ms=latencies[49] * 1000,
            p99_ms=latencies[98] * 1000,
            cpu_us=cpu_s / size * 1e6,
        )

    async def _send(self, size: int) -> Block:
        """Send a block; void unless Meta's stand-in took exactly what was answered with code 0."""
        before = await self._upstream.count()
        try:
            block = await self._load.send(self._requests.make(size))
        except BenchFailed as failure:
            raise BenchFailed(f"void round of {self.name}: {failure}") from None
        taken = await self._upstream.count() - before
        expected = 0 if self.name == "no-op" else size
        if taken != expected or len(block.latencies_s) != size:
            raise BenchFailed(
                f"void round of {self.name}: {size} sent, {len(block.latencies_s)} accepted, "
                f"{taken} arrived upstream instead of {expected}"
            )
        return block
