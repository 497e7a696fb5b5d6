"""The shared journal: a PostgreSQL database that any number of processes write."""

import asyncpg
import msgspec
import structlog

from waypost.clock import first_id_of
from waypost.store.journal import Journal
from waypost.store.postgres_engine import PostgresEngine
from waypost.store.postgres_partitions import Piece, drop_pieces, make_pieces
from waypost.store.postgres_writer import WRITER
from waypost.store.purging import Bounds, pieces_purged_to
from waypost.store.session import Session

log = structlog.get_logger("waypost.journal")

_FORGET_WRITERS = "DELETE FROM mark WHERE name LIKE $1::text AND value < $2::text"
_WRITERS_MS = 86_400_000

Problems = list[str]  # named here, because inside the class `list` is the method


class PostgresStore(PostgresEngine, Journal):
    """The journal in a PostgreSQL database; fulfils `waypost.store.base.Store`.

    `draft` says which callback a status leads to (see `waypost.store.outbox.Outbox`); without it statuses lead to none.
    """

    async def _purge(self, bounds: Bounds, now_ms: int) -> int:
        """Messages go by pieces: they stay up to `postgres_partitions.DAYS` longer, until their whole piece can go."""
        before = Piece.of(bounds.messages_ms)
        row = await self._read(lambda session: session.row("waits_since_before", before_id=before.first_id))
        if row is None:
            bounds = msgspec.structs.replace(bounds, pieces_ms=before.first_ms)
        else:  # its piece can't go: what else is in it is erased row by row
            bounds = msgspec.structs.replace(bounds, messages_ms=before.first_ms)
        touched = await super()._purge(bounds, now_ms)
        await self._look_after_pieces(before, now_ms)
        return touched

    async def _look_after_pieces(self, before: Piece, now_ms: int) -> None:
        reached = await self._read(pieces_purged_to)
        try:
            async with self._pool(self._walkers) as connection:
                await make_pieces(connection, now_ms)
                await drop_pieces(connection, before, reached)
                # of processes that are gone; one that is there signs anew
                await connection.execute(_FORGET_WRITERS, f"{WRITER}%", first_id_of(now_ms - _WRITERS_MS))
        except asyncpg.LockNotAvailableError:
            log.info("pieces_in_use", advice="tried again in the next round")

    async def check(self) -> Problems:
        """Return what is wrong with the journal, a line each; empty if nothing is."""

        def hanging(session: Session) -> list[str]:
            return [
                f"{count} rows of {table} belong to {owner} that are not there"
                for table, count, owner in session.rows("orphans")
                if count
            ]

        return await self._walk(hanging)
