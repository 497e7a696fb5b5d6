"""Running named statements on one open connection."""

from collections.abc import Sequence

import apsw

from waypost.store.named_sql import queries

Value = str | bytes | int | float | None  # what a statement can be given
Row = tuple[object, ...]  # what it gives


class Session:
    """An open connection and the statements by name; a result is always read to its end."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._sql = queries()

    def rows(self, query: str, /, **values: Value) -> Sequence[Row]:
        """Run a statement and return every row it gives."""
        return self.connection.execute(self._sql[query], values).fetchall()

    def row(self, query: str, /, **values: Value) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = self.rows(query, **values)
        return rows[0] if rows else None

    def run(self, query: str, /, **values: Value) -> int:
        """Run a statement and return how many rows it changed."""
        self.rows(query, **values)
        return self.connection.changes()
