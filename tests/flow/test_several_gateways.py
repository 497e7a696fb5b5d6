"""Three gateways on one journal: what holds for a phone, a recipient, a tenant or an endpoint holds for all of them."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.flow.queue_admin import metrics, pause, resume, taken
from tests.flow.queue_stand import phone_at_meta
from tests.harness import (
    PHONE,
    TENANTS,
    WABA,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from tests.receiver import Receiver
from waypost.clock import Clock
from waypost.gateway.endpoints import OPEN_AFTER, PushLimits
from waypost.gateway.tenant_file import read
from waypost.settings import Settings

pytestmark = pytest.mark.shared

GATEWAYS = 3
PER_S = 80  # Meta's rule for every number, and the default of the tenant file
BLAST = 320
LEAST_THROUGHPUT = 0.9
BEGUN_AFTER = 40  # messages, before which the pace is not judged
SOON_S = 2.0  # in which a change made at one gateway is known to all


class Installation:
    """The gateways, and the program of a customer who knows them all."""

    def __init__(self, gateways: list[Gateway], http: aiohttp.ClientSession) -> None:
        self.gateways = gateways
        self.customers = [Customer(gateway.url, http, Clock().now_ms) for gateway in gateways]


@pytest.fixture
async def nodes(tmp_path: Path, simulator: Control) -> AsyncIterator[Installation]:
    """Three gateways that do everything, with a Meta that holds its limits and reports nothing by itself."""
    async with AsyncExitStack() as running:
        gateways = [
            await running.enter_async_context(running_gateway(_settings(tmp_path, simulator), Clock(), TENANTS))
            for _ in range(GATEWAYS)
        ]
        http = await running.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        await connect(simulator, gateways[0], check_limits=True, auto_statuses=False)
        await simulator.config(wabas=[{"waba_id": WABA, "phones": [phone_at_meta(per_s=PER_S)]}])
        yield Installation(gateways, http)


def _settings(folder: Path, simulator: Control) -> Settings:
    return settings_for(folder, simulator.url, allow_private_callbacks=True, answer_within=0.2)


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds, for as long as that may take."""
    async with asyncio.timeout(SOON_S):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_all_gateways_together_keep_the_pace_of_a_number_and_use_it(
    nodes: Installation, simulator: Control
) -> None:
    await asyncio.gather(
        *(taken(customer, text_message()) for customer, _ in zip(itertools.cycle(nodes.customers), range(BLAST)))
    )
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < BLAST:
            await asyncio.sleep(0.05)
    calls = [call for call in await simulator.call("GET", "requests") if call["path"].endswith("/messages")]
    assert Counter(call["http_status"] for call in calls) == {200: BLAST}
    at_ms = sorted(message["received_at_ms"] for message in await simulator.messages())[BEGUN_AFTER:]
    per_s = (len(at_ms) - 1) / (at_ms[-1] - at_ms[0]) * 1000
    assert per_s >= LEAST_THROUGHPUT * PER_S


async def test_messages_to_a_recipient_leave_in_the_order_in_which_they_came_to_different_gateways(
    nodes: Installation, simulator: Control
) -> None:
    names = [f"m{number}" for number in range(30)]
    recipients = [text_message()["to"] for _ in range(3)]
    await pause(nodes.gateways[0])
    async with asyncio.timeout(WAIT_S):
        while not all([await _is_paused(gateway) for gateway in nodes.gateways]):
            await asyncio.sleep(0.01)
    for number, name in enumerate(names):
        if number == len(names) // 2:
            await resume(nodes.gateways[1])  # the rest comes while the queue is being sent
        customer = nodes.customers[number % GATEWAYS]
        to = recipients[number // GATEWAYS % len(recipients)]
        await taken(customer, text_message(to=to, text={"body": name, "preview_url": False}))
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < len(names):
            await asyncio.sleep(0.02)
    bodies: dict[str, list[str]] = {to: [] for to in recipients}
    for message in sorted(await simulator.messages(), key=lambda message: message["received_at_ms"]):
        bodies[message["payload"]["to"].lstrip("+")].append(message["payload"]["text"]["body"])
    for came in bodies.values():
        assert came == sorted(came, key=names.index)


async def _is_paused(gateway: Gateway) -> bool:
    return (await metrics(gateway)).get("paused phone", 0) == 1


async def test_what_is_paused_at_one_gateway_soon_stands_still_at_all(nodes: Installation, simulator: Control) -> None:
    await pause(nodes.gateways[0])

    async def stands_still(customer: Customer) -> bool:
        before = await simulator.count()
        await taken(customer, text_message())
        return await simulator.count() == before

    for customer in nodes.customers[1:]:
        await soon(partial(stands_still, customer))
    await resume(nodes.gateways[1])
    async with asyncio.timeout(WAIT_S):
        while (await nodes.gateways[2].admin("GET", "queue"))["waiting"]:
            await asyncio.sleep(0.02)


async def test_what_is_paused_at_one_gateway_and_resumed_at_once_at_another_goes_on_at_both(
    nodes: Installation, simulator: Control
) -> None:
    for number in range(1, 6):
        await pause(nodes.gateways[0])
        await taken(nodes.customers[0], text_message())
        await resume(nodes.gateways[1])
        async with asyncio.timeout(WAIT_S):
            while await simulator.count() < number:
                await asyncio.sleep(0.02)


async def test_a_tenant_file_applied_at_one_gateway_soon_holds_at_all(nodes: Installation) -> None:
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"].append({"appkey": "newshop", "phones": [PHONE]})
    await nodes.gateways[1].admin("POST", "apply", tables)
    for customer in nodes.customers:
        await soon(partial(_is_known, customer, "newshop"))
    tables["accounts"][0]["applications"].pop()
    await nodes.gateways[2].admin("POST", "apply", tables)

    async def is_gone(customer: Customer) -> bool:
        return not await _is_known(customer, "newshop")

    for customer in nodes.customers:
        await soon(partial(is_gone, customer))


async def _is_known(customer: Customer, appkey: str) -> bool:
    answer = await customer.send(text_message(appkey=appkey))
    assert answer["code"] in (0, 9003)
    return bool(answer["code"] == 0)


async def test_an_endpoint_that_one_gateway_finds_dead_is_left_alone_by_all(
    nodes: Installation, simulator: Control
) -> None:
    receiver = Receiver()
    await receiver.start()
    receiver.answer = 500
    try:
        await simulator.config(auto_statuses=True, check_limits=False)
        for number in range(2 * OPEN_AFTER):
            customer = nodes.customers[number % GATEWAYS]
            await taken(customer, text_message(dr_webhook=f"{receiver.url}/dr"))
        async with asyncio.timeout(WAIT_S):
            while not all([(await metrics(gateway))["endpoints_down"] for gateway in nodes.gateways]):
                await asyncio.sleep(0.02)
        assert len(receiver.received) <= OPEN_AFTER + GATEWAYS * PushLimits(timeout_s=1).per_endpoint
    finally:
        await receiver.stop()
