"""The embedded journal against the suites, in a file and in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.conformance.outbox_rows import Outlet, draft
from tests.conformance.queued_rows import Worker
from tests.conformance.suites import *  # noqa: F403 - all there are, as pytest collects them
from waypost.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> AsyncIterator[SqliteStore]:
    engine = SqliteStore(tmp_path / "waypost.db" if request.param == "file" else ":memory:", clock, draft=draft)
    await engine.open()
    yield engine
    assert await engine.check() == []
    await engine.close()


@pytest.fixture
def outlet(store: SqliteStore, clock: SteppedClock) -> Outlet:
    return Outlet(store, clock)


@pytest.fixture
def worker(store: SqliteStore, clock: SteppedClock) -> Worker:
    return Worker(store, clock)


@pytest.fixture
def apart_ms() -> int:
    """How far apart two messages are made of which one is to be forgotten and the other to stay."""
    return 1
