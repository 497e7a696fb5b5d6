"""The embedded journal that is copied: read as of one moment, and never written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from waypost.store.connection import open_connection, unavailable
from waypost.store.copying_tables import BATCH_BYTES, BATCH_ROWS, CopyRefused, Table, size_of
from waypost.store.schema import newest_version, version_of
from waypost.store.session import Row

# What a copy doesn't carry over: which migrations were applied when is each journal's own.
VERSIONS = "schema_version"

_HOLDS: dict[str, type] = {"TEXT": str, "BIGINT": int, "BLOB": bytes}
_MEND = "give it another value with SQLite's program sqlite3 while no gateway runs, after a backup"


class Source:
    """An open journal; whatever is read of it is as it was at one moment."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._version = connection.pragma("data_version")
        connection.execute("BEGIN")

    def tables(self) -> tuple[Table, ...]:
        """Return every table that has something to copy, in the order in which migrations made them."""
        found = self._connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' "
            "AND name <> ? ORDER BY rowid",
            (VERSIONS,),
        ).fetchall()
        return tuple(self._table(str(name)) for (name,) in found)

    def _table(self, name: str) -> Table:
        found = self._connection.execute(
            "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (name,)
        ).fetchall()
        keyed = sorted((int(str(place)), str(column)) for column, _, place in found if place)
        return Table(
            name=name,
            columns=tuple(str(column) for column, _, _ in found),
            kinds=tuple(str(kind) for _, kind, _ in found),
            key=tuple(column for _, column in keyed),
        )

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        ((number,),) = self._connection.execute(f"SELECT COUNT(*) FROM {table.name}").fetchall()  # noqa: S608 - ours
        assert isinstance(number, int)
        return number

    def walk(self, table: Table) -> Iterator[Row]:
        """Give every row in any order; raises `CopyRefused` at one that PostgreSQL can't hold."""
        fitting: set[tuple[type, ...]] = set()
        try:
            for row in self._connection.execute(f"SELECT {table.all_columns} FROM {table.name}"):  # noqa: S608 - ours
                types = tuple(map(type, row))
                if types not in fitting:
                    _refuse_other_kinds(table, row)
                    fitting.add(types)
                for value in row:
                    if type(value) is str and "\0" in value:
                        raise _unfit(table, row, row.index(value), "the character NUL")
                yield row
        except UnicodeDecodeError:
            raise self._not_text(table) from None

    def batches(self, table: Table, after: Row | None) -> Iterator[list[Row]]:
        """Give the rows behind a key (None: all) by their key, in lists that are neither long nor large."""
        key = ", ".join(table.key)
        behind = f"WHERE ({key}) > ({', '.join('?' * len(table.key))})" if after else ""
        rows = self._connection.execute(
            f"SELECT {table.all_columns} FROM {table.name} {behind} ORDER BY {key}",  # noqa: S608 - ours
            after or (),
        )
        batch: list[Row] = []
        size = 0
        for row in rows:
            batch.append(row)
            size += size_of(row)
            if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def first_message_from(self, message_id: str) -> str | None:
        """Return the first message id that is not before one."""
        ((found,),) = self._connection.execute("SELECT MIN(id) FROM message WHERE id >= ?", (message_id,)).fetchall()
        return None if found is None else str(found)

    def was_written(self) -> bool:
        """Tell whether somebody has written since the journal was opened; what is read afterwards is of later."""
        self._connection.execute("COMMIT")
        return bool(self._connection.pragma("data_version") != self._version)

    def _not_text(self, table: Table) -> CopyRefused:
        """Find the row whose text is not UTF-8, reading texts as bytes."""
        asked = ", ".join(
            f"CAST({column} AS BLOB)" if kind == "TEXT" else column
            for column, kind in zip(table.columns, table.kinds, strict=True)
        )
        for row in self._connection.execute(f"SELECT {asked} FROM {table.name}"):  # noqa: S608 - ours
            for index, value in enumerate(row):
                if table.kinds[index] == "TEXT" and isinstance(value, bytes) and not _is_text(value):
                    shown = tuple(one.decode(errors="replace") if isinstance(one, bytes) else one for one in row)
                    return _unfit(table, shown, index, "bytes that are not UTF-8")
        return CopyRefused(f"a number in {table.name} holds bytes that are not UTF-8; {_MEND}")


@contextmanager
def opened_source(path: Path) -> Iterator[Source]:
    """Give a journal's file, opened for reading alone.

    Raises `CopyRefused` for what is no journal of this program's version, and `StoreUnavailable` where it can't be read
    (also later).
    """
    _refuse_no_file(path)
    try:
        connection = open_connection(str(path), read_only=True)
        try:
            _refuse_other_version(connection, path)
            yield Source(connection)
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise unavailable(error, path) from error


def _refuse_no_file(path: Path) -> None:
    try:
        if not path.is_file():
            what = "a folder, name the file in it" if path.is_dir() else "not there"
            raise CopyRefused(f"cannot copy {path}: it is {what}")
    except OSError as error:
        raise CopyRefused(f"cannot look at {path}: {error.strerror}") from None


def _refuse_other_version(connection: apsw.Connection, path: Path) -> None:
    version, known = version_of(connection), newest_version()
    if version == 0:
        raise CopyRefused(f"{path} is a database, but holds no journal")
    if version < known:
        raise CopyRefused(
            f"{path} has schema version {version}, this program writes {known}: bring it up to date first, with "
            f"`WAYPOST_DATABASE_URL=sqlite:///{path} waypost db upgrade`"
        )
    if version > known:
        raise CopyRefused(
            f"{path} has schema version {version}, this program knows up to {known}: use the newer program"
        )


def _refuse_other_kinds(table: Table, row: Row) -> None:
    for index, (kind, value) in enumerate(zip(table.kinds, row, strict=True)):
        if value is not None and type(value) is not _HOLDS[kind]:
            raise _unfit(table, row, index, f"a {type(value).__name__} instead of {kind}")


def _unfit(table: Table, row: Row, index: int, what: str) -> CopyRefused:
    return CopyRefused(
        f"the row {table.key_of(row)} of {table.name} can't be copied: its column {table.columns[index]} holds {what}, "
        f"which PostgreSQL doesn't take; {_MEND}"
    )


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
