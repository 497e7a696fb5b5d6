"""A shared journal from outside, also while processes run on it: version, upgrade, check, and how its server is."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import msgspec

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.postgres import PostgresStore
from waypost.store.postgres_connection import close_quietly, open_connection, unavailable
from waypost.store.postgres_schema import upgrade, version_of
from waypost.store.schema import newest_version

# What must be on so that what was committed is there after a power cut.
DURABLE = ("fsync", "full_page_writes")

_LOOK = """
SELECT current_setting('server_version'), pg_is_in_recovery(),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
       (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int
"""
_NOW_MS = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """How a PostgreSQL server is; `ahead_ms` says how far its clock is ahead of this machine's."""

    version: str
    is_standby: bool
    switched_off: tuple[str, ...]  # of the settings in `DURABLE`
    ahead_ms: int
    connections: int  # that anybody may have
    connected: int  # that are there now, this look's own among them


async def look_at_server(url: str) -> Server:
    """Return how a journal's server is; changes nothing. Raises `StoreUnavailable`."""
    clock = Clock()
    async with _connected(url) as connection:
        version, is_standby, connections, connected = await connection.fetchrow(_LOOK)
        off = [name for name in DURABLE if await connection.fetchval("SELECT current_setting($1)", name) == "off"]
        asked_ms = clock.now_ms()
        there_ms: int = await connection.fetchval(_NOW_MS)
        here_ms = (asked_ms + clock.now_ms()) // 2
    return Server(
        version=version,
        is_standby=is_standby,
        switched_off=tuple(off),
        ahead_ms=there_ms - here_ms,
        connections=connections,
        connected=connected,
    )


async def schema_version(url: str) -> int:
    """Return the schema version of a journal, 0 if it has none yet; raises `StoreUnavailable`."""
    async with _connected(url) as connection:
        return await version_of(connection)


async def upgrade_database(url: str) -> tuple[int, int]:
    """Create or upgrade a journal's schema, and return its version before and after; raises `StoreUnavailable`."""
    async with _connected(url) as connection:
        return await version_of(connection), await upgrade(connection, Clock().now_ms())


async def check_database(url: str) -> list[str]:
    """Return what is wrong with a journal, a line each; empty if nothing is. Raises `StoreUnavailable`."""
    version = await schema_version(url)
    if version != newest_version():
        return [f"schema version {version}, this program expects {newest_version()}"]
    store = PostgresStore(url, Clock())
    await store.open()
    try:
        return await store.check()
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await open_connection(url)
        try:
            yield connection
        finally:
            await close_quietly(connection)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, StoreUnavailable) as error:
        raise unavailable(error, url) from error
