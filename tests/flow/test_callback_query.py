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
    TENANTS,
    WABA,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
)
from tests.receiver import Receiver
from waypost.gateway.tenant_file import read
from waypost.web.callback_query import MAX_EVENTS

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
        tables["accounts"][0]["applications"][0]["webhook"] = receiver.url
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
    assert (line["path"], line["account"], line["events"]) == ("/api/wa/callback", "acme", 1)


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
    changes = [{"field": "account_update", "value": {"number": number}} for number in range(MAX_EVENTS)]
    assert await post(gateway, {"id": WABA, "time": 1761291192, "changes": changes}) == 200
    whole = await ask(customer, clock)
    assert [json.loads(text)["value"]["number"] for text in whole["data"]] == list(range(MAX_EVENTS))
    await happens(gateway, "account_update", number=MAX_EVENTS)
    answer = await ask(customer, clock)
    assert answer["code"] == 9000
    assert answer["data"]["error"] == {
        "path": "$.end_time",
        "details": "there are too many in this time; ask for a shorter one",
    }
