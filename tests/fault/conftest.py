"""Where the journal is that a fault test breaks: a file, or a database on a server that all tests here share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.postgres import emptied, postgres_server
from tests.servers import Postgres
from waypost.store.postgres import PostgresStore


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database."""
    with postgres_server() as url:
        yield url


@pytest.fixture
async def database_url(postgres_url: str) -> str:
    """The URL of a database with an empty journal in it."""
    store = PostgresStore(postgres_url, SteppedClock())
    await store.open()
    await store.close()
    await emptied(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty journal, on each engine in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "waypost.db")
    url: str = request.getfixturevalue("database_url")
    return url


@pytest.fixture(scope="session")
def durable() -> Iterator[Postgres]:
    """A server that flushes what it commits, and may be killed."""
    server = Postgres(durable=True)
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.remove())
