"""Customers repeat: nothing is sent twice, and a repeat gets the first answer."""

import asyncio
import json
from pathlib import Path

import msgspec

from tests.harness import (
    TENANTS,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    running_gateway,
    settings_for,
    text_message,
)
from waypost.gateway.tenant_file import read

IN_FLIGHT_MS = 300


async def test_the_identical_request_three_times_at_once_is_one_message(customer: Customer, simulator: Control) -> None:
    await simulator.fault("latency", latency_ms=IN_FLIGHT_MS)
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    answers = await asyncio.gather(*(customer.post(body, headers) for _ in range(3)))

    assert {answer["code"] for answer in answers} == {0}
    assert len({answer["data"]["messages"][0]["id"] for answer in answers}) == 1
    assert await simulator.count() == 1


async def test_a_repeat_in_flight_waits_even_when_no_more_is_taken(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, customer: Customer
) -> None:
    await simulator.fault("latency", latency_ms=IN_FLIGHT_MS)
    settings = settings_for(tmp_path / "small", simulator.url, max_in_flight=1)
    async with running_gateway(settings, clock, TENANTS) as small:
        program = Customer(small.url, customer.http, clock.now_ms)
        body = msgspec.json.encode(text_message())
        headers = program.signed(body)
        twins = [program.post(body, headers) for _ in range(3)]
        other = program.send(text_message())
        answers = await asyncio.gather(*twins, other)

    assert [answer["code"] for answer in answers] in ([0, 0, 0, 9001], [9001, 9001, 9001, 0])
    assert await simulator.count() == 1


async def test_two_unlike_requests_with_one_id_at_once_are_one_message_and_one_refusal(
    customer: Customer, simulator: Control
) -> None:
    await simulator.fault("latency", latency_ms=IN_FLIGHT_MS)
    message = text_message(cus_message_id="race")
    answers = await asyncio.gather(
        *(customer.send({**message, "text": {"body": body}}) for body in ("one", "another", "one"))
    )
    assert sorted(answer["code"] for answer in answers) in ([0, 0, 9000], [0, 9000, 9000])
    assert await simulator.count() == 1


async def test_the_identical_request_later_gets_the_same_id(customer: Customer, simulator: Control) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    first = await customer.post(body, headers)
    second = await customer.post(body, headers)

    assert first["data"] == second["data"]
    assert await simulator.count() == 1


async def test_a_signature_in_capitals_is_the_same_request(customer: Customer, simulator: Control) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    first = await customer.post(body, headers)
    second = await customer.post(body, {**headers, "sign": headers["sign"].upper()})

    assert first["data"] == second["data"]
    assert await simulator.count() == 1


async def test_a_newly_signed_request_without_an_id_of_its_own_is_a_new_message(
    customer: Customer, simulator: Control
) -> None:
    message = text_message()
    first, second = await customer.send(message), await customer.send(message)

    assert first["data"] != second["data"]
    assert await simulator.count() == 2


async def test_the_same_cus_message_id_is_one_message_however_often_it_is_signed(
    customer: Customer, simulator: Control
) -> None:
    message = text_message(cus_message_id="once")
    answers = await asyncio.gather(*(customer.send(message) for _ in range(8)))
    moved = await customer.send({**message, "dr_webhook": "https://other.example/dr"})

    assert {answer["code"] for answer in (*answers, moved)} == {0}
    assert await simulator.count() == 1


async def test_the_same_cus_message_id_with_another_message_is_refused(customer: Customer, simulator: Control) -> None:
    message = text_message(cus_message_id="once")
    await customer.send(message)
    answer = await customer.send({**message, "text": {"body": "something else"}})

    assert answer["code"] == 9000
    assert answer["data"]["error"]["path"] == "$.cus_message_id"
    assert await simulator.count() == 1


async def test_the_same_cus_message_id_spelt_differently_is_the_same_message(
    customer: Customer, simulator: Control
) -> None:
    message = text_message(cus_message_id="once")
    await customer.send(message)
    answer = await customer.send({**message, "to": "+" + message["to"], "api_type": "0", "unknown": 1})

    assert answer["code"] == 0
    assert await simulator.count() == 1


async def test_a_refused_message_is_refused_alike_when_repeated_and_tried_again_when_newly_signed(
    customer: Customer, simulator: Control
) -> None:
    await simulator.fault("error", code=131042, times=1)
    message = text_message(cus_message_id="refused-once")
    body = msgspec.json.encode(message)
    headers = customer.signed(body)
    first = await customer.post(body, headers)
    repeated = await customer.post(body, headers)
    again = await customer.send({**message, "text": {"body": "with another body"}})

    assert first["code"] == repeated["code"] == 9099
    assert first["data"] == repeated["data"]
    assert again["code"] == 0
    assert await simulator.count() == 1


async def test_a_message_that_never_left_waits_and_every_repeat_is_the_same_message(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    await simulator.simulator.down()
    first = await customer.post(body, headers)
    message_id = first["data"]["messages"][0]["id"]
    assert (await gateway.message(message_id))["state"] in ("queued", "sending")
    while_it_waits = await customer.post(body, headers)
    await simulator.simulator.up()
    await gateway.until(message_id, "read")
    afterwards = await customer.post(body, headers)

    assert {answer["code"] for answer in (first, while_it_waits, afterwards)} == {0}
    assert first["data"] == while_it_waits["data"] == afterwards["data"]
    assert await simulator.count() == 1


async def test_a_repeat_gets_the_first_answer_although_its_application_is_gone(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    body = msgspec.json.encode(text_message())
    headers = customer.signed(body)
    first = await customer.post(body, headers)
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"] = []
    await gateway.admin("POST", "apply", tables)

    assert (await customer.post(body, headers))["data"] == first["data"]
    assert (await customer.send(text_message()))["code"] == 9003
    assert await simulator.count() == 1


async def test_the_answer_of_an_unknown_message_is_repeated_too(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("reset", times=1)
    message = text_message(cus_message_id="nobody-knows")
    first = await customer.send(message)
    second = await customer.send(message)

    assert first["code"] == second["code"] == 0
    assert (await gateway.message("nobody-knows"))["state"] == "unknown"
    assert await simulator.count() == 0


async def test_a_cus_message_id_is_free_again_after_30_days(
    customer: Customer, clock: ShiftableClock, simulator: Control
) -> None:
    message = text_message(cus_message_id="monthly")
    await customer.send(message)
    clock.advance(30 * 24 * 3600 - 60)
    assert (await customer.send({**message, "text": {"body": "b"}}))["code"] == 9000
    clock.advance(120)
    assert (await customer.send({**message, "text": {"body": "b"}}))["code"] == 0
    assert await simulator.count() == 2


async def test_two_accounts_may_use_the_same_cus_message_id(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    tables = json.loads(json.dumps(read(TENANTS, {})))
    tables["wabas"][0].pop("account")
    tables["wabas"][0]["phones"].append({"number": "8615800009999", "phone_number_id": "206540352242922"})
    tables["accounts"].append(
        {
            "name": "other",
            "access_key": "otherkey",
            "access_secret": "othersecret",
            "applications": [{"appkey": "otherapp", "phones": ["8615800009999"]}],
        }
    )
    await gateway.admin("POST", "apply", tables)
    message = text_message(cus_message_id="same")
    theirs = msgspec.json.encode({**message, "appkey": "otherapp", "business_phone": "8615800009999"})
    headers = customer.signed(theirs, accessKey="otherkey", secret="othersecret")

    assert (await customer.send(message))["code"] == 0
    assert (await customer.post(theirs, headers))["code"] == 0
    assert await simulator.count() == 2
