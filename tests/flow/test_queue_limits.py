"""What may wait, and how fast an account may ask: one too many is 9001 at once, neither journalled nor sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.flow.queue_stand import at_meta, counted_gateway, forward, journalled, settings
from tests.harness import PHONE, TENANTS, WAIT_S, Control, Customer, Gateway, ShiftableClock, connect, text_message

LIMIT = 3
OTHER_PHONE, OTHER_PHONE_ID = "8615800009999", "206540352242922"
OTHER = f"""
[[accounts]]
name = "other"
access_key = "otherkey"
access_secret = "othersecret"

  [[accounts.applications]]
  appkey = "theirs"
  phones = ["{OTHER_PHONE}"]
"""
SECOND = f"""
  [[accounts.applications]]
  appkey = "second"
  phones = ["{PHONE}"]
"""
SHARED = (
    TENANTS.replace('account = "acme"\n', "", 1).replace(
        "\n[[accounts]]",
        f'\n  [[wabas.phones]]\n  number = "{OTHER_PHONE}"\n  phone_number_id = "{OTHER_PHONE_ID}"\n\n[[accounts]]',
        1,
    )
    + SECOND
    + OTHER
)
THEIRS = {"appkey": "theirs", "business_phone": OTHER_PHONE}


@pytest.fixture
async def run(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> AsyncIterator[Any]:
    """Starts the test's gateway with a tenant file and settings; gives it and the customers of both accounts."""
    async with AsyncExitStack() as running:

        async def started(tenants: str = SHARED, **changes: Any) -> tuple[Gateway, Customer, "Other"]:
            gateway = await running.enter_async_context(
                counted_gateway(settings(tmp_path, simulator, **changes), clock, tenants)
            )
            await connect(simulator, gateway)
            http = await running.enter_async_context(aiohttp.ClientSession())
            return gateway, Customer(gateway.url, http, clock.now_ms), Other(gateway.url, http, clock.now_ms)

        yield started


class Other(Customer):
    """A program of the other account."""

    def signed(self, body: bytes, **changes: str) -> dict[str, str]:
        return super().signed(body, accessKey="otherkey", secret="othersecret", **changes)


@asynccontextmanager
async def down(simulator: Control) -> AsyncIterator[None]:
    await simulator.simulator.down()
    yield
    await simulator.simulator.up()


async def fill(customer: Customer, number: int, **changes: Any) -> list[tuple[bytes, dict[str, str]]]:
    """Send so many messages that have to wait, and return their requests."""
    requests = []
    for _ in range(number):
        body = msgspec.json.encode(text_message(**changes))
        requests.append((body, customer.signed(body)))
        assert (await customer.post(*requests[-1]))["code"] == 0
    return requests


async def refused(customer: Customer, **changes: Any) -> None:
    answer = await customer.send(text_message(**changes))
    assert (answer["code"], answer["message"], answer["data"]) == (9001, "System business error", None)


async def test_no_more_may_wait_in_all(run: Any, simulator: Control, clock: ShiftableClock) -> None:
    gateway, customer, other = await run(max_waiting=LIMIT)
    async with down(simulator):
        earlier = await fill(customer, LIMIT)
        await refused(customer)
        await refused(customer, appkey="second")
        await refused(other, **THEIRS)
        assert await journalled(gateway) == LIMIT
        assert [(await customer.post(*request))["code"] for request in earlier] == [0] * LIMIT
        async with customer.http.get(f"{gateway.url}/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "too many messages wait to be sent\n")
    await forward(simulator, clock, 40)
    await at_meta(simulator, LIMIT)
    assert (await customer.send(text_message(cus_message_id="again")))["code"] == 0
    await gateway.until("again", "read")
    async with customer.http.get(f"{gateway.url}/readyz") as answer:
        assert answer.status == 200
    assert await simulator.count() == LIMIT + 1, "nothing of what was refused was sent"


async def test_no_more_may_wait_of_one_application(run: Any, simulator: Control) -> None:
    gateway, customer, _ = await run(max_waiting_per_application=LIMIT)
    async with down(simulator):
        earlier = await fill(customer, LIMIT)
        await refused(customer)
        assert await journalled(gateway) == LIMIT
        await fill(customer, LIMIT, appkey="second")
        await refused(customer, appkey="second")
        assert [(await customer.post(*request))["code"] for request in earlier] == [0] * LIMIT
        assert await journalled(gateway) == 2 * LIMIT


async def test_no_more_may_wait_of_an_account_that_has_a_limit(run: Any, simulator: Control) -> None:
    limited = SHARED.replace('name = "acme"', f'name = "acme"\nmax_waiting = {LIMIT}')
    gateway, customer, other = await run(limited)
    async with down(simulator):
        await fill(customer, LIMIT - 1)
        await fill(customer, 1, appkey="second")
        await refused(customer)
        await refused(customer, appkey="second")
        assert await journalled(gateway) == LIMIT
        await fill(other, 2 * LIMIT, **THEIRS)


async def test_what_need_not_wait_is_sent_however_much_waits_elsewhere(run: Any, simulator: Control) -> None:
    gateway, customer, other = await run(max_waiting=LIMIT)
    await gateway.admin("POST", "queue/pause", {"kind": "phone", "key": PHONE, "reason": "a test"})
    await fill(customer, LIMIT)
    await refused(customer)
    answer = await other.send(text_message(cus_message_id="theirs", **THEIRS))
    assert answer["code"] == 0
    await gateway.until("theirs", "read")
    assert await simulator.count() == 1
    assert await journalled(gateway) == LIMIT + 1


async def test_an_account_may_not_ask_more_often_than_its_rate(
    run: Any, simulator: Control, clock: ShiftableClock
) -> None:
    gateway, customer, other = await run(SHARED.replace('name = "acme"', 'name = "acme"\nrequests_per_second = 2'))
    began_ms = clock.now_ms()
    bodies = [msgspec.json.encode(text_message()) for _ in range(20)]
    requests = [(body, customer.signed(body)) for body in bodies]
    answers = await asyncio.gather(*(customer.post(*request) for request in requests))
    allowed = 2 + 2 * (clock.now_ms() - began_ms) / 1000
    taken = [request for request, answer in zip(requests, answers, strict=True) if answer["code"] == 0]
    assert 2 <= len(taken) <= allowed
    assert {answer["code"] for answer in answers} == {0, 9001}
    assert await journalled(gateway) == await simulator.count() == len(taken)
    repeated = await asyncio.gather(*(customer.post(*request) for request in taken))
    assert {answer["code"] for answer in repeated} == {0}, "a repeat gets its answer however often it comes"
    await fill(other, 10, **THEIRS)
    clock.advance(1)
    await fill(customer, 2)


async def test_requests_that_are_refused_for_another_reason_count_too(run: Any) -> None:
    gateway, customer, _ = await run(SHARED.replace('name = "acme"', 'name = "acme"\nrequests_per_second = 2'))
    answers = [await customer.send(text_message(business_phone="8613800000000")) for _ in range(12)]
    refused = [answer["code"] for answer in answers]
    assert refused[:2] == [9002, 9002]
    assert refused.count(9001) >= 5
    assert await journalled(gateway) == 0


async def test_only_as_many_requests_listen_as_can_be_told_in_time(
    run: Any, simulator: Control, clock: ShiftableClock
) -> None:
    """One message a second, and five seconds to answer: of twelve, six or so are told at once that they wait."""
    slow = SHARED.replace(f'number = "{PHONE}"', f'number = "{PHONE}"\n  messages_per_second = 1')
    gateway, customer, _ = await run(slow)
    sending = [asyncio.create_task(customer.send(text_message())) for _ in range(12)]
    done: set[asyncio.Task[Any]] = set()
    while len(done) < 5:
        newly, _ = await asyncio.wait(set(sending) - done, timeout=4, return_when=asyncio.FIRST_COMPLETED)
        assert newly, "answered at once"
        done |= newly
    assert await simulator.count() <= 2, "answered without waiting for anything"
    for number in range(2, 13):
        while await simulator.count() < number:  # no time passes while one is on its way
            clock.advance(0.1)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(WAIT_S):
            while (await gateway.admin("GET", "queue"))["under_way"]:
                await asyncio.sleep(0.01)
    answers = await asyncio.gather(*sending)
    assert {answer["code"] for answer in answers} == {0}
    waited = [line for line in gateway.log.lines("request") if line.get("outcome") == "queued"]
    assert 5 <= len(waited) <= 7
    await at_meta(simulator, 12)
