"""Which engine the tests of a whole gateway run on: embedded, or PostgreSQL and NATS JetStream, by one variable.

`WAYPOST_TEST_ENGINE=shared` gives every data folder of a test a database of its own on one PostgreSQL server, and names
of its own on one NATS server; both are started with the first one, and end with the test process.
"""

import asyncio
import atexit
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tests.servers import Nats, Postgres

VARIABLE = "WAYPOST_TEST_ENGINE"
POSTGRES, NATS = "WAYPOST_TEST_POSTGRES_URL", "WAYPOST_TEST_NATS_URL"

Result = TypeVar("Result")


def is_shared() -> bool:
    """Whether gateways of tests are to share a journal that is a server's."""
    return os.environ.get(VARIABLE) == "shared"


def engine_settings(folder: Path) -> dict[str, str]:
    """Return the settings that give the gateway of a data folder its engine; the same folder, the same journal."""
    return _shared_settings(str(folder.absolute())) if is_shared() else {}


@cache
def _shared_settings(folder: str) -> dict[str, str]:
    name = f"waypost_{os.getpid()}_{_shared_settings.cache_info().misses}"
    return {
        "database_url": _apart(_new_schema(_postgres_url(), name)),
        "nats_url": _nats_url(),
        "nats_prefix": name,
        "secret_key": "a-key-that-all-processes-share-0123456789",
    }


@cache
def _postgres_url() -> str:
    """Return the URL of the server: the one that is named, else one of our own."""
    url = os.environ.get(POSTGRES)
    if url is None:
        server = Postgres()
        _apart(server.start())
        atexit.register(server.end)
        url = server.url
    return url


@cache
def _nats_url() -> str:
    if named := os.environ.get(NATS):
        return named
    server = Nats()
    _apart(server.start())
    atexit.register(server.end)
    return server.url


async def _new_schema(url: str, name: str) -> str:
    """Make a schema of its own for a journal: twenty times quicker than a database, and as good for one gateway."""
    connection = await asyncpg.connect(url)
    await connection.execute(f'CREATE SCHEMA "{name}"')
    await connection.close()
    return f"{url}?search_path={name}"


def _apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run something to its end beside the event loop that may be running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
