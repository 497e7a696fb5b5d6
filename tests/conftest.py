"""The five fixtures that every flow test is made of: gateway, simulator, customer, clock, tenants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from tests.both_engines import engine as engine
from tests.both_engines import pytest_addoption as pytest_addoption
from tests.both_engines import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.both_engines import pytest_configure as pytest_configure
from tests.both_engines import pytest_generate_tests as pytest_generate_tests
from tests.harness import (
    TENANTS,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
)
from tests.receiver import Receiver
from waypost.simulator import Simulator


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Run tests on the event loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


def assert_nothing_left(before: set[asyncio.Task[object]]) -> None:
    """Fail if a task that was not there before still runs; the fixture's own does not count."""
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, left


@pytest.fixture
def clock() -> ShiftableClock:
    """Wall time with a hand on it."""
    return ShiftableClock()


@pytest.fixture
def tenants() -> str:
    """The tenant file of the test's gateway; a test overrides it to get another."""
    return TENANTS


@pytest.fixture
async def simulator() -> AsyncIterator[Control]:
    """A running simulator of Meta and its control API; afterwards nothing of it is left."""
    before = asyncio.all_tasks()
    meta = Simulator(seed=1)
    await meta.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Control(meta, http)
    finally:
        await meta.stop()
    assert_nothing_left(before)


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """A running gateway with the tenants, its webhooks connected to the simulator; afterwards nothing of it is left."""
    before = asyncio.all_tasks()
    settings = settings_for(tmp_path / "data", simulator.url)
    async with running_gateway(settings, clock, tenants) as running:
        await connect(simulator, running)
        yield running
    assert_nothing_left(before)


@pytest.fixture
async def customer(gateway: Gateway, clock: ShiftableClock) -> AsyncIterator[Customer]:
    """A customer's program of account `acme`."""
    async with aiohttp.ClientSession() as http:
        yield Customer(gateway.url, http, clock.now_ms)


@pytest.fixture
async def receiver(clock: ShiftableClock) -> AsyncIterator[Receiver]:
    """A customer's receiver."""
    running = Receiver(clock)
    await running.start()
    yield running
    await running.stop()
