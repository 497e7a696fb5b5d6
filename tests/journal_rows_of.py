"""Looks at the rows of a test's journal behind its gateway's back, whichever engine keeps them."""

import contextlib
from pathlib import Path

import apsw
import asyncpg

from tests.engine import apart, engine_settings, is_shared

Row = tuple[object, ...]


def rows_of(folder: Path, sql: str, *values: object) -> list[Row]:
    """Run a SELECT on the journal of a data folder, also while a gateway writes it; `$1` is the first of the values."""
    if is_shared():
        return apart(_run(engine_settings(folder)["database_url"], sql, values))
    with contextlib.closing(apsw.Connection(str(folder / "waypost.db"), apsw.SQLITE_OPEN_READONLY)) as journal:
        return journal.execute(sql, values).fetchall()


def change_rows_of(folder: Path, sql: str) -> None:
    """Change the journal of a data folder."""
    if is_shared():
        apart(_run(engine_settings(folder)["database_url"], sql, ()))
        return
    with contextlib.closing(apsw.Connection(str(folder / "waypost.db"))) as journal:
        journal.execute(sql)


def everything_in(folder: Path) -> bytes:
    """Return whatever the journal of a data folder holds, as its files have it, or as its tables do."""
    if not is_shared():
        return b"".join(file.read_bytes() for file in folder.iterdir() if file.name.startswith("waypost.db"))
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    rows = [row for (table,) in rows_of(folder, tables) for row in rows_of(folder, f'SELECT * FROM "{table}"')]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


async def _run(url: str, sql: str, values: tuple[object, ...]) -> list[Row]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()
