"""What Meta reports beside statuses, through the front door: told to whom it concerns, as often as it happens."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.test_meta_webhook import post, status
from tests.harness import (
    APP_SECRET,
    PHONE,
    PHONE_ID,
    TENANTS,
    WABA,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from tests.receiver import Received, Receiver
from waypost.gateway.tenant_file import read

SECOND, SECOND_ID = "8615800001796", "106540352242999"
NEIGHBOURS, NEIGHBOURS_ID = "8615800001797", "106540352242998"
METADATA = {"display_phone_number": PHONE, "phone_number_id": PHONE_ID}
TIME_S = 1_761_291_192


@pytest.fixture
async def gateway(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, receiver: Receiver
) -> AsyncIterator[Gateway]:
    """A gateway whose WABA has two numbers of `acme`, told at `/acme`, and one of `globex`, told at `/globex`."""
    tables = read(TENANTS, {})
    del tables["wabas"][0]["account"]
    tables["wabas"][0]["phones"] += [
        {"number": SECOND, "phone_number_id": SECOND_ID},
        {"number": NEIGHBOURS, "phone_number_id": NEIGHBOURS_ID},
    ]
    tables["accounts"][0]["applications"][0] |= {"webhook": f"{receiver.url}/acme", "phones": [PHONE, SECOND]}
    neighbour = {"appkey": "neighbour", "phones": [NEIGHBOURS], "webhook": f"{receiver.url}/globex"}
    tables["accounts"].append(
        {"name": "globex", "access_key": "k2", "access_secret": "s2", "applications": [neighbour]}
    )
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, TENANTS) as running:
        await running.admin("POST", "apply", tables)
        await connect(simulator, running)
        await simulator.config(auto_statuses=False)
        yield running


def entry(field: str, value: object, *, time: int | None = TIME_S, waba_id: str = WABA) -> dict[str, Any]:
    return {"id": waba_id, "changes": [{"field": field, "value": value}]} | ({} if time is None else {"time": time})


def written(meta_id: str, **members: Any) -> dict[str, Any]:
    return {"from": "8613900000002", "id": meta_id, "timestamp": "1", "type": "text", "text": {"body": "hi"}} | members


def body_of(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()


def inbound(*messages: dict[str, Any]) -> dict[str, Any]:
    return entry("messages", {"metadata": METADATA, "messages": list(messages)}, time=None)


async def told(gateway: Gateway, receiver: Receiver, number: int) -> list[Received]:
    """Wait for what is expected, and for a last event behind it, so that nothing else can be on its way."""
    await receiver.until(number)
    assert await post(gateway, entry("account_update", {"event": "THE_LAST"})) == 200
    await receiver.until(number + 3)
    found = [item for item in receiver.received if item.content.get("value", {}).get("event") != "THE_LAST"]
    assert len(receiver.received) == number + 3, [item.content for item in found]
    return found


async def test_what_was_typed_at_a_number_reaches_no_other_account_on_the_waba(
    gateway: Gateway, receiver: Receiver
) -> None:
    echo = {"from": PHONE, "to": "8613900000002", "id": "w", "type": "text", "text": {"body": "a secret"}}
    for field, value in (
        ("smb_message_echoes", {"metadata": METADATA, "message_echoes": [echo]}),
        ("history", {"metadata": METADATA, "history": [{"threads": ["a secret"]}]}),
        ("user_preferences", {"metadata": METADATA, "user_preferences": [{"wa_id": "1", "value": "stop"}]}),
        ("calls", {"metadata": METADATA, "calls": [{"id": "c", "event": "connect"}]}),
        ("calls", {"metadata": METADATA, "calls": [{"id": "c", "from": "1", "event": "terminate"}]}),
        ("a_field_of_next_year", {"metadata": METADATA, "text": "a secret"}),
        ("a_field_without_a_phone", {"text": "a secret"}),
    ):
        assert await post(gateway, entry(field, value)) == 200
    for item in await told(gateway, receiver, 6):
        assert item.path == "/acme"
        assert item.content.get("value", item.content)["business_phone"] == PHONE


async def test_an_event_that_happens_again_is_told_again_and_one_that_is_repeated_is_not(
    gateway: Gateway, receiver: Receiver
) -> None:
    value = {"event": "APPROVED", "message_template_id": 1, "message_template_name": "n", "reason": "NONE"}
    field = "message_template_status_update"
    for event, time in (("APPROVED", TIME_S), ("PAUSED", TIME_S + 100), ("APPROVED", TIME_S + 200)):
        for _ in range(3):
            assert await post(gateway, entry(field, value | {"event": event}, time=time)) == 200
    values = [item.content["value"] for item in await told(gateway, receiver, 9)]
    assert sorted((item["time"], item["event"]) for item in values if item["business_phone"] == PHONE) == [
        (TIME_S, "APPROVED"), (TIME_S + 100, "PAUSED"), (TIME_S + 200, "APPROVED")
    ]  # fmt: skip


async def test_an_event_without_a_time_has_that_of_its_receipt_and_is_told_once(
    gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    before_s = clock.now_ms() // 1000
    for _ in range(2):
        assert await post(gateway, entry("account_review_update", {"decision": "APPROVED"}, time=None)) == 200
        clock.advance(5)
    for item in await told(gateway, receiver, 3):
        assert before_s <= item.content["value"]["time"] <= clock.now_ms() // 1000


@pytest.mark.parametrize("spelling", [SECOND, "+86 158 0000 1796"])
async def test_an_event_of_one_number_is_told_for_that_number_alone(
    spelling: str, gateway: Gateway, receiver: Receiver
) -> None:
    for field, value in (
        ("phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"}),
        ("phone_number_name_update", {"decision": "APPROVED", "requested_verified_name": "x"}),
        ("security", {"event": "PIN_CHANGED", "requester": "1"}),
    ):
        assert await post(gateway, entry(field, {"display_phone_number": spelling, **value})) == 200
    found = await told(gateway, receiver, 3)
    assert [(item.path, item.content["value"]["business_phone"]) for item in found] == [("/acme", SECOND)] * 3


async def test_what_is_filed_under_the_id_of_a_business_reaches_the_waba_that_it_names(
    gateway: Gateway, receiver: Receiver
) -> None:
    value = {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": WABA, "owner_business_id": "5"}}
    assert await post(gateway, entry("account_update", value, waba_id="999888777")) == 200
    found = await told(gateway, receiver, 3)
    assert {item.content["value"]["wabaId"] for item in found} == {WABA}
    assert {item.content["value"]["business_phone"] for item in found} == {PHONE, SECOND, NEIGHBOURS}


async def test_an_app_of_another_waba_can_report_nothing_about_ours(gateway: Gateway, receiver: Receiver) -> None:
    tables = {"waba_id": "555", "access_token": "t", "app_secret": "the-other-app"}
    current = read(TENANTS, {})
    current["accounts"][0]["applications"][0]["webhook"] = f"{receiver.url}/acme"
    current["wabas"].append(tables)
    await gateway.admin("POST", "apply", current)
    info = {"waba_id": WABA}
    forged = [
        inbound(written("w1")),
        entry("account_update", {"event": "PARTNER_REMOVED", "waba_info": info}, waba_id="555"),
        entry("security", {"display_phone_number": PHONE, "event": "PIN_CHANGED"}, waba_id="555"),
        entry("smb_message_echoes", {"metadata": METADATA, "message_echoes": []}, waba_id="555"),
        entry("account_alerts", {"entity_type": "PHONE_NUMBER", "entity_id": PHONE_ID}, waba_id="555"),
        entry("flows", {"x": 1}),
    ]
    assert await post(gateway, *forged, secret="the-other-app") == 200
    # the one about security is filed under that WABA of theirs, which has no such number
    assert gateway.log.lines("webhook")[-1]["foreign"] == 5
    assert await post(gateway, inbound(written("w2")), secret=APP_SECRET) == 200
    await receiver.until(1)
    assert [item.content["messages"][0]["id"] for item in receiver.received] == ["w2"]


async def test_user_preferences_are_told_whatever_the_entry_is_filed_under(
    gateway: Gateway, receiver: Receiver
) -> None:
    value = {"metadata": METADATA, "user_preferences": [{"wa_id": "1", "value": "resume"}]}
    assert await post(gateway, entry("user_preferences", value, waba_id="12")) == 200
    (item,) = await told(gateway, receiver, 1)
    assert (item.content["value"]["business_phone"], item.content["value"]["wabaId"]) == (PHONE, WABA)


async def test_errors_of_a_number_are_told_as_an_event(gateway: Gateway, receiver: Receiver) -> None:
    errors = [{"code": 131035, "title": "t"}]
    assert await post(gateway, entry("messages", {"metadata": METADATA, "errors": errors})) == 200
    (item,) = await told(gateway, receiver, 1)
    assert item.content["field"] == "messages"
    assert item.content["value"]["errors"] == errors


async def test_contacts_beside_a_status_are_told(gateway: Gateway, receiver: Receiver, customer: Customer) -> None:
    await customer.send(text_message(cus_message_id="m", dr_webhook=f"{receiver.url}/dr"))
    meta_id = (await gateway.message("m"))["meta_message_id"]
    reported = status(meta_id, "sent")
    contact = {"profile": {"name": "Ann"}, "wa_id": "8613900000002", "user_id": "CN.1"}
    reported["changes"][0]["value"]["contacts"] = [contact]
    assert await post(gateway, reported) == 200
    (item,) = await receiver.until(1)
    assert item.content["contacts"] == [contact]
    assert item.content["statuses"][0]["status"] == "sent"
    assert "contacts" not in item.content["statuses"][0]


async def test_a_reply_names_the_customers_own_message_by_the_customers_id(
    gateway: Gateway, receiver: Receiver, customer: Customer
) -> None:
    await customer.send(text_message(cus_message_id="order-7", dr_webhook=f"{receiver.url}/dr"))
    meta_id = (await gateway.message("order-7"))["meta_message_id"]
    context = {"from": PHONE, "id": meta_id}
    reaction = {"type": "reaction", "reaction": {"message_id": meta_id, "emoji": "x"}}
    assert await post(gateway, inbound(written("r1", context=context), written("r2", **reaction))) == 200
    found = {item["id"]: item for item in (call.content["messages"][0] for call in await receiver.until(2))}
    assert found["r1"]["context"] == {"from": PHONE, "id": "order-7", "meta_message_id": meta_id}
    assert found["r2"]["reaction"] == {"message_id": "order-7", "emoji": "x", "meta_message_id": meta_id}


async def test_a_reply_never_names_another_accounts_message(
    gateway: Gateway, receiver: Receiver, customer: Customer
) -> None:
    await customer.send(text_message(cus_message_id="order-of-acme", dr_webhook=f"{receiver.url}/dr"))
    meta_id = (await gateway.message("order-of-acme"))["meta_message_id"]
    tables = read(TENANTS, {})
    tables["wabas"][0] |= {"shared": True, "inbound_application": "heir"}
    heir = {"appkey": "heir", "phones": [PHONE], "webhook": f"{receiver.url}/globex"}
    tables["accounts"].append({"name": "globex", "access_key": "k2", "access_secret": "s2", "applications": [heir]})
    await gateway.admin("POST", "apply", tables)
    assert await post(gateway, inbound(written("r1", context={"from": PHONE, "id": meta_id}))) == 200
    (item,) = await receiver.until(1)
    assert item.path == "/globex"
    assert item.content["messages"][0]["context"] == {"from": PHONE, "id": meta_id}
    assert b"order-of-acme" not in item.body


async def test_a_status_is_not_told_to_another_account_that_got_the_appkey(
    gateway: Gateway, receiver: Receiver, customer: Customer
) -> None:
    await customer.send(text_message(cus_message_id="m"))
    meta_id = (await gateway.message("m"))["meta_message_id"]
    tables = read(TENANTS, {})
    del tables["wabas"][0]["account"]
    (moved,) = tables["accounts"][0].pop("applications")
    moved["webhook"] = f"{receiver.url}/globex"
    tables["accounts"].append({"name": "globex", "access_key": "k2", "access_secret": "s2", "applications": [moved]})
    await gateway.admin("POST", "apply", tables)
    assert await post(gateway, status(meta_id, "sent"), inbound(written("w1"))) == 200
    (item,) = await receiver.until(1)
    assert item.content["messages"][0]["id"] == "w1"
    assert (await gateway.message("m"))["state"] == "sent"
    assert (await gateway.message("m"))["callbacks"] == []


@pytest.mark.parametrize("damage", ["9" * 5000, "[" * 3000 + "]" * 3000, "NaN", r'["\ud83d",' + "9" * 5000 + "]"])
async def test_one_message_that_nobody_can_read_whole_costs_nothing(
    damage: str, gateway: Gateway, receiver: Receiver, customer: Customer
) -> None:
    await customer.send(text_message(cus_message_id="m", dr_webhook=f"{receiver.url}/dr"))
    reported = status((await gateway.message("m"))["meta_message_id"], "sent")
    body = body_of(reported, inbound(written("good"), written("bad", odd="PUT"), {"type": "text"}))
    assert await post(gateway, body=body.replace(b'"PUT"', damage.encode())) == 200
    line = gateway.log.lines("webhook")[-1]
    assert (line["recorded"], line["other"], line["ignored"]) == (1, 2, 1)
    calls = [item.content for item in await receiver.until(3)]
    assert sorted(call["messages"][0]["id"] for call in calls if "messages" in call) == ["bad", "good"]
    assert (await gateway.message("m"))["state"] == "sent"
