"""A journal file from outside, also while a gateway is running on it: back up, check, version, upgrade."""

from pathlib import Path

import apsw

from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.connection import open_connection, unavailable
from waypost.store.schema import newest_version, upgrade, version_of
from waypost.store.sqlite_session import SqliteSession

PROBLEM_LIMIT = 100  # lines of a check: a damaged file can have thousands, and the first ones say it


def backup_file(source: str | Path, target: str | Path) -> None:
    """Write a consistent copy of a journal, as of one moment; raises `StoreUnavailable`.

    The target must not exist: an older copy is never overwritten by a half-written one.
    """
    if Path(target).exists():
        raise StoreUnavailable(f"{target} exists already: give the copy another name")
    try:
        origin = open_connection(str(source), read_only=True)
        try:
            _copy(origin, target)
        finally:
            origin.close(True)
    except apsw.Error as error:
        raise unavailable(error, source) from error


def _copy(origin: apsw.Connection, target: str | Path) -> None:
    """Copy an open database into a new file, in one step so that a writer can't make it start over."""
    try:
        copy = apsw.Connection(str(target))
        try:
            with copy.backup("main", origin, "main") as backup:
                backup.step(-1)
        finally:
            copy.close(True)
    except apsw.Error as error:
        Path(target).unlink(missing_ok=True)  # half a copy is worse than none
        raise unavailable(error, target) from error


def check_file(path: str | Path) -> list[str]:
    """Return what is wrong with a journal, a line each; empty if nothing is.

    Raises `StoreUnavailable` where it can't be looked at, which says nothing about the journal.
    """
    try:
        connection = open_connection(str(path), read_only=True)
        try:
            return problems_of(connection)
        finally:
            connection.close(True)
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.BusyError, apsw.IOError) as error:
        raise unavailable(error, path) from error
    except (apsw.Error, StoreUnavailable) as error:
        return [str(unavailable(error, path))]


def problems_of(connection: apsw.Connection) -> list[str]:
    """Look for damaged pages, a schema that isn't this program's, and rows that hang on nothing."""
    lines = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({PROBLEM_LIMIT})").fetchall()]
    problems = [line for line in lines if line != "ok"]
    version = version_of(connection)
    if version != newest_version():
        return [*problems, f"schema version {version}, this program expects {newest_version()}"]
    for table, count, owner in SqliteSession(connection).rows("orphans"):
        if count:
            problems.append(f"{count} rows of {table} belong to {owner} that are not there")
    return problems


def schema_version(path: str | Path) -> int:
    """Return the schema version of a journal, 0 if it has none yet; raises `StoreUnavailable`."""
    try:
        connection = open_connection(str(path), read_only=True)
        try:
            return version_of(connection)
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise unavailable(error, path) from error


def upgrade_file(path: str | Path) -> int:
    """Create or upgrade a journal's schema and return its version then; raises `StoreUnavailable`."""
    try:
        connection = open_connection(str(path), create=True)
        try:
            return upgrade(connection, Clock().now_ms())
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise unavailable(error, path) from error
