"""The shared journal that a copy goes into: made, filled in batches, read back."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.copying_tables import BATCH_BYTES, BATCH_ROWS, Content, CopyRefused, Table, Tally
from waypost.store.postgres_connection import close_quietly, open_connection, refuse_unfit, unavailable
from waypost.store.postgres_partitions import Piece, make_missing
from waypost.store.postgres_schema import UNFINISHED_COPY, refuse_newer, upgrade, version_of
from waypost.store.schema import newest_version
from waypost.store.session import Row

_COPYING = 5_737_150_173  # any number: one copy at a time goes into a journal
_PATIENCE = "3s"  # for a copy that was killed just now to be gone; nobody else is there to be waited for
_LONG_S = 3_600.0  # for what takes as long as a table is large

_LOOKS = 20  # for gateways that have been stopped just now
_LOOK_S = 0.1

_CREATE = f"""
CREATE TABLE {UNFINISHED_COPY} (table_name TEXT NOT NULL PRIMARY KEY, rows BIGINT NOT NULL, checksum TEXT NOT NULL)
"""
_GATEWAYS = """
SELECT COUNT(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'waypost' AND pid <> pg_backend_pid()
"""


class Target:
    """A connection that alone copies into a journal.

    The journal is marked while the copy is unfinished: no gateway opens it then. The mark says what the source held
    when the copy was begun, so that nothing else is copied behind it.
    """

    def __init__(self, connection: asyncpg.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def begun_with(self) -> dict[str, Content] | None:
        """Return what the source held, table by table, when an unfinished copy was begun; None if none was.

        Raises `CopyRefused` for one that a program with another schema has begun.
        """
        if await self._connection.fetchval("SELECT to_regclass($1)", UNFINISHED_COPY) is None:
            return None
        if await version_of(self._connection) != newest_version():
            raise CopyRefused(
                "the copy was begun by another version of this program: go on with that one, or make the target anew"
            )
        rows = await self._connection.fetch(f"SELECT table_name, rows, checksum FROM {UNFINISHED_COPY}")  # noqa: S608 - ours
        return {name: Content(rows=count, checksum=checksum) for name, count, checksum in rows}

    async def filled(self, tables: Sequence[Table]) -> str | None:
        """Return the name of a table that holds rows, or None where all are empty or not made yet."""
        for table in tables:
            if await self._connection.fetchval("SELECT to_regclass($1)", table.name) is not None:
                query = f"SELECT EXISTS (SELECT 1 FROM {table.name})"  # noqa: S608 - ours
                if await self._connection.fetchval(query):
                    return table.name
        return None

    async def is_current(self) -> bool:
        """Tell whether the journal has the schema of this program; raises `StoreUnavailable` if it is newer."""
        version = await version_of(self._connection)
        refuse_newer(version)
        return version == newest_version()

    async def prepare(self, pieces: Sequence[Piece]) -> None:
        """Make the schema, and the pieces for the messages that will come."""
        await upgrade(self._connection, self._clock.now_ms())
        for piece in pieces:
            await make_missing(self._connection, [piece])

    async def begin(self, contents: Mapping[str, Content]) -> None:
        """Mark the journal as unfinished; raises `CopyRefused` if a gateway has come meanwhile.

        It marks first and looks afterwards, a gateway connects first and looks for the mark afterwards: whichever of
        them comes second sees the other.
        """
        async with self._connection.transaction():
            await self._connection.execute(_CREATE)
            await self._connection.executemany(
                f"INSERT INTO {UNFINISHED_COPY} VALUES ($1, $2, $3)",  # noqa: S608 - ours
                [(name, content.rows, content.checksum) for name, content in contents.items()],
            )
        try:
            await self.refuse_in_use()
        except CopyRefused:
            await self.finish()
            raise

    async def last_key(self, table: Table) -> Row | None:
        """Return the key of the last row that was copied: batches are whole, and come in the order of the key."""
        order = ", ".join(f"{column} DESC" for column in table.key)
        row = await self._connection.fetchrow(
            f"SELECT {', '.join(table.key)} FROM {table.name} ORDER BY {order} LIMIT 1"  # noqa: S608 - ours
        )
        return None if row is None else tuple(row)

    async def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        number: int = await self._connection.fetchval(f"SELECT COUNT(*) FROM {table.name}", timeout=_LONG_S)  # noqa: S608 - ours
        return number

    async def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Write all of some rows or none, durably."""
        await self._connection.copy_records_to_table(table.name, records=rows, columns=table.columns)

    async def analyze(self, tables: Sequence[Table]) -> None:
        """Let the server see what is in the tables: until then it plans as if they were empty."""
        for table in tables:
            await self._connection.execute(f"ANALYZE {table.name}", timeout=_LONG_S)

    async def read_back(self, table: Table, so_far: Callable[[int], None]) -> Content:
        """Return what is in a table, and say before each batch how many rows that is so far."""
        tally, limit = Tally(), 1
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            cursor = await self._connection.cursor(f"SELECT {table.all_columns} FROM {table.name}")  # noqa: S608 - ours
            while rows := await cursor.fetch(limit):
                so_far(tally.rows)
                size = sum(tally.add(tuple(row)) for row in rows)
                limit = max(1, min(BATCH_ROWS, 10 * limit, BATCH_BYTES * len(rows) // size))
        return tally.content()

    async def finish(self) -> None:
        """Take the mark away: from now on a gateway may open the journal."""
        await self._connection.execute(f"DROP TABLE {UNFINISHED_COPY}")

    async def alone(self) -> None:
        """Raise `CopyRefused` unless this is the only copy into the journal, which it is from then on."""
        await self._connection.execute(f"SET lock_timeout = '{_PATIENCE}'")
        try:
            await self._connection.execute("SELECT pg_advisory_lock($1)", _COPYING)
        except asyncpg.LockNotAvailableError:
            raise CopyRefused("another copy into the target is under way: wait for it to end") from None

    async def refuse_in_use(self) -> None:
        """Raise `CopyRefused` if a gateway, or a command of this program, is connected to the target."""
        for _ in range(_LOOKS):
            number = await self._connection.fetchval(_GATEWAYS)
            if not number:
                return
            await self._clock.sleep(_LOOK_S)
        raise CopyRefused(
            f"the target is in use: {number} connections to it are a gateway's (application_name waypost in "
            "pg_stat_activity); stop all gateways on it first"
        )


@asynccontextmanager
async def opened_target(url: str, clock: Clock) -> AsyncIterator[Target]:
    """Give the journal at a URL, for this copy alone; raises `CopyRefused` and `StoreUnavailable` (also later)."""
    try:
        connection = await _connected(url)
        try:
            refuse_unfit(connection)
            await connection.execute("SET application_name = 'waypost db copy'")
            target = Target(connection, clock)
            await target.alone()
            await target.refuse_in_use()
            yield target
        finally:
            await close_quietly(connection)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, StoreUnavailable) as error:
        raise unavailable(error, url) from error


async def _connected(url: str) -> asyncpg.Connection:
    try:
        return await open_connection(url)
    except asyncpg.InterfaceError:  # which may be a ValueError too, and says what of the URL it doesn't know
        raise
    except (ValueError, OverflowError):  # without what it says: that may be part of the password
        raise CopyRefused(
            "the target's URL can't be read: it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special "
            "characters of the password as %XX"
        ) from None
