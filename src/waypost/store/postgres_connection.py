"""One PostgreSQL connection: how it is opened, what it must grant, and what its errors mean."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from waypost.store.base import StoreUnavailable

CONNECT_S = 5.0
STATEMENT_S = 20.0  # a server that takes longer for one of ours is as good as away
OLDEST_VERSION = 13  # the first in which a transaction can be asked whether it has written

_SERVER_SETTINGS = {
    "application_name": "waypost",
    "synchronous_commit": "on",  # decision D2; what the server itself is set to doesn't matter
    "timezone": "UTC",
    "jit": "off",  # every statement is short
    # Every statement is served by an index; the tables of what is to be done are empty now and huge a minute later, so
    # that statistics of their size are always of another time. One plan for all values is as good, and made once.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    # What a process that hangs has taken for itself is free again after this time: before others give up waiting.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# The connection is gone, or as good as gone: what the server did of what it was asked last, nobody knows. (For one that
# ends just as it is used the driver has an error of its own.)
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
TROUBLE = (*LOST, asyncpg.PostgresError)  # whatever the driver raises

# What one row can be wrong about: classes 22 (data), 23 (integrity) and 54 (too long for an index).
_ROW_CLASSES = ("22", "23", "54")

# Transactions that were in each other's way: done again, they aren't.
_IN_THE_WAY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)

_MEANINGS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (asyncpg.InvalidPasswordError, "the password is wrong: see to WAYPOST_DATABASE_URL"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the server refuses this user: see to WAYPOST_DATABASE_URL"),
    (asyncpg.InvalidCatalogNameError, "there is no such database: `createdb` makes it"),
    (asyncpg.InsufficientPrivilegeError, "the user may not do this there: grant it, or use another user"),
    (asyncpg.TooManyConnectionsError, "the server has no connection left: raise max_connections there"),
    (asyncpg.ClientConfigurationError, "its URL asks for what there is not: see to WAYPOST_DATABASE_URL"),
    (asyncpg.DiskFullError, "the server's disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "the server can't be written: it is a standby"),
    ((asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError), "the server is starting or stopping"),
    (asyncpg.CrashShutdownError, "the server has crashed and is recovering"),
    (TimeoutError, "the server doesn't answer in time"),
    (LOST, "the server can't be reached"),
)


def refuse_unreadable(url: str) -> None:
    """Raise `StoreUnavailable` for a URL that can't be read; no part of it is shown, for it may be the password."""
    try:
        parts = urlsplit(url)
        ports = [urlsplit(f"//{host}").port for host in parts.netloc.rpartition("@")[2].split(",")]  # several stand by
        sound = parts.scheme in ("postgresql", "postgres") and ports
    except ValueError:
        sound = False
    if not sound or parts.fragment or "@" in parts.path + parts.query:
        raise StoreUnavailable(
            "the journal's URL can't be read: it is postgresql://USER:PASSWORD@HOST:PORT/NAME, where each special "
            "character of the password is written with %, such as %2F for /"
        )


async def open_connection(url: str) -> asyncpg.Connection:
    """Open a connection on which commits are durable; raises what the driver raises."""
    return await asyncpg.connect(
        url, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=_SERVER_SETTINGS, statement_cache_size=500
    )


async def open_pool(url: str, size: int) -> asyncpg.Pool:
    """Open a few connections for reading; raises what the driver raises."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_S,
        command_timeout=STATEMENT_S,
        server_settings=_SERVER_SETTINGS,
        statement_cache_size=500,
    )


def refuse_unfit(connection: asyncpg.Connection) -> None:
    """Raise `StoreUnavailable` for a server on which the journal can't be kept."""
    version = connection.get_server_version()
    if version.major < OLDEST_VERSION:
        raise StoreUnavailable(f"PostgreSQL {version.major} is too old: {OLDEST_VERSION} or newer is needed")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreUnavailable(f"the database is in {encoding}: make one with encoding UTF8")


def concerns_one_row(error: Exception) -> bool:
    """Tell whether an error is the fault of what is being written, rather than of the server or the way to it."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _ROW_CLASSES
    return not isinstance(error, (*LOST, StoreUnavailable, MemoryError))


def is_in_the_way(error: Exception) -> bool:
    """Tell whether a transaction failed because of another one, so that it is worth doing again."""
    return isinstance(error, _IN_THE_WAY)


def unavailable(error: BaseException, url: str) -> StoreUnavailable:
    """Turn an error of the driver into one line that says what is wrong with the journal."""
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(str(error))
    meaning = next((text for kinds, text in _MEANINGS if isinstance(error, kinds)), "it can't be used")
    trouble = StoreUnavailable(f"the journal {without_password(url)}: {meaning} ({type(error).__name__}: {error})")
    trouble.__cause__ = error
    return trouble


def without_password(url: str) -> str:
    """Return a database's URL as it may be shown."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")
    user = where[0].partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{where[2]}" if user else where[2], parts.path, "", ""))


async def close_quietly(connection: asyncpg.Connection) -> None:
    """Let go of a connection, sound or broken."""
    try:
        async with asyncio.timeout(1):
            await connection.close()
    except TROUBLE:
        connection.terminate()
