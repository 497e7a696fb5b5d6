"""What Meta reports is verified, counted only for phones of the verifying app, and journalled before the 200."""

import hashlib
import hmac
import io
import json
from typing import Any

import aiohttp
import pytest

from tests.harness import APP_SECRET, PHONE_ID, TENANTS, VERIFY_TOKEN, WABA, Control, Customer, Gateway, text_message
from waypost.gateway.tenant_file import read


def status(meta_id: str, value: str = "sent", *, phone_id: str = PHONE_ID, **more: Any) -> dict[str, Any]:
    item = {"id": meta_id, "status": value, "timestamp": "1750030073", "recipient_id": "8613900000002", **more}
    change = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": phone_id}, "statuses": [item]}
    return {"id": WABA, "changes": [{"field": "messages", "value": change}]}


async def post(
    gateway: Gateway, *entries: dict[str, Any], secret: str = APP_SECRET, path: str = "", body: bytes | None = None
) -> int:
    raw = body if body is not None else json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()
    signature = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    async with aiohttp.ClientSession() as http:
        headers = {"X-Hub-Signature-256": signature}
        async with http.post(f"{gateway.url}/meta/webhook{path}", data=io.BytesIO(raw), headers=headers) as answer:
            return answer.status


@pytest.fixture
async def meta_id(customer: Customer, gateway: Gateway, simulator: Control) -> str:
    """Meta's id of a message that Meta has accepted and reported nothing about."""
    await simulator.config(time_factor=100_000)
    await customer.send(text_message(cus_message_id="m"))
    found: str = (await gateway.message("m"))["meta_message_id"]
    return found


async def test_the_verification_echoes_the_challenge_for_our_token_only(gateway: Gateway) -> None:
    async with aiohttp.ClientSession() as http:
        for token, expected in ((VERIFY_TOKEN, (200, "1158201444")), ("wrong", 403), ("", 403)):
            query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": token}
            async with http.get(f"{gateway.url}/meta/webhook", params=query) as answer:
                got = (answer.status, await answer.text()) if answer.status == 200 else answer.status
                assert got == expected


async def test_a_status_moves_its_message_and_a_repeat_changes_nothing(gateway: Gateway, meta_id: str) -> None:
    for _ in range(3):
        assert await post(gateway, status(meta_id, "delivered")) == 200
    message = await gateway.message("m")
    assert message["state"] == "delivered"
    assert message["statuses"] == [
        {
            "status": "delivered",
            "timestamp_ms": 1750030073000,
            "received_at_ms": message["statuses"][0]["received_at_ms"],
        }
    ]


@pytest.mark.parametrize("order", [("read", "delivered", "sent"), ("failed", "delivered", "sent"), ("sent", "read")])
async def test_the_headline_never_goes_back(order: tuple[str, ...], gateway: Gateway, meta_id: str) -> None:
    assert await post(gateway, *(status(meta_id, value) for value in order)) == 200
    message = await gateway.message("m")
    assert message["state"] == ("delivered" if "failed" in order else "read")
    assert {item["status"] for item in message["statuses"]} == set(order)


async def test_why_a_message_failed_is_shown(gateway: Gateway, meta_id: str) -> None:
    errors = [{"code": 131026, "title": "Message undeliverable"}]
    assert await post(gateway, status(meta_id, "failed", errors=errors)) == 200
    message = await gateway.message("m")
    assert message["state"] == "failed"
    assert message["statuses"][0]["errors"] == errors


async def test_one_bad_entry_never_costs_the_rest(gateway: Gateway, meta_id: str) -> None:
    bad: list[Any] = [{"id": WABA, "changes": 7}, {"changes": [{"field": "messages", "value": {"statuses": [{}, 1]}}]}]
    assert await post(gateway, *bad, status(meta_id, "sent"), status(meta_id, "from_the_future")) == 200
    message = await gateway.message("m")
    assert message["state"] == "sent"
    assert {item["status"] for item in message["statuses"]} == {"sent", "from_the_future"}


@pytest.mark.parametrize("secret", ["wrong", ""])
async def test_a_post_that_no_app_of_ours_signed_is_refused(secret: str, gateway: Gateway, meta_id: str) -> None:
    assert await post(gateway, status(meta_id, "read"), secret=secret) == 401
    assert (await gateway.message("m"))["state"] == "accepted"


async def test_a_post_that_is_no_webhook_is_400(gateway: Gateway) -> None:
    for body in (b"", b"[]", b"{", b'{"object":"page","entry":[]}', b"\xff"):
        assert await post(gateway, body=body) == 400


async def test_statuses_count_only_for_phones_of_the_app_that_signed(gateway: Gateway, meta_id: str) -> None:
    tables = read(TENANTS, {})
    tables["wabas"].append({"waba_id": "555", "access_token": "t", "app_secret": "the-other-app", "phones": []})
    await gateway.admin("POST", "apply", tables)

    assert await post(gateway, status(meta_id, "read"), secret="the-other-app") == 200
    assert (await gateway.message("m"))["state"] == "accepted"
    assert gateway.log.lines("webhook")[-1]["foreign"] == 1
    assert await post(gateway, status(meta_id, "read"), secret="the-other-app", path=f"/{WABA}") == 401
    assert await post(gateway, status(meta_id, "read"), path=f"/{WABA}") == 200
    assert (await gateway.message("m"))["state"] == "read"


async def test_a_status_of_a_phone_that_nobody_declared_is_counted_as_foreign(gateway: Gateway, meta_id: str) -> None:
    assert await post(gateway, status(meta_id, "read", phone_id="999")) == 200
    assert gateway.log.lines("webhook")[-1]["foreign"] == 1


async def test_a_status_of_a_message_that_nobody_knows_yet_is_parked(gateway: Gateway) -> None:
    assert await post(gateway, status("wamid.NOT-OURS-YET", "read")) == 200
    assert gateway.log.lines("webhook")[-1]["parked"] == 1


async def test_a_webhook_of_3_mb_is_taken_in_one_over_4_mb_is_not(gateway: Gateway, meta_id: str) -> None:
    entries = [status(f"{meta_id}{index}", "sent", filler="x" * 2_800) for index in range(999)]
    assert await post(gateway, *entries, status(meta_id, "sent")) == 200
    assert gateway.log.lines("webhook")[-1]["parked"] == 999
    assert (await gateway.message("m"))["state"] == "sent"
    assert await post(gateway, body=b" " * (4 * 1_048_576 + 1)) == 413


async def test_other_fields_and_inbound_messages_are_counted_and_cost_nothing(gateway: Gateway) -> None:
    inbound = {"metadata": {"phone_number_id": PHONE_ID}, "messages": [{"from": "1", "id": "x", "type": "text"}]}
    entry = {"id": WABA, "changes": [{"field": "messages", "value": inbound}, {"field": "flows", "value": {}}]}
    assert await post(gateway, entry) == 200
    assert gateway.log.lines("webhook")[-1]["other"] == 2
