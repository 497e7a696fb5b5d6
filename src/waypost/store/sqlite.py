"""The embedded journal: one SQLite file, one thread that writes it, two that read."""

import asyncio
from pathlib import Path

from waypost.store.base import StoreUnavailable
from waypost.store.connection import MEMORY
from waypost.store.database_file import backup_file, check_file, problems_of
from waypost.store.journal import Journal
from waypost.store.sqlite_engine import SqliteEngine

Problems = list[str]  # named here, because inside the class `list` is the method


class SqliteStore(SqliteEngine, Journal):
    """The journal in a SQLite file (or in memory, for tests); fulfils `waypost.store.base.Store`.

    `draft` says which callback a status leads to (see `waypost.store.outbox.Outbox`); without it statuses lead to none.
    """

    async def backup(self, target: Path) -> None:
        """Write a consistent copy to a new file while everything goes on; raises `StoreUnavailable`."""
        if self._path == MEMORY:
            raise StoreUnavailable("a journal in memory has nothing to back up")
        await asyncio.to_thread(backup_file, self._path, target)

    async def check(self) -> Problems:
        """Return what is wrong with the journal, a line each; empty if nothing is."""
        if self._path == MEMORY:
            return await self._writer.run(None, lambda session: problems_of(session.connection))
        return await asyncio.to_thread(check_file, self._path)
