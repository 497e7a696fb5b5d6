"""The shared journal against the suites, on a real server."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.conformance.outbox_rows import Outlet, draft
from tests.conformance.queued_rows import Worker
from tests.conformance.suites import *  # noqa: F403 - all there are, as pytest collects them
from tests.postgres import emptied, postgres_server
from waypost.store.postgres import PostgresStore
from waypost.store.postgres_partitions import DAYS


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def store(server: str, clock: SteppedClock) -> AsyncIterator[PostgresStore]:
    engine = PostgresStore(server, clock, draft=draft)
    await engine.open()
    await emptied(server)
    yield engine
    assert await engine.check() == []
    await engine.close()


@pytest.fixture
def outlet(store: PostgresStore, clock: SteppedClock) -> Outlet:
    return Outlet(store, clock)


@pytest.fixture
def worker(store: PostgresStore, clock: SteppedClock) -> Worker:
    return Worker(store, clock)


@pytest.fixture
def apart_ms() -> int:
    return 2 * DAYS * 86_400_000  # messages go by whole pieces
