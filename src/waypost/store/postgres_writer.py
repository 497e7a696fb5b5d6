"""The one writing connection of a process: whatever waits shares a transaction and a flush (decision D2)."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import asyncpg
import msgspec

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.effects import Effects
from waypost.store.engine import Entered
from waypost.store.postgres_connection import (
    LOST,
    TROUBLE,
    close_quietly,
    concerns_one_row,
    is_in_the_way,
    open_connection,
    unavailable,
)
from waypost.store.postgres_names import EVERYTHING, InTheWay, Names
from waypost.store.postgres_session import Entangled, Group
from waypost.store.session import Session

Result = TypeVar("Result")

BATCH_LIMIT = 256  # operations in one transaction: enough to fill a flush, few enough that others wait shortly
_TRIES = 8  # of a transaction that others were in the way of
_WAIT_S = 0.05  # between them, at most
_FATE_WHEN_CLOSING_S = 2.0
_FATE_S = 10.0  # how long the server is asked what became of a commit whose answer was lost


WRITER = "writer "  # what the marks begin with in which writers sign

# A transaction that has written signs; one that has not needn't be flushed.
_SIGN = """
INSERT INTO mark (name, value) SELECT $1::text, $2::text WHERE pg_current_xact_id_if_assigned() IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING value
"""
# It writes, so that it waits for a transaction which is still under way there.
_LAST_SIGNATURE = """
INSERT INTO mark (name, value) VALUES ($1::text, '') ON CONFLICT (name) DO UPDATE SET value = mark.value RETURNING value
"""


class _Pending(msgspec.Struct, frozen=True):
    """An operation that waits for its transaction, and the future of the one who asked."""

    effect: str
    work: Callable[[Session], Any]  # each operation has its own result; `run` gives it back typed
    future: asyncio.Future[Any]


class _Done(msgspec.Struct, frozen=True):
    """What came of one operation: a result, or the error that its caller gets."""

    result: object = None
    error: Exception | None = None


class PostgresWriter:
    """Runs operations as many per commit as are waiting; results are given only after the commit.

    There is no timer: while one transaction is under way the next group gathers. An operation that fails for its own
    reasons fails alone; trouble with the server fails the whole group with `StoreUnavailable`, and the next one opens
    a new connection. Where only the answer to a commit was lost, the server is asked what became of it.
    """

    def __init__(self, url: str, clock: Clock, effects: Effects | None, entered: Entered | None) -> None:
        self._url = url
        self._name = f"{WRITER}{clock.token()}"  # before its clock is right, so not by time
        self._clock = clock
        self._effects = effects
        self._entered = entered
        self._endpoints: set[str] = set()  # those that have something new, where the group is committed
        self._waiting: list[_Pending] = []
        self._wake = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_until_closed(), name="journal-writer")

    async def run(self, effect: str, work: Callable[[Session], Result]) -> Result:
        """Run an operation in the next transaction and return its result once that is durable.

        A caller that is cancelled while it waits changes nothing: the operation may still be committed.
        """
        if self._task is None or self._closing:
            raise StoreUnavailable("the journal is not open")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(effect, work, future))
        self._wake.set()
        return await future

    async def stop(self) -> None:
        """Write what waits and close the connection."""
        self._closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    async def _write_until_closed(self) -> None:
        while not self._closing or self._waiting:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            group, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
            try:
                done = await self._commit(group)
            except Exception as error:  # whatever it is: the next group tries anew
                await self._drop_connection()
                if self._closing:  # nobody waits for the server to come back, again and again
                    group, self._waiting = [*group, *self._waiting], []
                done = [_Done(error=unavailable(error, self._url)) for _ in group]
            for pending, one in zip(group, done, strict=True):
                if pending.future.done():  # its caller was cancelled
                    continue
                if one.error is None:
                    pending.future.set_result(one.result)
                else:
                    pending.future.set_exception(one.error)
            # also after trouble, for a commit that fails may have taken effect
            if self._endpoints and self._entered is not None:
                self._entered(tuple(self._endpoints))
            self._endpoints.clear()
        await self._drop_connection()

    async def _commit(self, group: Sequence[_Pending]) -> list[_Done]:
        known: set[str] = set()
        for _ in range(_TRIES):
            try:
                return await self._try_commit(group, known)
            except InTheWay:  # it waits for the other in its next try
                await self._end("ROLLBACK")
            except asyncpg.OutOfMemoryError:  # the server's table of locks is full
                if EVERYTHING in known:
                    raise
                await self._end("ROLLBACK")
                known.add(EVERYTHING)
            except asyncpg.PostgresError as error:
                if not is_in_the_way(error):
                    raise
                await self._end("ROLLBACK")
                await asyncio.sleep(_WAIT_S * self._clock.chance())
        return await self._try_commit(group, known)

    async def _try_commit(self, group: Sequence[_Pending], known: set[str]) -> list[_Done]:
        connection = await self._connected()
        await connection.execute("BEGIN")
        names = Names(connection, known)
        try:
            together = Group(connection, names, [one.work for one in group])
            done = [_Done(result=result) for result in await together.run()]
            self._endpoints |= together.endpoints
        except Exception as error:
            if not isinstance(error, Entangled) and (isinstance(error, InTheWay) or not concerns_one_row(error)):
                raise
            await connection.execute("ROLLBACK")
            await connection.execute("BEGIN")
            names = Names(connection, known)
            done = [await _alone(connection, names, pending, self._endpoints) for pending in group]
        effects = list(dict.fromkeys(pending.effect for pending in group))
        self._announce(effects)
        signature = self._clock.uuid7_hex()
        has_written = await connection.fetchval(_SIGN, self._name, signature) is not None
        try:
            said = await connection.execute("COMMIT")
        except LOST:
            if not has_written or not await self._was_committed(signature):
                raise
        else:
            if said != "COMMIT":
                raise StoreUnavailable(f"the journal answered {said} to a commit")
        self._announce([f"after:{effect}" for effect in effects])
        return done

    async def _was_committed(self, signature: str) -> bool:
        """Ask the server what became of a commit whose answer was lost; False also where it doesn't say in time.

        It can't be asked for the transaction by its number: after a crash it may give that to another one.
        """
        await self._drop_connection()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FATE_S) as bound:
                while True:
                    if self._closing:
                        soon = asyncio.get_running_loop().time() + _FATE_WHEN_CLOSING_S
                        bound.reschedule(min(soon, bound.when() or soon))
                    with contextlib.suppress(*TROUBLE):
                        connection = await self._connected()
                        return bool(await connection.fetchval(_LAST_SIGNATURE, self._name) == signature)
                    await asyncio.sleep(_WAIT_S)
        return False

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await open_connection(self._url)
        return self._connection

    async def _end(self, how: str) -> None:
        if self._connection is not None:
            await self._connection.execute(how)

    async def _drop_connection(self) -> None:
        """Let go of the connection: after trouble only a fresh one is known to be sound, and its end rolls back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)

    def _announce(self, effects: list[str]) -> None:
        if self._effects is not None:
            for effect in effects:
                self._effects.before(effect)


async def _alone(connection: asyncpg.Connection, names: Names, pending: _Pending, endpoints: set[str]) -> _Done:
    """Run one operation so that its failure undoes nothing but itself; add the endpoints that get something new."""
    await connection.execute("SAVEPOINT one")
    held = names.held()
    try:
        alone = Group(connection, names, [pending.work])
        (result,) = await alone.run()
        endpoints |= alone.endpoints
        done = _Done(result=result)
    except Exception as error:
        if isinstance(error, InTheWay) or not concerns_one_row(error):
            raise
        await connection.execute("ROLLBACK TO one")
        names.only(held)
        done = _Done(error=error)
    await connection.execute("RELEASE one")
    return done
