"""A file or disk in trouble: every caller hears of it in one clear line, and the journal heals when the disk does."""

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.conformance.journal_rows import SteppedClock, accepted, message
from waypost.model import State
from waypost.store.base import StoreUnavailable
from waypost.store.database_file import check_file
from waypost.store.sqlite import SqliteStore


class FailingEffect:
    """Raises one error at one named effect, as often as it is told to."""

    def __init__(self, name: str, error: Exception, times: int = 1) -> None:
        self.name, self.error, self.times = name, error, times

    def before(self, name: str) -> None:
        if name == self.name and self.times:
            self.times -= 1
            raise self.error


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (apsw.FullError("database or disk is full"), "the disk is full"),
        (apsw.IOError("disk I/O error"), "the disk fails to read or write"),
        (apsw.ReadOnlyError("attempt to write a readonly database"), "read-only"),
        (apsw.CorruptError("database disk image is malformed"), "damaged"),
        (apsw.SQLError("no such table: message"), "can't be used"),
        (RuntimeError("a bug"), "can't be used"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("path", ["waypost.db", ":memory:"])
async def test_commit_that_fails_fails_the_whole_batch_and_the_next_works(
    tmp_path: Path, clock: SteppedClock, path: str, error: Exception, line: str
) -> None:
    place = path if path == ":memory:" else str(tmp_path / path)
    store = SqliteStore(place, clock, effects=FailingEffect("accept_commit", error))
    await store.open()
    rows = [message(clock) for _ in range(5)]
    results = await asyncio.gather(*(store.accept(row) for row in rows), return_exceptions=True)
    failed = [one for one in results if isinstance(one, BaseException)]
    assert failed
    for one in failed:
        assert isinstance(one, StoreUnavailable)
        assert line in str(one)
        assert place in str(one)
    journalled = [await store.find(row.id) for row in rows]
    assert journalled.count(None) == len(failed), "what failed left nothing behind"
    again = await asyncio.gather(*(store.accept(row) for row in rows))
    assert [one.is_new for one in again].count(True) == len(failed)
    await store.close()


async def test_error_right_after_a_commit_is_reported_though_the_rows_are_there(
    tmp_path: Path, clock: SteppedClock
) -> None:
    effect = FailingEffect("after:accept_commit", apsw.IOError("disk I/O error"))
    store = SqliteStore(tmp_path / "waypost.db", clock, effects=effect)
    await store.open()
    row = message(clock)
    with pytest.raises(StoreUnavailable):
        await store.accept(row)
    assert await store.find(row.id) == row
    await store.close()


async def test_locked_by_another_process_and_released(tmp_path: Path, clock: SteppedClock) -> None:
    path = tmp_path / "waypost.db"
    store = SqliteStore(path, clock)
    await store.open()
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    row = message(clock)
    with pytest.raises(StoreUnavailable, match="another process holds it locked"):
        await store.accept(row)
    assert await store.find(row.id) is None, "reading goes on meanwhile"
    other.execute("ROLLBACK")
    other.close()
    await store.ping()
    assert (await store.accept(row)).is_new
    await store.close()


async def test_missing_directory_is_named_at_start(tmp_path: Path, clock: SteppedClock) -> None:
    store = SqliteStore(tmp_path / "nowhere" / "waypost.db", clock)
    with pytest.raises(StoreUnavailable, match=r"nowhere/waypost\.db: it can't be opened: the directory is missing"):
        await store.open()
    (tmp_path / "nowhere").mkdir()
    await store.open()
    await store.close()


async def test_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, clock: SteppedClock) -> None:
    path = tmp_path / "waypost.db"
    path.write_bytes(b"these are my notes, not a database\n" * 200)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await SqliteStore(path, clock).open()
    assert path.read_bytes() == before
    (problem,) = check_file(path)
    assert "not a SQLite database" in problem


async def test_damaged_file_is_reported_and_a_restored_copy_works(tmp_path: Path, clock: SteppedClock) -> None:
    path, copy = tmp_path / "waypost.db", tmp_path / "copy.db"
    store = SqliteStore(path, clock)
    await store.open()
    rows = [message(clock) for _ in range(200)]
    await asyncio.gather(*(store.accept(row) for row in rows))
    await store.backup(copy)
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    assert check_file(path)
    damaged = SqliteStore(path, clock)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await damaged.open()
    copy.replace(path)
    await store.open()
    assert await store.find(rows[0].id) == rows[0]
    await store.close()


READ_ONLY = """
import asyncio, os, sys
from tests.conformance.journal_rows import SteppedClock, message
from waypost.store.base import StoreUnavailable
from waypost.store.named_sql import queries
from waypost.store.schema import migrations
from waypost.store.sqlite import SqliteStore

async def main():
    queries(), migrations()
    if os.getuid() == 0:
        os.setuid(65534)  # root may write anywhere; what the program needs to read has been read
    clock = SteppedClock()
    store = SqliteStore(sys.argv[1], clock)
    try:
        await store.open()
        await store.accept(message(clock))
    except StoreUnavailable as error:
        print(error)
    await store.close()

asyncio.run(main())
"""

DISK_FULL = """
import asyncio, resource, signal, sys
from tests.conformance.journal_rows import SteppedClock, message
from waypost.store.base import StoreUnavailable
from waypost.store.sqlite import SqliteStore

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clock = SteppedClock()
    store = SqliteStore(sys.argv[1], clock)
    await store.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    kept, refused = [], []
    while not refused and len(kept) < 1000:
        row = message(clock, body=b"x" * 2000)
        try:
            await store.accept(row)
            kept.append(row)
        except StoreUnavailable as error:
            refused.append(row)
            print(error)
    assert len(kept) > 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        await store.ping()
    except StoreUnavailable:
        print("a probe fails too")
    assert await store.find(refused[0].id) is None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.ping()
    assert (await store.accept(refused[0])).is_new
    for row in kept:
        assert await store.find(row.id) == row
    assert await store.check() == []
    await store.close()
    print("healed")

asyncio.run(main())
"""


def in_a_process(script: str, path: Path) -> list[str]:
    """Run a script in a process of its own, because limits and user ids concern a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_disk_that_is_full_refuses_and_heals(tmp_path: Path) -> None:
    refusal, *rest = in_a_process(DISK_FULL, tmp_path / "waypost.db")
    assert "the disk" in refusal
    assert rest == ["a probe fails too", "healed"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users of this machine can reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def set_modes(path: Path, file_mode: int, folder_mode: int) -> None:
    path.parent.chmod(0o755)
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o555, 0o644), (0o755, 0o444)])
async def test_read_only_directory_or_file_is_named(
    open_folder: Path, clock: SteppedClock, folder_mode: int, file_mode: int
) -> None:
    path = open_folder / "waypost.db"
    store = SqliteStore(path, clock)
    await store.open()
    row = message(clock)
    await store.accept(row)
    await store.close()
    set_modes(path, file_mode, folder_mode)
    (line,) = in_a_process(READ_ONLY, path)
    assert re.search(r"read-only|not accessible", line)
    assert str(path) in line
    set_modes(path, 0o644, 0o755)
    await store.open()
    assert (await store.record_outcome(accepted(row))).state == State.ACCEPTED
    await store.close()
