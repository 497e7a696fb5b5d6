"""Sending: messages to the gateway, beside a no-op server and a bare proxy."""

import contextlib

from bench.contender import Served, take_turns
from bench.load import Load
from bench.plan import Measurement, Place, Plan
from bench.process import check_queued, start_stacks
from bench.requests import Requests
from bench.upstream import LeanUpstream, SimulatorUpstream, Upstream

STACKS = ("no-op", "proxy", "full")


class Messages:
    """Requests to send a message, counted where they arrive."""

    effect = "arrived upstream"

    def __init__(self, requests: Requests, upstream: Upstream, has_effect: bool) -> None:
        self.has_effect = has_effect
        self._requests = requests
        self._upstream = upstream

    async def make(self, count: int) -> list[bytes]:
        """Return that many requests."""
        return self._requests.make(count)

    async def seen(self) -> int:
        """Return how many messages arrived upstream."""
        return await self._upstream.count()


class Sent:
    """Has the gateway send messages that something is then reported about; callbacks of that go to `endpoint`."""

    def __init__(self, load: Load, requests: Requests, upstream: LeanUpstream) -> None:
        self.customer = requests.customer
        self.endpoint = requests.endpoint
        self._load = load
        self._requests = requests
        self._upstream = upstream

    async def more(self, count: int) -> list[str]:
        """Send that many messages and return the ids that Meta gave them."""
        before = await self._upstream.count()
        await self._load.send(self._requests.make(count))
        return self._upstream.given[before:]


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure sending; raises `BenchFailed` if any round is void."""
    upstream: Upstream = LeanUpstream() if plan.upstream == "lean" else SimulatorUpstream()
    requests = Requests()
    async with contextlib.AsyncExitStack() as running:
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        contenders: list[Served] = []
        processes = await start_stacks(STACKS, url, place, running)
        for process in processes:
            load = Load(process.url, plan.concurrency)
            await load.open()
            running.callback(load.close)
            messages = Messages(requests, upstream, process.name != "no-op")
            contenders.append(Served(process, load, messages, plan.concurrency))
        rounds = await take_turns(contenders, plan)
        await check_queued(processes[-1])
        return Measurement(rounds)
