"""What an operator sees of the queue, and the orders that he gives: the admin API and `/metrics` in a few words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.flow.queue_stand import TEMPLATES, counted_gateway, settings
from tests.harness import PHONE, WAIT_S, Control, Customer, Gateway, ShiftableClock, connect

TO = "8613900000002"


@pytest.fixture
def tenants() -> str:
    """A phone of 20 messages a second, two applications, a template for one-time passwords and one for a sale."""
    return TEMPLATES


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback, and in the end counts what waits as its journal does."""
    async with counted_gateway(settings(tmp_path, simulator), clock, tenants) as running:
        await connect(simulator, running)
        yield running


async def queue(gateway: Gateway) -> Any:
    return await gateway.admin("GET", "queue")


async def the_phone(gateway: Gateway) -> Any:
    (phone,) = (await queue(gateway))["phones"]
    return phone


async def pause(gateway: Gateway, kind: str = "phone", key: str = PHONE, reason: str = "stock-taking") -> Any:
    return await gateway.admin("POST", "queue/pause", {"kind": kind, "key": key, "reason": reason})


async def resume(gateway: Gateway, kind: str = "phone", key: str = PHONE) -> Any:
    return await gateway.admin("POST", "queue/resume", {"kind": kind, "key": key})


async def listed(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gateway.admin("GET", f"queue/messages{query}"))["messages"]
    return found


async def taken(customer: Customer, *messages: dict[str, Any]) -> None:
    for message in messages:
        assert (await customer.send(message))["code"] == 0


async def metrics(gateway: Gateway) -> dict[str, float]:
    """Return the samples by name and labels: `queued <phone> <priority>`."""
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {
        " ".join((sample.name.removeprefix("waypost_"), *sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def until(look: Callable[[Any], bool], gateway: Gateway) -> Any:
    """Wait until the phone looks like this, and return it."""
    async with asyncio.timeout(WAIT_S):
        while not look(phone := await the_phone(gateway)):
            await asyncio.sleep(0.02)
    return phone


async def nothing_waits(gateway: Gateway) -> None:
    phone = await until(lambda phone: phone["waiting"] + phone["under_way"] == 0, gateway)
    assert (phone["held_by"], phone["sorts"], phone["ends_in_seconds"]) == ([], [], 0)


async def cancel(gateway: Gateway, **wanted: Any) -> Any:
    return await gateway.admin("POST", "queue/cancel", wanted)
