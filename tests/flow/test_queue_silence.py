"""Meta away, slow or broken: who waits for it, what is tried meanwhile, and how what has gathered leaves afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flow.queue_stand import (
    at_meta,
    codes,
    counted_gateway,
    forward,
    journalled,
    phone_at_meta,
    posts,
    settings,
)
from tests.harness import (
    APPKEY,
    PHONE,
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
from waypost.gateway.brakes import FIRST_PROBE_MS, LONGEST_PROBE_MS, OPEN_AFTER

PER_S = 1_000  # the pace shall not be what holds anything up here
SECOND_PHONE, SECOND_PHONE_ID = "8615800001796", "206540352242922"
OTHER_PHONE, OTHER_PHONE_ID, OTHER_WABA = "8615800001797", "306540352242922", "202290129340398"
THREE_PHONES = (
    TENANTS.replace(f'number = "{PHONE}"', f'number = "{PHONE}"\n  messages_per_second = {PER_S}')
    .replace(
        "\n[[accounts]]",
        f"""
  [[wabas.phones]]
  number = "{SECOND_PHONE}"
  phone_number_id = "{SECOND_PHONE_ID}"
  messages_per_second = {PER_S}

[[wabas]]
waba_id = "{OTHER_WABA}"
account = "acme"
access_token = "another-token"

  [[wabas.phones]]
  number = "{OTHER_PHONE}"
  phone_number_id = "{OTHER_PHONE_ID}"

[[accounts]]""",
        1,
    )
    .replace(f'phones = ["{PHONE}"]', f'phones = ["{PHONE}", "{SECOND_PHONE}", "{OTHER_PHONE}"]')
)
LATENCY_S = 0.3


@pytest.fixture
async def customer(gateway: Gateway, clock: ShiftableClock) -> AsyncIterator[Customer]:
    """A customer's program with as many connections as it has messages."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield Customer(gateway.url, http, clock.now_ms)


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> AsyncIterator[Gateway]:
    """A gateway with two fast phones on one WABA and a phone on another."""
    async with counted_gateway(settings(tmp_path, simulator), clock, THREE_PHONES) as running:
        await connect(simulator, running)
        await simulator.config(
            auto_statuses=False,
            wabas=[
                {"waba_id": WABA, "phones": [phone_at_meta(), phone_at_meta(SECOND_PHONE_ID, SECOND_PHONE)]},
                {"waba_id": OTHER_WABA, "phones": [phone_at_meta(OTHER_PHONE_ID, OTHER_PHONE)]},
            ],
        )
        yield running


async def gather_up(customer: Customer, simulator: Control, number: int, **changes: Any) -> None:
    """Have so many messages wait for a Meta that is down."""
    await simulator.simulator.down()
    assert await codes([customer.send(text_message(**changes)) for _ in range(number)]) == [0] * number


# --- silence -------------------------------------------------------------------------------------------------------


async def test_silence_is_told_once_and_probed_ever_more_rarely(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await gather_up(customer, simulator, 30)
    assert len(gateway.log.lines("meta_silent")) == 1
    tries = attempts(gateway)
    assert tries >= OPEN_AFTER
    wait_ms = FIRST_PROBE_MS
    while wait_ms < 4 * LONGEST_PROBE_MS:
        clock.advance(min(wait_ms, LONGEST_PROBE_MS) / 1000 + 0.05)
        tries += 1
        async with asyncio.timeout(WAIT_S):
            while attempts(gateway) < tries:
                await asyncio.sleep(0.01)
        wait_ms *= 2
    await asyncio.sleep(0.2)
    assert attempts(gateway) == tries, "one probe at a time, and none between"
    assert len(gateway.log.lines("meta_silent")) == 1
    assert await journalled(gateway, "queued") == 30
    await simulator.simulator.up()


def attempts(gateway: Gateway) -> int:
    """How many attempts found nobody there."""
    return gateway.log.text.count("no connection: ")


async def test_what_has_gathered_leaves_step_by_step_and_oldest_first(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await gather_up(customer, simulator, 60)
    await simulator.fault("latency", latency_ms=int(LATENCY_S * 1000))
    await simulator.simulator.up()
    await forward(simulator, clock, LONGEST_PROBE_MS / 1000)
    await at_meta(simulator, 60)
    arrived_s = [call["at_ms"] / 1000 for call in await posts(simulator)]
    for answered in (0, 1, 3):  # each answer doubles what may be under way
        first_s = arrived_s[answered]
        together = sum(first_s <= at_s < first_s + LATENCY_S for at_s in arrived_s)
        assert together <= 2**answered, f"{together} attempts at once where Meta had answered {answered}"
    listed = (await gateway.admin("GET", "messages?limit=500"))["messages"]
    by_age = [f"+{message['to']}" for message in sorted(listed, key=lambda message: message["id"])]
    assert [item["payload"]["to"] for item in await simulator.messages()][:7] == by_age[:7]
    assert len(gateway.log.lines("meta_answers")) == 1


async def test_two_phones_of_a_waba_send_one_probe_between_them(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await gather_up(customer, simulator, 10)
    await gather_up(customer, simulator, 10, business_phone=SECOND_PHONE)
    await simulator.fault("latency", latency_ms=int(LATENCY_S * 1000))
    await simulator.simulator.up()
    await forward(simulator, clock, LONGEST_PROBE_MS / 1000)
    await at_meta(simulator, 1)
    await asyncio.sleep(LATENCY_S / 2)
    assert len(await posts(simulator)) == 1
    for _ in range(20):
        clock.advance(1)
        await asyncio.sleep(0.02)
    await at_meta(simulator, 20)


async def test_answers_that_never_come_cost_five_messages_and_one_for_each_probe(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("reset")
    for _ in range(30):
        assert (await customer.send(text_message()))["code"] == 0
    assert (await journalled(gateway, "unknown"), await journalled(gateway, "queued")) == (OPEN_AFTER, 25)
    for probes in (1, 2, 3):
        clock.advance(LONGEST_PROBE_MS / 1000)
        async with asyncio.timeout(WAIT_S):
            while await journalled(gateway, "unknown") < OPEN_AFTER + probes:
                await asyncio.sleep(0.01)
    await simulator.heal()
    clock.advance(LONGEST_PROBE_MS / 1000)
    await at_meta(simulator, 25 - 3)
    assert await journalled(gateway, "unknown") == OPEN_AFTER + 3


async def test_messages_of_another_waba_go_on(customer: Customer, gateway: Gateway, simulator: Control) -> None:
    await simulator.fault("http_500", match={"phone_number_id": PHONE_ID})
    assert await codes([customer.send(text_message()) for _ in range(10)]) == [0] * 10
    answer = await customer.send(text_message(cus_message_id="other", business_phone=OTHER_PHONE))
    assert answer["code"] == 0
    assert (await gateway.message("other"))["state"] == "accepted"
    assert [line["waba_id"] for line in gateway.log.lines("meta_silent")] == [WABA]


# --- slowness ------------------------------------------------------------------------------------------------------


async def test_a_number_that_meta_is_slow_with_holds_up_nobody_else(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("latency", latency_ms=1_500, match={"phone_number_id": OTHER_PHONE_ID})
    sending = [asyncio.create_task(customer.send(text_message(business_phone=OTHER_PHONE))) for _ in range(200)]
    async with asyncio.timeout(WAIT_S):
        while len(await posts(simulator)) < 50:
            await asyncio.sleep(0.01)
    begun = time.monotonic()
    for phone in (PHONE, SECOND_PHONE):
        assert (await customer.send(text_message(business_phone=phone)))["code"] == 0
    assert time.monotonic() - begun < 1, "they wait for nothing of the slow one's"
    answers = await asyncio.gather(*sending)
    assert {answer["code"] for answer in answers} == {0}
    await at_meta(simulator, 202)


async def test_a_slow_number_takes_no_more_than_its_share_of_connections(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    """80 a second, two seconds' worth of attempts: the 161st waits until one of them has ended."""
    await simulator.fault("latency", latency_ms=2_500, match={"phone_number_id": OTHER_PHONE_ID})
    sending = [asyncio.create_task(customer.send(text_message(business_phone=OTHER_PHONE))) for _ in range(240)]
    began = time.monotonic()
    while time.monotonic() - began < 2.2:
        clock.advance(0.2)  # so that the pace alone would let all of them go
        await asyncio.sleep(0.02)
    assert len(await posts(simulator)) == 160
    await simulator.heal()
    answers = await asyncio.gather(*sending)
    assert {answer["code"] for answer in answers} == {0}


# --- nothing to do, nothing done -----------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["Meta is down", "application paused", "phone paused", "pair limit", "too late"])
async def test_what_can_not_leave_costs_no_processor_time(
    why: str, customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    match why:
        case "Meta is down" | "too late":
            await gather_up(customer, simulator, 30)
        case "application paused":
            await gateway.admin("POST", "queue/pause", {"kind": "application", "key": APPKEY, "reason": "a test"})
        case "phone paused":
            await gateway.admin("POST", "queue/pause", {"kind": "phone", "key": PHONE, "reason": "a test"})
        case "pair limit":
            await codes([customer.send(text_message(to="8613900000002")) for _ in range(45)])
    await codes([customer.send(text_message(to="8613900000002")) for _ in range(30)])
    await asyncio.sleep(0.5)
    assert await journalled(gateway, "queued") >= 30
    spent_s, began = time.process_time(), time.monotonic()
    await asyncio.sleep(1)
    share = (time.process_time() - spent_s) / (time.monotonic() - began)
    assert share < 0.2, "gateway, simulator and test together"
    await simulator.simulator.up()
