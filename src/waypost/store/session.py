"""What a transaction or a read may do, whichever engine runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

Value = str | bytes | int | float | None  # what a statement can be given
Row = tuple[object, ...]  # what it gives


class Session(ABC):
    """The statements by name, inside one transaction or read; a result is always read to its end.

    Transactions may run side by side, in this process and in others. What a transaction looked up may have changed when
    it writes, unless it has said with `exclusive` what it works on.
    """

    @abstractmethod
    def rows(self, query: str, /, **values: Value) -> Sequence[Row]:
        """Run a statement and return every row it gives."""

    @abstractmethod
    def changed(self, query: str, /, **values: Value) -> int:
        """Run a statement and return how many rows it changed."""

    @abstractmethod
    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        """Run a query that was put together, and return every row it gives."""

    @abstractmethod
    def exclusive(self, *names: str) -> None:
        """Wait until no other transaction works on any of these, and keep them from others until this one has ended.

        What is looked up from here on is as the others left it. To be said before anything else where it is known by
        then: a name that is asked for later may mean that the transaction is run again from its start.
        """

    @abstractmethod
    def note(self, query: str, /, **values: Value) -> None:
        """Run a statement that writes what nobody in this transaction reads, at the latest before it is committed.

        For rows that many transactions write, such as one of a phone: they are held as shortly as can be.
        """

    @abstractmethod
    def entered(self, endpoint: str) -> None:
        """Have whoever delivers told that an endpoint has something new, once this transaction is committed."""

    def row(self, query: str, /, **values: Value) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = self.rows(query, **values)
        return rows[0] if rows else None

    def run(self, query: str, /, **values: Value) -> None:
        """Run a statement for what it does."""
        self.rows(query, **values)
