"""Meta is gone for an hour under load, the gateway is killed in the middle of it, and all goes out afterwards.

Meta's listening socket is closed. The hour passes on a fast clock that gateway and simulator share. One recipient a
message, two applications, both priorities; every message is told apart by its recipient.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from tests.fault.process import GatewayProcess, environment, steady_port
from tests.harness import ADMIN_TOKEN, APPKEY, PHONE_ID, WABA, Control, Customer, settings_for
from tests.soak.burst import BURST_TENANTS, OTHER, PER_S, message
from tests.soak.customers import NO_ANSWER
from tests.soak.fast_clock import FastClock
from tests.soak.fast_meta import FastMetaClock
from waypost.clock import Clock
from waypost.gateway.brakes import LONGEST_PROBE_MS, OPEN_AFTER
from waypost.gateway.tenant_file import read
from waypost.service import apply_offline
from waypost.settings import Settings
from waypost.simulator import Simulator

OUTAGE_S = 3_600  # fast seconds
CUSTOMERS = 8
PROGRESS_S = 5.0
STORM_PER_S = 2 * PER_S  # in no second after the outage does more reach Meta: its bucket holds one second's messages
AT_ONCE_S = 0.1  # real seconds: attempts overlap
SETTLE_S = 240.0  # real seconds, a bound
IN_FLIGHT = Settings().max_in_flight


class OutageRun:
    """One run: messages before, during and after the hour; one SIGKILL in the middle of it."""

    def __init__(self, sends: int, factor: float, seed: int, folder: Path, console: Console) -> None:
        self._sends = sends
        self._rng = random.Random(seed)
        self._folder = folder
        self._console = console
        self._clock = FastClock(Clock().now_ms(), factor)
        self._recipients: Iterator[int] = iter(range(8_613_800_000_000, 8_613_899_999_999))
        self._accepted: dict[str, tuple[str, int]] = {}  # recipient: whose and what, and when it came in
        self._answers: Counter[str] = Counter()
        self._down_ms = self._up_ms = 0

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        async with AsyncExitStack() as running, asyncio.timeout(OUTAGE_S / self._clock.factor + SETTLE_S + 60):
            meta = Simulator(seed=self._rng.randrange(1 << 32), clock=FastMetaClock(self._clock))
            await meta.start()
            running.push_async_callback(meta.stop)
            http = await running.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            simulator = Control(meta, http)
            phone = {"id": PHONE_ID, "display_phone_number": "1", "messages_per_second": PER_S}
            await simulator.config(check_limits=True, auto_statuses=False, wabas=[{"waba_id": WABA, "phones": [phone]}])
            port = steady_port()
            gateway = await self._gateway(simulator, port)
            running.push_async_callback(_gone, gateway)
            customer = Customer(f"http://127.0.0.1:{port}", http, self._clock.now_ms)
            await self._through_the_hour(simulator, gateway, customer)
            states = await self._settle(simulator, customer)
            await self._look_up(customer)
            taken = await simulator.messages()
            calls = await simulator.call("GET", "requests")
            ended = await gateway.stop()
        return self._judge(taken, calls, states, ended)

    async def _gateway(self, simulator: Control, port: int) -> GatewayProcess:
        folder = self._folder / "data"
        await apply_offline(settings_for(folder, simulator.url), read(BURST_TENANTS, {}))
        settings = environment(data_dir=folder, meta_base_url=simulator.url, admin_token=ADMIN_TOKEN)
        command = ["-m", "tests.soak.victim", str(port), str(self._clock.origin_ms), str(self._clock.factor)]
        gateway = GatewayProcess(command, settings, self._folder / "gateway.log")
        await gateway.start()
        return gateway

    async def _through_the_hour(self, simulator: Control, gateway: GatewayProcess, customer: Customer) -> None:
        """Send all the while; Meta goes after a tenth of it, and comes back when the hour is over."""
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            wanted = iter(range(self._sends))
            for _ in range(CUSTOMERS):
                tasks.create_task(self._send_some(customer, wanted))
            progress = tasks.create_task(self._tell(simulator, done))
            await self._clock.sleep(OUTAGE_S / 10)
            await simulator.simulator.down()
            self._down_ms = self._clock.now_ms()
            await self._clock.sleep(OUTAGE_S / 2)
            gateway.kill()
            await gateway.ended()
            await gateway.start()
            await self._clock.sleep(OUTAGE_S / 2)
            self._up_ms = self._clock.now_ms()
            await simulator.simulator.up()
            done.set()
            await progress

    async def _send_some(self, customer: Customer, wanted: Iterator[int]) -> None:
        """Send at a steady pace that is done within the hour and a bit, insisting until each is answered."""
        pause_s = 1.2 * OUTAGE_S * CUSTOMERS / self._sends
        for index in wanted:
            template = "sale" if index % 4 else "text"
            content = message(APPKEY if index % 3 else OTHER, "sale", next(self._recipients))
            if template == "text":
                content |= {"type": "text", "text": {"body": "hello"}}
                del content["template"]
            content["cus_message_id"] = content["to"]  # who insists sends the same message, whoever signs it
            body = msgspec.json.encode(content)
            headers = customer.signed(body)
            while True:
                try:
                    answer = await customer.post(body, headers)
                except NO_ANSWER:
                    self._answers["none"] += 1
                    await asyncio.sleep(0.2)
                    headers = customer.signed(body)
                    continue
                self._answers[str(answer["code"])] += 1
                break
            if answer["code"] == 0:
                self._accepted[content["to"]] = f"{content['appkey']} {template}", self._clock.now_ms()
            await self._clock.sleep(pause_s * self._rng.uniform(0.5, 1.5))

    async def _tell(self, simulator: Control, done: asyncio.Event) -> None:
        begun = time.monotonic()
        while not done.is_set():
            await asyncio.sleep(PROGRESS_S)
            at_meta = await simulator.count()
            self._console.print(
                f"  {time.monotonic() - begun:4.0f} s: {len(self._accepted)} answered 0, {at_meta} at Meta"
            )

    async def _settle(self, simulator: Control, customer: Customer) -> Counter[str]:
        """Wait until nothing waits any more, and count what stands in the journal otherwise."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            queued = await self._listed(customer, "queued")
            if not queued and not await self._listed(customer, "sending"):
                break
            await asyncio.sleep(0.5)
        return Counter({state: len(await self._listed(customer, state)) for state in ("queued", "sending", "unknown")})

    async def _look_up(self, customer: Customer) -> None:
        """Learn when each message came in: who insists is answered long after that."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        for recipient, (sort, _) in self._accepted.items():
            async with customer.http.get(f"{customer.url}/admin/v1/messages/{recipient}", headers=headers) as answer:
                self._accepted[recipient] = sort, msgspec.json.decode(await answer.read())["created_at_ms"]

    async def _listed(self, customer: Customer, state: str) -> list[Any]:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with customer.http.get(
            f"{customer.url}/admin/v1/messages?state={state}&limit=500", headers=headers
        ) as answer:
            found: list[Any] = msgspec.json.decode(await answer.read())["messages"]
            return found

    def _judge(self, taken: list[Any], calls: list[Any], states: Counter[str], ended: int) -> dict[str, list[str]]:
        counts = Counter(item["payload"]["to"].lstrip("+") for item in taken)
        missing = self._accepted.keys() - counts.keys()
        after = sorted((item for item in taken if item["received_at_ms"] >= self._up_ms), key=_came)
        by_second = Counter(item["received_at_ms"] // 1000 for item in after)
        probes = OPEN_AFTER + int(OUTAGE_S * 1000 / LONGEST_PROBE_MS) + 16
        broken = {
            "lost": [f"{len(missing)} of those answered 0"] if len(missing) > states["unknown"] else [],
            "doubled": [recipient for recipient, count in counts.items() if count > 1][:5],
            "left waiting": [f"{states['queued']} queued, {states['sending']} sending"]
            if states["queued"] or states["sending"]
            else [],
            "unknown": [f"{states['unknown']}"] if states["unknown"] > IN_FLIGHT + probes else [],
            "order": self._disorder(after),
            "storm": [f"{most} in a second" for most in by_second.values() if most > STORM_PER_S][:5],
            "exit code": [] if ended == 0 else [f"SIGTERM ended it with {ended}"],
        }
        rows: list[tuple[str, object, str]] = [
            ("at Meta", len(taken), f"of {len(self._accepted)} answered 0"),
            ("during the hour", sum(self._waited(at) for _, at in self._accepted.values()), "answered 0 and kept"),
            ("unknown", states["unknown"], "posted when the gateway was killed, or unanswered"),
            ("drained in", f"{(after[-1]['received_at_ms'] - self._up_ms) / 1000:.0f} s" if after else "-", "fast"),
            ("most in a second", max(by_second.values(), default=0), f"of {PER_S} a second and a bucket as large"),
            ("refused", sum(call["http_status"] != 200 for call in calls if "messages" in call["path"]), "by Meta"),
        ]
        table = Table(box=None, show_header=False)
        for _ in range(3):
            table.add_column()
        for name, number, words in rows:
            table.add_row(name, str(number), words)
        self._console.print(table)
        return broken

    def _waited(self, at_ms: int) -> bool:
        return self._down_ms <= at_ms < self._up_ms

    def _disorder(self, after: list[Any]) -> list[str]:
        """Tell of messages that came clearly after a younger one of the same application and priority."""
        earliest: dict[str, int] = {}  # arrival of any younger one
        found = []
        came = {item["payload"]["to"].lstrip("+"): item["received_at_ms"] for item in after}
        waited = (
            (at_ms, recipient, sort) for recipient, (sort, at_ms) in self._accepted.items() if self._waited(at_ms)
        )
        for _, recipient, sort in sorted(waited, reverse=True):
            at_ms = came.get(recipient)
            if at_ms is None:
                continue
            late_ms = at_ms - earliest.get(sort, at_ms)
            if late_ms > AT_ONCE_S * 1000 * self._clock.factor:
                found.append(f"{sort}: {late_ms} fast ms after a younger one")
            earliest[sort] = min(earliest.get(sort, at_ms), at_ms)
        return found[:5]


def _came(item: Any) -> int:
    at_ms: int = item["received_at_ms"]
    return at_ms


async def _gone(gateway: GatewayProcess) -> None:
    gateway.kill()
    await gateway.ended()
