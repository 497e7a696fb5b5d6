"""Whatever a receiver does, however often Meta repeats, however the clock jumps: nothing missing, nothing doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fault.effects import FullDisk, full_disk, gateway_on
from tests.fault.process import steady_port
from tests.fault.reckoning import until
from tests.flow.test_meta_webhook import post, status
from tests.harness import (
    PHONE_ID,
    TENANTS,
    WABA,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    text_message,
)
from tests.journal_rows_of import rows_of
from tests.receiver import ENDLESS, HANG, RESET, Received, Receiver
from waypost.gateway import retries
from waypost.gateway.deliver import ORDER_WAIT_MS
from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS, PushLimits
from waypost.gateway.tenant_file import read

HOUR_S, DAY_S = 3600, 86_400
RETRY_S = retries.SCHEDULE_S[0] * (1 + retries.JITTER) + 1
PROBE_S = PROBE_EVERY_MS / 1000 + 60
TIMEOUT_S = 0.3  # of a push; it is over when the receiver hangs, and only then
PATIENT_S = 60.0
ORDER = ["sent", "delivered", "read"]


@pytest.fixture
async def customer(clock: ShiftableClock) -> AsyncIterator[Customer]:
    """A customer's program whose gateway is named later."""
    async with aiohttp.ClientSession() as http:
        yield Customer("", http, clock.now_ms)


class Desk:
    """A gateway, its customer, and Meta, which reports what a test says and nothing else."""

    def __init__(self, gateway: Gateway, customer: Customer, folder: Path) -> None:
        self.gateway = gateway
        self._customer = customer
        self._folder = folder

    async def send(self, name: str, url: str) -> None:
        """Send a message whose callbacks go to a URL of its own."""
        assert await self.code_of(name, url) == 0

    async def code_of(self, name: str, url: str) -> int:
        """Send a message, and return the code of its answer."""
        answer = await self._customer.send(text_message(cus_message_id=name, dr_webhook=f"{url}/{name}"))
        code: int = answer["code"]
        return code

    async def insist(self, name: str, url: str, *values: str) -> None:
        """Send and report until both are taken: whatever shares a commit with one that fails is refused with it."""
        async with asyncio.timeout(WAIT_S):
            while await self.code_of(name, url) != 0:
                await asyncio.sleep(0.01)
            while (await self.gateway.message(name))["meta_message_id"] is None:
                await asyncio.sleep(0.01)
            while await self.report(name, *values) != 200:
                await asyncio.sleep(0.01)

    async def report(self, name: str, *values: str) -> int:
        """Let Meta report statuses of a message in one POST; return the answer to it."""
        meta_id = (await self.gateway.message(name))["meta_message_id"]
        return await post(self.gateway, *(status(meta_id, value) for value in values))

    async def send_and_report(self, name: str, url: str, *values: str) -> None:
        await self.send(name, url)
        assert await self.report(name, *values) == 200

    def _sum(self, column: str, state: str) -> int:
        sql = f"SELECT CAST(COALESCE(SUM({column}), 0) AS BIGINT) FROM callback WHERE state LIKE $1"
        ((number,),) = rows_of(self._folder, sql, state)
        assert isinstance(number, int)
        return number

    def count(self, state: str) -> int:
        """Return how many callbacks are in a state."""
        return self._sum("1", state)

    async def until_count(self, state: str, number: int) -> None:
        async def reached() -> bool:
            return self.count(state) == number

        await until(f"{number} callbacks are {state}", reached)

    async def until_attempts(self, number: int) -> None:
        """Wait until so many attempts are written down."""

        async def reached() -> bool:
            return self._sum("attempts", "%") >= number

        await until(f"{number} attempts", reached)

    async def until_probed(self) -> None:
        """Wait until the next push, or until nothing is left to be pushed."""
        pushes = len(self.gateway.log.lines("push"))

        async def reached() -> bool:
            return len(self.gateway.log.lines("push")) > pushes or not self.count("due")

        await until("a probe", reached)

    async def until_logged(self, event: str, number: int = 1) -> None:
        async def reached() -> bool:
            return len(self.gateway.log.lines(event)) >= number

        await until(f"{event} is logged {number} times", reached)


Open = Callable[..., Any]


@pytest.fixture
def desk(tmp_path: Path, simulator: Control, clock: ShiftableClock, customer: Customer) -> Open:
    """Opens the gateway of this test, and opens it again, on the same journal."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Desk]:
        settings = {"allow_private_callbacks": True, "callback_timeout": TIMEOUT_S, **changes}
        async with gateway_on(tmp_path / "data", simulator.url, clock=clock, **settings) as gateway:
            await connect(simulator, gateway)
            await simulator.config(auto_statuses=False)
            customer.url = gateway.url
            yield Desk(gateway, customer, tmp_path / "data")

    return opened


def told(receiver: Receiver) -> dict[str, list[str | None]]:
    """Return the statuses that a receiver accepted, in the order in which it did, by message."""
    found: dict[str, list[str | None]] = {}
    for item in receiver.accepted:
        found.setdefault(item.path.strip("/"), []).append(item.status)
    return found


# --- what a receiver does ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [204, 301, 404, 500, HANG, RESET, ENDLESS])
async def test_a_receiver_that_misbehaves_gets_everything_once_and_in_order_when_it_is_well(
    fault: int, desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = fault
    async with desk() as opened:
        await opened.send_and_report("m", receiver.url, *ORDER)
        await opened.until_attempts(1)
        assert receiver.statuses() == ["sent"], "the others wait for it"
        receiver.answer = 200
        clock.advance(RETRY_S)
        await opened.until_count("done", 3)
    assert told(receiver) == {"m": ORDER}
    assert len(receiver.received) == 4


@pytest.mark.parametrize("days", [2, 4], ids=["shorter than the schedule", "longer than the schedule"])
async def test_a_receiver_that_was_down_for_days_misses_nothing(days: int, desk: Open, clock: ShiftableClock) -> None:
    port, receiver = steady_port(), Receiver()
    messages = [f"m{index}" for index in range(OPEN_AFTER + 2)]
    async with desk() as opened:
        for name in messages:
            await opened.send_and_report(name, f"http://127.0.0.1:{port}", *ORDER)
        await opened.until_logged("endpoint_down")
        for _ in range(2 * days):
            clock.advance(DAY_S / 2)
            await opened.until_probed()
        await opened.until_count("abandoned", 0 if days == 2 else len(messages) * len(ORDER))

        await receiver.start(port)
        try:
            await opened.gateway.admin("POST", "callbacks/replay", {"state": "abandoned"})
            clock.advance(PROBE_S)
            if days == 2:  # after four, nothing was due for hours: what was known of the endpoint is forgotten
                await opened.until_logged("endpoint_back")
            await receiver.until(1)
            clock.advance(DAY_S)  # whatever was pushed meanwhile waits for its next try, at most so long
            await opened.until_count("done", len(messages) * len(ORDER))
        finally:
            await receiver.stop()
    assert {name: sorted(map(str, values)) for name, values in told(receiver).items()} == {
        name: sorted(ORDER) for name in messages
    }


async def test_a_receiver_that_restarts_gets_everything_within_two_minutes(desk: Open, clock: ShiftableClock) -> None:
    port, receiver = steady_port(), Receiver()
    names = [f"m{index}" for index in range(OPEN_AFTER + 2)]
    async with desk() as opened:
        for name in names:
            await opened.send_and_report(name, f"http://127.0.0.1:{port}", "sent")
        await opened.until_logged("endpoint_down")
        await receiver.start(port)
        try:
            clock.advance(61)
            await opened.until_logged("endpoint_back")
            clock.advance(30)  # at most, until the next try of any
            await opened.until_count("done", len(names))
        finally:
            await receiver.stop()
    assert told(receiver) == {name: ["sent"] for name in names}


class NoClaims:
    """A journal that can't be claimed from, so that nothing is pushed."""

    def before(self, name: str) -> None:
        if name == "claim_commit":
            raise full_disk()


async def test_order_is_kept_though_the_gateway_was_down_longer_than_statuses_wait_for_each_other(
    desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    names = [f"m{index}" for index in range(5)]
    async with desk(effects=NoClaims()) as opened:
        for name in names:
            await opened.insist(name, receiver.url, *ORDER)
    assert receiver.received == []
    clock.advance(10 * ORDER_WAIT_MS / 1000)
    refused: set[str] = set()

    def answer(item: Received) -> int:
        if item.status == "sent" and item.path not in refused:
            refused.add(item.path)
            return 500
        return 200

    receiver.answer = answer
    async with desk() as opened:
        await opened.until_attempts(len(names))
        assert receiver.statuses() == ["sent"] * len(names), "the others wait for it"
        clock.advance(RETRY_S)
        await opened.until_count("done", len(names) * len(ORDER))
    assert told(receiver) == dict.fromkeys(names, ORDER)


async def test_an_endpoint_with_thousands_due_that_hangs_is_overtaken_by_everything_else(
    desk: Open, receiver: Receiver
) -> None:
    dead, due, others = Receiver(), 2_000, 60
    await dead.start()
    dead.hold.clear()
    share = PushLimits(timeout_s=PATIENT_S).per_endpoint
    async with desk(callback_timeout=PATIENT_S) as opened:
        try:
            tables = read(TENANTS, {})
            tables["accounts"][0]["applications"][0] |= {"webhook": dead.url, "events": ["messages"]}
            await opened.gateway.admin("POST", "apply", tables)
            for begin in range(0, due, 1000):
                entries = [inbound(f"in{index}") for index in range(begin, begin + 1000)]
                assert await post(opened.gateway, *entries) == 200
            await dead.until(share)
            for index in range(others):
                await opened.send_and_report(f"m{index}", receiver.url, *ORDER)
            await opened.until_count("done", others * len(ORDER))
            assert opened.count("due") == due, "all of them were overtaken"
            assert len(dead.received) == share
        finally:
            await dead.stop()
    assert told(receiver) == {f"m{index}": ORDER for index in range(others)}


def inbound(meta_id: str) -> dict[str, Any]:
    message = {
        "from": "8613900000002",
        "id": meta_id,
        "timestamp": "1750030073",
        "type": "text",
        "text": {"body": "hi"},
    }
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": PHONE_ID}, "messages": [message]}
    return {"id": WABA, "changes": [{"field": "messages", "value": value}]}


# --- what Meta and the clock do ----------------------------------------------------------------------------------


async def test_what_meta_repeats_at_once_and_for_seven_days_is_called_back_once(
    desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    value = {"event": "APPROVED", "message_template_id": 124, "message_template_name": "n", "reason": "NONE"}
    changes = [{"field": "message_template_status_update", "value": value}]
    others = [inbound("in1"), {"id": WABA, "time": 1761291192, "changes": changes}]

    async def everything(opened: Desk) -> None:
        assert await opened.report("m", *ORDER) == 200
        assert await post(opened.gateway, *others) == 200

    async def subscribed(opened: Desk) -> None:
        tables = read(TENANTS, {})
        tables["accounts"][0]["applications"][0]["webhook"] = f"{receiver.url}/app"
        await opened.gateway.admin("POST", "apply", tables)

    async with desk() as opened:
        await subscribed(opened)
        await opened.send("m", receiver.url)
        await asyncio.gather(*(everything(opened) for _ in range(3)))
        await opened.until_count("done", 5)
        await everything(opened)
    clock.advance(7 * DAY_S)
    async with desk() as opened:  # which erases at its start what was kept long enough
        await subscribed(opened)
        await everything(opened)
        await opened.send_and_report("last", receiver.url, *ORDER)
        await opened.until_count("done", 8)
        assert opened.count("due") == 0
    assert told(receiver) == {"m": ORDER, "app": [None, None], "last": ORDER}
    assert receiver.received == receiver.accepted


async def test_a_clock_that_jumps_back_an_hour_delays_only_what_waited_for_another_try(
    desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = lambda item: 500 if item.path == "/early" else 200
    async with desk() as opened:
        await opened.send_and_report("early", receiver.url, *ORDER)
        await opened.until_attempts(1)
        receiver.answer = 200
        await opened.send("late", receiver.url)
        clock.advance(-HOUR_S)
        assert await opened.report("late", *ORDER) == 200
        await opened.until_count("done", len(ORDER))
        assert told(receiver) == {"late": ORDER}
        clock.advance(HOUR_S + RETRY_S)
        await opened.until_count("done", 2 * len(ORDER))
    assert told(receiver) == {"late": ORDER, "early": ORDER}
    assert len(receiver.received) == 2 * len(ORDER) + 1


async def test_a_clock_that_jumps_on_during_a_push_doubles_nothing(
    desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.hold.clear()
    async with desk(callback_timeout=PATIENT_S) as opened:
        await opened.send_and_report("first", receiver.url, "sent")
        await receiver.until(1)
        clock.advance(HOUR_S)  # its lease is long over, but it is still under way
        await opened.send_and_report("second", receiver.url, "sent")
        await receiver.until(2)
        receiver.hold.set()
        await opened.until_count("done", 2)
    assert told(receiver) == {"first": ["sent"], "second": ["sent"]}


# --- what the journal does ---------------------------------------------------------------------------------------

COMMITS = ("webhook_commit", "claim_commit", "attempts_commit")


@pytest.mark.parametrize("effect", [*COMMITS, *(f"after:{name}" for name in COMMITS)])
async def test_a_commit_that_fails_costs_and_doubles_nothing(
    effect: str, desk: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    disk = FullDisk()
    async with desk(effects=disk) as opened:
        await opened.send("m", receiver.url)
        disk.arm(effect)
        answers = [await opened.report("m", *ORDER)]
        if answers != [200]:
            answers.append(await opened.report("m", *ORDER))  # as Meta does
        if effect == "after:claim_commit":  # nobody knows that they are claimed, until the lease ends
            await opened.until_logged("callbacks_delayed")
            clock.advance(PATIENT_S)
        await opened.until_count("done", len(ORDER))
    assert answers == ([503, 200] if "webhook" in effect else [200])
    assert told(receiver) == {"m": ORDER}
    assert len(receiver.received) == len(ORDER)
