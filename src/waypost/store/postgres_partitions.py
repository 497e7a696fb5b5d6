"""The pieces of the two tables that grow for ever, each for some days: made ahead of time, dropped as a whole.

A piece holds the rows whose id begins with a time of its days. What belongs to none (a clock that was far off) goes to
the default piece, and from there into the piece that is made for it.
"""

import re
from collections.abc import Sequence

import asyncpg
import msgspec

from waypost.clock import MESSAGE_ID_PREFIX, first_id_of
from waypost.store.postgres_schema import PARTITIONED

# What is kept beyond its time, until its whole piece can go, is kept for so long at most. A month of pieces costs
# nothing where a row is found by its id, and a page of a list a millisecond.
DAYS = 1
_PIECE_MS = DAYS * 86_400_000
_AHEAD = 3  # pieces that stand ready, the present one included

_MAKING = 5_737_150_172  # any number: while one process makes or drops pieces the others wait
_PATIENCE = "200ms"  # how long a piece waits for statements that are under way, while others wait behind it

_STILL_NEEDED = """
SELECT EXISTS (SELECT 1 FROM queued WHERE message_id >= $1 AND message_id < $2)
    OR EXISTS (SELECT 1 FROM message WHERE id >= $1 AND id < $2 AND id > $3)
"""

# Changed in place where a page has room: a row of `message` is written some four times.
_STORAGE = {"message": "fillfactor = 60", "status": "fillfactor = 100"}
_NAME = re.compile(r"message_(\d+)")


class Piece(msgspec.Struct, frozen=True, order=True):
    """The rows of some days, by the number of the piece since 1970."""

    number: int

    @property
    def first_id(self) -> str:
        """The bound before which nothing belongs here."""
        return MESSAGE_ID_PREFIX + first_id_of(self.number * _PIECE_MS)

    @property
    def next_id(self) -> str:
        """The bound from which nothing belongs here."""
        return MESSAGE_ID_PREFIX + first_id_of((self.number + 1) * _PIECE_MS)

    @property
    def first_ms(self) -> int:
        """When its days begin."""
        return self.number * _PIECE_MS

    @classmethod
    def of(cls, at_ms: int) -> "Piece":
        """Return the piece of a time."""
        return cls(at_ms // _PIECE_MS)


async def make_pieces(connection: asyncpg.Connection, now_ms: int) -> None:
    """Make the pieces of the present and of the days to come that are missing."""
    first = Piece.of(now_ms)
    await make_missing(connection, [Piece(first.number + ahead) for ahead in range(_AHEAD)])


async def make_missing(connection: asyncpg.Connection, wanted: Sequence[Piece]) -> None:
    """Make those of the wanted pieces that are missing."""
    there = await pieces(connection)
    if all(piece in there for piece in wanted):
        return
    async with connection.transaction():
        await _alone(connection)
        for table, column in PARTITIONED.items():
            # what is moved out of it must not change meanwhile, and nothing more may come in
            await connection.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
            for piece in wanted:
                await _make(connection, table, column, piece)


async def pieces(connection: asyncpg.Connection) -> list[Piece]:
    """Return the pieces that are there, oldest first."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'message'::regclass"
    )
    return sorted(Piece(int(match[1])) for (name,) in rows if (match := _NAME.fullmatch(name)))


async def drop_pieces(connection: asyncpg.Connection, before: Piece, purged_to: str) -> int:
    """Drop the pieces before one, up to the first that holds something still needed, and return how many.

    That is a message which waits, or one behind the id up to which keys and the like have been purged. No row is
    touched, so it takes no time; who comes meanwhile waits for it.
    """
    dropped = 0
    for piece in await pieces(connection):
        if piece >= before:
            break
        async with connection.transaction():
            await _alone(connection)
            await connection.execute("LOCK TABLE message, status IN ACCESS EXCLUSIVE MODE")
            if await connection.fetchval(_STILL_NEEDED, piece.first_id, piece.next_id, purged_to):
                break
            for table in PARTITIONED:
                await connection.execute(f"DROP TABLE IF EXISTS {table}_{piece.number}")
            dropped += 1
    return dropped


async def _alone(connection: asyncpg.Connection) -> None:
    await connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _MAKING)


async def _make(connection: asyncpg.Connection, table: str, column: str, piece: Piece) -> None:
    """Make a piece, and take from the default one what belongs here."""
    name = f"{table}_{piece.number}"
    if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
        return
    await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH ({_STORAGE[table]})")
    first, following = piece.first_id, piece.next_id
    belongs = f"WHERE {column} >= '{first}' AND {column} < '{following}'"
    await connection.execute(f"INSERT INTO {name} SELECT * FROM {table}_default {belongs}")  # noqa: S608 - our own words
    await connection.execute(f"DELETE FROM {table}_default {belongs}")  # noqa: S608 - our own words
    await connection.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{following}')"
    )
