"""What Meta says about a number or a WABA while messages go out: refusals that pause, figures that slow or lift."""

import asyncio
from typing import Any

import pytest

from tests.flow.queue_stand import (
    PER_S,
    TEMPLATES,
    at_meta,
    codes,
    forward,
    phone_at_meta,
    posts,
    refusals,
    template,
)
from tests.flow.queue_stand import gateway as gateway
from tests.flow.test_meta_webhook import post
from tests.harness import (
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

TOKEN_EXPIRED, SPAM, NOT_REGISTERED, WITHHELD = 190, 131048, 133010, 131049
NEW_TOKEN = TEMPLATES.replace(META_TOKEN, "EAAG-new-token")


@pytest.fixture
def tenants() -> str:
    return TEMPLATES


def paused(gateway: Gateway) -> list[tuple[str, str, str]]:
    return [(line["level"], line["kind"], line["key"]) for line in gateway.log.lines("paused")]


# --- refusals that concern less than a lane ------------------------------------------------------------------------


async def test_a_message_that_meta_withholds_for_a_day_stands_before_nobody(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    whom = "8613900001111"
    await simulator.fault("error", code=WITHHELD, times=1, match={"to": whom})
    for name in ("withheld", "next"):
        assert (await customer.send(template("sale", to=whom, cus_message_id=name)))["code"] == 0
    await gateway.until("next", "read")
    assert (await gateway.message("withheld"))["state"] == "queued"
    (row,) = (await gateway.admin("GET", "queue/messages"))["messages"]
    assert row["reason"].startswith(f"{WITHHELD}: ")
    await forward(simulator, clock, 23 * 3600)
    assert await simulator.count() == 1
    await forward(simulator, clock, 6 * 3600)  # with its jitter
    await gateway.until("withheld", "read")


# --- refusals that concern more than the message -------------------------------------------------------------------


async def test_a_refused_token_pauses_the_waba_until_a_new_one_is_applied(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=TOKEN_EXPIRED)
    for name in ("m1", "m2"):
        assert (await customer.send(text_message(cus_message_id=name)))["code"] == 0
    assert (await gateway.message("m2"))["state"] == "queued"
    assert paused(gateway) == [("error", "waba", WABA)]
    await simulator.heal()
    clock.advance(24 * 3600)
    assert len(await posts(simulator)) == 1, "nothing is tried before somebody has done something about it"
    await gateway.admin("POST", "apply", read(NEW_TOKEN, {}))
    clock.advance(1)
    for name in ("m1", "m2"):
        await gateway.until(name, "read")
    assert await simulator.count() == 2


@pytest.mark.parametrize("known", [True, False], ids=["that was known", "that nobody had heard of"])
async def test_news_of_the_old_token_does_not_pause_the_new_one(
    known: bool, customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    slow, quick = text_message(cus_message_id="slow"), text_message(cus_message_id="quick")
    await simulator.fault("latency", latency_ms=300, times=1, match={"to": slow["to"]})
    await simulator.fault("error", code=TOKEN_EXPIRED, times=1, match={"to": slow["to"]})
    await simulator.fault("error", code=TOKEN_EXPIRED, times=1, match={"to": quick["to"]})
    on_its_way = asyncio.create_task(customer.send(slow))
    async with asyncio.timeout(WAIT_S):
        while not await posts(simulator):
            await asyncio.sleep(0.01)
    if known:
        assert (await customer.send(quick))["code"] == 0
    assert len(paused(gateway)) == known
    await gateway.admin("POST", "apply", read(NEW_TOKEN, {}))
    assert (await on_its_way)["code"] == 0
    clock.advance(1)
    await gateway.until("slow", "read")
    assert len(paused(gateway)) == known, "the news was old"


@pytest.mark.parametrize("code", [SPAM, NOT_REGISTERED])
async def test_what_a_person_must_see_to_pauses_the_number_says_so_and_keeps_the_messages(
    code: int, customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=code, times=1)
    for name in ("m1", "m2"):
        assert (await customer.send(text_message(cus_message_id=name)))["code"] == 0
    clock.advance(24 * 3600)
    assert paused(gateway) == [("error", "phone", PHONE_ID)]
    (held,) = (await gateway.admin("GET", "queue"))["phones"][0]["held_by"]
    assert str(code) in held["reason"]
    assert [(await gateway.message(name))["state"] for name in ("m1", "m2")] == ["queued", "queued"]
    assert len(await posts(simulator)) == 1
    await gateway.admin("POST", "queue/resume", {"kind": "phone", "key": PHONE})
    clock.advance(1)
    for name in ("m1", "m2"):
        await gateway.until(name, "read")
    assert await simulator.count() == 2


# --- the pace ------------------------------------------------------------------------------------------------------


async def test_a_rate_that_meta_does_not_grant_is_learned_and_no_message_suffers(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.config(wabas=[{"waba_id": WABA, "phones": [phone_at_meta(per_s=PER_S // 2)]}])
    number = 2 * PER_S
    assert await codes([customer.send(text_message()) for _ in range(number)]) == [0] * number
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < number:
            await asyncio.sleep(0.05)
    (slowed, *further) = gateway.log.lines("number_slowed")
    assert slowed["per_s"] <= PER_S / 2 + 1
    assert len(further) <= 1
    assert 1 <= len(await refusals(simulator)) <= 4


async def test_what_people_write_uses_up_the_same_limit(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    for number in range(PER_S):
        written = {"phone_number_id": PHONE_ID, "from": f"86139777777{number:02}", "text": {"body": "hello"}}
        await simulator.call("POST", "inbound", written)
    async with asyncio.timeout(WAIT_S):
        while sum(line["other"] for line in gateway.log.lines("webhook")) < PER_S:
            await asyncio.sleep(0.01)
    assert await codes([customer.send(text_message()) for _ in range(PER_S)]) == [0] * PER_S
    await at_meta(simulator, PER_S)
    assert await refusals(simulator) == []


async def test_after_an_upgrade_what_refusals_taught_is_forgotten(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.config(wabas=[{"waba_id": WABA, "phones": [phone_at_meta(per_s=PER_S // 2)]}])
    await codes([customer.send(text_message()) for _ in range(PER_S)])
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < PER_S:
            await asyncio.sleep(0.02)
    lowered = await pace(gateway)
    assert lowered < PER_S
    value: dict[str, Any] = {"display_phone_number": PHONE, "event": "ONBOARDING", "current_limit": "TIER_1K"}
    change = {"field": "phone_number_quality_update", "value": value}
    assert await post(gateway, {"id": WABA, "time": 1, "changes": [change]}) == 200
    assert await pace(gateway) == lowered
    value["event"] = "THROUGHPUT_UPGRADE"
    assert await post(gateway, {"id": WABA, "time": 2, "changes": [change]}, secret="somebody else's") == 401
    assert await pace(gateway) == lowered
    assert await post(gateway, {"id": WABA, "time": 2, "changes": [change]}) == 200
    assert await pace(gateway) == PER_S, "the tenants' rate stays the upper bound"
    (line,) = gateway.log.lines("number_upgraded")
    assert line["messages_per_second"] == PER_S


async def pace(gateway: Gateway) -> float:
    (phone,) = (await gateway.admin("GET", "queue"))["phones"]
    per_s: float = phone["pace_per_second"]
    return per_s
