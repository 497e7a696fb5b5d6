"""`/metrics` tells how callbacks fare, in agreement with the journal."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.flow.test_meta_webhook import post, status
from tests.harness import (
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
from tests.idle_parts import idle_health
from tests.receiver import Receiver
from waypost.gateway import retries
from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS
from waypost.store.sqlite import SqliteStore
from waypost.telemetry import Metrics
from waypost.web import health


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback; Meta reports nothing by itself."""
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, TENANTS) as running:
        await connect(simulator, running)
        await simulator.config(auto_statuses=False)
        yield running


async def measured(gateway: Gateway) -> dict[str, float]:
    """Return the samples about callbacks, labelled ones as `name state`."""
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/metrics") as answer:
        text = await answer.text()
    return {
        " ".join((sample.name.removeprefix("waypost_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("waypost_callback", "waypost_endpoints")) and "le" not in sample.labels
    }


async def until(gateway: Gateway, name: str, value: float) -> dict[str, float]:
    async with asyncio.timeout(WAIT_S):
        while (found := await measured(gateway)).get(name) != value:
            await asyncio.sleep(0.02)
    return found


async def one_status(customer: Customer, gateway: Gateway, name: str, url: str) -> None:
    await customer.send(text_message(cus_message_id=name, dr_webhook=url))
    assert await post(gateway, status((await gateway.message(name))["meta_message_id"])) == 200


async def test_pushes_are_counted_by_what_they_led_to_and_timed(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    assert (await measured(gateway))["callback_seconds_count"] == 0
    receiver.answer = 500
    await one_status(customer, gateway, "m", receiver.url)
    found = await until(gateway, "callbacks_total retried", 1)
    assert "callbacks_total done" not in found
    receiver.answer = 200
    clock.advance(retries.SCHEDULE_S[0] * (1 + retries.JITTER) + 1)
    found = await until(gateway, "callbacks_total done", 1)
    assert found["callbacks_total retried"] == 1
    assert found["callback_seconds_count"] == 2
    assert 0 <= found["callback_seconds_sum"] < WAIT_S


async def test_what_is_given_up_with_its_endpoint_counts_as_abandoned(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = 500
    number = OPEN_AFTER + 2
    for index in range(number):
        await one_status(customer, gateway, f"m{index}", receiver.url)
    async with asyncio.timeout(WAIT_S):
        while not gateway.log.lines("endpoint_down"):
            clock.advance(60)  # a failed push makes the next one wait, here for minutes at most
            await asyncio.sleep(0.02)
    clock.advance(retries.HORIZON_S + PROBE_EVERY_MS / 1000 + 60)
    found = await until(gateway, "callbacks_total abandoned", number)
    abandoned = (await gateway.admin("GET", "callbacks?state=abandoned"))["callbacks"]
    assert len(abandoned) == number
    assert found["callbacks_total retried"] == found["callback_seconds_count"] == len(receiver.received)


async def test_what_waits_and_what_is_down_can_be_watched(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    found = await measured(gateway)
    assert (found["callbacks_due"], found["endpoints_down"]) == (0, 0)
    receiver.answer = 500
    for index in range(OPEN_AFTER):
        await one_status(customer, gateway, f"m{index}", receiver.url)
    found = await until(gateway, "endpoints_down", 1)
    assert found["callbacks_due"] == OPEN_AFTER
    receiver.answer = 200
    await gateway.admin("POST", "callbacks/replay", {"state": "due"})
    found = await until(gateway, "callbacks_due", 0)
    assert found["endpoints_down"] == 0


async def scraped(store: SqliteStore, clock: ShiftableClock) -> dict[str, float]:
    checks = idle_health(store, clock, Metrics())
    answer = await checks.measure(None)  # type: ignore[arg-type]  # the request doesn't matter
    families = text_string_to_metric_families(bytes(answer.body).decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_what_can_not_be_counted_is_not_a_number(tmp_path: Path, clock: ShiftableClock) -> None:
    store = SqliteStore(tmp_path / "never opened.db", clock)
    found = await scraped(store, clock)
    for name in ("unsettled", "callbacks_due", "queue_oldest_seconds", "queue_ends_seconds"):
        assert math.isnan(found[f"waypost_{name}"])
    assert found["waypost_in_flight"] == 0


async def test_a_count_that_waits_behind_a_long_list_does_not_hold_up_the_other_metrics(
    tmp_path: Path, clock: ShiftableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "COUNT_WITHIN_S", 0.2)
    store = SqliteStore(tmp_path / "waypost.db", clock)
    await store.open()
    over = threading.Event()
    long_list = asyncio.ensure_future(store._walk(lambda _: over.wait(WAIT_S)))
    found = await scraped(store, clock)
    assert math.isnan(found["waypost_callbacks_due"])
    assert math.isnan(found["waypost_queue_oldest_seconds"])
    assert math.isnan(found["waypost_queue_ends_seconds"])
    assert (found["waypost_unsettled"], found["waypost_in_flight"]) == (0, 0)
    assert (found["waypost_queued"], found["waypost_pace_per_second"]) == (0, 80)
    over.set()
    await long_list
    found = await scraped(store, clock)
    assert (found["waypost_callbacks_due"], found["waypost_queue_oldest_seconds"]) == (0, 0)
    assert found["waypost_queue_ends_seconds"] == 0
    await store.close()
