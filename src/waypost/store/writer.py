"""The one thread that writes: whatever waits shares a transaction and a flush (decision D2)."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import apsw
import msgspec

from waypost.store.base import StoreUnavailable
from waypost.store.connection import MEMORY, concerns_one_row, open_connection, unavailable
from waypost.store.effects import Effects
from waypost.store.engine import Entered
from waypost.store.sqlite_session import SqliteSession

Result = TypeVar("Result")

BATCH_LIMIT = (
    512  # from here on no more is added to a commit: enough to fill a flush, few enough to keep the lock short
)


class Pending(msgspec.Struct, frozen=True):
    """An operation that waits for its transaction, and the future of the one who asked."""

    effect: str | None
    work: Callable[[SqliteSession], Any]  # each operation has its own result; `GroupWriter.run` gives it back typed
    future: asyncio.Future[Any]


class Done(msgspec.Struct, frozen=True):
    """What came of one operation: a result, or the error that its caller gets."""

    result: object = None
    error: Exception | None = None


class GroupWriter:
    """Runs operations in one thread, as many per commit as are waiting; results are given only after the commit.

    There is no timer: while one commit is being flushed the next batch gathers. An operation that fails for its own
    reasons fails alone; trouble with the file or the disk fails the whole batch with `StoreUnavailable`, and the next
    batch opens the file anew, so the journal heals when the disk does.
    """

    def __init__(self, path: str, effects: Effects | None, entered: Entered | None = None) -> None:
        self._path = path
        self._effects = effects
        self._entered = entered
        self._endpoints: set[str] = set()  # those that have something new, where the batch is committed
        self._inbox: queue.SimpleQueue[list[Pending] | None] = queue.SimpleQueue()
        self._gathering: list[Pending] = []
        self._thread: threading.Thread | None = None
        self._session: SqliteSession | None = None

    async def start(self, prepare: Callable[[apsw.Connection], object]) -> None:
        """Open (create) the file, prepare it and begin to write; raises `StoreUnavailable`."""
        connection = await asyncio.to_thread(self._open, prepare)
        self._session = SqliteSession(connection, self._endpoints)
        self._thread = threading.Thread(target=self._write_until_stopped, name="journal-writer", daemon=True)
        self._thread.start()

    async def run(self, effect: str | None, work: Callable[[SqliteSession], Result]) -> Result:
        """Run an operation in the next transaction and return its result once that is durable.

        The effect names the commit for `Effects`; an operation that writes nothing has none.
        A caller that is cancelled while it waits changes nothing: the operation may still be committed.
        """
        if self._thread is None:
            raise StoreUnavailable(f"the journal {self._path} is not open")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._gathering.append(Pending(effect, work, future))
        if len(self._gathering) == 1:
            # One wake-up of the thread for all that this turn of the loop brings: else the first of many requests that
            # came together would have a commit, and a flush, of its own.
            future.get_loop().call_soon(self._hand_over)
        return await future

    def _hand_over(self) -> None:
        if self._gathering:
            self._inbox.put(self._gathering)
            self._gathering = []

    async def stop(self) -> None:
        """Write what waits, close the file and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._hand_over()
            self._inbox.put(None)
            await asyncio.to_thread(thread.join)

    def _open(self, prepare: Callable[[apsw.Connection], object]) -> apsw.Connection:
        try:
            connection = open_connection(self._path, create=True)
            try:
                prepare(connection)
            except BaseException:
                connection.close(True)
                raise
        except (apsw.Error, StoreUnavailable) as error:
            raise unavailable(error, self._path) from error
        return connection

    # --- everything below runs in the writer's thread ---

    def _write_until_stopped(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._gather()
            if batch:
                try:
                    done = self._commit(batch)
                except Exception as error:  # the thread outlives whatever happens: the next batch tries anew
                    self._abandon_transaction()
                    done = [Done(error=unavailable(error, self._path)) for _ in batch]
                _deliver(batch, done)
                self._tell()
        if self._session is not None:
            self._session.connection.close(True)
            self._session = None

    def _tell(self) -> None:
        """Tell which endpoints have something new; after trouble too, for a failed commit may have taken effect."""
        if self._endpoints and self._entered is not None:
            self._entered(tuple(self._endpoints))
        self._endpoints.clear()

    def _gather(self) -> tuple[list[Pending], bool]:
        """Wait for an operation, then take what else is waiting; True once no more will come."""
        batch: list[Pending] = []
        handed = self._inbox.get()
        try:
            while handed is not None:
                batch += handed
                if len(batch) >= BATCH_LIMIT:
                    return batch, False
                handed = self._inbox.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _commit(self, batch: list[Pending]) -> list[Done]:
        if self._session is None:
            self._session = SqliteSession(open_connection(self._path), self._endpoints)
        session = self._session
        session.connection.execute("BEGIN IMMEDIATE")
        try:
            done = [Done(result=pending.work(session)) for pending in batch]
        except Exception as error:
            if not concerns_one_row(error):
                raise
            session.connection.execute("ROLLBACK")
            session.connection.execute("BEGIN IMMEDIATE")
            done = [_alone(session, pending) for pending in batch]
        effects = list(dict.fromkeys(pending.effect for pending in batch if pending.effect))
        self._announce(effects)
        session.connection.execute("COMMIT")
        self._announce([f"after:{effect}" for effect in effects])
        return done

    def _announce(self, effects: list[str]) -> None:
        if self._effects is not None:
            for effect in effects:
                self._effects.before(effect)

    def _abandon_transaction(self) -> None:
        """Roll back; a file is also closed, because after trouble only a fresh connection is known to be sound."""
        if self._session is None:
            return
        connection = self._session.connection
        if self._path == MEMORY:
            with contextlib.suppress(apsw.Error):  # SQLite may have rolled back already
                connection.execute("ROLLBACK")
            return
        self._session = None
        connection.close(True)  # rolls back


def _alone(session: SqliteSession, pending: Pending) -> Done:
    """Run one operation so that its failure undoes nothing but itself."""
    session.connection.execute("SAVEPOINT one")
    try:
        done = Done(result=pending.work(session))
    except Exception as error:
        if not concerns_one_row(error):
            raise
        session.connection.execute("ROLLBACK TO one")
        done = Done(error=error)
    session.connection.execute("RELEASE one")
    return done


def _deliver(batch: list[Pending], done: list[Done]) -> None:
    """Wake the event loop once for the whole batch."""
    try:
        batch[0].future.get_loop().call_soon_threadsafe(_resolve, batch, done)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return


def _resolve(batch: list[Pending], done: list[Done]) -> None:
    for pending, one in zip(batch, done, strict=True):
        if pending.future.done():  # its caller was cancelled
            continue
        if one.error is None:
            pending.future.set_result(one.result)
        else:
            pending.future.set_exception(one.error)
