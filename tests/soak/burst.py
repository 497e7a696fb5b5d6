"""A blast at one number: three applications share it, Meta holds its limit, and the small one's passwords stay quick.

Gateway and simulator keep the same fast clock. Meta's limiter is the simulator's in strict mode: a token bucket as
large as one second's messages (80), filled at the number's rate.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from tests.fault.process import GatewayProcess, environment, steady_port
from tests.harness import ADMIN_TOKEN, APPKEY, PHONE, PHONE_ID, TENANTS, WABA, Control, Customer, settings_for
from tests.soak.fast_clock import FastClock
from tests.soak.fast_meta import FastMetaClock
from waypost.clock import Clock
from waypost.gateway.tenant_file import read
from waypost.service import apply_offline
from waypost.simulator import Simulator

PER_S = 80
SMALL, OTHER = "smallapp", "otherapp"
OTP_EVERY_S = 0.5  # fast seconds
OTP_WITHIN_MS = 2_000
LEAST_THROUGHPUT = 0.95
FIRST_ADAPTATION_MS = 2_000  # what left before the rate was lowered is refused as well
CUSTOMERS = 600  # more than leave while a request waits for its outcome, so that a backlog builds up
PROGRESS_S = 5.0
_BEGUN_AFTER = 100  # messages before which the pace is not judged

BURST_TENANTS = (
    TENANTS.replace(
        "\n[[accounts]]",
        """
  [[wabas.templates]]
  name = "otp"
  language = "en_US"
  category = "AUTHENTICATION"

  [[wabas.templates]]
  name = "sale"
  language = "en_US"
  category = "MARKETING"

[[accounts]]""",
        1,
    )
    + f"""
  [[accounts.applications]]
  appkey = "{OTHER}"
  phones = ["{PHONE}"]

  [[accounts.applications]]
  appkey = "{SMALL}"
  phones = ["{PHONE}"]
"""
)


class Taken(NamedTuple):
    """A message at Meta: whose it was, and when it came, in fast milliseconds."""

    recipient: str
    at_ms: int


def message(appkey: str, template: str, recipient: int) -> dict[str, Any]:
    """A template message of an application to a recipient of its own."""
    return {
        "appkey": appkey,
        "business_phone": PHONE,
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": str(recipient),
        "type": "template",
        "template": {"name": template, "language": {"code": "en_US", "policy": "deterministic"}},
    }


class BurstRun:
    """One run: `sends` messages of two campaigns as fast as they are answered, and passwords all the while."""

    def __init__(self, sends: int, factor: float, seed: int, folder: Path, console: Console) -> None:
        self._sends = sends
        self._rng = random.Random(seed)
        self._folder = folder
        self._console = console
        self._clock = FastClock(Clock().now_ms(), factor)
        self._answers: Counter[int] = Counter()
        self._otps: dict[str, int] = {}  # recipient: when it was sent
        self._recipients: Iterator[int] = iter(range(8_613_900_000_000, 8_613_999_999_999))
        self._accepted: set[str] = set()

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        longest_s = self._sends / PER_S / self._clock.factor
        async with AsyncExitStack() as running, asyncio.timeout(3 * longest_s + 180):
            meta = Simulator(seed=self._rng.randrange(1 << 32), clock=FastMetaClock(self._clock))
            await meta.start()
            running.push_async_callback(meta.stop)
            http = await running.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            simulator = Control(meta, http)
            phone = {"id": PHONE_ID, "display_phone_number": PHONE, "messages_per_second": PER_S}
            await simulator.config(check_limits=True, auto_statuses=False, wabas=[{"waba_id": WABA, "phones": [phone]}])
            port = steady_port()
            gateway = await self._gateway(simulator, port)
            running.push_async_callback(_gone, gateway)
            customer = Customer(f"http://127.0.0.1:{port}", http, self._clock.now_ms)
            await self._blast(customer, simulator)
            taken = [
                Taken(item["payload"]["to"].lstrip("+"), item["received_at_ms"]) for item in await simulator.messages()
            ]
            ended = await gateway.stop()
        return self._judge(sorted(taken, key=lambda item: item.at_ms), ended)

    async def _gateway(self, simulator: Control, port: int) -> GatewayProcess:
        folder = self._folder / "data"
        await apply_offline(settings_for(folder, simulator.url), read(BURST_TENANTS, {}))
        settings = environment(data_dir=folder, meta_base_url=simulator.url, admin_token=ADMIN_TOKEN)
        command = ["-m", "tests.soak.victim", str(port), str(self._clock.origin_ms), str(self._clock.factor)]
        gateway = GatewayProcess(command, settings, self._folder / "gateway.log")
        await gateway.start()
        return gateway

    async def _blast(self, customer: Customer, simulator: Control) -> None:
        """Send everything, with passwords until the queue is empty; then wait for the last message."""
        drained = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            otps = tasks.create_task(self._send_otps(customer, drained))
            campaign = iter(range(self._sends))
            for _ in range(CUSTOMERS):
                tasks.create_task(self._send_campaign(customer, campaign))
            begun, told = time.monotonic(), 0.0
            while (count := await simulator.count()) < self._sends + len(self._otps) or sum(
                self._answers.values()
            ) < self._sends + len(self._otps):
                if time.monotonic() > told + PROGRESS_S:
                    told = time.monotonic()
                    self._console.print(
                        f"  {told - begun:4.0f} s: {sum(self._answers.values())} answered, {count} at Meta"
                    )
                await asyncio.sleep(0.2)
                if count >= self._sends:
                    drained.set()
            drained.set()
            await otps

    async def _send_campaign(self, customer: Customer, campaign: Iterator[int]) -> None:
        for index in campaign:
            await self._send(customer, message(APPKEY if index % 10 < 7 else OTHER, "sale", next(self._recipients)))

    async def _send_otps(self, customer: Customer, drained: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            while not drained.is_set():
                wanted = message(SMALL, "otp", next(self._recipients))
                self._otps[wanted["to"]] = self._clock.now_ms()
                tasks.create_task(self._send(customer, wanted))
                await self._clock.sleep(OTP_EVERY_S)

    async def _send(self, customer: Customer, wanted: dict[str, Any]) -> None:
        answer = await customer.send(wanted)
        self._answers[answer["code"]] += 1
        if answer["code"] == 0:
            self._accepted.add(wanted["to"])

    def _judge(self, taken: list[Taken], ended: int) -> dict[str, list[str]]:
        counts = Counter(item.recipient for item in taken)
        at = {item.recipient: item.at_ms for item in taken}
        late = {recipient: at.get(recipient, 1 << 62) - sent for recipient, sent in self._otps.items()}
        throttled = self._throttled()
        first_ms = min(throttled, default=0)
        judged = [item.at_ms for item in taken][_BEGUN_AFTER : self._sends]
        span_s = (judged[-1] - judged[0]) / 1000
        per_s = (len(judged) - 1) / span_s
        broken = {
            "lost": sorted(self._accepted - counts.keys())[:5],
            "doubled": [recipient for recipient, count in counts.items() if count > 1][:5],
            "other answers than 0": [f"{code}: {number}" for code, number in self._answers.items() if code != 0],
            "throttled after the first adaptation": [
                f"{at_ms - first_ms} ms later" for at_ms in throttled if at_ms > first_ms + FIRST_ADAPTATION_MS
            ][:5],
            "too slow": [] if per_s >= LEAST_THROUGHPUT * PER_S else [f"{per_s:.1f} messages/s of {PER_S}"],
            "late passwords": [f"{wait} ms" for wait in late.values() if wait > OTP_WITHIN_MS][:5],
            "exit code": [] if ended == 0 else [f"SIGTERM ended it with {ended}"],
        }
        waits = sorted(late.values())
        rows: list[tuple[str, object, str]] = [
            ("at Meta", len(taken), f"of {len(self._accepted)} answered 0, by 3 applications"),
            ("messages/s", f"{per_s:.1f}", f"of the {PER_S} that the number may send ({per_s / PER_S:.1%})"),
            ("throttled", len(throttled), "130429"),
            ("passwords", len(waits), f"median {waits[len(waits) // 2]} ms, longest {waits[-1]} ms (fast clock)"),
            ("clock", f"{self._clock.factor:g}x", f"{span_s:.0f} fast seconds"),
        ]
        table = Table(box=None, show_header=False)
        for _ in range(3):
            table.add_column()
        for name, number, words in rows:
            table.add_row(name, str(number), words)
        self._console.print(table)
        return broken

    def _throttled(self) -> list[int]:
        """When Meta said 130429, in fast milliseconds, by the gateway's log."""
        found = []
        for line in (self._folder / "gateway.log").read_bytes().splitlines():
            if b'"meta_code":130429' in line:
                told = msgspec.json.decode(line)
                found.append(self._fast_ms(told["timestamp"]))
        return sorted(found)

    def _fast_ms(self, timestamp: str) -> int:
        """Turn the log's time, which is the wall's, into the fast clock's."""
        wall_ms = int(msgspec.convert(timestamp, datetime).timestamp() * 1000)
        return self._clock.origin_ms + int((wall_ms - self._clock.origin_ms) * self._clock.factor)


async def _gone(gateway: GatewayProcess) -> None:
    gateway.kill()
    await gateway.ended()
