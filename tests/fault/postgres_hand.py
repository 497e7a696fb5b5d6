"""A hand on a journal's rows: it stops the transactions of stores where a test wants them to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

BOUND_S = 20.0  # ends a broken run

# Of this database, the autovacuum's and our own left out.
_WAITING = """
SELECT COUNT(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_type = 'client backend'
"""


class Hand:
    """A transaction of its own, and a look at who waits."""

    def __init__(self, holding: asyncpg.Connection, looking: asyncpg.Connection) -> None:
        self._holding = holding
        self._looking = looking

    async def do(self, sql: str, *values: object) -> None:
        """Run a statement in the transaction: whoever wants what it has touched waits."""
        if not self._holding.is_in_transaction():
            await self._holding.execute("BEGIN")
        await self._holding.execute(sql, *values)

    async def commit(self) -> None:
        """End the transaction and let the others go on."""
        await self._holding.execute("COMMIT")

    async def until_waiting(self, number: int, *tasks: "asyncio.Task[object]") -> None:
        """Wait until so many transactions wait for another, or one of the tasks has ended."""

        async def enough() -> bool:
            waiting: int = await self._looking.fetchval(_WAITING)
            return waiting >= number or any(task.done() for task in tasks)

        async with asyncio.timeout(BOUND_S):
            while not await enough():
                await asyncio.sleep(0.005)

    async def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Look at what has been committed."""
        return [tuple(row) for row in await self._looking.fetch(sql, *values)]


@asynccontextmanager
async def hand_on(url: str) -> AsyncIterator[Hand]:
    """Lay a hand on a journal; what it holds in the end it lets go."""
    holding, looking = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        yield Hand(holding, looking)
    finally:
        await holding.close()
        await looking.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(BOUND_S):
        while not holds():
            await asyncio.sleep(0.005)
