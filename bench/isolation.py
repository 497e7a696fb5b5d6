"""Isolation: what an endpoint that hangs, with very many callbacks waiting for it, costs the other endpoints."""

import asyncio
import contextlib
import statistics
import time

import msgspec

from bench.callbacks import Gateway
from bench.contender import take_turns
from bench.failure import BenchFailed
from bench.journal import Journal
from bench.load import Load
from bench.plan import Beside, Measured, Measurement, Place, Plan
from bench.posts import MOST_UPDATES, STATUSES, bulk
from bench.process import StackProcess, check_queued, start_stacks
from bench.receiver import HangingReceiver, Receiver
from bench.requests import BENCH, NEIGHBOUR, Customer, Requests
from bench.sending import Sent
from bench.stacks import PUSHES_AT_ONCE
from bench.upstream import LeanUpstream

PACED_PER_S = 100.0
_WARM_UP = 0.25  # of the usual, for both gateways have worked for long when it begins
_DRAINING = 0.5  # of the time of a turn; then statuses come in evenly spaced for the whole of it
_SPARE = 1_000  # entered on top of what is to wait: tries take some out, for a while or for ever
_ALL_TRIED_S = 20.0


class Link:
    """A gateway with connections to it and a look into its journal."""

    def __init__(
        self, process: StackProcess, upstream: LeanUpstream, journal: Journal, loads: tuple[Load, Load]
    ) -> None:
        self.process = process
        self.journal = journal
        self.messages, self.webhooks = loads
        self._upstream = upstream

    @classmethod
    async def open(
        cls, process: StackProcess, upstream: LeanUpstream, concurrency: int, running: contextlib.AsyncExitStack
    ) -> "Link":
        """Connect to a gateway that runs."""
        journal = Journal(process.journal)
        running.callback(journal.close)
        loads = Load(process.url, concurrency), Load(process.url, 1, b"ok")
        for load in loads:
            await load.open()
            running.callback(load.close)
        return cls(process, upstream, journal, loads)

    def sent(self, customer: Customer, receiver_url: str | None = None) -> Sent:
        """Have a customer's messages sent whose statuses go to a receiver, or to nobody."""
        return Sent(self.messages, Requests(receiver_url, customer), self._upstream)


async def fill(link: Link, sent: Sent, count: int) -> None:
    """Have messages sent, and everything reported about them, until there are that many statuses or some more."""
    entered = 0
    while entered < count:
        ids = await sent.more(min(MOST_UPDATES, -(-(count - entered) // len(STATUSES))))
        for status in STATUSES:
            await link.webhooks.send([bulk(sent.customer, ids, status)])
        entered += len(ids) * len(STATUSES)


class Crowd:
    """The callbacks that wait for the endpoint that hangs; at least `count` of them at any time."""

    def __init__(self, journal: Journal, endpoint: str, receiver: HangingReceiver, count: int) -> None:
        self._journal = journal
        self._endpoint = endpoint
        self._receiver = receiver
        self._count = count

    def hanging(self) -> int:
        """Return how many tries hang now."""
        return self._receiver.hanging()

    async def complete(self) -> None:
        """Wait until all places of the endpoint are taken by tries."""
        give_up_s = time.perf_counter() + _ALL_TRIED_S
        while (hanging := self.hanging()) < PUSHES_AT_ONCE:
            if time.perf_counter() > give_up_s:
                raise BenchFailed(f"only {hanging} tries hang")
            await asyncio.sleep(0.01)

    def seen(self, hung_before: int) -> Beside:
        """Return what waits at the end of a turn; void if that are too few, or if nothing was tried."""
        overtaken = self._journal.due(self._endpoint, time.time_ns() // 1_000_000)
        hanging = max(hung_before, self.hanging())
        if overtaken < self._count or not hanging:
            raise BenchFailed(f"void round: {overtaken} callbacks waited for an endpoint where {hanging} tries hung")
        return Beside(overtaken=overtaken, hanging=hanging)


class Healthy:
    """An endpoint that answers at once, measured with or without a crowd beside it in the same journal."""

    def __init__(self, name: str, gateway: Gateway, crowd: Crowd | None = None) -> None:
        self._name = name
        self._gateway = gateway
        self._crowd = crowd

    @property
    def name(self) -> str:
        """What there is beside it."""
        return self._name

    async def warm_up(self, seconds: float) -> None:
        """Deliver for about that long, and learn how fast it is."""
        await self._gateway.warm_up(_WARM_UP * seconds)

    async def measure(self, seconds: float) -> Measured:
        """Measure how fast what is due is delivered, then how soon what comes in steadily."""
        hung_before = self._crowd.hanging() if self._crowd is not None else 0
        ids = await self._gateway.send(max(PUSHES_AT_ONCE, int(PACED_PER_S * seconds)))
        measured = await self._gateway.measure(_DRAINING * seconds)
        delays_ms = await self._gateway.delays_ms(ids, PACED_PER_S)
        return msgspec.structs.replace(
            measured,
            p50_ms=statistics.median(delays_ms),
            p99_ms=statistics.quantiles(delays_ms, n=100)[98],
            beside=self._crowd.seen(hung_before) if self._crowd is not None else None,
        )


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure one endpoint beside another that hangs; raises `BenchFailed` if any round is void."""
    upstream, receiver, hanging = LeanUpstream(), Receiver(), HangingReceiver(PUSHES_AT_ONCE)
    async with contextlib.AsyncExitStack() as running:
        meta_url = await upstream.start()
        running.push_async_callback(upstream.stop)
        url = await receiver.start()
        running.push_async_callback(receiver.stop)
        first, second = await start_stacks(("full", "full"), meta_url, place, running)
        crowded = await Link.open(first, upstream, plan.concurrency, running)
        hanging_url = await hanging.start()
        running.push_async_callback(hanging.stop)  # before the gateways, which would wait for the tries under way
        waiting = crowded.sent(NEIGHBOUR, hanging_url)
        await fill(crowded, waiting, plan.waiting + _SPARE)
        quiet = await Link.open(second, upstream, plan.concurrency, running)  # now: one that idles is hung up on
        await fill(quiet, quiet.sent(NEIGHBOUR), plan.waiting + _SPARE)  # as much in the journal, and nothing waits
        crowd = Crowd(crowded.journal, waiting.endpoint, hanging, plan.waiting)
        await crowd.complete()

        def gateway(link: Link, customer: Customer) -> Gateway:
            return Gateway(link.process, receiver, link.sent(customer, url), link.webhooks, link.journal)

        contenders = (
            Healthy("alone", gateway(quiet, BENCH)),
            Healthy("other account", gateway(crowded, BENCH), crowd),
            Healthy("same account", gateway(crowded, NEIGHBOUR), crowd),
        )
        rounds = await take_turns(contenders, plan)
        for process in (first, second):
            await check_queued(process)
        return Measurement(rounds)
