"""The run of an installation: three web and two worker processes under load, while everything else goes wrong."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import aiohttp
from rich.console import Console

from tests.soak import callback_books as books_of
from tests.soak import reckoning
from tests.soak.cluster_balancer import Balancer
from tests.soak.cluster_books import Journal, callback_books, left_over, open_journal, untold, what_waits
from tests.soak.cluster_meta import MetaProcess
from tests.soak.cluster_nodes import Cluster
from tests.soak.cluster_receiver import ClusterReceiver
from tests.soak.cluster_report import Ended, Pulse, judge, table_of
from tests.soak.cluster_traffic import PARTIES, endless_wishes, meta_wabas, tenant_tables
from tests.soak.cluster_troubles import Troubles
from tests.soak.customers import Ward
from tests.soak.traffic import Wish
from waypost.clock import Clock
from waypost.service import apply_offline
from waypost.store.postgres import PostgresStore

WEB, WORKERS = 3, 2
CALM_S = 3.0  # load before the first trouble
THINKS_S = (0.05, 0.35)  # between two messages of one program
PROGRESS_S = 5.0
TIME_FACTOR = 0.02  # statuses come a fiftieth as late as Meta's, and so do its repeats of a webhook
ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=20)


class Plan(NamedTuple):
    """How long and how hard."""

    troubles_s: float
    drain_s: float  # a bound: everything must be done by then
    programs: int  # of each customer
    nats_servers: int
    refused_at_most: int  # callbacks are refused so often, and come later each time
    hang_s: float  # how long a process stands still at most


QUICK = Plan(troubles_s=25.0, drain_s=90.0, programs=10, nats_servers=1, refused_at_most=1, hang_s=5.0)
LONG = Plan(troubles_s=300.0, drain_s=300.0, programs=10, nats_servers=3, refused_at_most=2, hang_s=30.0)


class ClusterRun:
    """One run, everything random from one seed."""

    def __init__(self, plan: Plan, seed: int, folder: Path, console: Console) -> None:
        self._plan = plan
        self._rng = random.Random(seed)
        self._folder = folder
        self._console = console
        self._receiver = ClusterReceiver(random.Random(seed + 1), most_of_one=plan.refused_at_most)
        self._wishes: list[Wish] = []
        self._wards: list[Ward] = []

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        longest_s = CALM_S + self._plan.troubles_s + self._plan.drain_s + 180
        async with AsyncExitStack() as running, asyncio.timeout(longest_s):
            http = await running.enter_async_context(
                aiohttp.ClientSession(timeout=ANSWER_TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
            )
            await self._receiver.start()
            running.push_async_callback(self._receiver.stop)
            simulator = MetaProcess(self._rng.randrange(1 << 32), self._folder, http)
            await simulator.start()
            running.push_async_callback(simulator.end)
            cluster = Cluster(self._folder, nats_servers=self._plan.nats_servers, meta_url=simulator.url)
            running.push_async_callback(cluster.end)
            await cluster.start_servers()
            await apply_offline(cluster.settings, tenant_tables(self._receiver.url))
            await cluster.start_nodes(WEB, WORKERS)
            balancer = await running.enter_async_context(Balancer([node.port for node in cluster.web]))
            await simulator.connect(balancer.url, TIME_FACTOR, check_limits=True, wabas=meta_wabas())

            pulse = Pulse(simulator, self._wishes)
            watching = asyncio.create_task(pulse.watch())
            troubles = Troubles(cluster, simulator, self._rng, self._plan.hang_s)
            await self._send(troubles, balancer.url, http)
            self._console.print("  all is sent; waiting for the rest to drain by itself")
            await simulator.heal()
            began = time.monotonic()
            journal = await self._drain(cluster, simulator, pulse)
            drained_s = time.monotonic() - began
            watching.cancel()
            store = PostgresStore(cluster.postgres.url, Clock())
            await store.open()
            problems = await store.check()
            await store.close()
            codes = {node.name: await node.stop() for node in cluster.nodes}
        ended = Ended(journal, self._wishes, self._receiver, troubles.counts, pulse.longest_s, drained_s)
        broken = judge(ended)
        self._console.print(table_of(ended, broken))
        return broken | {
            "journal": problems,
            "exit codes": [f"SIGTERM ended {name} with {code}" for name, code in codes.items() if code]
            + troubles.wrong,
            "unexpected answers": [text for ward in self._wards for text in ward.unexpected],
        }

    async def _send(self, troubles: Troubles, url: str, http: aiohttp.ClientSession) -> None:
        """Send all the while; then wait until every program has its answers."""
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for party in PARTIES:
                ward = Ward(party.program(url, http), self._rng)
                self._wards.append(ward)
                wishes = endless_wishes(party, self._rng)
                for _ in range(self._plan.programs):
                    tasks.create_task(self._send_some(ward, wishes, done))
            telling = tasks.create_task(self._tell(troubles))
            await asyncio.sleep(CALM_S)
            await troubles.run(self._plan.troubles_s)
            done.set()
            telling.cancel()

    async def _send_some(self, ward: Ward, wishes: Iterator[Wish], done: asyncio.Event) -> None:
        while not done.is_set():
            wish = next(wishes)
            self._wishes.append(wish)
            await ward.send(wish)
            await asyncio.sleep(self._rng.uniform(*THINKS_S))

    async def _tell(self, troubles: Troubles) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._console.print(
                f"  {time.monotonic() - begun:4.0f} s: {len(self._wishes)} messages begun,"
                f" {len(self._receiver.told)} callbacks accepted, {troubles.counts.total()} troubles"
            )

    async def _drain(self, cluster: Cluster, simulator: MetaProcess, pulse: Pulse) -> Journal:
        """Wait until nothing is on its way any more, or for as long as it may take; return what the books say then."""
        until, told = time.monotonic() + self._plan.drain_s, time.monotonic()
        while True:
            waits = await what_waits(cluster.postgres.url)
            pulse.is_due = waits["queued"] > 0
            late = time.monotonic() > until
            if late or not (waits["queued"] or waits["lease"] or waits["callback"]):
                journal = await open_journal(cluster.postgres.url, await simulator.messages())
                if late or not self._unfinished(journal):
                    return journal
            if time.monotonic() > told + PROGRESS_S:
                told = time.monotonic()
                self._console.print(f"  to come: {dict(waits)}")
            await asyncio.sleep(0.5)

    def _unfinished(self, journal: Journal) -> list[str]:
        told = self._receiver.told
        return [
            *reckoning.unfinished(journal.books),
            *books_of.missing(callback_books(journal, told)),
            *untold(journal, told),
            *left_over(journal),
        ]
