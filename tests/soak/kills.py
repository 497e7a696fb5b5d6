"""The run with kills: many customers, a gateway that dies all the time, and the reckoning at the end."""

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
    SECRETS,
    TENANTS,
    VERIFY_TOKEN,
    WABA,
    Control,
    Customer,
    settings_for,
)
from tests.soak import reckoning
from tests.soak.customers import Ward, send_all
from tests.soak.traffic import wishes
from tests.soak.trouble import Reaper, weather
from waypost.clock import Clock
from waypost.gateway.tenant_file import read
from waypost.model import State
from waypost.service import apply_offline
from waypost.simulator import Simulator

CUSTOMERS = 10
PROGRESS_S = 5.0
SETTLE_S = 90.0  # how long the last reports may take once nothing goes wrong any more
LONGEST_S = 1800.0  # of a whole run; a bound that ends a broken one
META_READ_TIMEOUT_S = 2
ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=20)


class Run:
    """One run: `sends` messages, everything random from one seed; the killing ends after `kill_s` at the latest."""

    def __init__(self, sends: int, kill_s: float, seed: int, folder: Path, console: Console) -> None:
        self._rng = random.Random(seed)
        self._kill_s = kill_s
        self._folder = folder
        self._console = console
        self._wishes = list(wishes(sends, self._rng))
        self._kills = 0

    async def run(self) -> dict[str, list[str]]:
        """Run it, print its table, and return what was found wrong, by the rule that it breaks."""
        async with AsyncExitStack() as running, asyncio.timeout(LONGEST_S):
            meta = Simulator(seed=self._rng.randrange(1 << 32))
            await meta.start()
            running.push_async_callback(meta.stop)
            http = await running.enter_async_context(aiohttp.ClientSession(timeout=ANSWER_TIMEOUT))
            simulator = Control(meta, http)
            port = steady_port()
            gateway = await self._gateway(simulator, port)
            running.push_async_callback(_gone, gateway)
            customer = Customer(f"http://127.0.0.1:{port}", http, Clock().now_ms)
            ward = Ward(customer, self._rng)

            await self._send(ward, gateway, simulator)
            books = await self._settle(simulator)
            ended = await gateway.stop()
        return self._judge(books, ward, gateway, ended)

    async def _gateway(self, simulator: Control, port: int) -> GatewayProcess:
        """Start the gateway with its tenants, and point the simulator's webhooks at it."""
        folder = self._folder / "data"
        await apply_offline(settings_for(folder, simulator.url), read(TENANTS, {}))
        settings = environment(
            data_dir=folder,
            meta_base_url=simulator.url,
            admin_token=ADMIN_TOKEN,
            meta_verify_token=VERIFY_TOKEN,
            meta_read_timeout=META_READ_TIMEOUT_S,
        )
        command = ["-m", "waypost", "serve", "--port", str(port)]
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

    async def _send(self, ward: Ward, gateway: GatewayProcess, simulator: Control) -> None:
        done = asyncio.Event()
        reaper = Reaper(gateway, self._rng)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reaper.reap(done, self._kill_s))
            tasks.create_task(weather(simulator, self._rng, done))
            progress = tasks.create_task(self._tell(ward, reaper))
            await send_all(ward, self._wishes, CUSTOMERS)
            done.set()
            progress.cancel()
        self._kills = reaper.kills

    async def _tell(self, ward: Ward, reaper: Reaper) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_S)
            sent = sum(bool(wish.answers) for wish in self._wishes)
            self._console.print(
                f"  {time.monotonic() - begun:4.0f} s: {sent} of {len(self._wishes)} messages begun,"
                f" {ward.counts['requests']} requests, {reaper.kills} kills"
            )

    async def _settle(self, simulator: Control) -> reckoning.Books:
        """Let Meta repeat its reports until nothing is on its way, and return the books as they are then."""
        self._console.print("  all is sent; waiting for the last reports")
        await simulator.heal()
        until = time.monotonic() + SETTLE_S
        while True:
            await simulator.call("POST", "clock", {"advance_s": 60})  # Meta's repeats wait ever longer
            at_meta = await simulator.messages()
            books = await asyncio.to_thread(reckoning.open_books, self._folder / "data", at_meta)
            if not reckoning.unfinished(books) or time.monotonic() > until:
                return books
            await asyncio.sleep(0.5)

    def _judge(self, books: reckoning.Books, ward: Ward, gateway: GatewayProcess, ended: int) -> dict[str, list[str]]:
        log = (self._folder / "gateway.log").read_text("utf-8", "replace")
        broken = {
            "lost": reckoning.lost(books, self._wishes),
            "doubled": reckoning.doubled(books, self._wishes),
            "contradictions": reckoning.contradictions(books, self._wishes),
            "unfinished": reckoning.unfinished(books),
            "unexpected answers": ward.unexpected,
            "unexpected errors": [str(line) for line in gateway.lines("unexpected")],
            "secrets in the log": [secret for secret in SECRETS if secret in log],
            "exit code": [] if ended == 0 else [f"SIGTERM ended it with {ended}"],
        }
        self._console.print(self._table(books, ward, broken))
        return broken

    def _table(self, books: reckoning.Books, ward: Ward, broken: dict[str, list[str]]) -> Table:
        keys = [(wish, key) for wish in self._wishes for key in wish.answers]
        answered = sum(0 in reckoning.codes(wish, key) for wish, key in keys)
        refused = sum(bool(reckoning.codes(wish, key)) and 0 not in reckoning.codes(wish, key) for wish, key in keys)
        owned = [row for row in books.owners().values() if row is not None]
        rows: list[tuple[str, object, str]] = [
            ("kills", self._kills, "SIGKILL at random moments"),
            ("sends", len(self._wishes), "what customers wanted to send"),
            ("requests", ward.counts["requests"], f"{ward.counts['no connection']} found nobody listening"),
            ("cut off", ward.counts["no answer"], "requests whose answer never came"),
            ("distinct messages", len(keys), "as the contract counts them"),
            ("answered 0", answered, ""),
            ("refused", refused, "9099 or 9001"),
            ("never answered", len(keys) - answered - refused, "and signed anew as another message"),
            ("at Meta", len(books.at_meta), ""),
            ("lost", len(broken["lost"]), "answered 0, not at Meta, not visible in the journal"),
            ("doubled", len(broken["doubled"]), "twice at Meta"),
            ("unknown", sum(row.state == State.UNKNOWN for row in books.rows), "nobody reported anything"),
            ("unknown, settled", reckoning.settled(books), "in doubt until Meta reported"),
            ("statuses complete", sum(row.expected <= row.statuses for row in owned), f"of {len(books.at_meta)}"),
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


def wrong(found: dict[str, list[str]], most: int = 10) -> list[str]:
    """Return one line for each thing that was found wrong, but not too many of one rule."""
    return [f"{rule}: {text}" for rule, texts in found.items() for text in texts[:most]]
