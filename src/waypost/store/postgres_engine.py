"""What a shared journal runs on: one connection of this process that writes, some that read, and the server's clock."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import asyncpg
import structlog

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.effects import Effects
from waypost.store.engine import Engine, Entered
from waypost.store.outbox import Draft
from waypost.store.postgres_connection import (
    CONNECT_S,
    LOST,
    TROUBLE,
    close_quietly,
    concerns_one_row,
    open_connection,
    open_pool,
    refuse_unfit,
    refuse_unreadable,
    unavailable,
)
from waypost.store.postgres_names import Names
from waypost.store.postgres_partitions import make_pieces
from waypost.store.postgres_schema import upgrade
from waypost.store.postgres_session import Group
from waypost.store.postgres_vacuum import clear_away
from waypost.store.postgres_writer import PostgresWriter
from waypost.store.session import Session

log = structlog.get_logger("waypost.journal")

Result = TypeVar("Result")

_READERS = 4
_WALKERS = 2
_CLOCK_ROUND_S = 5.0
_CLOCK_LOOKS = 3  # the quickest answer tells the time best

# Long ones have a connection of their own: nobody who sends waits for them.
_LONG = frozenset({"purge_commit", "judge_commit", "ending_commit", "replay_commit", "abandon_commit", "audit_commit"})
# The one row that all processes write all the time: nobody holds it while others of his transaction are at work.
_SLOTS = "slots_commit"


class PostgresEngine(Engine):
    """Opens and closes the connections, and runs transactions and reads on them."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        effects: Effects | None = None,
        draft: Draft | None = None,
        entered: Entered | None = None,
    ) -> None:
        super().__init__(clock, draft)
        self._url = url
        self._writer = PostgresWriter(url, clock, effects, entered)
        self._long_writer = PostgresWriter(url, clock, effects, entered)
        self._slot_writer = PostgresWriter(url, clock, effects, entered)
        self._readers: asyncpg.Pool | None = None
        self._walkers: asyncpg.Pool | None = None
        self._clock_keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Create or upgrade the schema and start to write; raises `StoreUnavailable` with a line that says why not."""
        refuse_unreadable(self._url)
        try:
            connection = await open_connection(self._url)
            try:
                refuse_unfit(connection)
                await self._take_time(connection)
                await upgrade(connection, self._clock.now_ms())
                with contextlib.suppress(
                    asyncpg.LockNotAvailableError
                ):  # made days ahead, and tried again by the purge
                    await make_pieces(connection, self._clock.now_ms())
            finally:
                await close_quietly(connection)
            self._readers = await open_pool(self._url, _READERS)
            self._walkers = await open_pool(self._url, _WALKERS)
        except (*TROUBLE, StoreUnavailable) as error:
            raise unavailable(error, self._url) from error
        self._writer.start()
        self._long_writer.start()
        self._slot_writer.start()
        self._clock_keeper = asyncio.create_task(self._keep_time(), name="journal-clock")

    async def close(self) -> None:
        """Write what waits and let go of the connections; a second call does nothing."""
        keeper, self._clock_keeper = self._clock_keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        await self._writer.stop()
        await self._long_writer.stop()
        await self._slot_writer.stop()
        pools = (self._readers, self._walkers)
        self._readers = self._walkers = None
        for pool in pools:
            if pool is not None:
                await _close(pool)

    async def _write(self, effect: str, work: Callable[[Session], Result], *, is_long: bool = False) -> Result:
        is_long = is_long or effect in _LONG
        writer = self._long_writer if is_long else self._slot_writer if effect == _SLOTS else self._writer
        return await writer.run(effect, work)

    async def _read(self, work: Callable[[Session], Result]) -> Result:
        return await self._beside_the_writer(self._readers, work, at_one_moment=False)

    async def _walk(self, work: Callable[[Session], Result]) -> Result:
        return await self._beside_the_writer(self._walkers, work, at_one_moment=True)

    async def _beside_the_writer(
        self, pool: asyncpg.Pool | None, work: Callable[[Session], Result], *, at_one_moment: bool
    ) -> Result:
        for number in range(1 + _READERS):
            try:
                async with self._pool(pool) as connection:
                    return await _look(connection, work, at_one_moment=at_one_moment)
            except Exception as error:
                if concerns_one_row(error):
                    raise
                # Each connection that was open may have ended since: a look can be done again, unless nobody answers.
                if number == _READERS or not isinstance(error, LOST) or isinstance(error, TimeoutError):
                    raise unavailable(error, self._url) from error
        raise AssertionError("unreachable: the last look returns or raises")

    def _pool(self, pool: asyncpg.Pool | None) -> AbstractAsyncContextManager[asyncpg.Connection]:
        if pool is None:
            raise StoreUnavailable("the journal is not open")
        return pool.acquire(timeout=CONNECT_S)  # type: ignore[no-any-return]  # the driver is untyped

    async def _keep_time(self) -> None:
        """Follow the server's clock, so that leases and slots are by one clock for all processes (decision D6).

        And have it clear away what is left of rows.
        """
        while True:
            await asyncio.sleep(_CLOCK_ROUND_S)
            try:
                async with self._pool(self._readers) as connection:
                    await self._take_time(connection)
                    await clear_away(connection)
            except TROUBLE as error:
                log.warning("clock_not_compared", reason=str(unavailable(error, self._url)))

    async def _take_time(self, connection: asyncpg.Connection) -> None:
        best: tuple[float, int, float] | None = None
        for _ in range(_CLOCK_LOOKS):
            asked_s = self._clock.monotonic_s()
            now_us: int = await connection.fetchval("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
            answered_s = self._clock.monotonic_s()
            if best is None or answered_s - asked_s < best[0]:
                best = answered_s - asked_s, now_us, (asked_s + answered_s) / 2
        assert best is not None
        _, now_us, at_s = best
        self._clock.follow(now_us + int((self._clock.monotonic_s() - at_s) * 1_000_000))


async def _look(connection: asyncpg.Connection, work: Callable[[Session], Result], *, at_one_moment: bool) -> Result:
    if not at_one_moment:
        (result,) = await Group(connection, Names(connection, set()), [work]).run()
    else:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            (result,) = await Group(connection, Names(connection, set()), [work]).run()
    return result  # type: ignore[return-value]  # of the one work that was given


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except TROUBLE:
        pool.terminate()
