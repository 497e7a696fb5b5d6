"""An unknown message of an application whose policy is `resend`: sent once more, and never a third time."""

import asyncio
from typing import Any

import pytest

from tests.flow.queue_stand import OTP, template, until_silent
from tests.flow.test_judging import DAY_S, HastyClock, lose, pass_minutes, send_later, state
from tests.flow.test_judging import clock as clock
from tests.flow.test_judging import folder as folder
from tests.flow.test_judging import gateway as gateway
from tests.harness import TENANTS, WABA, WAIT_S, Control, Customer, Gateway
from tests.receiver import Receiver
from waypost.gateway.resend import template_of
from waypost.gateway.tenant_file import read

RESENDING = TENANTS.replace("  phones = [", '  settle_policy = "resend"\n  phones = [', 1)
RESENDING = RESENDING.replace("\n[[accounts]]", OTP, 1)
REFUSED = 131026


@pytest.fixture
def tenants() -> str:
    return RESENDING


async def tokens(simulator: Control) -> list[str]:
    return [taken["payload"]["biz_opaque_callback_data"] for taken in await simulator.messages()]


async def reports(simulator: Control, index: int, *values: str) -> None:
    """Have Meta report on what it took: 0 the oldest."""
    taken = sorted(await simulator.messages(), key=lambda item: item["received_at_ms"])[index]
    for value in values:
        await simulator.call("POST", "status", {"id": taken["id"], "status": value})


@pytest.mark.parametrize("opaque", [None, "campaign-1"], ids=["our token", "the customer's string"])
async def test_it_is_sent_once_more_and_reports_of_both_reach_the_customer_once(
    opaque: str | None,
    customer: Customer,
    gateway: Gateway,
    simulator: Control,
    clock: HastyClock,
    receiver: Receiver,
) -> None:
    message = await lose(customer, simulator, receiver, **({"biz_opaque_callback_data": opaque} if opaque else {}))
    clock.advance(DAY_S + 1)
    await gateway.until("lost", "accepted")
    assert await simulator.count() == 2
    assert len(set(await tokens(simulator))) == (1 if opaque else 2), "a token of ours is new for each attempt"

    await reports(simulator, 0, "sent", "delivered")
    await reports(simulator, 1, "sent", "delivered", "read")
    await gateway.until("lost", "read")
    await receiver.until(3)
    assert (await customer.send(message))["code"] == 0
    clock.advance(2 * DAY_S)
    await clock.judged()
    assert receiver.statuses() == ["sent", "delivered", "read"]
    assert await simulator.count() == 2


async def test_evidence_is_needed_as_for_a_failure(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    await lose(customer, simulator, receiver)
    await send_later(customer, gateway)
    await pass_minutes(gateway, clock, 14)
    await clock.judged()
    assert (await state(gateway), await simulator.count()) == ("unknown", 2)
    await pass_minutes(gateway, clock, 1)
    await gateway.until("lost", "accepted")
    assert await simulator.count() == 3


@pytest.mark.parametrize("fault", ["accept_then_drop", "http_500"])
async def test_what_is_unknown_again_is_called_failed_and_not_sent_a_third_time(
    fault: str, customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    await lose(customer, simulator, receiver)
    await simulator.fault(fault)
    clock.advance(DAY_S + 1)
    await clock.judged()
    await gateway.until("lost", "unknown")
    assert len(gateway.log.lines("message_resent")) == 1
    clock.advance(DAY_S + 1)
    await gateway.until("lost", "failed")
    (told,) = await receiver.until(1)
    assert told.content["statuses"][0]["errors"][0]["code"] == 910001
    await simulator.heal()
    assert await simulator.count() == (2 if fault == "accept_then_drop" else 1)


async def test_a_second_that_can_not_leave_waits_for_meta_and_is_sent_once(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    message = await lose(customer, simulator, receiver)
    await simulator.simulator.down()
    clock.advance(DAY_S + 1)
    await clock.judged()
    await gateway.until("lost", "queued")
    assert (await customer.send(message))["code"] == 0
    await until_silent(gateway)
    clock.advance(DAY_S + 1)
    await clock.judged()
    assert await state(gateway) in ("queued", "sending"), "what waits is not unknown, however long"
    await simulator.simulator.up()
    await gateway.until("lost", "accepted")
    clock.advance(DAY_S + 1)
    await clock.judged()
    assert await state(gateway) == "accepted"
    assert len(gateway.log.lines("message_resent")) == 1
    assert await simulator.count() == 2
    assert receiver.received == []


async def test_a_campaigns_message_that_waits_to_be_resent_is_found_by_its_template_and_cancelled(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    await lose(customer, simulator, receiver, **template("sale", to="8613900000002"))
    await simulator.simulator.down()
    clock.advance(DAY_S + 1)
    await clock.judged()
    await gateway.until("lost", "queued")
    await gateway.admin("POST", "queue/pause", {"kind": "waba", "key": WABA})
    async with asyncio.timeout(WAIT_S):
        while (await gateway.admin("GET", "queue"))["under_way"]:
            await asyncio.sleep(0.01)
    (row,) = (await gateway.admin("GET", "queue/messages?template=sale"))["messages"]
    assert (row["template"], row["to"]) == ("sale", "8613900000002")
    assert await gateway.admin("POST", "queue/cancel", {"template": "sale"}) == {"cancelled": 1}
    assert await state(gateway) == "cancelled"
    await simulator.simulator.up()


def test_a_body_tells_its_template_and_whatever_else_has_none() -> None:
    assert template_of(b'{"type":"template","template":{"name":"sale","language":{"code":"en"}}}') == "sale"
    assert template_of(b'{"type":"text","text":{"body":"template"}}') is None


async def test_refusal_of_the_second_is_told_with_metas_code(
    customer: Customer, gateway: Gateway, simulator: Control, clock: HastyClock, receiver: Receiver
) -> None:
    message = await lose(customer, simulator, receiver)
    await simulator.fault("error", code=REFUSED, details="no such person")
    clock.advance(DAY_S + 1)
    await gateway.until("lost", "failed")
    (told,) = await receiver.until(1)
    (status,) = told.content["statuses"]
    (error,) = status["errors"]
    assert (status["id"], status["status"]) == ("lost", "failed")
    assert (error["code"], error["meta_code"], error["error_data"]["details"]) == (REFUSED, REFUSED, "no such person")
    assert (await customer.send(message))["code"] == 0, "a repeat stays 0 once 0 was answered"

    await reports(simulator, 0, "delivered")
    await gateway.until("lost", "delivered")
    await receiver.until(2)
    assert receiver.statuses() == ["failed", "delivered"]


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"settle_policy": "fail"},
    ],
    ids=["application disabled", "policy changed"],
)
async def test_the_policy_of_the_moment_decides(
    change: dict[str, Any],
    customer: Customer,
    gateway: Gateway,
    simulator: Control,
    clock: HastyClock,
    receiver: Receiver,
) -> None:
    await lose(customer, simulator, receiver)
    tables = read(RESENDING, {})
    tables["accounts"][0]["applications"][0].update(change)
    await gateway.admin("POST", "apply", tables)
    clock.advance(DAY_S + 1)
    await gateway.until("lost", "failed")
    assert await simulator.count() == 1
