"""`POST /api/wa/callback`: a customer gets again what it was told about templates, account and phones."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flow.test_meta_webhook import post
from tests.harness import (
    APPKEY,
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
from tests.receiver import Receiver
from tests.schema_check import problems
from waypost.gateway.tenant_file import read
from waypost.web import openapi
from waypost.web.callback_query import MAX_BYTES, MAX_READ

DOCUMENT = openapi.build()
OTHER_PHONE = "8615800001796"
MORE = """
[[wabas]]
waba_id = "777"
account = "other"
access_token = "token-of-another"

  [[wabas.phones]]
  number = "4930123456"
  phone_number_id = "778"

[[accounts]]
name = "other"
access_key = "another-key"
access_secret = "another-secret"

  [[accounts.applications]]
  appkey = "another-app"
  phones = ["4930123456"]
"""
PHONES = f'''phones = ["{PHONE}"]'''
UNBOUND = f"""phone_number_id = "106540352242922"

  [[wabas.phones]]
  number = "{OTHER_PHONE}"
  phone_number_id = "106540352242923"
"""

INBOUND = {
    "metadata": {"display_phone_number": PHONE, "phone_number_id": PHONE_ID},
    "messages": [
        {"from": "8613900000002", "id": "wamid.in", "timestamp": "1663053831", "type": "text", "text": {"body": "hi"}}
    ],
}


@pytest.fixture
async def gateway(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, receiver: Receiver
) -> AsyncIterator[Gateway]:
    """A gateway with a second account, a number without binding, and a webhook for the first application."""
    tenants = TENANTS.replace('phone_number_id = "106540352242922"\n', UNBOUND) + MORE
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, tenants) as running:
        await connect(simulator, running)
        tables = read(tenants, {})
        tables["accounts"][0]["applications"][0] |= {"webhook": receiver.url, "callback_secret": "the-hook-secret"}
        await running.admin("POST", "apply", tables)
        yield running


def at(clock: ShiftableClock, seconds: float = 0) -> str:
    """A moment from now as the page writes it: UTC+8."""
    moment = datetime.fromtimestamp(clock.now_ms() / 1000, UTC) + timedelta(hours=8, seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


async def ask(customer: Customer, clock: ShiftableClock, **changes: Any) -> dict[str, Any]:
    query = {
        "appkey": APPKEY,
        "messaging_product": "whatsapp",
        "business_phone": PHONE,
        "field": "account_update",
        "start_ime": at(clock, -3600),
        "end_time": at(clock, 1),
        **changes,
    }
    return await customer.post(msgspec.json.encode(query), path="/api/wa/callback")


async def happens(gateway: Gateway, field: str, **value: Any) -> None:
    entry = {"id": WABA, "time": 1761291192, "changes": [{"field": field, "value": value}]}
    assert await post(gateway, entry) == 200


async def test_events_come_back_as_the_texts_that_were_pushed(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    await happens(gateway, "account_update", event="VERIFIED_ACCOUNT", note="Grüße ☕")
    await happens(gateway, "history", phase=1)
    await receiver.until(2)
    answer = await ask(customer, clock)

    assert (answer["code"], answer["message"]) == (0, "Request successful")
    pushed = {item.content["field"]: item.body.decode() for item in receiver.received}
    assert answer["data"] == [pushed["account_update"]]
    assert json.loads(answer["data"][0])["value"]["note"] == "Grüße ☕"
    assert (await ask(customer, clock, field="history"))["data"] == [pushed["history"]]
    assert (await ask(customer, clock, field="nothing_of_that_name"))["data"] == []
    line = gateway.log.lines("request")[0]
    assert (line["path"], line["account"], line["callbacks"]) == ("/api/wa/callback", "acme", 1)


async def test_only_what_was_stored_in_the_asked_time_comes_back(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    for number in range(3):
        await happens(gateway, "account_update", event="ACCOUNT_RESTRICTION", number=number)
        clock.advance(3600)
    await receiver.until(3)
    spelt = await ask(customer, clock, start_ime=None, start_time=at(clock, -7210), end_time=at(clock, -3610))
    assert [json.loads(text)["value"]["number"] for text in spelt["data"]] == [1]
    all_ = await ask(customer, clock, start_ime=at(clock, -4 * 3600))
    assert [json.loads(text)["value"]["number"] for text in all_["data"]] == [0, 1, 2]


async def test_who_may_ask_for_what_is_answered_as_for_a_message(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    await happens(gateway, "account_update", event="VERIFIED_ACCOUNT")
    await receiver.until(1)
    assert (await ask(customer, clock, appkey="another-app"))["code"] == 9003
    assert (await ask(customer, clock, appkey="nobody's"))["code"] == 9003
    assert (await ask(customer, clock, business_phone="4930123456"))["code"] == 9002
    assert (await ask(customer, clock, business_phone="8615800009999"))["code"] == 9002
    assert (await ask(customer, clock, business_phone=OTHER_PHONE))["code"] == 10003
    body = b'{"appkey":"f543ertg"}'
    for code, headers in (
        (1001, {}),
        (1002, customer.signed(body, action="callback")),
        (1003, customer.signed(body + b" ")),
        (1005, customer.signed(body, accessKey="nobody")),
    ):
        assert (await customer.post(body, headers, path="/api/wa/callback"))["code"] == code
    (line,) = [line for line in gateway.log.lines("request") if line["code"] == 1003]
    assert line["body_bytes"] == len(body)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"start_ime": "yesterday"}, "$.start_ime"),
        ({"end_time": "2026-02-30 00:00:00"}, "$.end_time"),
        ({"start_ime": "2020-01-01 00:00:00"}, "$.start_ime"),
        ({"end_time": "2020-01-01 00:00:00"}, "$.end_time"),
        ({"field": 7}, "$.field"),
    ],
)
async def test_a_bad_query_is_9000_with_its_place(
    changes: dict[str, Any], path: str, customer: Customer, clock: ShiftableClock
) -> None:
    answer = await ask(customer, clock, **changes)
    assert answer["code"] == 9000
    assert answer["data"]["error"]["path"] == path


async def test_more_than_one_answer_may_hold_is_refused_rather_than_cut_off(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.hold.clear()  # nobody is to wait for thousands of pushes
    changes = [{"field": "account_update", "value": {"number": number}} for number in range(MAX_READ)]
    assert await post(gateway, {"id": WABA, "time": 1761291192, "changes": changes}) == 200
    whole = await ask(customer, clock)
    assert [json.loads(text)["value"]["number"] for text in whole["data"]] == list(range(MAX_READ))
    await happens(gateway, "account_update", number=MAX_READ)
    answer = await ask(customer, clock)
    assert answer["code"] == 9000
    assert answer["data"]["error"] == {
        "path": "$.end_time",
        "details": "there are too many in this time; ask for a shorter one, or page by page with a limit",
    }
    receiver.hold.set()


# --- what Waypost adds: page by page, with ids, 30 days, statuses and inbound messages --------------------------------


async def pages(customer: Customer, clock: ShiftableClock, limit: int, **changes: Any) -> list[list[dict[str, Any]]]:
    """Read page by page to the end."""
    told: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await ask(customer, clock, limit=limit, cursor=cursor, **changes)
        assert problems(DOCUMENT, DOCUMENT["components"]["schemas"]["CallbackQuerySuccess"], answer) == []
        assert list(answer["data"]) == ["callbacks", "next_cursor"]
        told.append(answer["data"]["callbacks"])
        cursor = answer["data"]["next_cursor"]
    return told


def pushed(receiver: Receiver, field: str) -> list[dict[str, Any]]:
    """What the receiver was pushed: statuses and messages by the array they come in, events by their field."""
    return [
        {"id": item.headers["webhook-id"], "payload": item.body.decode()}
        for item in receiver.received
        if field in item.content or item.content.get("field") == field
    ]


async def test_pages_have_the_ids_and_bytes_of_the_callbacks_and_follow_each_other_without_gap(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    for number in range(5):
        await happens(gateway, "account_update", event="VERIFIED_ACCOUNT", number=number, note="Grüße ☕")
        await happens(gateway, "history", number=number)
    await receiver.until(10)
    told = await pages(customer, clock, 2)
    assert [len(page) for page in told] == [2, 2, 1]
    expected = sorted(pushed(receiver, "account_update"), key=lambda item: str(item["id"]))
    assert [item for page in told for item in page] == expected
    assert len({item["id"] for item in expected}) == 5
    one = await ask(customer, clock, cursor=expected[3]["id"])
    assert one["data"] == {"callbacks": expected[4:], "next_cursor": None}


async def test_statuses_and_inbound_messages_come_back_by_the_names_of_their_events(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    await customer.send(text_message(cus_message_id="mine"))
    await customer.send(text_message(cus_message_id="elsewhere", dr_webhook=f"{receiver.url}/dr"))
    await happens(gateway, "messages", **INBOUND)
    await happens(gateway, "account_update", event="VERIFIED_ACCOUNT")
    await receiver.until(8)
    for field, member in (("message_status_update", "statuses"), ("messages", "messages"), ("mesages", "messages")):
        ((*told,),) = await pages(customer, clock, 100, field=field)
        assert sorted(told, key=str) == sorted(pushed(receiver, member), key=str)
        assert len(told) == (6 if member == "statuses" else 1)
        assert (await ask(customer, clock, field=field))["data"] == [item["payload"] for item in told]
    assert len((await ask(customer, clock))["data"]) == 1, "an event by its own name"


async def test_calls_and_errors_of_a_number_come_back_in_whatever_form_they_were_told(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    metadata, call = INBOUND["metadata"], {"id": "wacid.1", "from": "8613900000002", "timestamp": "1663053831"}
    await happens(gateway, "calls", metadata=metadata, calls=[{**call, "event": "connect"}])
    await happens(gateway, "messages", **INBOUND)
    await happens(gateway, "calls", metadata=metadata, calls=[{**call, "event": "terminate"}])
    await happens(gateway, "messages", metadata=metadata, errors=[{"code": 131000}])
    await receiver.until(4)
    for field in ("calls", "messages"):
        ((*told,),) = await pages(customer, clock, 100, field=field)
        assert len(told) == 2
        assert sorted(told, key=str) == sorted(pushed(receiver, field), key=str)
        shapes = [set(json.loads(item["payload"])) & {"value", "calls", "messages"} for item in told]
        assert shapes == ([{"value"}, {"calls"}] if field == "calls" else [{"messages"}, {"value"}])


async def test_what_was_told_29_days_ago_is_there_and_neighbouring_times_share_nothing_and_miss_nothing(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    begun_ms = clock.now_ms() // 1000 * 1000 + 500  # the middle of a second
    for number in range(4):
        await happens(gateway, "account_update", number=number)
        clock.advance(1)
    await receiver.until(4)
    lasted = (clock.now_ms() - begun_ms) // 1000
    clock.advance(29 * 86_400)
    ago = (begun_ms - clock.now_ms()) / 1000
    seconds = [at(clock, ago + number) for number in range(-1, lasted + 2)]
    told = [await ask(customer, clock, start_ime=second, end_time=second) for second in seconds]
    numbers = [json.loads(text)["value"]["number"] for answer in told for text in answer["data"]]
    assert numbers == [0, 1, 2, 3]
    assert (await ask(customer, clock, start_ime=at(clock, -31 * 86_400)))["code"] == 9000


async def test_a_page_ends_where_too_much_would_have_to_be_looked_through(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.hold.clear()
    changes = [{"field": "history", "value": {"number": number}} for number in range(MAX_READ)]
    assert await post(gateway, {"id": WABA, "time": 1761291192, "changes": changes}) == 200
    await happens(gateway, "account_update", event="VERIFIED_ACCOUNT")
    told = await pages(customer, clock, 10)
    assert [len(page) for page in told] == [0, 1], "an empty page, and the next goes on"
    receiver.hold.set()  # or the gateway would wait for its pushes at the end


async def test_a_page_ends_where_it_would_become_too_large(
    customer: Customer, gateway: Gateway, clock: ShiftableClock
) -> None:
    for number in range(4):
        await happens(gateway, "history", number=number, chunk="x" * (MAX_BYTES // 3))
    told = await pages(customer, clock, 10, field="history")
    assert [len(page) for page in told] == [3, 1]
    assert [json.loads(item["payload"])["value"]["number"] for page in told for item in page] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"limit": 0}, "$.limit"),
        ({"limit": 501}, "$.limit"),
        ({"limit": 10**30}, "$.limit"),
        ({"limit": "٣"}, "$.limit"),
        ({"cursor": "next"}, "$.cursor"),
        ({"cursor": "\ud800".encode("utf-8", "surrogatepass").hex()}, "$.cursor"),
        ({"cursor": 7}, "$.cursor"),
    ],
)
async def test_a_bad_page_is_9000_with_its_place(
    changes: dict[str, Any], path: str, customer: Customer, clock: ShiftableClock
) -> None:
    answer = await ask(customer, clock, **changes)
    assert (answer["code"], answer["data"]["error"]["path"]) == (9000, path)
