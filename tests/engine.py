"""Which engine the tests of a whole gateway run on: embedded, or PostgreSQL and NATS JetStream, by one variable.

On the shared engine every data folder of a test has a schema of its own on one PostgreSQL server, and names of its own
on one NATS server: those that are named, else servers of our own, which start with the first such test and end with the
test process.
"""

import asyncio
import atexit
import itertools
import os
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tests.servers import Nats, Postgres

VARIABLE = "WAYPOST_TEST_ENGINE"
EMBEDDED, SHARED = "embedded", "shared"
POSTGRES, NATS = "WAYPOST_TEST_POSTGRES_URL", "WAYPOST_TEST_NATS_URL"

NOBODY = "http://127.0.0.1:9"  # where nobody listens

Result = TypeVar("Result")

_found: dict[Path, str] = {}
_asked = itertools.count()


def is_shared() -> bool:
    """Whether gateways of tests are to share a journal that is a server's."""
    return os.environ.get(VARIABLE) == SHARED


def engine_settings(folder: Path) -> dict[str, str]:
    """Return the settings that give the gateway of a data folder its engine; the same folder, the same journal."""
    if not is_shared():
        return {}
    next(_asked)
    return _shared_settings(folder.absolute())


@contextmanager
def chosen(engine: str) -> Iterator[Callable[[], bool]]:
    """Have journals on an engine; gives a way to ask whether anybody has wanted one on the shared engine."""
    before, asked = os.environ.get(VARIABLE), next(_asked)
    os.environ[VARIABLE] = engine
    try:
        yield lambda: next(_asked) > asked + 1
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def engine_environment(folder: Path) -> dict[str, str]:
    """Return those settings as a process takes them."""
    return {f"WAYPOST_{name.upper()}": value for name, value in engine_settings(folder).items()}


def where_found(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the setting by which a command finds the gateway of its data folder, if one runs in this process."""
    if not is_shared() or "WAYPOST_DATA_DIR" not in environment:
        return {}
    return {"WAYPOST_GATEWAY_URL": _found.get(Path(environment["WAYPOST_DATA_DIR"]).absolute(), NOBODY)}


def found_at(folder: Path, url: str | None) -> None:
    """Note where the gateway of a data folder is; None if it is gone."""
    if url is None:
        _found.pop(folder.absolute(), None)
    else:
        _found[folder.absolute()] = url


def apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run something to its end beside the event loop that may be running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@cache
def _shared_settings(folder: Path) -> dict[str, str]:
    name = f"waypost_{secrets.token_hex(8)}"
    url = _postgres_url()
    apart(_execute(url, f'CREATE SCHEMA "{name}"'))  # twenty times quicker than a database, and as good for one gateway
    if POSTGRES in os.environ:
        atexit.register(lambda: apart(_execute(url, f'DROP SCHEMA "{name}" CASCADE')))
    return {
        "database_url": f"{url}?search_path={name}",
        "nats_url": _nats_url(),
        "nats_prefix": name,
        "secret_key": "a-key-that-all-processes-share-0123456789",
    }


@cache
def _postgres_url() -> str:
    if named := os.environ.get(POSTGRES):
        return named
    server = Postgres()
    apart(server.start())
    atexit.register(server.end)
    return server.url


@cache
def _nats_url() -> str:
    if named := os.environ.get(NATS):
        return named
    server = Nats()
    apart(server.start())
    atexit.register(server.end)
    return server.url


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
