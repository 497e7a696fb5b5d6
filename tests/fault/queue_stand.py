"""One recipient's messages through gateways that fail, die and come back on one data folder; and the reckoning."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.engine import is_shared
from tests.fault.effects import gateway_on
from tests.fault.process import GatewayProcess, environment
from tests.fault.reckoning import NOBODY_ANSWERED, until
from tests.flow.queue_stand import counted
from tests.harness import (
    ADMIN_TOKEN,
    APPKEY,
    PHONE,
    TENANTS,
    VERIFY_TOKEN,
    WABA,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    text_message,
)
from tests.receiver import Receiver
from waypost.gateway.tenant_file import read

RECIPIENT = "8613900000002"
LANE = 3  # messages to one recipient, which go one after the other
BURST = 45  # Meta's rule: so many may come at once to one recipient
READ, UNKNOWN, EXPIRED, CANCELLED, FAILED = "read", "unknown", "expired", "cancelled", "failed"
ALL_READ = (READ,) * LANE
LAST_UNKNOWN = (UNKNOWN, READ, READ)
STEP_S = 10.0  # less than what a lease has to spare, so that an attempt which just begins is still made
LOST_AFTER = 30  # looks in which a message is called `sending`: then only the end of its lease helps
REPEAT_S = 0.5  # longer than any answer takes that waits for nothing
CALLBACK_LEASE_S = 45.0
LIFE_S = 30
ASIDE_S = 601  # Meta needs ten minutes for a new template

Fault = dict[str, Any]  # how the simulator is told of it

THROTTLED: Fault = {"kind": "error", "code": 131016, "times": 1}
THROTTLED_NUMBER: Fault = {"kind": "error", "code": 130429, "times": 1}
REFUSED_TOKEN: Fault = {"kind": "error", "code": 190, "times": 1}
REFUSED_FOR_MINUTES: Fault = {"kind": "error", "code": 134101, "times": 1}  # its lane goes on meanwhile
REFUSED: Fault = {"kind": "error", "code": 131026, "times": 1}
UNDELIVERABLE = 131026


restarts = pytest.mark.parametrize("restarted", [False, True], ids=["it goes on", "it is started anew"])


def sides(effect: str) -> pytest.MarkDecorator:
    """Fail, or kill, before a commit takes effect and behind it."""
    return pytest.mark.parametrize("effect", [effect, f"after:{effect}"])


class BriskClock(ShiftableClock):
    """Wakes sleepers when it is advanced; short pauses, after trouble or before another look, are shorter still."""

    trouble_s: float | None = None  # how long a pause of one second is to be instead
    _still_ms: int | None = None

    def stand_still(self) -> None:
        """Have time pass by `advance` alone from now on."""
        self._still_ms = self.now_ms() - self.shift_ms

    def now_ms(self) -> int:
        return super().now_ms() if self._still_ms is None else self._still_ms + self.shift_ms

    async def sleep(self, seconds: float) -> None:
        if seconds == 1 and self.trouble_s is not None:
            await super().sleep(self.trouble_s)
        elif seconds <= 1:
            await asyncio.sleep(min(seconds, 0.02))
        else:
            await super().sleep(seconds)


class Stand:
    """Messages to one recipient in their order, the requests for them, and the gateways that they go through."""

    def __init__(self, folder: Path, simulator: Control, receiver: Receiver, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.simulator = simulator
        self.receiver = receiver
        self.clock = BriskClock()
        self.customer = Customer("", http, self.clock.now_ms)
        self._bodies: list[bytes] = []

    # --- gateways ---

    @asynccontextmanager
    async def running(self, port: int = 0, **changes: Any) -> AsyncIterator[Gateway]:
        """Run a gateway in this process, with its webhooks connected."""
        await self.simulator.config(time_factor=0)  # what waits may be sent before the webhooks are connected
        started = gateway_on(
            self.folder, self.simulator.url, port, clock=self.clock, allow_private_callbacks=True, **changes
        )
        async with started as gateway:
            if gateway.url != self.customer.url:  # else it is connected, and being verified anew it would miss reports
                await connect(self.simulator, gateway)
            self.customer.url = gateway.url
            yield gateway

    def victim(self, port: int, effect: str, *more: str) -> GatewayProcess:
        """Return a gateway in a process of its own that dies at an effect."""
        settings = environment(
            data_dir=self.folder,
            meta_base_url=self.simulator.url,
            admin_token=ADMIN_TOKEN,
            meta_verify_token=VERIFY_TOKEN,
            allow_private_callbacks=True,
        )
        command = ["-m", "tests.fault.victim", str(port), effect, *more]
        return GatewayProcess(command, settings, self.folder.with_suffix(".log"))

    async def order_at(self, port: int, what: str, kind: str) -> None:
        """Give an order to the gateway at a port; raises `aiohttp.ClientError` if it is gone before it answers."""
        headers, url = {"Authorization": f"Bearer {ADMIN_TOKEN}"}, f"http://127.0.0.1:{port}/admin/v1/queue/{what}"
        async with self.customer.http.post(url, json=_target(what, kind), headers=headers) as answer:
            await answer.read()

    # --- the customer ---

    async def send(self, number: int, **changes: Any) -> list[int | None]:
        """Send so many more, each when the one before is answered; return the codes."""
        return [await self.send_one(**changes) for _ in range(number)]

    async def send_one(self, **changes: Any) -> int | None:
        """Send the next one and return the code, or None where there was no answer."""
        number = len(self._bodies)
        content = text_message(to=RECIPIENT, text={"body": str(number)}, cus_message_id=f"m{number}")
        self._bodies.append(msgspec.json.encode(content | {"dr_webhook": self.receiver.url} | changes))
        return await self._post(self._bodies[-1])

    async def insist(self) -> set[int | None]:
        """Repeat every request at once, as customers do after a while: signed anew.

        Where a process that is gone may still be sending, answers wait for its lease to end: time passes meanwhile.
        """
        answers = asyncio.gather(*map(self._post, self._bodies))
        while is_shared() and not (await asyncio.wait((answers,), timeout=REPEAT_S))[0]:
            await self.pass_by(STEP_S)
        return set(await answers)

    async def repeat(self) -> int | None:
        """Repeat the last request alone."""
        return await self._post(self._bodies[-1])

    async def _post(self, body: bytes) -> int | None:
        try:
            code: int = (await self.customer.post(body))["code"]
        except NOBODY_ANSWERED:
            return None
        return code

    # --- what comes of it ---

    async def states(self, gateway: Gateway) -> list[str]:
        """Return the state of each message that the journal has, oldest first."""
        rows = (await gateway.admin("GET", "messages?limit=500"))["messages"]
        return [row["state"] for row in reversed(rows)]

    async def drain(self, gateway: Gateway, states: Sequence[str], *, still: bool = False) -> None:
        """Wait until all have come to their end; let time pass for those that wait for it, unless it is to stand still.

        Not while one is being sent, nor for reports, which Meta gives up when they are too old.
        """
        found: list[str] = []
        looks = 0  # since something changed
        try:
            async with asyncio.timeout(WAIT_S):
                while (now := await self.states(gateway)) != list(states):
                    found, looks = now, looks + 1 if now == found else 0
                    behind = {state for state, end in zip(found, states, strict=False) if state != end}
                    is_time = looks > LOST_AFTER if "sending" in behind else behind & {"queued", UNKNOWN}
                    if is_time and not still and not await self._is_under_way(gateway):
                        await self.pass_by(STEP_S)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"ended as {found}, not as {list(states)}") from None

    async def _is_under_way(self, gateway: Gateway) -> bool:
        return bool((await gateway.admin("GET", "queue"))["under_way"])

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, here and at Meta."""
        await self.simulator.call("POST", "clock", {"advance_s": seconds})
        self.clock.advance(seconds)

    async def reckon(self, gateway: Gateway, states: Sequence[str], order: Sequence[int] | None = None) -> None:
        """See each message come to its end: none is lost, none sent twice or out of order, and the counts agree."""
        await self.drain(gateway, states)
        expected = [number for number, state in enumerate(states) if state == READ] if order is None else list(order)
        assert await self.at_meta() == expected
        assert await self.insist() == {0}
        assert await self.at_meta() == expected
        await until("nothing is counted or waits", lambda: self._is_empty(gateway))

    async def _is_empty(self, gateway: Gateway) -> bool:
        if not await counted(gateway):
            return not (await gateway.admin("GET", "queue"))["waiting"]
        self.clock.advance(1)  # what left unnoticed is counted until the next sweep
        return False

    async def one_more(self, gateway: Gateway, states: Sequence[str], order: Sequence[int] | None = None) -> None:
        """Send one behind those that end like this, and see it delivered; it may have to wait for its recipient."""
        sent = asyncio.ensure_future(self.send_one())
        await self.drain(gateway, (*states, READ))
        assert await sent == 0
        await self.reckon(gateway, (*states, READ), order)

    async def at_meta(self) -> list[int]:
        """Return the numbers of the messages that Meta took, in their order there."""
        return [int(item["payload"]["text"]["body"]) for item in await self.simulator.messages()]

    async def told_once(self, gateway: Gateway, numbers: Sequence[int], code: int) -> None:
        """See the customer told once of each failure, and of no other."""
        names = [f"m{number}" for number in numbers]

        async def are_told() -> bool:
            await asyncio.sleep(0.1)
            if len(self._failures()) >= len(names):
                return True
            self.clock.advance(CALLBACK_LEASE_S / 10)  # its claim may have failed with the commit
            return False

        await until(f"{names} are told of", are_told)
        for name in names:
            shown = (await gateway.message(name))["callbacks"]
            assert [item["status"] for item in shown].count("failed") == 1
        assert sorted(self._failures()) == sorted((name, code) for name in names)

    def _failures(self) -> list[tuple[str, int]]:
        told = [item.content["statuses"][0] for item in self.receiver.received if item.status == "failed"]
        return [(status["id"], status["errors"][0]["code"]) for status in told]


@pytest.fixture
async def stand(tmp_path: Path, simulator: Control, receiver: Receiver) -> AsyncIterator[Stand]:
    """A customer with one recipient, in front of a gateway that is yet to run."""
    async with aiohttp.ClientSession() as http:
        yield Stand(tmp_path / "data", simulator, receiver, http)


async def order(gateway: Gateway, what: str, status: int = 200, *, kind: str = "application") -> Any:
    """Have an operator pause or resume the one application, phone or WABA, or cancel what waits."""
    return await gateway.admin("POST", f"queue/{what}", _target(what, kind), status)


def _target(what: str, kind: str) -> dict[str, str]:
    keys = {"application": APPKEY, "phone": PHONE, "waba": WABA}
    return {"account": "acme"} if what == "cancel" else {"kind": kind, "key": keys[kind]}


async def short_lived(gateway: Gateway) -> None:
    """Have messages of the application live for half a minute."""
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["ttl"] = {"service": LIFE_S}
    await gateway.admin("POST", "apply", tables)


def slow() -> dict[str, Any]:
    """Return the tenants with a number that may send one message a second."""
    tables = read(TENANTS, {})
    tables["wabas"][0]["phones"][0]["messages_per_second"] = 1
    return tables
