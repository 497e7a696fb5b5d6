"""A PostgreSQL database for each test, on one server for all tests of a process."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.servers import Postgres

NAMED = "WAYPOST_TEST_POSTGRES_URL"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Give the URL of a server: the one that is named, else one of our own for as long as this lasts."""
    if named := os.environ.get(NAMED):
        yield named
        return
    server = Postgres()
    asyncio.run(server.start())
    try:
        yield server.url
    finally:
        asyncio.run(server.remove())


@asynccontextmanager
async def database(server: str, name: str) -> AsyncIterator[str]:
    """Give the URL of a new and empty database on a server, and drop it in the end."""
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8')
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


async def emptied(url: str) -> None:
    """Erase all rows of a journal, which is quicker than making another one."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        names = ", ".join(f'"{name}"' for (name,) in tables if name != "schema_version")
        await connection.execute(f"TRUNCATE {names}")
    finally:
        await connection.close()
