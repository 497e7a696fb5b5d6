"""Messages that can't leave at once: answered honestly, kept in order, sent at the right moment, or ended."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.flow.queue_stand import (
    PER_S,
    TEMPLATES,
    at_meta,
    codes,
    counted,
    counted_gateway,
    forward,
    refusals,
    settings,
    template,
    until_silent,
)
from tests.flow.queue_stand import gateway as gateway
from tests.harness import WAIT_S, Control, Customer, Gateway, ShiftableClock, running_gateway, text_message
from tests.receiver import Receiver

ONE_RECIPIENT = "8613900000002"
CAMPAIGN = 30


@pytest.fixture
def tenants() -> str:
    return TEMPLATES


async def bodies(simulator: Control, number: int) -> list[str]:
    """Return the texts that Meta has, in the order in which they came."""
    return [item["payload"]["text"]["body"] for item in await at_meta(simulator, number)]


# --- pace and order ------------------------------------------------------------------------------------------------


async def test_a_burst_is_answered_0_and_leaves_at_the_pace_of_the_number(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    number = CAMPAIGN + PER_S // 2
    answers = await codes([customer.send(text_message(cus_message_id=f"m{n}")) for n in range(number)])
    assert set(answers) == {0}
    taken = await at_meta(simulator, number)
    assert taken[-1]["received_at_ms"] - taken[0]["received_at_ms"] >= 1_000
    assert await refusals(simulator) == []
    for n in range(number):
        await gateway.until(f"m{n}", "read")


async def test_one_time_passwords_and_replies_go_before_a_campaign(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    campaign = asyncio.gather(*(customer.send(template("sale")) for _ in range(CAMPAIGN)))
    await at_meta(simulator, 3)
    urgent = [template("otp", appkey="second", to="8613911111111"), text_message(appkey="second", to="8613922222222")]
    assert await codes([customer.send(message) for message in urgent]) == [0, 0]
    taken = await at_meta(simulator, CAMPAIGN + 2)
    order = [item["payload"]["to"] for item in taken]
    assert max(order.index("+8613911111111"), order.index("+8613922222222")) < PER_S
    await campaign
    assert await refusals(simulator) == []


async def test_applications_that_share_a_number_take_turns(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    campaign = asyncio.gather(*(customer.send(template("sale")) for _ in range(CAMPAIGN)))
    await at_meta(simulator, 2)
    small = [template("sale", appkey="second", to=f"86139333333{n:02}") for n in range(5)]
    assert await codes([customer.send(message) for message in small]) == [0] * 5
    order = [item["payload"]["to"] for item in await at_meta(simulator, CAMPAIGN + 5)]
    places = [order.index(f"+{message['to']}") for message in small]
    assert places[-1] - places[0] <= 2 * 5, "every other message is the small application's"
    assert places[-1] < PER_S
    await campaign


async def test_messages_to_one_recipient_keep_their_order(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.simulator.down()
    for n in range(8):
        message = text_message(to=ONE_RECIPIENT, text={"body": str(n)})
        assert (await customer.send(message))["code"] == 0
    await simulator.simulator.up()
    await forward(simulator, clock, 40)
    assert await bodies(simulator, 8) == [str(n) for n in range(8)]


async def test_an_unknown_message_does_not_block_those_behind_it(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.config(auto_statuses=False)
    await simulator.simulator.down()
    for n in range(4):
        message = text_message(cus_message_id=f"m{n}", to=ONE_RECIPIENT, text={"body": str(n)})
        assert (await customer.send(message))["code"] == 0
    await simulator.fault("accept_then_drop", times=1)
    await simulator.simulator.up()
    await forward(simulator, clock, 40)
    await gateway.until("m0", "unknown")
    await forward(simulator, clock, 40)
    assert await bodies(simulator, 4) == ["0", "1", "2", "3"]
    for n in range(1, 4):
        await gateway.until(f"m{n}", "accepted")
    assert (await gateway.message("m0"))["state"] == "unknown"


async def test_more_than_a_recipient_may_get_waits_for_him_alone(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    """Meta's rule: 45 in a burst, and then six seconds for each of them before the next one."""
    for at_once in (15, 15, 15):
        messages = [text_message(to=ONE_RECIPIENT) for _ in range(at_once)]
        assert await codes([customer.send(message) for message in messages]) == [0] * at_once
        await forward(simulator, clock, 1)
    await at_meta(simulator, 45)
    assert (await customer.send(text_message(to=ONE_RECIPIENT, cus_message_id="one-too-many")))["code"] == 0
    assert (await customer.send(text_message(cus_message_id="another")))["code"] == 0
    await gateway.until("another", "read")
    assert (await gateway.message("one-too-many"))["state"] == "queued"
    await forward(simulator, clock, 45 * 6 + 1)
    await gateway.until("one-too-many", "read")
    assert await refusals(simulator) == []


async def test_repeats_use_up_neither_the_recipients_limit_nor_anything_else(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    message = text_message(cus_message_id="once", to=ONE_RECIPIENT)
    for _ in range(50):
        assert (await customer.send(message))["code"] == 0
    assert (await customer.send(text_message(cus_message_id="next", to=ONE_RECIPIENT)))["code"] == 0
    await gateway.until("next", "read")
    assert await simulator.count() == 2


# --- answers -------------------------------------------------------------------------------------------------------


async def test_what_has_to_wait_longer_is_answered_at_once_and_told_as_queued(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.simulator.down()
    answer = await customer.send(text_message(cus_message_id="m"))
    assert (answer["code"], answer["data"]["messages"][0]["id"]) == (0, "m")
    await gateway.until("m", "queued")
    assert (await gateway.admin("GET", "messages?state=queued"))["messages"][0]["cus_message_id"] == "m"
    await simulator.simulator.up()
    await forward(simulator, clock, 40)
    await gateway.until("m", "read")
    assert await simulator.count() == 1


async def test_requests_that_listen_are_answered_as_soon_as_meta_falls_silent(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.simulator.down()
    answers = await codes([customer.send(text_message()) for _ in range(3 * PER_S)])
    assert answers == [0] * (3 * PER_S)
    durations = [line["duration_ms"] for line in gateway.log.lines("request")]
    assert max(durations) < 4_000, "the last of those that listened would have had to wait for 5 s"


async def test_refusal_within_the_time_to_answer_is_in_the_answer(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    sending = asyncio.gather(*(customer.send(text_message()) for _ in range(PER_S // 2)))
    await simulator.fault("error", code=131026, match={"to": "8613900009999"})
    answer = await customer.send(text_message(cus_message_id="m", to="8613900009999"))
    assert (answer["code"], answer["data"]["error"]["code"]) == (9099, 131026)
    assert (await gateway.message("m"))["state"] == "rejected"
    await sending
    (line,) = [line for line in gateway.log.lines("request") if line["code"] == 9099]
    assert line["queued"], "it did wait"


async def test_refusal_after_the_answer_is_a_failed_callback_with_metas_code(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock, receiver: Receiver
) -> None:
    await simulator.simulator.down()
    message = text_message(cus_message_id="m", dr_webhook=receiver.url)
    assert (await customer.send(message))["code"] == 0
    await simulator.fault("error", code=131026, times=1)
    await simulator.simulator.up()
    await forward(simulator, clock, 40)
    await gateway.until("m", "failed")
    (told,) = await receiver.until(1)
    (error,) = told.content["statuses"][0]["errors"]
    assert (error["code"], error["meta_code"]) == (131026, 131026)
    assert (await customer.send(message))["code"] == 0, "a repeat stays 0"
    assert await simulator.count() == 0


# --- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [130429, 131016, 131056, 80007, 4])
async def test_what_meta_throttles_is_answered_0_and_sent_later(
    code: int, customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=code, times=1)
    assert (await customer.send(text_message(cus_message_id="m")))["code"] == 0
    assert (await gateway.message("m"))["state"] == "queued"
    await forward(simulator, clock, 120)
    await gateway.until("m", "read")
    assert await simulator.count() == 1


async def test_a_one_time_password_that_is_too_late_is_not_sent_and_says_so(
    customer: Customer, gateway: Gateway, simulator: Control, receiver: Receiver, clock: ShiftableClock
) -> None:
    await simulator.simulator.down()
    otp = template("otp", cus_message_id="otp", dr_webhook=receiver.url)
    sale = template("sale", cus_message_id="sale", dr_webhook=receiver.url)
    for message in (otp, sale):
        assert (await customer.send(message))["code"] == 0
    await until_silent(gateway)
    await forward(simulator, clock, 601)
    await gateway.until("otp", "expired")
    (told,) = await receiver.until(1)
    (status,) = told.content["statuses"]
    assert (status["id"], status["status"], status["errors"][0]["code"]) == ("otp", "failed", 910002)
    await simulator.simulator.up()
    await forward(simulator, clock, 40)
    await gateway.until("sale", "read")
    assert await simulator.count() == 1
    assert (await customer.send(otp))["code"] == 0, "a repeat stays 0"


async def test_whoever_hangs_up_while_his_message_waits_is_told_of_its_refusal_by_callback(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("error", code=131026, match={"to": ONE_RECIPIENT})
    burst = [asyncio.create_task(customer.send(text_message())) for _ in range(2 * PER_S)]
    async with asyncio.timeout(WAIT_S):
        while await counted(gateway) < PER_S // 2:
            await asyncio.sleep(0.01)
    for name, patience_s in (("impatient", 0.1), ("patient", WAIT_S)):
        message = text_message(cus_message_id=name, to=ONE_RECIPIENT)
        try:
            async with asyncio.timeout(patience_s):
                assert (await customer.send(message))["code"] == 9099
        except TimeoutError:
            assert name == "impatient"
    await gateway.until("impatient", "failed")
    await gateway.until("patient", "rejected")
    await asyncio.gather(*burst)


async def test_what_waited_survives_the_gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> None:
    names = [f"m{n}" for n in range(5)]
    async with aiohttp.ClientSession() as http:
        async with running_gateway(settings(tmp_path, simulator), clock, TEMPLATES) as gateway:
            await simulator.simulator.down()
            for name in names:
                message = text_message(cus_message_id=name, to=ONE_RECIPIENT, text={"body": name})
                assert (await Customer(gateway.url, http, clock.now_ms).send(message))["code"] == 0
        await simulator.simulator.up()
        await simulator.config(auto_statuses=False)
        async with counted_gateway(settings(tmp_path, simulator), clock, TEMPLATES) as again:
            for name in names:
                await again.until(name, "accepted")
    assert await bodies(simulator, 5) == names
