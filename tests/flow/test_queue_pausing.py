"""Pausing and resuming by hand, over restarts, and what the gateway paused itself."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flow.queue_admin import gateway as gateway
from tests.flow.queue_admin import metrics, pause, queue, resume, taken, the_phone
from tests.flow.queue_admin import tenants as tenants
from tests.flow.queue_stand import TEMPLATES, counted_gateway, settings, template
from tests.harness import (
    META_TOKEN,
    PHONE,
    PHONE_ID,
    TENANTS,
    WABA,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    text_message,
)
from waypost.gateway.tenant_file import read


@pytest.mark.parametrize(("kind", "key"), [("application", "second"), ("waba", WABA), ("phone", PHONE_ID)])
async def test_what_is_paused_waits_until_it_is_resumed_also_over_a_restart(
    kind: str, key: str, simulator: Control, tmp_path: Path, clock: ShiftableClock
) -> None:
    async with (
        counted_gateway(settings(tmp_path, simulator), clock, TEMPLATES) as gateway,
        aiohttp.ClientSession() as http,
    ):
        await connect(simulator, gateway)
        customer = Customer(gateway.url, http, clock.now_ms)
        await pause(gateway, kind, key, "")
        await taken(customer, template("sale", appkey="second", cus_message_id="held"))
        if kind == "application":
            await taken(customer, text_message(cus_message_id="other"))
            await gateway.until("other", "read")
    async with counted_gateway(settings(tmp_path, simulator), clock, TEMPLATES) as again:
        await connect(simulator, again)
        (phone,) = (await queue(again))["phones"]
        assert [(held["kind"], held["reason"]) for held in phone["held_by"]] == [(kind, "paused by an operator")]
        assert phone["ends_in_seconds"] is None
        assert (await metrics(again))[f"paused {kind}"] == 1
        assert (await again.message("held"))["state"] == "queued"
        assert await resume(again, kind, key) == {"resumed": True}
        await again.until("held", "read")
        assert await resume(again, kind, key) == {"resumed": False}
        assert (await metrics(again))[f"paused {kind}"] == 0


@pytest.mark.parametrize(
    ("code", "kind", "key", "by"), [(131048, "phone", PHONE_ID, "meta"), (190, "waba", WABA, "gateway")]
)
async def test_what_meta_brought_to_a_stop_is_told_in_its_words_and_resumed_by_hand(
    code: int, kind: str, key: str, by: str, customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("error", code=code, times=1)
    await taken(customer, text_message(cus_message_id="m"))
    (held,) = (await the_phone(gateway))["held_by"]
    assert (held["kind"], held["key"], held["by"], held["seconds_left"]) == (kind, key, by, None)
    assert str(code) in held["reason"]
    await pause(gateway, kind, key, reason="looking into it")
    (held,) = (await queue(gateway))["paused"]
    assert (held["reason"], held["by"]) == ("paused by an operator: looking into it", "operator")
    await resume(gateway, kind, key)
    await gateway.until("m", "read")
    assert (await queue(gateway))["paused"] == []


async def test_what_meta_restricts_goes_on_by_nobodys_word_but_an_operators(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.fault("error", code=131048, times=1)
    await taken(customer, text_message(cus_message_id="m"))
    await gateway.admin("POST", "apply", read(TEMPLATES.replace(META_TOKEN, "EAAG-new-token"), {}))
    (held,) = (await queue(gateway))["paused"]
    assert (held["kind"], held["by"]) == ("phone", "meta")
    assert await resume(gateway) == {"resumed": True}
    await gateway.until("m", "read")


async def test_orders_are_on_record(gateway: Gateway) -> None:
    await pause(gateway)
    await resume(gateway)
    entries = (await gateway.admin("GET", "audit"))["entries"]
    assert [(entry["who"], entry["action"], entry["selection"]) for entry in entries] == [
        ("admin", "resume", {"kind": "phone", "key": PHONE_ID}),
        ("admin", "pause", {"kind": "phone", "key": PHONE_ID, "reason": "stock-taking"}),
    ]


@pytest.mark.parametrize("order", ["pause", "resume"])
@pytest.mark.parametrize(
    ("kind", "words"), [("phone", "number or phone number id nobody"), ("application", "appkey"), ("waba", "WABA")]
)
async def test_a_name_that_nobody_has_is_refused_with_what_was_looked_for(
    order: str, kind: str, words: str, gateway: Gateway
) -> None:
    answer = await gateway.admin("POST", f"queue/{order}", {"kind": kind, "key": "nobody"}, status=404)
    assert words in answer["error"]
    assert (await gateway.admin("GET", "audit"))["entries"] == []


async def test_what_left_the_tenants_while_it_was_paused_can_still_be_resumed(gateway: Gateway) -> None:
    await pause(gateway, "application", "second")
    await gateway.admin("POST", "apply", read(TENANTS, {}))
    assert await resume(gateway, "application", "second") == {"resumed": True}
    await gateway.admin("POST", "queue/resume", {"kind": "application", "key": "second"}, status=404)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "phone"},
        {"kind": "app", "key": "x"},
        {"kind": "phone", "key": 1},
        {"kind": "phone", "key": "x" * 129},
        {"kind": "phone", "key": PHONE, "reason": "x" * 201},
        {"kind": "phone", "key": PHONE, "reason": "a\x1b[2J"},
        {"kind": "phone", "key": PHONE, "until": 5},
    ],
)
async def test_a_pause_that_can_not_be_understood_is_refused(body: dict[str, Any], gateway: Gateway) -> None:
    answer = await gateway.admin("POST", "queue/pause", body, status=400)
    assert answer["error"].startswith("the body must say what")
    assert (await queue(gateway))["paused"] == []
