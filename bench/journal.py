"""A look into the journal of a gateway that is running."""

import asyncio
import time
from pathlib import Path

from bench.failure import BenchFailed
from waypost.store.connection import open_connection

_LOOK_EVERY_S = 0.01
_SETTLE_LIMIT_S = 60.0


class Journal:
    """Counts rows, on a connection that can't write."""

    def __init__(self, path: Path) -> None:
        self._connection = open_connection(str(path), read_only=True)

    def statuses(self) -> int:
        """Return how many statuses are recorded with their message."""
        return self._count("SELECT COUNT(*) FROM status")

    def callbacks(self, state: str) -> int:
        """Return how many callbacks are in a state."""
        return self._count("SELECT COUNT(*) FROM callback WHERE state = ?", state)

    async def settled(self) -> None:
        """Wait until no callback is due."""
        give_up_s = time.perf_counter() + _SETTLE_LIMIT_S
        while waiting := self.callbacks("due"):
            if time.perf_counter() > give_up_s:
                raise BenchFailed(f"{waiting} callbacks are not settled in time")
            await asyncio.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _count(self, statement: str, *values: str) -> int:
        return int(self._connection.execute(statement, values).get)
