"""What becomes of an unknown message that nobody reports on: called failed after a time, told once, and provisional."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

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
    running_gateway,
    settings_for,
    text_message,
)
from tests.receiver import Receiver
from waypost.gateway import judge
from waypost.gateway.tenant_file import read

MINUTE_S = 60
DAY_S = 24 * 3600
MINUTES = 15  # the default of WAYPOST_SETTLE_WITHIN


class HastyClock(ShiftableClock):
    """Wall time with a hand on it whose pauses are short, and which tells how often each was begun."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: Counter[float] = Counter()

    async def sleep(self, seconds: float) -> None:
        self.pauses[seconds] += 1
        await super().sleep(min(seconds, 0.02))

    async def judged(self) -> None:
        """Wait until a whole round of judging has gone by that began after this call."""
        target = self.pauses[judge.ROUND_S] + 2
        async with asyncio.timeout(WAIT_S):
            while self.pauses[judge.ROUND_S] < target:
                await asyncio.sleep(0.01)


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def gateway(folder: Path, simulator: Control, clock: HastyClock, tenants: str) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback, and whose Meta reports nothing by itself."""
    async with running_gateway(settings(folder, simulator), clock, tenants) as running:
        await connect(simulator, running)
        await simulator.config(time_factor=100_000)
        yield running


def settings(folder: Path, simulator: Control) -> Any:
    return settings_for(folder, simulator.url, allow_private_callbacks=True)


async def lose(customer: Customer, simulator: Control, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    """Send a message that Meta takes without saying so, and return it."""
    await simulator.fault("accept_then_drop", times=1)
    message = text_message(cus_message_id="lost", dr_webhook=f"{receiver.url}/dr", **changes)
    assert (await customer.send(message))["code"] == 0
    return message


async def send_later(customer: Customer, gateway: Gateway) -> None:
    """Send another message that Meta reports on."""
    await customer.send(text_message(cus_message_id="later"))
    assert await post(gateway, status((await gateway.message("later"))["meta_message_id"])) == 200


async def pass_minutes(gateway: Gateway, clock: HastyClock, minutes: int, *, phone_id: str = PHONE_ID) -> None:
    """Let so many minutes pass, in each of which Meta reports something about messages of somebody else."""
    for minute in range(minutes):
        clock.advance(MINUTE_S)
        assert await post(gateway, status(f"wamid.FOREIGN{minute}", phone_id=phone_id)) == 200


async def state(gateway: Gateway) -> str:
    found: str = (await gateway.message("lost"))["state"]
    return found


async def test_with_evidence_it_is_failed_told_once_and_a_repeat_still_answers_0(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    message = await lose(customer, simulator, receiver, biz_opaque_callback_data="campaign-1")
    await send_later(customer, gateway)
    await pass_minutes(gateway, clock, MINUTES - 1)
    await clock.judged()
    assert await state(gateway) == "unknown"
    listed = (await gateway.admin("GET", "messages?state=unknown"))["messages"]
    assert [item["cus_message_id"] for item in listed] == ["lost"]

    await pass_minutes(gateway, clock, 1)
    await gateway.until("lost", "failed")
    (received,) = await receiver.until(1)
    (told,) = received.content["statuses"]
    assert (told["id"], told["status"], told["recipient_id"]) == ("lost", "failed", message["to"])
    assert told["biz_opaque_callback_data"] == "campaign-1"
    assert told["errors"] == [{"code": 910001, "title": "outcome unknown, may have been delivered"}]
    assert (await gateway.admin("GET", "messages?state=unknown"))["messages"] == []

    clock.advance(2 * DAY_S)
    await clock.judged()
    assert (await customer.send(message))["code"] == 0
    assert len(gateway.log.lines("message_judged")) == 1
    assert receiver.statuses() == ["failed"]
    assert await simulator.count() == 2, "nothing was sent again"


@pytest.mark.parametrize("opaque", [None, "campaign-1"], ids=["our token", "the customer's string"])
async def test_a_later_status_of_metas_overrides_it_and_is_told(
    opaque: str | None,
    customer: Customer,
    gateway: Gateway,
    simulator: Control,
    clock: HastyClock,
    receiver: Receiver,
) -> None:
    await lose(customer, simulator, receiver, **({"biz_opaque_callback_data": opaque} if opaque else {}))
    clock.advance(DAY_S + 1)
    await gateway.until("lost", "failed")
    await receiver.until(1)

    (at_meta,) = await simulator.messages()
    await simulator.call("POST", "status", {"id": at_meta["id"], "status": "sent"})
    timeline = await gateway.until("lost", "sent")
    assert timeline["meta_message_id"] == at_meta["id"]
    await receiver.until(2)
    assert receiver.statuses() == ["failed", "sent"]
    assert (receiver.received[1].content["statuses"][0]).get("biz_opaque_callback_data") == opaque


async def test_without_webhooks_nothing_is_judged_before_a_day(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    await lose(customer, simulator, receiver)
    await send_later(customer, gateway)
    clock.advance(DAY_S - MINUTE_S)
    await clock.judged()
    assert await state(gateway) == "unknown"
    clock.advance(MINUTE_S)
    await gateway.until("lost", "failed")
    assert [item.status for item in await receiver.until(1)] == ["failed"]


@pytest.mark.parametrize("phone_id", [PHONE_ID, "206540352242922"], ids=["no later status", "another phone's webhooks"])
async def test_webhooks_that_prove_nothing_about_the_phone_judge_nothing(
    phone_id: str, customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    second = """
  [[wabas.phones]]
  number = "8615800001796"
  phone_number_id = "206540352242922"

[[accounts]]"""
    await gateway.admin("POST", "apply", read(TENANTS.replace("\n[[accounts]]", second, 1), {}))
    await lose(customer, simulator, receiver)
    if phone_id != PHONE_ID:
        await send_later(customer, gateway)
    await pass_minutes(gateway, clock, MINUTES + 1, phone_id=phone_id)
    await clock.judged()
    assert await state(gateway) == "unknown"
    assert receiver.received == []


async def test_counted_minutes_outlive_a_restart(
    folder: Path, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    async with running_gateway(settings(folder, simulator), clock, TENANTS) as gateway:
        await connect(simulator, gateway)
        await simulator.config(time_factor=100_000)
        async with aiohttp.ClientSession() as http:
            customer = Customer(gateway.url, http, clock.now_ms)
            await lose(customer, simulator, receiver)
            await send_later(customer, gateway)
        await pass_minutes(gateway, clock, MINUTES - 1)
    async with running_gateway(settings(folder, simulator), clock, TENANTS) as gateway:
        await clock.judged()
        assert await state(gateway) == "unknown"
        await pass_minutes(gateway, clock, 1)
        await gateway.until("lost", "failed")
        assert [item.status for item in await receiver.until(1)] == ["failed"]


async def test_events_of_a_phone_count_and_forged_posts_do_not(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    await lose(customer, simulator, receiver)
    await send_later(customer, gateway)
    entry = {"id": WABA, "changes": [{"field": "messages", "value": inbound()}]}
    for _ in range(MINUTES):
        clock.advance(MINUTE_S)
        assert await post(gateway, entry, secret="not the app secret") != 200
    await clock.judged()
    assert await state(gateway) == "unknown"
    for _ in range(MINUTES):
        clock.advance(MINUTE_S)
        assert await post(gateway, entry) == 200
    await gateway.until("lost", "failed")


def inbound() -> dict[str, Any]:
    """Something that a recipient wrote."""
    return {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": PHONE_ID},
        "messages": [{"from": "8613900000002", "id": "wamid.IN", "timestamp": "1750030073", "type": "text"}],
    }
