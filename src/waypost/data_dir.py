"""The data folder of an embedded gateway: who owns it, and the keys and tokens that are made at the first start."""

import asyncio
import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

import msgspec

from waypost.model import Noun

_LOCK = "lock"
_SECRET_BYTES = 32
_PATIENCE_S = 5  # a gateway has started, and a command has ended, long before
_LOOKS_A_SECOND = 20


class DataDirBusy(Exception):
    """Another process owns the data folder; `owner` says who and where, if it has said so."""

    def __init__(self, path: Path, owner: "Owner | None") -> None:
        super().__init__(
            f"another gateway (process {owner.pid if owner else 'unknown'}) runs on {path}; "
            "stop it, or set WAYPOST_DATA_DIR to another folder"
        )
        self.owner = owner


class DataDirUnusable(Exception):
    """The data folder can't be made, read or written; the message says why and what to do."""


class Owner(Noun, frozen=True, kw_only=True):
    """The process that holds the lock, and where its HTTP server is."""

    pid: int
    url: str


class DataDir:
    """A folder that one gateway process owns while it runs (decision D18)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def with_that_of(self, database: Path) -> list["DataDir"]:
        """Return what one gateway must own (decision D18): this folder, and the database's if that is another."""
        if database.parent.resolve() == self.path.resolve():
            return [self]
        return [self, DataDir(database.parent)]

    def is_known(self) -> bool:
        """Tell whether anybody has ever owned the folder."""
        return (self.path / _LOCK).exists()

    async def lock(self) -> None:
        """Become the owner until `release` or the end of the process; raises `DataDirBusy`, `DataDirUnusable`.

        An owner that has not said where it listens is a command at work or a gateway that is just starting: it is
        waited for, a few seconds at most.
        """
        for _ in range(_PATIENCE_S * _LOOKS_A_SECOND):
            if self._try_lock():
                return
            if (owner := self._announced()) is not None:
                raise DataDirBusy(self.path, owner)
            await asyncio.sleep(1 / _LOOKS_A_SECOND)
        raise DataDirBusy(self.path, None)

    def announce(self, url: str) -> None:
        """Write down where this process listens, for the command line."""
        assert self._lock is not None
        self._lock.write(msgspec.json.encode(Owner(pid=os.getpid(), url=url)).decode())
        self._lock.flush()

    def release(self) -> None:
        """Give the folder up."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    async def owner(self) -> Owner | None:
        """Return who runs a gateway on the folder now, or None if nobody does; raises like `lock`."""
        if not self.path.exists():
            return None
        try:
            await self.lock()
        except DataDirBusy as busy:
            if busy.owner is None:
                raise
            return busy.owner
        self.release()
        return None

    def secret(self, name: str) -> tuple[str, bool]:
        """Return the secret kept under a name, and whether it was made just now.

        It is written aside and given its name at last, so that a crash leaves a whole one or none, and processes
        that start together get the same.
        """
        file = self.path / name
        try:
            if file.exists():
                return _kept(file), False
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = secrets.token_urlsafe(_SECRET_BYTES)
            aside = self.path / f".{name}.{os.getpid()}.new"
            aside.unlink(missing_ok=True)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
                handle.write(made + "\n")
                handle.flush()
                os.fsync(handle.fileno())
            try:
                file.hardlink_to(aside)
            except FileExistsError:
                return _kept(file), False
            except OSError:  # a file system without hard links
                aside.rename(file)
            finally:
                aside.unlink(missing_ok=True)
        except (OSError, UnicodeDecodeError) as error:
            raise DataDirUnusable(f"cannot read or write {file}: {error}; see to its permissions") from None
        return made, True

    def _try_lock(self) -> bool:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds keys and what people wrote
            handle = (self.path / _LOCK).open("a+")
        except OSError as error:
            raise DataDirUnusable(
                f"cannot use the data folder {self.path}: {error.strerror}; set WAYPOST_DATA_DIR to a writable folder"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        handle.truncate(0)  # what a dead owner announced
        self._lock = handle
        return True

    def _announced(self) -> Owner | None:
        try:
            return msgspec.json.decode((self.path / _LOCK).read_bytes(), type=Owner)
        except (OSError, msgspec.DecodeError):
            return None


def _kept(file: Path) -> str:
    kept = file.read_text("ascii").strip()
    if not kept:
        raise DataDirUnusable(f"{file} is empty; restore it from a backup, or remove it to get a new one")
    return kept
