"""With whose secrets callbacks are signed, and for how long, as their receiver sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flow.test_callbacks import callbacks, until_state, with_webhook
from tests.flow.test_meta_webhook import post, status
from tests.harness import (
    ACCESS_KEY,
    TENANTS,
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
from tests.receiver import Received, Receiver
from waypost.gateway import retries
from waypost.gateway.tenant_file import read
from waypost.sdk.callbacks import verify_nxcloud, verify_standard

SIGNED = {"callback_signing": "sha256", "callback_secret": "hook-secret-0001"}
STEP_S = 1 + retries.JITTER


@pytest.fixture
async def gateway(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, receiver: Receiver
) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback, and signs; Meta reports nothing by itself."""
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, TENANTS) as running:
        await connect(simulator, running)
        await simulator.config(auto_statuses=False)
        await with_webhook(running, receiver.url, **SIGNED)
        yield running


async def one_status(customer: Customer, gateway: Gateway, name: str, **signed: str) -> None:
    message = text_message(cus_message_id=name)
    body = msgspec.json.encode(message)
    assert (await customer.post(body, customer.signed(body, **signed)))["code"] == 0
    assert await post(gateway, status((await gateway.message(name))["meta_message_id"])) == 200


async def until_tried(gateway: Gateway, number: int) -> dict[str, Any]:
    """Wait until the only callback has been tried so often."""
    async with asyncio.timeout(WAIT_S):
        while (found := (await callbacks(gateway))[0])["attempts"] < number:
            await asyncio.sleep(0.01)
    return found


def signature(item: Received) -> tuple[str, str, str]:
    return item.headers["ts"], item.headers["sign"], item.headers["webhook-signature"]


async def test_a_repeat_within_a_minute_carries_the_same_signature_and_a_later_one_another(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = 500
    await one_status(customer, gateway, "m")
    for number in (1, 2, 3):  # at once, after 5 s, and then after half a minute and a minute
        await until_tried(gateway, number)
        clock.advance(retries.SCHEDULE_S[number - 1] * STEP_S + 1)
    receiver.answer = 200
    await until_state(gateway, "done")
    first, second, third, last = receiver.received

    assert signature(first) == signature(second) == signature(third)
    assert signature(last)[0] > signature(first)[0]
    assert len({signature(item)[1] for item in (first, last)}) == 2
    assert len({item.headers["webhook-id"] for item in receiver.received}) == 1
    assert verify_nxcloud(last.headers, last.body, "abciiiko2k3")
    assert verify_standard(last.headers, last.body, "hook-secret-0001", now_s=clock.now_ms() // 1000)


async def test_of_two_key_pairs_the_one_that_sent_the_message_signs(
    customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    secrets = {ACCESS_KEY: "abciiiko2k3", "second-key": "second-secret-0002"}
    tables = read(TENANTS, {})
    account = tables["accounts"][0]
    del account["access_key"], account["access_secret"]
    account["keys"] = [{"access_key": key, "access_secret": secret} for key, secret in secrets.items()]
    account["applications"][0] |= {"webhook": receiver.url, **SIGNED}
    await gateway.admin("POST", "apply", tables)
    for key, secret in secrets.items():
        await one_status(customer, gateway, f"with-{key}", accessKey=key, secret=secret)
    for item in await receiver.until(2):
        key = item.content["statuses"][0]["id"].removeprefix("with-")
        assert item.headers["accesskey"] == key
        assert verify_nxcloud(item.headers, item.body, secrets)
        assert verify_nxcloud(item.headers, item.body, secrets[key])


async def test_what_waits_for_an_application_that_leaves_the_tenant_file_never_goes_out_unsigned(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = 500
    await one_status(customer, gateway, "m")
    await until_tried(gateway, 1)
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"] = []
    await gateway.admin("POST", "apply", tables)
    receiver.answer = 200
    clock.advance(retries.SCHEDULE_S[0] * STEP_S + 1)
    waiting = await until_tried(gateway, 2)
    assert waiting["error"] == "account acme has no application f543ertg in the tenant file"
    assert (waiting["state"], len(receiver.received)) == ("due", 1)

    await with_webhook(gateway, receiver.url, **SIGNED)  # it is back
    await gateway.admin("POST", "callbacks/replay", {"ids": [waiting["id"]]})
    await until_state(gateway, "done")
    _, item = receiver.received
    assert verify_nxcloud(item.headers, item.body, "abciiiko2k3")
    assert "webhook-signature" in item.headers
