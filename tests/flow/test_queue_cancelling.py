"""Cancelling what waits: counted, told, on record, and never more than was meant."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flow.queue_admin import TO, cancel, listed, metrics, nothing_waits, pause, resume, taken, the_phone, until
from tests.flow.queue_admin import gateway as gateway
from tests.flow.queue_admin import tenants as tenants
from tests.flow.queue_stand import TEMPLATES, HeldMeta, settings, template
from tests.flow.test_callback_replay import Disk
from tests.harness import APPKEY, PHONE, PHONE_ID, Control, Customer, Gateway, Log, ShiftableClock, text_message
from tests.receiver import Receiver
from waypost.gateway import queue_orders
from waypost.gateway.tenant_file import read
from waypost.service import Service


async def test_a_wrong_campaign_is_counted_then_cancelled_and_each_message_is_told(
    customer: Customer, gateway: Gateway, receiver: Receiver, simulator: Control
) -> None:
    await pause(gateway)
    wrong = [template("sale", cus_message_id=f"sale{n}", dr_webhook=receiver.url) for n in range(7)]
    await taken(customer, *wrong, template("otp", cus_message_id="otp"), text_message(cus_message_id="reply"))
    assert await cancel(gateway, template="sale", dry_run=True) == {"count": 7}
    assert (await gateway.message("sale0"))["state"] == "queued", "a preview changes nothing"
    assert (await metrics(gateway))[f"queued {PHONE_ID} ordinary"] == 7

    assert await cancel(gateway, template="sale", appkey=APPKEY, phone=PHONE, account="acme") == {"cancelled": 7}
    for n in range(7):
        assert (await gateway.message(f"sale{n}"))["state"] == "cancelled"
    told = [item.content["statuses"][0] for item in await receiver.until(7)]
    assert {status["id"] for status in told} == {f"sale{n}" for n in range(7)}
    assert {(status["status"], status["errors"][0]["code"]) for status in told} == {("failed", 910003)}
    assert {status["errors"][0]["title"] for status in told} == {"cancelled while it waited"}
    (entry, _) = (await gateway.admin("GET", "audit"))["entries"]
    assert (entry["action"], entry["affected"]) == ("cancel", 7)
    assert entry["selection"] == {
        "phone_number_id": PHONE_ID, "appkey": APPKEY, "account": "acme", "template": "sale",
    }  # fmt: skip
    found = await metrics(gateway)
    assert (found[f"queued {PHONE_ID} ordinary"], found["queue_ended_total cancelled"]) == (0, 7)

    await resume(gateway)
    for name in ("otp", "reply"):
        await gateway.until(name, "read")
    assert await simulator.count() == 2
    assert (await customer.send(wrong[0]))["code"] == 0, "a repeat gets the first answer, and is not sent"
    assert await simulator.count() == 2
    assert await cancel(gateway, template="sale") == {"cancelled": 0}


async def test_what_is_being_sent_and_what_others_send_is_left_alone(
    customer: Customer, gateway: Gateway, simulator: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = HeldMeta(monkeypatch, TO)
    await pause(gateway)
    await taken(customer, text_message(cus_message_id="first", to=TO), text_message(cus_message_id="second", to=TO))
    await taken(customer, template("sale", cus_message_id="other", appkey="second"))
    await resume(gateway)
    await until(lambda phone: phone["under_way"] == 1 and phone["waiting"] == 1, gateway)
    assert await cancel(gateway, appkey=APPKEY) == {"cancelled": 1}
    meta.let_go()
    await gateway.until("first", "read")
    await gateway.until("other", "read")
    await nothing_waits(gateway)
    assert (await gateway.message("second"))["state"] == "cancelled"
    assert await simulator.count() == 2
    found = await metrics(gateway)
    assert found["queue_attempts_total accepted"] == 2
    assert sum(found[f"queued {PHONE_ID} {name}"] for name in ("prompt", "ordinary")) == 0


async def test_the_right_message_is_cancelled_where_another_bears_its_id_as_cus_message_id(
    customer: Customer, gateway: Gateway
) -> None:
    await pause(gateway)
    answer = await customer.send(template("sale"))
    own_id = answer["data"]["messages"][0]["id"]
    await taken(customer, template("otp", cus_message_id=own_id))
    assert await cancel(gateway, template="sale") == {"cancelled": 1}
    assert [row["template"] for row in await listed(gateway)] == ["otp"]


async def test_messages_of_an_application_that_left_the_tenants_wait_say_so_and_can_be_cancelled(
    customer: Customer, gateway: Gateway
) -> None:
    await pause(gateway)
    await taken(customer, text_message(appkey="second", cus_message_id="m"))
    tables = read(TEMPLATES, {})
    tables["accounts"][0]["applications"].pop()
    await gateway.admin("POST", "apply", tables)
    await resume(gateway)
    (row,) = await listed(gateway)
    assert row["reason"] == "the application is disabled"
    assert (await the_phone(gateway))["ends_in_seconds"] is None
    assert await cancel(gateway, appkey="second", dry_run=True) == {"count": 1}
    assert await cancel(gateway, appkey="second") == {"cancelled": 1}
    answer = await gateway.admin("POST", "queue/cancel", {"appkey": "second"}, status=404)
    assert "appkey second" in answer["error"]


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ({}, 400, "name at least one of phone, appkey, account, template"),
        ({"appkey": ""}, 400, "name at least one"),
        ({"dry_run": True}, 400, "name at least one"),
        ({"appkey": "nobody"}, 404, "no application among the tenants has the appkey nobody"),
        ({"account": "nobody", "dry_run": True}, 404, "no account among the tenants has the name nobody"),
        ({"phone": "8600000000"}, 404, "no phone among the tenants has the number or phone number id 8600000000"),
        ({"appkey": "", "phone": PHONE}, 404, "no application"),
        ({"appkey": ["x"]}, 400, "the body must say which messages"),
        ({"template": "x" * 513}, 400, "the body must say which messages"),
        ({"appkey": "x", "state": "queued"}, 400, "the body must say which messages"),
    ],
)
async def test_a_cancellation_of_nothing_or_of_everything_by_a_slip_is_refused(
    wanted: dict[str, Any], status: int, words: str, customer: Customer, gateway: Gateway
) -> None:
    await pause(gateway)
    await taken(customer, text_message(cus_message_id="m"))
    assert words in (await gateway.admin("POST", "queue/cancel", wanted, status=status))["error"]
    assert (await gateway.message("m"))["state"] == "queued"


async def test_a_cancellation_that_breaks_off_has_said_how_far_it_came(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_orders, "AT_ONCE", 2)
    disk = Disk()
    service = Service(settings(tmp_path, simulator), clock, effects=disk)
    await service.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        gateway = Gateway(service, Log(), http)
        customer = Customer(gateway.url, http, clock.now_ms)
        await gateway.admin("POST", "apply", read(TEMPLATES, {}))
        await pause(gateway)
        await taken(customer, *(template("sale", cus_message_id=f"m{n}") for n in range(5)))
        disk.arm("ending_commit", good=1)
        refused = await gateway.admin("POST", "queue/cancel", {"template": "sale"}, status=503)
        assert "disk is full" in refused["error"]
        entry = (await gateway.admin("GET", "audit"))["entries"][0]
        assert (entry["action"], entry["affected"]) == ("cancel", 2)
        assert [row["template"] for row in await listed(gateway)] == ["sale"] * 3
        disk.arm("audit_commit")
        await gateway.admin("POST", "queue/cancel", {"template": "sale"}, status=503)
        assert len(await listed(gateway)) == 3, "without an entry nothing is cancelled"
        disk.arm("")
        assert await cancel(gateway, template="sale") == {"cancelled": 3}
    await service.stop()
