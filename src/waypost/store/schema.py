"""Numbered migrations: bringing a journal's schema to what this program knows."""

import re
from functools import cache
from importlib.resources import files

import apsw

from waypost.store.base import StoreUnavailable

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")

_CREATE_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)
"""


@cache
def migrations() -> dict[int, str]:
    """Return the text of every migration by its number, in order."""
    folder = files("waypost.store").joinpath("migrations")
    numbered = {
        int(match[1]): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if (match := _FILE_NAME.fullmatch(entry.name))
    }
    return dict(sorted(numbered.items()))


def newest_version() -> int:
    """Return the schema version that this program writes."""
    return max(migrations())


def version_of(connection: apsw.Connection) -> int:
    """Return the schema version of an open journal; 0 if it has none yet."""
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'schema_version'").fetchall()
    if tables == [(0,)]:
        return 0
    ((version,),) = connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchall()
    return version if isinstance(version, int) else 0


def upgrade(connection: apsw.Connection, now_ms: int) -> int:
    """Apply what is missing, each migration in its own transaction, and return the version then.

    Raises `StoreUnavailable` for a journal that is newer than this program: an older program would write rows that
    the newer one misreads.
    """
    for number, script in migrations().items():
        with Immediate(connection):
            connection.execute(_CREATE_VERSIONS)
            version = version_of(connection)
            if version > newest_version():
                break
            if version < number:  # looked up inside the transaction: another process may have been faster
                connection.execute(script)
                connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, now_ms))
    version = version_of(connection)
    if version > newest_version():
        raise StoreUnavailable(
            f"the journal has schema version {version}, this program knows up to {newest_version()}: "
            "use the newer program that wrote it, or restore a backup from before"
        )
    return version


class Immediate:
    """A transaction that takes the write lock at its start, commits at its end and rolls back on an error."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._connection.execute("COMMIT")
        elif not self._connection.get_autocommit():
            self._connection.execute("ROLLBACK")
