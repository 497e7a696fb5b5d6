"""Running named statements on one open SQLite connection."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import apsw

from waypost.store.named_sql import queries
from waypost.store.session import Row, Session, Value

Result = TypeVar("Result")


class SqliteSession(Session):
    """An open connection; only one transaction writes at a time, so each is alone with everything."""

    def __init__(self, connection: apsw.Connection, endpoints: set[str] | None = None) -> None:
        """`endpoints` is where it is noted which of them have something new."""
        self.connection = connection
        self._sql = queries()
        self._endpoints: set[str] = set() if endpoints is None else endpoints

    def rows(self, query: str, /, **values: Value) -> Sequence[Row]:
        return self.connection.execute(self._sql[query], values).fetchall()

    def changed(self, query: str, /, **values: Value) -> int:
        self.rows(query, **values)
        return self.connection.changes()

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return self.connection.execute(sql, values).fetchall()

    def at_one_moment(self, work: Callable[[Session], Result]) -> Result:
        """Run reads so that all of them see what the first one does."""
        self.connection.execute("SAVEPOINT moment")
        try:
            return work(self)
        finally:
            self.connection.execute("RELEASE moment")

    def exclusive(self, *names: str) -> None:
        return

    def entered(self, endpoint: str) -> None:
        self._endpoints.add(endpoint)

    def note(self, query: str, /, **values: Value) -> None:
        self.rows(query, **values)
