"""The run with callbacks: messages whose reports go to a receiver that fails a lot, from a gateway that is killed."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from tests.fault.process import GatewayProcess, environment, steady_port
from tests.harness import (
    ADMIN_TOKEN,
    APP_SECRET,
    PHONE,
    PHONE_ID,
    TENANTS,
    VERIFY_TOKEN,
    WABA,
    Control,
    Customer,
    settings_for,
)
from tests.soak import callback_books as books_of
from tests.soak import reckoning
from tests.soak.callback_books import CallbackBooks
from tests.soak.customers import Ward, send_all
from tests.soak.fast_clock import FastClock
from tests.soak.traffic import wishes
from tests.soak.trouble import Reaper
from tests.soak.unsteady import UnsteadyReceiver
from waypost.clock import Clock
from waypost.gateway.endpoints import PushLimits
from waypost.gateway.tenant_file import read
from waypost.service import apply_offline
from waypost.simulator import Simulator

FACTOR = 20.0  # the retries of minutes pass in seconds, and two minutes of `order_wait` are still six seconds
CUSTOMERS = 10
UP_S = (0.3, 2.0)  # how long the gateway lives
PARTS = 40  # the messages come in so many portions, spread over this much of the time for killing
SPREAD = 0.8
PROGRESS_S = 5.0
SETTLE_S = 240.0  # a bound; it takes seconds once nothing goes wrong any more
CALLBACK_TIMEOUT_S = 3
ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=20)


class CallbackRun:
    """One run: `sends` messages, everything random from one seed; the killing ends after `kill_s` at the latest."""

    def __init__(self, sends: int, kill_s: float, seed: int, folder: Path, console: Console) -> None:
        self._rng = random.Random(seed)
        self._kill_s = kill_s
        self._folder = folder
        self._console = console
        self._clock = FastClock(Clock().now_ms(), FACTOR)
        self._receiver = UnsteadyReceiver(random.Random(seed + 1), self._clock)
        self._wishes = list(wishes(sends, self._rng))
        self._kills = 0

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        async with AsyncExitStack() as running, asyncio.timeout(2 * self._kill_s + SETTLE_S + 300):
            await self._receiver.start()
            running.push_async_callback(self._receiver.stop)
            meta = Simulator(seed=self._rng.randrange(1 << 32))
            await meta.start()
            running.push_async_callback(meta.stop)
            http = await running.enter_async_context(aiohttp.ClientSession(timeout=ANSWER_TIMEOUT))
            simulator = Control(meta, http)
            port = steady_port()
            gateway = await self._gateway(simulator, port)
            running.push_async_callback(_gone, gateway)
            ward = Ward(Customer(f"http://127.0.0.1:{port}", http, self._clock.now_ms), self._rng)
            for wish in self._wishes:
                wish.message["dr_webhook"] = f"{self._receiver.url}/dr"
                # Meta's clock is not as fast as ours, so nothing may be settled by time; our token does it without
                wish.message.pop("biz_opaque_callback_data", None)

            await self._send(ward, gateway)
            books, unfinished = await self._settle(simulator)
            ended = await gateway.stop()
        broken = {
            "missing callbacks": books_of.missing(books),
            "unexplained repeats": self._unexplained(books),
            "disorder": books_of.disorder(books),
            "strange callbacks": books_of.strange(books),
            "callbacks not done": books_of.waiting(books),
            "unfinished": unfinished,
            "unexpected answers": ward.unexpected,
            "exit code": [] if ended == 0 else [f"SIGTERM ended it with {ended}"],
        }
        self._console.print(self._table(books, broken))
        return broken

    async def _gateway(self, simulator: Control, port: int) -> GatewayProcess:
        """Start the gateway with its tenants, and point the simulator's webhooks at it."""
        folder = self._folder / "data"
        await apply_offline(settings_for(folder, simulator.url), read(TENANTS, {}))
        settings = environment(
            data_dir=folder,
            meta_base_url=simulator.url,
            admin_token=ADMIN_TOKEN,
            meta_verify_token=VERIFY_TOKEN,
            allow_private_callbacks=True,
            callback_timeout=CALLBACK_TIMEOUT_S,
            # these two are leases too, by the fast clock
            meta_connect_timeout=60,
            meta_read_timeout=100,
            settle_within=1440,
        )
        command = ["-m", "tests.soak.victim", str(port), str(self._clock.origin_ms), str(FACTOR)]
        gateway = GatewayProcess(command, settings, self._folder / "gateway.log")
        await gateway.start()
        config = await simulator.config(
            webhook_url=f"http://127.0.0.1:{port}/meta/webhook",
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            time_factor=0.1,
            wabas=[{"waba_id": WABA, "phones": [{"id": PHONE_ID, "display_phone_number": PHONE}]}],
        )
        assert config["webhook"]["verified"], config["webhook"]
        return gateway

    async def _send(self, ward: Ward, gateway: GatewayProcess) -> None:
        """Send everything, portion by portion, while the gateway is killed all the time."""
        done = asyncio.Event()
        reaper = Reaper(gateway, self._rng, UP_S)
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reaper.reap(done, self._kill_s))
            progress = tasks.create_task(self._tell(reaper))
            for part in range(PARTS):
                await send_all(ward, self._wishes[part::PARTS], CUSTOMERS)
                next_at = begun + (part + 1) / PARTS * SPREAD * self._kill_s
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            done.set()
            progress.cancel()
        self._kills = reaper.kills

    async def _tell(self, reaper: Reaper) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_S)
            sent = sum(bool(wish.answers) for wish in self._wishes)
            self._console.print(
                f"  {time.monotonic() - begun:4.0f} s: {sent} of {len(self._wishes)} messages begun,"
                f" {len(self._receiver.arrivals)} callbacks accepted, {self._receiver.failed} refused,"
                f" {reaper.kills} kills"
            )

    async def _settle(self, simulator: Control) -> tuple[CallbackBooks, list[str]]:
        """Wait until Meta has reported everything and everything is called back; return what stands in the books."""
        self._console.print("  all is sent; waiting for the last callbacks")
        until, told = time.monotonic() + SETTLE_S, time.monotonic()
        folder = self._folder / "data"
        while True:
            await simulator.call("POST", "clock", {"advance_s": 60})  # Meta's repeats wait ever longer
            at_meta = await simulator.messages()
            journal = await asyncio.to_thread(reckoning.open_books, folder, at_meta)
            unfinished = reckoning.unfinished(journal)
            entries = await asyncio.to_thread(books_of.open_outbox, folder)
            books = CallbackBooks([taken["id"] for taken in at_meta], entries, self._receiver.arrivals)
            if not (unfinished or books_of.waiting(books)) or time.monotonic() > until:
                return books, unfinished
            if time.monotonic() > told + PROGRESS_S:
                told = time.monotonic()
                self._console.print(f"  {len(unfinished)} reports and {len(books_of.waiting(books))} callbacks to come")
            await asyncio.sleep(1)

    def _unexplained(self, books: CallbackBooks) -> list[str]:
        """Tell of more repeats than there can have been pushes on the wire when the gateway was killed."""
        repeats, most = books_of.repeats(books), self._kills * PushLimits(timeout_s=CALLBACK_TIMEOUT_S).per_endpoint
        return [] if repeats <= most else [f"{repeats} repeats, {self._kills} kills explain {most}"]

    def _table(self, books: CallbackBooks, broken: dict[str, list[str]]) -> Table:
        rows: list[tuple[str, object, str]] = [
            ("kills", self._kills, "SIGKILL at random moments"),
            ("at Meta", len(books.reported), "messages, each reported as sent, delivered and read"),
            ("accepted", len(books.arrivals), "callbacks that the receiver answered 200"),
            ("refused", self._receiver.failed, "204, 301, 404, 500, 503 or a cut connection"),
            ("verified", len(books.first()), f"of {len(books.reported) * len(books_of.STATUSES)} statuses"),
            ("missing", len(broken["missing callbacks"]), ""),
            ("repeats", books_of.repeats(books), "accepted, but the gateway was killed before it wrote that down"),
            ("disorder", len(broken["disorder"]), "a status before an earlier one, within the time it should wait"),
            ("most attempts", max((entry.attempts for entry in books.entries.values()), default=0), "of one callback"),
        ]
        table = Table(box=None, show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, number, words in rows:
            table.add_row(name, str(number), words)
        return table


async def _gone(gateway: GatewayProcess) -> None:
    gateway.kill()
    await gateway.ended()
