"""An embedded journal with something in every table, whatever tables there are: for tests of copying."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import apsw
import asyncpg

from waypost.clock import MESSAGE_ID_PREFIX, first_id_of
from waypost.store.database_file import upgrade_file

NOW_MS = 1_790_000_000_250
DAYS = 40
_DAY_MS = 86_400_000
_SOME = 40  # rows of a table that nobody has asked for
_IDS = {"id", "message_id", "callback_id"}
_WORDS = (
    "",
    " ",
    "hello",
    "'; --",
    '"\\"',
    "a\tb\r\nc",
    "\x01\x7f",
    "你好",
    "🎉" * 9,
    "é" * 200,
    "%s",
    "NULL",
    "\\N",
    "\ufeff",
)
_NUMBERS = (0, 1, -1, 2**31, 2**63 - 1, -(2**63))

Rows = list[tuple[object, ...]]


def tables_of(connection: apsw.Connection) -> list[str]:
    """Return the tables of a journal, in the order they were made."""
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
    return [str(name) for (name,) in found if name != "schema_version"]


def fill(path: Path, rows: Mapping[str, int] | None = None, seed: int = 1) -> Path:
    """Make a journal in which every column has held all sorts of values, ids over some weeks; returns its path."""
    upgrade_file(path)
    chance = random.Random(seed)
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("synchronous", 0)
        with connection:
            for table in tables_of(connection):
                _fill_table(connection, table, (rows or {}).get(table, _SOME), chance)
    finally:
        connection.close()
    return path


def _fill_table(connection: apsw.Connection, table: str, number: int, chance: random.Random) -> None:
    found = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall()
    columns = [_Column(str(name), str(kind), bool(needed), bool(key)) for name, kind, needed, key in found]
    connection.executemany(
        f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})",
        (tuple(column.value(row, number, chance) for column in columns) for row in range(number)),
    )


class _Column(NamedTuple):
    name: str
    kind: str
    needed: bool
    keyed: bool

    def value(self, row: int, of: int, chance: random.Random) -> str | int | bytes | None:
        """Return something for a row of so many; nothing that is to tell rows apart comes twice."""
        if not self.needed and chance.random() < 0.2:
            return None
        if self.kind == "BIGINT":
            return row if self.keyed else chance.choice((*_NUMBERS, chance.randrange(-(2**63), 2**63)))
        if self.kind == "BLOB":
            return chance.randbytes(chance.choice((0, 1, 200)))
        if self.name in _IDS:
            return f"{MESSAGE_ID_PREFIX}{first_id_of(NOW_MS - DAYS * _DAY_MS * row // of)}{row:020x}"
        word = chance.choice(_WORDS)
        return f"{word}{chance.randrange(10**12)}-{row}" if self.keyed or self.needed else word


def held_here(path: Path) -> dict[str, Rows]:
    """Return every row of every table of an embedded journal, in an order of their own."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            table: sorted(connection.execute(f"SELECT {_columns(connection, table)} FROM {table}").fetchall(), key=repr)
            for table in tables_of(connection)
        }
    finally:
        connection.close()


def _columns(connection: apsw.Connection, table: str) -> str:
    return ", ".join(sorted(str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})").fetchall()))


async def held_there(url: str) -> dict[str, Rows]:
    """Return every row of every table of a shared journal, in the same order."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "SELECT relname, string_agg(attname, ', ' ORDER BY attname COLLATE \"C\") FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 AND NOT attisdropped GROUP BY relname"
        )
        return {
            table: sorted((tuple(row) for row in await connection.fetch(f"SELECT {names} FROM {table}")), key=repr)
            for table, names in columns
            if table != "schema_version"
        }
    finally:
        await connection.close()
