"""Trouble with the servers behind a shared journal: 9001 and nothing sent, a clear line, and it heals by itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.fault.effects import gateway_on
from tests.fault.reckoning import Sent, settled, until
from tests.harness import Control, Customer, Gateway, ShiftableClock, connect
from tests.servers import Nats, Postgres
from waypost.model import State

pytestmark = pytest.mark.shared

PASSWORD = "a-password-0001"  # which nobody asks for there


@pytest.fixture
async def postgres() -> AsyncIterator[Postgres]:
    server = Postgres(durable=True)
    await server.start()
    yield server
    await server.remove()


@pytest.fixture
async def nats() -> AsyncIterator[Nats]:
    server = Nats()
    await server.start()
    yield server
    await server.remove()


@pytest.fixture
async def gateway(
    postgres: Postgres, nats: Nats, tmp_path: Path, simulator: Control, clock: ShiftableClock
) -> AsyncIterator[Gateway]:
    """A gateway whose servers are its own."""
    url = postgres.url.replace("postgres@", f"postgres:{PASSWORD}@")
    folder = tmp_path / "data"
    async with gateway_on(folder, simulator.url, clock=clock, database_url=url, nats_url=nats.url) as running:
        await connect(simulator, running)
        yield running
    assert PASSWORD not in running.log.text


async def ready(gateway: Gateway) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/readyz") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_database_that_is_away_is_9001_until_it_is_back(
    how: str, postgres: Postgres, gateway: Gateway, customer: Customer, simulator: Control
) -> None:
    before, during = Sent(customer, keyed=True), Sent(customer, keyed=True)
    assert await before.post() == 0
    await settled(before, gateway, simulator, at_meta=1, state=State.READ)

    await (postgres.kill() if how == "killed" else postgres.stop())
    assert [await during.post() for _ in range(3)] == [9001, 9001, 9001]
    status, said = await ready(gateway)
    assert status == 503
    assert "the server can't be reached" in said
    assert PASSWORD not in said
    assert await during.at_meta(simulator) == []
    refused = [line for line in gateway.log.lines("request") if line["code"] == 9001]
    assert len(refused) == 3
    assert all("127.0.0.1" in line["failure"] for line in refused)

    await postgres.start()
    assert (await ready(gateway))[0] == 200
    assert await during.insist() == {0}
    await settled(during, gateway, simulator, at_meta=1, state=State.READ)
    await settled(before, gateway, simulator, at_meta=1, state=State.READ)


async def test_without_nats_everything_goes_on_and_with_its_storage_gone_it_is_used_again(
    nats: Nats, gateway: Gateway, customer: Customer, simulator: Control
) -> None:
    async def rings() -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/metrics") as answer:
            return "waypost_doorbell_connected 1.0" in await answer.text()

    await until("the doorbell works", rings)
    await nats.kill()
    nats.wipe()
    sent = Sent(customer, keyed=True)
    assert await sent.post() == 0
    await settled(sent, gateway, simulator, at_meta=1, state=State.READ)
    await nats.start()
    await until("the doorbell works again", rings)
