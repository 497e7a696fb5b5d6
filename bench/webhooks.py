"""Webhooks: Meta's reports to the gateway, beside a no-op server; and whether Meta would be content."""

import contextlib
import itertools
import statistics

from bench.contender import Served, take_turns
from bench.failure import BenchFailed
from bench.journal import Journal
from bench.load import CODE_0, Load
from bench.plan import Bulk, Measurement, Place, Plan
from bench.posts import MOST_UPDATES, STATUSES, largest, single
from bench.process import StackProcess, check_queued, start_stacks
from bench.requests import BENCH, Requests
from bench.sending import Sent
from bench.upstream import LeanUpstream, meta_id

CONCURRENCY = 16
PACED_PER_S = 300.0
_PACED_ROUNDS = 3  # as long as so many rounds


class MadeUp:
    """POSTs about messages that nobody sent, for a server that does not look."""

    effect = "recorded"
    has_effect = False

    def __init__(self) -> None:
        self._ids = map(meta_id, itertools.cycle(BENCH.phones), itertools.count(1))

    async def make(self, count: int) -> list[bytes]:
        """Return that many POSTs."""
        return _posts(list(itertools.islice(self._ids, _messages(count))), count)

    async def seen(self) -> int:
        """Return 0: there is no journal."""
        return 0


class Reports:
    """POSTs about messages that the gateway has just sent, counted in its journal."""

    effect = "recorded"
    has_effect = True

    def __init__(self, sent: Sent, journal: Journal) -> None:
        self._sent = sent
        self._journal = journal

    async def make(self, count: int) -> list[bytes]:
        """Send messages, and return that many POSTs about them: sent of all, delivered of all, read of all."""
        return _posts(await self._sent.more(_messages(count)), count)

    async def seen(self) -> int:
        """Return how many statuses are recorded."""
        return self._journal.statuses()


def _messages(posts: int) -> int:
    return -(-posts // len(STATUSES))


def _posts(ids: list[str], count: int) -> list[bytes]:
    return [single(BENCH, one, status) for status in STATUSES for one in ids][:count]


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure webhooks in turns, then at a steady rate; raises `BenchFailed` if any round is void."""
    concurrency = min(CONCURRENCY, plan.concurrency)
    upstream = LeanUpstream()
    async with contextlib.AsyncExitStack() as running:
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        floor, full = await start_stacks(("no-op", "full"), url, place, running)
        journal = Journal(full.journal)
        running.callback(journal.close)

        async def load(process: StackProcess, connections: int, accepted: bytes) -> Load:
            made = Load(process.url, connections, accepted)
            await made.open()
            running.callback(made.close)
            return made

        sent = Sent(await load(full, plan.concurrency, CODE_0), Requests(), upstream)
        reports = Reports(sent, journal)
        contenders = (
            Served(floor, await load(floor, concurrency, CODE_0), MadeUp(), concurrency),
            Served(full, await load(full, concurrency, b"ok"), reports, concurrency),
        )
        rounds = await take_turns(contenders, plan)
        steady = Served(full, await load(full, plan.concurrency, b"ok"), reports, 1)
        paced = await steady.pace(PACED_PER_S, _PACED_ROUNDS * plan.seconds)
        bulk = await measure_largest(full, await load(full, 1, b"ok"), sent, journal, plan.rounds)
        await check_queued(full)
        return Measurement(rounds, paced, bulk)


async def measure_largest(process: StackProcess, load: Load, sent: Sent, journal: Journal, rounds: int) -> Bulk:
    """Send POSTs as large as Meta's may be, one at a time; void unless every update in them is recorded."""
    latencies_s: list[float] = []
    sizes: list[int] = []
    cpu_s = 0.0
    for _ in range(rounds):
        ids = await sent.more(MOST_UPDATES)
        for request in [largest(BENCH, ids, status) for status in STATUSES]:
            recorded_before = journal.statuses()
            cpu_before_s = await process.cpu_s()
            block = await load.send([request])
            cpu_s += await process.cpu_s() - cpu_before_s
            if (recorded := journal.statuses() - recorded_before) != MOST_UPDATES:
                raise BenchFailed(f"void round of {process.name}: {recorded} of {MOST_UPDATES} updates recorded")
            latencies_s += block.latencies_s
            sizes.append(len(request))
    return Bulk(
        posts=len(sizes),
        updates=MOST_UPDATES,
        post_bytes=min(sizes),
        median_ms=statistics.median(latencies_s) * 1000,
        max_ms=max(latencies_s) * 1000,
        cpu_us=cpu_s / len(sizes) / MOST_UPDATES * 1e6,
    )
