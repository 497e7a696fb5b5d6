"""What changes while messages wait: applications that stop, phones that move, clocks; nobody else stops for it."""

import asyncio
from typing import Any

import pytest

from tests.flow.queue_stand import TEMPLATES, forward, phone_at_meta, refusals, template
from tests.flow.queue_stand import gateway as gateway
from tests.flow.test_meta_webhook import post, status
from tests.harness import (
    APP_SECRET,
    APPKEY,
    META_TOKEN,
    PHONE,
    PHONE_ID,
    WABA,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    text_message,
)
from waypost.gateway.tenant_file import read

TO = "8613900007777"
OTHER_WABA = "2022222222"
PHONE_TABLE = f"""
  [[wabas.phones]]
  number = "{PHONE}"
  phone_number_id = "{PHONE_ID}"
"""


@pytest.fixture
def tenants() -> str:
    return TEMPLATES


async def order(gateway: Gateway, what: str, kind: str, key: str) -> None:
    await gateway.admin("POST", f"queue/{what}", {"kind": kind, "key": key})


async def test_a_paused_application_stops_no_other_that_writes_to_the_same_people(
    customer: Customer, gateway: Gateway
) -> None:
    await order(gateway, "pause", "application", APPKEY)
    for name, appkey in (("held", APPKEY), ("free", "second")):
        assert (await customer.send(template("sale", to=TO, appkey=appkey, cus_message_id=name)))["code"] == 0
    await gateway.until("free", "read")
    assert (await gateway.message("held"))["state"] == "queued"
    await order(gateway, "resume", "application", APPKEY)
    await gateway.until("held", "read")


async def test_what_waits_for_a_phone_that_moves_to_another_waba_leaves_with_that_one_s_token(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await order(gateway, "pause", "phone", PHONE)
    for number in range(25):  # more than are read ahead
        assert (await customer.send(template("sale", cus_message_id=f"old{number}")))["code"] == 0
    await gateway.admin("POST", "apply", read(moved(), {}))
    at_meta = {"waba_id": OTHER_WABA, "access_token": "EAAG-of-the-other", "phones": [phone_at_meta()]}
    await simulator.config(check_tokens=True, wabas=[{"waba_id": WABA, "access_token": META_TOKEN}, at_meta])
    assert (await customer.send(text_message(cus_message_id="new")))["code"] == 0
    await order(gateway, "resume", "phone", PHONE)
    for name in ("old0", "old24", "new"):
        await gateway.until(name, "read")
    assert await refusals(simulator) == []


def moved() -> str:
    """The tenants with their phone at another WABA, and the one that it left still there."""
    head, _, rest = TEMPLATES.partition("[[wabas.phones]]")
    tail = rest[rest.index("[[") :]
    return (
        f"""[[wabas]]
waba_id = "{OTHER_WABA}"
account = "acme"
access_token = "EAAG-of-the-other"
app_secret = "{APP_SECRET}"
{PHONE_TABLE}
"""
        + head.rstrip()
        + "\n\n  "
        + tail
    )


async def test_a_clock_that_is_put_back_does_not_stop_what_waits(
    customer: Customer, gateway: Gateway, clock: ShiftableClock
) -> None:
    await order(gateway, "pause", "phone", PHONE)
    assert (await customer.send(template("sale", cus_message_id="m")))["code"] == 0
    clock.advance(-3600)
    await order(gateway, "resume", "phone", PHONE)
    await gateway.until("m", "read")
    clock.advance(3600)


async def test_a_paused_application_costs_another_no_answer(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await order(gateway, "pause", "application", APPKEY)
    answers = await asyncio.gather(*(customer.send(template("sale")) for _ in range(150)))
    assert {answer["code"] for answer in answers} == {0}
    await simulator.fault("error", code=131026, match={"to": TO})
    refused = await customer.send(template("sale", to=TO, appkey="second"))
    assert refused["code"] == 9099, "it left at once, so its request is told what Meta said"
    await order(gateway, "resume", "application", APPKEY)


async def test_what_is_too_late_does_not_hold_up_what_is_not(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await order(gateway, "pause", "phone", PHONE)
    late = [template("otp") for _ in range(60)]
    assert {answer["code"] for answer in await asyncio.gather(*map(customer.send, late))} == {0}
    await forward(simulator, clock, 550)
    assert (await customer.send(template("otp", cus_message_id="fresh")))["code"] == 0
    clock.shift_ms += 60_000  # nobody wakes for that
    await order(gateway, "resume", "phone", PHONE)
    began = asyncio.get_running_loop().time()
    await gateway.until("fresh", "read")
    assert asyncio.get_running_loop().time() - began < 4, "before the next sweep would have come by itself"
    assert await simulator.count() == 1


async def test_what_comes_back_from_an_attempt_after_its_cancellation_is_cancelled_too(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("latency", latency_ms=1_000, match={"to": TO})
    await simulator.fault("error", code=131016, match={"to": TO})
    on_its_way = asyncio.create_task(customer.send(template("sale", to=TO, cus_message_id="back")))
    async with asyncio.timeout(WAIT_S):
        while not (await the_phone(gateway))["under_way"]:
            await asyncio.sleep(0.01)
    await order(gateway, "pause", "phone", PHONE)
    assert (await customer.send(template("sale", cus_message_id="waits")))["code"] == 0
    assert await gateway.admin("POST", "queue/cancel", {"template": "sale"}) == {"cancelled": 1}
    await order(gateway, "resume", "phone", PHONE)
    assert (await on_its_way)["code"] == 0
    await simulator.heal()
    await forward(simulator, clock, 10)  # its time would have come
    assert (await gateway.message("back"))["state"] == "queued"
    await forward(simulator, clock, 60)
    await gateway.until("back", "cancelled")
    assert await simulator.count() == 0
    (entry, *_) = [entry for entry in (await gateway.admin("GET", "audit"))["entries"] if entry["action"] == "cancel"]
    assert entry["affected"] == 2


# --- what Meta restricts ------------------------------------------------------------------------------------------


def failed(meta_id: str, to: str, at_ms: int, code: int) -> dict[str, Any]:
    errors = [{"code": code, "title": "Spam rate limit hit"}]
    return status(meta_id, "failed", timestamp=str(at_ms // 1000), recipient_id=to, errors=errors)


async def test_a_restriction_that_comes_with_a_message_meta_had_taken_pauses_the_number(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.config(auto_statuses=False)
    assert (await customer.send(text_message(cus_message_id="m1", to=TO)))["code"] == 0
    meta_id = (await gateway.message("m1"))["meta_message_id"]
    long_ago = failed(meta_id, TO, clock.now_ms() - 3_600_000, 131048)
    assert await post(gateway, long_ago) == 200
    assert (await gateway.admin("GET", "queue"))["paused"] == [], "that has been dealt with"
    assert await post(gateway, failed(meta_id, TO, clock.now_ms(), 131048)) == 200
    (held,) = (await gateway.admin("GET", "queue"))["paused"]
    assert (held["kind"], held["key"], held["by"]) == ("phone", PHONE_ID, "meta")
    assert (await customer.send(text_message(cus_message_id="m2")))["code"] == 0
    assert (await gateway.message("m2"))["state"] == "queued"


async def test_what_meta_restricts_another_token_does_not_lift(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=131048, times=1)
    assert (await customer.send(text_message(cus_message_id="m")))["code"] == 0
    changed = TEMPLATES.replace(f'waba_id = "{WABA}"', f'waba_id = "{WABA}"\nsync_templates = true')
    assert changed != TEMPLATES
    await gateway.admin("POST", "apply", read(changed, {}))
    await forward(simulator, clock, 60)
    (held,) = (await gateway.admin("GET", "queue"))["paused"]
    assert (held["kind"], held["by"]) == ("phone", "meta")
    assert (await gateway.message("m"))["state"] == "queued"
    await order(gateway, "resume", "phone", PHONE)
    await gateway.until("m", "read")


# --- one customer's trouble ---------------------------------------------------------------------------------------


async def test_a_campaign_that_hangs_at_meta_leaves_room_for_what_is_urgent(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    people = [f"86139000088{number:02}" for number in range(60)]
    for to in people:
        await simulator.fault("latency", latency_ms=2_000, match={"to": to})
    campaign = [asyncio.create_task(customer.send(template("sale", to=to, appkey="second"))) for to in people]
    async with asyncio.timeout(WAIT_S):
        while (await the_phone(gateway))["under_way"] < 30:
            await asyncio.sleep(0.02)
    assert (await customer.send(template("otp", cus_message_id="otp")))["code"] == 0
    assert (await gateway.message("otp"))["state"] != "queued"
    await simulator.heal()
    assert {answer["code"] for answer in await asyncio.gather(*campaign)} == {0}


async def the_phone(gateway: Gateway) -> dict[str, Any]:
    (phone,) = (await gateway.admin("GET", "queue"))["phones"]
    found: dict[str, Any] = phone
    return found
