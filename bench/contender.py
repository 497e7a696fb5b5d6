"""A running stack that is measured by requests, and the turns that stacks take."""

import statistics
from collections.abc import Sequence
from typing import Protocol

from bench.failure import BenchFailed
from bench.load import Block, Load
from bench.plan import Measured, Paced, Plan
from bench.process import StackProcess

_FIRST_BLOCK = 4  # requests per connection: connects, fills pools, and tells how long the next block may be


class Contender(Protocol):
    """A running stack that can be measured."""

    @property
    def name(self) -> str:
        """The name of the stack."""

    async def warm_up(self, seconds: float) -> None:
        """Work for about that long, and learn how fast this stack is."""

    async def measure(self, seconds: float) -> Measured:
        """Measure for about that long; raises `BenchFailed` if the round is void."""


class Work(Protocol):
    """What the requests are, and where their effect is counted."""

    effect: str  # "arrived upstream", as a void round says it
    has_effect: bool

    async def make(self, count: int) -> list[bytes]:
        """Return that many requests, no two alike."""

    async def seen(self) -> int:
        """Return how many effects there have been so far."""


async def take_turns(contenders: Sequence[Contender], plan: Plan) -> dict[str, list[Measured]]:
    """Warm every stack up, then measure all of them in each round, another one first each time."""
    for contender in contenders:
        await contender.warm_up(plan.warm_up_s)
    rounds: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for number in range(plan.rounds):
        shift = number % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            rounds[contender.name].append(await contender.measure(plan.seconds))
    return rounds


class Served:
    """A running stack with its load."""

    def __init__(
        self, process: StackProcess, load: Load, work: Work, concurrency: int, name: str | None = None
    ) -> None:
        self.name = name or process.name
        self._process = process
        self._load = load
        self._work = work
        self._least = _FIRST_BLOCK * concurrency
        self._rate = 0.0

    async def warm_up(self, seconds: float) -> None:
        """Send ever larger blocks for about that long, and learn how fast this stack is."""
        size = self._least
        spent = 0.0
        while spent < seconds:
            block, _ = await self._send(size)
            self._rate = block.per_s
            spent += block.elapsed_s
            size = max(self._least, min(2 * size, int(self._rate * (seconds - spent))))

    async def measure(self, seconds: float) -> Measured:
        """Measure one block of about that many seconds, after a small one that is not counted."""
        await self._send(self._least)  # connections to Meta that idled in the meantime are made anew
        size = max(self._least, int(self._rate * seconds))
        block, cpu_s = await self._send(size)
        self._rate = block.per_s
        latencies = statistics.quantiles(block.latencies_s, n=100)
        return Measured(
            count=size,
            per_s=block.per_s,
            cpu_us=cpu_s / size * 1e6,
            p50_ms=latencies[49] * 1000,
            p99_ms=latencies[98] * 1000,
        )

    async def pace(self, per_s: float, seconds: float) -> Paced:
        """Send requests evenly spaced for that long, whatever the answers do."""
        block, _ = await self._send(max(self._least, int(per_s * seconds)), per_s)
        latencies = [latency * 1000 for latency in block.latencies_s]
        return Paced(
            per_s=per_s,
            count=len(latencies),
            median_ms=statistics.median(latencies),
            p99_ms=statistics.quantiles(latencies, n=100)[98],
            over_250_ms=sum(latency > 250 for latency in latencies) / len(latencies),
            over_1_s=sum(latency > 1000 for latency in latencies) / len(latencies),
        )

    async def _send(self, size: int, per_s: float | None = None) -> tuple[Block, float]:
        """Send a block and return it with the CPU time it took; void unless there were exactly its effects."""
        requests = await self._work.make(size)
        seen_before = await self._work.seen()
        cpu_before = await self._process.cpu_s()
        try:
            block = await self._load.send(requests, per_s)
        except BenchFailed as failure:
            raise BenchFailed(f"void round of {self.name}: {failure}") from None
        cpu_s = await self._process.cpu_s() - cpu_before
        seen = await self._work.seen() - seen_before
        expected = size if self._work.has_effect else 0
        if seen != expected or len(block.latencies_s) != size:
            raise BenchFailed(
                f"void round of {self.name}: {size} sent, {len(block.latencies_s)} accepted, "
                f"{seen} {self._work.effect} instead of {expected}"
            )
        return block, cpu_s
