"""When nobody knows whether Meta has a message: it is called unknown, never sent again, and settled by evidence."""

import asyncio

import pytest

from tests.harness import PHONE_ID, WAIT_S, Control, Customer, Gateway, ShiftableClock, text_message


@pytest.mark.parametrize("kind", ["accept_then_drop", "truncate", "no_id"])
async def test_a_lost_answer_is_settled_by_our_token(
    kind: str, customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault(kind, times=1)
    answer = await customer.send(text_message())

    assert answer["code"] == 0
    timeline = await gateway.until(answer["data"]["messages"][0]["id"], "read")
    (at_meta,) = await simulator.messages()
    assert timeline["meta_message_id"] == at_meta["id"]
    assert [item["status"] for item in timeline["statuses"]] == ["sent", "delivered", "read"]


async def test_a_lost_answer_is_settled_by_the_customers_string_if_exactly_one_message_fits(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("accept_then_drop", times=1)
    answer = await customer.send(text_message(biz_opaque_callback_data="only-one"))

    assert answer["code"] == 0
    await gateway.until(answer["data"]["messages"][0]["id"], "read")


async def test_two_unknown_messages_with_the_same_string_stay_unknown(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.config(time_factor=1000)
    await simulator.fault("accept_then_drop", times=2)
    message = text_message(biz_opaque_callback_data="same")
    for name in ("one", "two"):
        assert (await customer.send({**message, "cus_message_id": name}))["code"] == 0
    ids = [item["id"] for item in await simulator.messages()]
    for meta_id in ids:
        await simulator.call("POST", "status", {"id": meta_id, "status": "sent"})
    await gateway_has_parked(gateway, 2)

    for name in ("one", "two"):
        assert (await gateway.message(name))["state"] == "unknown"


async def gateway_has_parked(gateway: Gateway, number: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while sum(line.get("parked", 0) for line in gateway.log.lines("webhook")) < number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("reset", {}),
        ("http_500", {}),
        ("html_502", {}),
        ("error", {"code": 131000}),
        ("error", {"code": 1}),
        ("error", {"code": 2}),
    ],
)
async def test_no_whole_answer_or_an_uncertain_code_is_answered_0_and_called_unknown(
    kind: str, values: dict[str, object], customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault(kind, times=1, **values)
    answer = await customer.send(text_message(cus_message_id="who-knows"))

    assert answer["code"] == 0
    assert (await gateway.message("who-knows"))["state"] == "unknown"
    calls = [item for item in await simulator.call("GET", "requests") if item["path"].endswith(f"{PHONE_ID}/messages")]
    assert len(calls) == 1, "an unknown message is never sent again by itself"
    listed = await gateway.admin("GET", "messages?state=unknown")
    assert [item["cus_message_id"] for item in listed["messages"]] == ["who-knows"]


@pytest.mark.parametrize("code", [131026, 131042, 132001, 132015])
async def test_a_definite_refusal_of_the_message_is_9099_and_nothing_about_it_is_unknown(
    code: int, customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("error", code=code, times=1)
    answer = await customer.send(text_message(cus_message_id="refused"))

    assert answer["code"] == 9099
    assert answer["data"]["error"]["code"] == code
    assert (await gateway.message("refused"))["state"] == "rejected"
    assert (await gateway.admin("GET", "messages?state=unknown"))["messages"] == []


@pytest.mark.parametrize("code", [4, 80007, 130429, 131016, 131056])
async def test_a_definite_refusal_that_passes_by_is_answered_0_and_waits_and_nothing_about_it_is_unknown(
    code: int, customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=code, times=1)
    answer = await customer.send(text_message(cus_message_id="later"))

    assert answer["code"] == 0
    assert (await gateway.message("later"))["state"] == "queued"
    assert (await gateway.admin("GET", "messages?state=unknown"))["messages"] == []
    assert await simulator.count() == 0, "so a second attempt can't be a second message"
    clock.advance(60)
    timeline = await gateway.until("later", "read")
    assert timeline["attempt"] == 2
    assert await simulator.count() == 1


async def test_a_status_that_overtakes_the_answer_finds_its_message(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("latency", latency_ms=200, times=1)
    answer = await customer.send(text_message(biz_opaque_callback_data="early"))
    timeline = await gateway.until(answer["data"]["messages"][0]["id"], "read")

    assert len(timeline["statuses"]) == 3
