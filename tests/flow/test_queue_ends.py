"""What ends while it waits is what was meant, whatever other messages are called."""

import asyncio

import pytest

from tests.flow.queue_stand import TEMPLATES, template
from tests.flow.queue_stand import gateway as gateway
from tests.harness import WAIT_S, Control, Customer, Gateway, ShiftableClock, text_message


@pytest.fixture
def tenants() -> str:
    return TEMPLATES


async def test_a_message_that_is_called_like_a_late_ones_id_is_left_alone(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.simulator.down()
    otp = await customer.send(template("otp"))
    otp_id = otp["data"]["messages"][0]["id"]
    await customer.send(text_message(cus_message_id=otp_id))
    clock.advance(601)

    async def ended() -> list[str]:
        return [item["id"] for item in (await gateway.admin("GET", "messages?state=expired"))["messages"]]

    async with asyncio.timeout(WAIT_S):
        while not (found := await ended()):
            await asyncio.sleep(0.02)
    assert found == [otp_id]
    await simulator.simulator.up()
    await gateway.until(otp_id, "read")
    assert await simulator.count() == 1, "the other one"
