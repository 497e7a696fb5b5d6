"""A look into the journal of a gateway that is running."""

import asyncio
import time
from collections.abc import Callable
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

    def waiting(self, endpoint: str) -> int:
        """Return how many callbacks of an endpoint are not settled."""
        return self._count("SELECT COUNT(*) FROM work WHERE kind = 'callback' AND scope = ?", endpoint)

    def due(self, endpoint: str, now_ms: int) -> int:
        """Return how many callbacks of an endpoint are due, and neither under way nor to be tried again later."""
        statement = "SELECT COUNT(*) FROM work WHERE kind = 'callback' AND scope = ? AND priority = 0 AND due_ms <= ?"
        return self._count(statement, endpoint, now_ms)

    def queued(self) -> int:
        """Return how many messages wait to be sent."""
        return self._count("SELECT COUNT(*) FROM queued")

    def accepted(self) -> int:
        """Return how many messages Meta accepted."""
        return self._count("SELECT COUNT(*) FROM message WHERE state = 'accepted'")

    async def drained(self) -> None:
        """Wait until no message waits to be sent, and none that waited is on its way."""
        await _until_none(self.queued, "messages still wait to be sent")

    def done(self, endpoint: str) -> int:
        """Return how many callbacks of an endpoint were accepted."""
        statement = "SELECT COUNT(*) FROM callback WHERE settled_at_ms IS NOT NULL AND state = 'done' AND endpoint = ?"
        return self._count(statement, endpoint)

    async def settled(self, endpoint: str) -> None:
        """Wait until no callback of an endpoint waits."""
        await _until_none(lambda: self.waiting(endpoint), "callbacks are not settled in time")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _count(self, statement: str, *values: str | int) -> int:
        return int(self._connection.execute(statement, values).get)


async def _until_none(count: Callable[[], int], complaint: str) -> None:
    give_up_s = time.perf_counter() + _SETTLE_LIMIT_S
    while number := count():
        if time.perf_counter() > give_up_s:
            raise BenchFailed(f"{number} {complaint}")
        await asyncio.sleep(_LOOK_EVERY_S)
