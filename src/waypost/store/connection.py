"""One SQLite connection: how it is opened, which durability it must have, and what its errors mean."""

from pathlib import Path

import apsw

from waypost.store.base import StoreUnavailable

MEMORY = ":memory:"

BUSY_TIMEOUT_MS = 2_000  # how long another process may hold the file before a caller hears of it
CACHE_KIB = 65_536  # keys arrive in random order: their upper pages should stay in memory
FULL = 2  # SQLite's number for synchronous=FULL: the log is flushed at every commit

# What one row can be wrong about; every other error of the engine concerns the file.
_ROW_ERRORS = (apsw.ConstraintError, apsw.TooBigError, apsw.MismatchError, apsw.RangeError, apsw.BindingsError)

_MEANINGS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "the disk is full"),
    (apsw.BusyError, "another process holds it locked"),
    (apsw.LockedError, "another connection holds it locked"),
    (apsw.ReadOnlyError, "it can't be written: the file or its directory is read-only"),
    (apsw.PermissionsError, "the file system denies access"),
    (apsw.CantOpenError, "it can't be opened: the directory is missing or not accessible"),
    (apsw.NotADBError, "the file is not a SQLite database"),
    (apsw.CorruptError, "the file is damaged: stop the gateway and restore a backup"),
    (apsw.IOError, "the disk fails to read or write"),
)


def open_connection(path: str, *, create: bool = False, read_only: bool = False) -> apsw.Connection:
    """Open the journal's file and set it up.

    A writer gets a write-ahead log that is flushed at every commit, which is read back; a reader can't write and never
    checkpoints. Raises `apsw.Error` as it is, and `StoreUnavailable` where the durability asked for isn't granted.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(path, flags | (apsw.SQLITE_OPEN_CREATE if create else 0))
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("temp_store", "memory")
        connection.pragma("foreign_keys", 0)
        if read_only:
            connection.pragma("wal_autocheckpoint", 0)
        else:
            _make_durable(connection, path)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _make_durable(connection: apsw.Connection, path: str) -> None:
    connection.pragma("cache_size", -CACHE_KIB)
    mode = connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", FULL)
    granted = connection.pragma("synchronous")
    if path != MEMORY and (mode != "wal" or granted != FULL):
        raise StoreUnavailable(
            f"the journal {path} can't be made durable: the file system grants journal_mode={mode}, "
            f"synchronous={granted} instead of wal and {FULL}; use a local disk"
        )


def concerns_one_row(error: Exception) -> bool:
    """Tell whether an error is the fault of the row being written, rather than of the file or the disk."""
    return isinstance(error, _ROW_ERRORS) or not isinstance(error, apsw.Error | StoreUnavailable | MemoryError)


def unavailable(error: Exception, path: str | Path) -> StoreUnavailable:
    """Turn an error of the engine into one line that says what is wrong with the journal."""
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(str(error))
    meaning = next((text for kind, text in _MEANINGS if isinstance(error, kind)), "it can't be used")
    trouble = StoreUnavailable(f"the journal {path}: {meaning} ({type(error).__name__}: {error})")
    trouble.__cause__ = error
    return trouble
