"""What an embedded journal runs on: one SQLite file, one thread that writes it, two that read."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.connection import MEMORY
from waypost.store.effects import Effects
from waypost.store.engine import Engine, Entered
from waypost.store.journal import LAST_PROBE
from waypost.store.outbox import Draft
from waypost.store.reader import Reader
from waypost.store.schema import upgrade
from waypost.store.session import Session
from waypost.store.sqlite_session import SqliteSession
from waypost.store.writer import GroupWriter

Result = TypeVar("Result")


class SqliteEngine(Engine):
    """Opens and closes the file, and runs transactions and reads on it."""

    def __init__(
        self,
        path: str | Path,
        clock: Clock,
        *,
        effects: Effects | None = None,
        draft: Draft | None = None,
        entered: Entered | None = None,
    ) -> None:
        super().__init__(clock, draft)
        self._path = str(path)
        self._writer = GroupWriter(self._path, effects, entered)
        self._reader: Reader | None = None
        self._walker: Reader | None = None  # for lists that may be long in coming: no look-up waits for them

    async def open(self) -> None:
        """Create or upgrade the schema and start to write; raises `StoreUnavailable` with a line that says why not."""
        await self._writer.start(lambda connection: upgrade(connection, self._clock.now_ms()))
        if self._path == MEMORY:
            return
        self._reader, self._walker = Reader(self._path), Reader(self._path)
        try:
            # Reads at once: from now on the log stays open, and can be read even where nothing more can be written.
            await self._rows("read_mark", name=LAST_PROBE)
        except StoreUnavailable:
            await self.close()
            raise

    def open_read_only(self) -> None:
        """Open for looking alone, beside whoever writes: the schema stays as it is, a write is `StoreUnavailable`."""
        self._reader, self._walker = Reader(self._path), Reader(self._path)

    async def close(self) -> None:
        """Write what waits and let go of the file; a second call does nothing."""
        readers = (self._reader, self._walker)
        self._reader = self._walker = None
        for reader in readers:
            if reader is not None:
                await reader.stop()
        await self._writer.stop()  # last, because the last one to leave folds the log into the file

    async def _write(self, effect: str, work: Callable[[Session], Result], *, is_long: bool = False) -> Result:
        return await self._writer.run(effect, work)

    async def _read(self, work: Callable[[Session], Result]) -> Result:
        return await self._beside_the_writer(self._reader, work)

    async def _walk(self, work: Callable[[Session], Result]) -> Result:
        return await self._beside_the_writer(self._walker, lambda session: session.at_one_moment(work))

    async def _beside_the_writer(self, reader: Reader | None, work: Callable[[SqliteSession], Result]) -> Result:
        if reader is None:  # in memory there is but one connection; a store that isn't open says so there
            return await self._writer.run(None, work)
        return await reader.run(work)
