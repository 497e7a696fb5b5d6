"""Reading beside the writer: a connection of its own, so that a look-up never waits for a flush."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from waypost.store.connection import open_connection, unavailable
from waypost.store.sqlite_session import SqliteSession

Result = TypeVar("Result")


class Reader:
    """One read-only connection in one thread; it sees everything that was committed when a read begins."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._session: SqliteSession | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-reader")

    async def run(self, work: Callable[[SqliteSession], Result]) -> Result:
        """Run a read and return its result; raises `StoreUnavailable`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def stop(self) -> None:
        """Finish what is being read and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _read(self, work: Callable[[SqliteSession], Result]) -> Result:
        try:
            if self._session is None:
                self._session = SqliteSession(open_connection(self._path, read_only=True))
            return work(self._session)
        except apsw.Error as error:
            self._close()
            raise unavailable(error, self._path) from error

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.connection.close(True)
