"""What Meta reports reaches the customer: every status once, in order, signed, retried, replayable."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.test_meta_webhook import post, status
from tests.harness import (
    ACCESS_KEY,
    ACCESS_SECRET,
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
    running_gateway,
    settings_for,
    text_message,
)
from tests.receiver import Receiver
from waypost.gateway import retries
from waypost.gateway.deliver import ORDER_WAIT_MS
from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS
from waypost.gateway.tenant_file import read
from waypost.sdk.callbacks import verify_nxcloud, verify_standard

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback."""
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, tenants) as running:
        await connect(simulator, running)
        yield running


async def with_webhook(gateway: Gateway, url: str, **changes: Any) -> None:
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0] |= {"webhook": url, **changes}
    await gateway.admin("POST", "apply", tables)


async def callbacks(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gateway.admin("GET", f"callbacks{query}"))["callbacks"]
    return found


async def until_state(gateway: Gateway, state: str, number: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(WAIT_S):
        while len(found := await callbacks(gateway, f"?state={state}")) < number:
            await asyncio.sleep(0.02)
    return found


async def test_every_status_arrives_once_and_in_order_at_dr_webhook(
    customer: Customer, gateway: Gateway, receiver: Receiver, simulator: Control
) -> None:
    message = text_message(
        cus_message_id="mine", dr_webhook=f"{receiver.url}/dr", biz_opaque_callback_data="campaign-1"
    )
    await customer.send(message)
    received = await receiver.until(3)

    assert receiver.statuses() == ["sent", "delivered", "read"]
    (at_meta,) = await simulator.messages()
    for item in received:
        assert item.path == "/dr"
        assert item.headers["content-type"] == "application/json"
        content = item.content
        assert content["business_phone"] == content["merchant_phone"] == PHONE
        assert content["wabaId"] == WABA
        assert content["channel"] == 2
        assert content["metadata"]["phone_number_id"] == PHONE_ID
        (told,) = content["statuses"]
        assert told["id"] == "mine"
        assert told["meta_message_id"] == at_meta["id"]
        assert told["recipient_id"] == message["to"]
        assert told["biz_opaque_callback_data"] == "campaign-1"
    await until_state(gateway, "done", 3)
    shown = (await gateway.message("mine"))["callbacks"]
    assert [(item["status"], item["state"]) for item in shown] == [
        ("sent", "done"), ("delivered", "done"), ("read", "done")
    ]  # fmt: skip
    assert [len(item["attempts"]) for item in shown] == [1, 1, 1]


async def test_our_token_is_never_shown_to_the_customer(
    customer: Customer, receiver: Receiver, gateway: Gateway
) -> None:
    await customer.send(text_message(dr_webhook=receiver.url))
    received = await receiver.until(3)
    assert all(b"wp1." not in item.body for item in received)


async def test_without_dr_webhook_the_applications_webhook_is_used_if_it_wants_statuses(
    customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    await with_webhook(gateway, f"{receiver.url}/app")
    await customer.send(text_message())
    assert {item.path for item in await receiver.until(3)} == {"/app"}
    await with_webhook(gateway, f"{receiver.url}/app", events=["messages"])
    answer = await customer.send(text_message())
    timeline = await gateway.until(answer["data"]["messages"][0]["id"], "read")
    assert timeline["callbacks"] == []
    assert len(receiver.received) == 3


async def test_callbacks_are_signed_both_ways(customer: Customer, gateway: Gateway, receiver: Receiver) -> None:
    await with_webhook(gateway, receiver.url, callback_signing="sha256", callback_secret=[SECRET, "the-old-one"])
    await customer.send(text_message())
    for item in await receiver.until(3):
        assert item.headers["accesskey"] == ACCESS_KEY
        assert verify_nxcloud(item.headers, item.body, ACCESS_SECRET)
        assert not verify_nxcloud(item.headers, item.body + b" ", ACCESS_SECRET)
        now_s = int(item.headers["webhook-timestamp"])
        for secret in (SECRET, "the-old-one"):
            assert verify_standard(item.headers, item.body, (secret,), now_s=now_s)
        assert not verify_standard(item.headers, item.body, ("another",), now_s=now_s)


@pytest.mark.parametrize("refusal", [201, 204, 301, 404, 500])
async def test_everything_but_200_is_tried_again(
    refusal: int, customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock, simulator: Control
) -> None:
    await simulator.config(time_factor=100_000)
    receiver.answer = refusal
    await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
    assert await post(gateway, status((await gateway.message("m"))["meta_message_id"])) == 200
    await receiver.until(1)
    (waiting,) = await callbacks(gateway, "?state=due")
    receiver.answer = 200
    clock.advance(retries.SCHEDULE_S[0] * (1 + retries.JITTER) + 1)
    await receiver.until(2)
    (done,) = await until_state(gateway, "done")

    assert done["id"] == waiting["id"]
    assert receiver.received[0].body == receiver.received[1].body
    attempts = (await gateway.admin("GET", f"callbacks/{done['id']}"))["attempts"]
    assert [item["http_status"] for item in attempts] == [refusal, 200]


async def test_a_later_status_waits_for_an_earlier_one_but_not_for_ever(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock, simulator: Control
) -> None:
    await simulator.config(time_factor=100_000)
    receiver.answer = lambda item: 500 if item.status == "sent" else 200
    await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
    meta_id = (await gateway.message("m"))["meta_message_id"]
    assert await post(gateway, status(meta_id, "sent"), status(meta_id, "delivered")) == 200
    await receiver.until(1)
    clock.advance(7)
    await receiver.until(2)
    assert receiver.statuses() == ["sent", "sent"]
    clock.advance(ORDER_WAIT_MS / 1000)
    async with asyncio.timeout(WAIT_S):
        while "delivered" not in receiver.statuses():
            await asyncio.sleep(0.01)
    receiver.answer = 200
    clock.advance(3600)
    await until_state(gateway, "done", 2)


async def test_statuses_that_come_in_disorder_are_called_back_in_order(
    customer: Customer, gateway: Gateway, receiver: Receiver, simulator: Control
) -> None:
    await simulator.config(time_factor=100_000)
    await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
    meta_id = (await gateway.message("m"))["meta_message_id"]
    for value in ("read", "sent", "delivered"):
        assert await post(gateway, status(meta_id, value)) == 200
    await receiver.until(3)
    assert receiver.statuses() == ["sent", "delivered", "read"]


async def test_what_a_recipient_writes_reaches_one_application_once(
    gateway: Gateway, receiver: Receiver, simulator: Control
) -> None:
    await with_webhook(gateway, f"{receiver.url}/app")
    await simulator.fault("webhook_duplicate", times=1)
    await simulator.call(
        "POST",
        "inbound",
        {"phone_number_id": PHONE_ID, "from": "8613900000002", "type": "text", "text": {"body": "Grüße ☕"}},
    )
    (item,) = await receiver.until(1)
    content = item.content
    assert content["contacts"]
    assert content["messages"][0]["text"] == {"body": "Grüße ☕"}
    assert content["messages"][0]["from"] == "8613900000002"
    assert content["business_phone"] == PHONE
    await until_state(gateway, "done")
    assert len(receiver.received) == 1


async def test_template_events_reach_the_applications_of_the_waba(gateway: Gateway, receiver: Receiver) -> None:
    await with_webhook(gateway, receiver.url)
    value = {"event": "APPROVED", "message_template_id": 124, "message_template_name": "n", "reason": "NONE"}
    entry = {"id": WABA, "time": 1761291192, "changes": [{"field": "message_template_status_update", "value": value}]}
    for _ in range(2):
        assert await post(gateway, entry) == 200
    (item,) = await receiver.until(1)
    assert item.content["field"] == "message_template_status_update"
    assert item.content["value"]["event"] == "APPROVED"
    assert item.content["value"]["message_template_id"] == "124"
    assert item.content["value"]["business_phone"] == PHONE
    await until_state(gateway, "done")
    assert len(receiver.received) == 1


async def test_a_dead_endpoint_is_only_probed_and_comes_back_by_itself(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock, simulator: Control
) -> None:
    await simulator.config(time_factor=100_000)
    receiver.answer = 500
    for index in range(OPEN_AFTER + 5):
        await customer.send(text_message(cus_message_id=f"m{index}", dr_webhook=receiver.url))
        meta_id = (await gateway.message(f"m{index}"))["meta_message_id"]
        assert await post(gateway, status(meta_id)) == 200
    await receiver.until(OPEN_AFTER)
    async with asyncio.timeout(WAIT_S):
        while not gateway.log.lines("endpoint_down"):
            await asyncio.sleep(0.01)
    tried = len(receiver.received)
    assert (await callbacks(gateway, "?state=due&limit=1"))[0]["endpoint_down"]
    await customer.send(text_message(cus_message_id="late", dr_webhook=receiver.url))
    assert await post(gateway, status((await gateway.message("late"))["meta_message_id"])) == 200
    clock.advance(PROBE_EVERY_MS / 1000 + 60)
    await receiver.until(tried + 1)
    assert len(receiver.received) == tried + 1, "one probe, however much is due"
    receiver.answer = 200
    clock.advance(PROBE_EVERY_MS / 1000 + 60)
    await until_state(gateway, "done", 2)
    clock.advance(PROBE_EVERY_MS / 1000)
    await until_state(gateway, "done", OPEN_AFTER + 6)


async def test_abandoned_callbacks_are_listed_and_can_be_replayed(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock, simulator: Control
) -> None:
    await simulator.config(time_factor=100_000)
    receiver.answer = 500
    await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
    assert await post(gateway, status((await gateway.message("m"))["meta_message_id"])) == 200
    for number, wait in enumerate((*retries.SCHEDULE_S, 0), 1):
        await receiver.until(number)
        async with asyncio.timeout(WAIT_S):
            while (await callbacks(gateway))[0]["attempts"] < number:
                await asyncio.sleep(0.01)
        clock.advance(wait * (1 + retries.JITTER) + PROBE_EVERY_MS / 1000 + 1)
    (abandoned,) = await until_state(gateway, "abandoned")
    receiver.answer = 200
    preview = await gateway.admin("POST", "callbacks/replay", {"state": "abandoned", "dry_run": True})
    replayed = await gateway.admin("POST", "callbacks/replay", {"state": "abandoned"})
    await until_state(gateway, "done")

    assert (preview, replayed) == ({"count": 1}, {"replayed": 1})
    assert receiver.received[-1].body == receiver.received[0].body
    assert gateway.log.lines("callbacks_replayed")
    assert abandoned["http_status"] == 500


async def test_an_endpoint_that_hangs_does_not_delay_another(
    customer: Customer, gateway: Gateway, receiver: Receiver, simulator: Control
) -> None:
    dead = Receiver()
    await dead.start()
    dead.hold.clear()
    try:
        for _ in range(40):
            await customer.send(text_message(dr_webhook=dead.url))
        await dead.until(8)
        await customer.send(text_message(dr_webhook=receiver.url))
        await receiver.until(3)
        assert len(dead.received) == 8, "no more than its share at once"
    finally:
        await dead.stop()


async def test_a_private_address_is_refused_unless_allowed(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, customer: Customer, receiver: Receiver
) -> None:
    settings = settings_for(tmp_path / "strict", simulator.url)
    async with running_gateway(settings, clock, TENANTS) as strict:
        await connect(simulator, strict)
        program = Customer(strict.url, customer.http, clock.now_ms)
        await program.send(text_message(dr_webhook=receiver.url))
        async with asyncio.timeout(WAIT_S):
            while not (found := await callbacks(strict)) or found[0]["attempts"] == 0:
                await asyncio.sleep(0.02)
        assert "127.0.0.1" in found[0]["error"]
        assert receiver.received == []


async def test_what_was_due_when_the_gateway_stopped_is_pushed_by_the_next_one(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, customer: Customer, receiver: Receiver
) -> None:
    settings = settings_for(tmp_path / "again", simulator.url, allow_private_callbacks=True)
    receiver.answer = 503
    async with running_gateway(settings, clock, TENANTS) as first:
        await connect(simulator, first)
        await Customer(first.url, customer.http, clock.now_ms).send(
            text_message(cus_message_id="m", dr_webhook=receiver.url)
        )
        await first.until("m", "read")
        await receiver.until(1)
    receiver.answer = 200
    clock.advance(60)
    async with running_gateway(settings, clock, TENANTS) as second:
        await until_state(second, "done", 3)
        states = [item["state"] for item in (await second.message("m"))["callbacks"]]
    assert states == ["done"] * 3


async def test_events_can_be_reconciled_with_the_same_payload_and_id(
    customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    await customer.send(text_message(dr_webhook=receiver.url))
    await receiver.until(3)
    await until_state(gateway, "done", 3)
    events = (await gateway.admin("GET", "events?since=0"))["events"]
    assert [item["payload"] for item in events] == [item.content for item in receiver.received]
    assert (await gateway.admin("GET", "events?since=0&delivered=false"))["events"] == []
