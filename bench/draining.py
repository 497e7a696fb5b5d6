"""The queue: what waited leaves as fast as the gateway can, beside messages that are sent inside their requests."""

import contextlib
import time

import aiohttp

from bench.contender import Served, take_turns
from bench.failure import BenchFailed
from bench.journal import Journal
from bench.load import Load
from bench.plan import Measured, Measurement, Place, Plan
from bench.process import StackProcess, check_queued, start_stacks
from bench.requests import ADMIN_TOKEN, BENCH, Requests
from bench.sending import Messages, Sent
from bench.upstream import LeanUpstream

_LEAST = 4 * len(BENCH.phones)
_MOST = 20_000  # they are entered first, with signatures that are good for a minute


class Queue:
    """A gateway whose WABA is paused while messages come in, and goes on when all of them wait."""

    name = "queue"

    def __init__(self, process: StackProcess, sent: Sent, upstream: LeanUpstream, journal: Journal) -> None:
        self.drained = 0  # so far
        self._process = process
        self._sent = sent
        self._upstream = upstream
        self._journal = journal
        self._rate = 0.0

    async def warm_up(self, seconds: float) -> None:
        """Drain ever more for about that long, and learn how fast it goes."""
        size = _LEAST
        spent = 0.0
        while spent < seconds:
            self._rate = (await self.drain(size)).per_s
            spent += size / self._rate
            size = max(_LEAST, min(4 * size, _MOST, int(self._rate * (seconds - spent))))

    async def measure(self, seconds: float) -> Measured:
        """Measure about that many seconds' worth of messages."""
        measured = await self.drain(max(_LEAST, min(_MOST, int(self._rate * seconds))))
        self._rate = measured.per_s
        return measured

    async def drain(self, count: int) -> Measured:
        """Have that many messages wait, then leave; void unless each of them waited, and left once.

        The clock runs from the order to go on until the outcome of the last one is in the journal.
        """
        came_before, accepted_before = await self._upstream.count(), self._journal.accepted()
        await self._order("pause")
        await self._sent.more(count)
        if (waiting := self._journal.queued()) != count or await self._upstream.count() != came_before:
            raise self._void(count, f"{waiting} waited")
        cpu_before_s = await self._process.cpu_s()
        began_s = time.perf_counter()
        await self._order("resume")
        await self._journal.drained()
        elapsed_s = time.perf_counter() - began_s
        cpu_s = await self._process.cpu_s() - cpu_before_s
        came = await self._upstream.count() - came_before
        accepted = self._journal.accepted() - accepted_before
        if (came, accepted) != (count, count):
            raise self._void(count, f"{came} arrived upstream, {accepted} are accepted in the journal")
        self.drained += count
        return Measured(count=count, per_s=count / elapsed_s, cpu_us=cpu_s / count * 1e6)

    async def _order(self, what: str) -> None:
        order = {"kind": "waba", "key": self._sent.customer.waba_id, "reason": "bench"}
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        url = f"{self._process.url}/admin/v1/queue/{what}"
        async with aiohttp.ClientSession() as http, http.post(url, json=order, headers=headers) as answer:
            if answer.status != 200:
                raise BenchFailed(f"{what}: HTTP {answer.status}: {await answer.text()}")

    def _void(self, count: int, reason: str) -> BenchFailed:
        return BenchFailed(f"void round of {self.name}: {count} to wait and then to leave, {reason}")


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure both in turns in one gateway; raises `BenchFailed` if any round is void."""
    upstream, requests = LeanUpstream(), Requests()
    async with contextlib.AsyncExitStack() as running:
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        (process,) = await start_stacks(("full",), url, place, running)
        journal = Journal(process.journal)
        running.callback(journal.close)
        load = Load(process.url, plan.concurrency)
        await load.open()
        running.callback(load.close)
        inline = Served(process, load, Messages(requests, upstream, True), plan.concurrency, "inline")
        queue = Queue(process, Sent(load, requests, upstream), upstream, journal)
        rounds = await take_turns((inline, queue), plan)
        await check_queued(process, queue.drained)
        return Measurement(rounds)
