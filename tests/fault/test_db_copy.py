"""A copy to PostgreSQL that is killed, cut off or fed with the wrong things: equal in the end, or refused."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import asyncpg
import pytest

from tests.fault.process import START_S, environment
from tests.filled_journal import DAYS, fill, held_here, held_there
from tests.postgres import database, postgres_server
from tests.servers import Postgres
from waypost.clock import Clock
from waypost.store.base import StoreUnavailable
from waypost.store.copying import Copied, Phase, copy
from waypost.store.copying_source import opened_source
from waypost.store.copying_tables import BATCH_ROWS, CopyRefused
from waypost.store.copying_target import opened_target
from waypost.store.postgres import PostgresStore
from waypost.store.postgres_partitions import DAYS as PIECE_DAYS
from waypost.store.postgres_schema import UNFINISHED_COPY

LARGE = {"status": 2 * BATCH_ROWS + 100, "meta_id": BATCH_ROWS}

# A copy that dies at a commit, counted from its start.
VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
from waypost.clock import Clock
from waypost.store.copying import copy

class Death:
    def __init__(self, effect, number):
        self.effect, self.left = effect, number
    def before(self, name):
        self.left -= name == self.effect
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

path, url, effect, number = sys.argv[1:]
asyncio.run(copy(Path(path), url, Clock(), lambda *told, **more: None, Death(effect, int(number))))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
async def target(server: str) -> AsyncIterator[str]:
    async with database(server, f"waypost_copied_{os.getpid()}") as url:
        yield url


def unheard(phase: Phase, table: str, rows: int, total: int) -> None:
    """Nobody wants to know how far it is."""


async def copied(path: Path, url: str) -> Copied:
    return await copy(path, url, Clock(), unheard)


async def refused(path: Path, url: str) -> str:
    with pytest.raises(CopyRefused) as refusal:
        await copied(path, url)
    return str(refusal.value)


async def run_sql(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def is_unfinished(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT to_regclass($1)", UNFINISHED_COPY) is not None
    finally:
        await connection.close()


async def assert_no_gateway_opens(url: str) -> None:
    store = PostgresStore(url, Clock())
    with pytest.raises(StoreUnavailable, match="a copy into this journal is not finished"):
        await store.open()


def die_at(path: Path, url: str, effect: str, number: int) -> int:
    command = [sys.executable, "-c", VICTIM, str(path), url, effect, str(number)]
    return subprocess.run(command, timeout=START_S, check=False).returncode


async def half_copied(path: Path, url: str, number: int = 3) -> None:
    assert await asyncio.to_thread(die_at, path, url, "after:copy_commit", number) == -signal.SIGKILL


# --- all of it ---


async def test_every_table_and_column_is_copied_as_it_is(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    result = await copied(path, target)

    here = held_here(path)
    assert all(here.values()), "every table has something to lose"
    assert await held_there(target) == here
    assert result.differing == ()
    assert {table.name: table.target.rows for table in result.tables} == {
        name: len(rows) for name, rows in here.items()
    }
    assert not await is_unfinished(target)


async def test_old_messages_go_to_pieces_of_their_days(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db", {"message": 200})
    strange = "wamid.0x0"
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE message SET id = ? WHERE id = (SELECT MAX(id) FROM message)", (strange,))
    connection.close()
    await copied(path, target)
    connection = await asyncpg.connect(target)
    found = await connection.fetch("SELECT tableoid::regclass::text AS piece, COUNT(*) FROM message GROUP BY 1")
    await connection.close()
    pieces = dict(tuple(row) for row in found)
    assert pieces.pop("message_default") == 1  # the one whose id tells no time
    assert len(pieces) >= DAYS // PIECE_DAYS
    assert sum(pieces.values()) == 199


async def test_large_rows_go_in_small_batches(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db", {"raw_webhook": 7})
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE raw_webhook SET body = zeroblob(3000000)")
    connection.close()
    with opened_source(path) as source:
        (table,) = (one for one in source.tables() if one.name == "raw_webhook")
        assert {len(batch) for batch in source.batches(table, None)} == {3, 1}
    assert (await copied(path, target)).differing == ()


async def test_what_has_been_copied_is_found_equal_and_nothing_is_written(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    first = await copied(path, target)
    again = await copied(path, target)
    assert (first.written, again.written) == (sum(table.source.rows for table in first.tables), 0)
    assert again.tables == first.tables


async def test_an_empty_journal_of_a_gateway_is_filled(tmp_path: Path, target: str) -> None:
    store = PostgresStore(target, Clock())
    await store.open()
    await store.close()
    path = fill(tmp_path / "waypost.db")
    await copied(path, target)
    assert await held_there(target) == held_here(path)


# --- stopped in the middle ---


@pytest.mark.parametrize("effect", ["copy_commit", "after:copy_commit"])
async def test_a_copy_that_is_killed_at_commit_after_commit_goes_on_where_it_was(
    effect: str, tmp_path: Path, target: str
) -> None:
    path = fill(tmp_path / "waypost.db", LARGE)
    before = path.read_bytes()
    kills = 0
    while await asyncio.to_thread(die_at, path, target, effect, 4) == -signal.SIGKILL:
        kills += 1
        await assert_no_gateway_opens(target)
    assert kills >= 5
    assert await held_there(target) == held_here(path)
    assert path.read_bytes() == before
    store = PostgresStore(target, Clock())
    await store.open()
    await store.close()


async def test_the_command_is_killed_at_any_moment_and_ends_what_it_began(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db", {"status": 30_000, "callback": 15_000})
    chance = random.Random(7)
    for _ in range(5):
        process = await begin(path, target)
        try:
            await asyncio.wait_for(process.wait(), 0.4 + 1.2 * chance.random())
        except TimeoutError:
            process.kill()
        await process.communicate()
    process = await begin(path, target)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"rows" in out
    assert await held_there(target) == held_here(path)


async def begin(path: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waypost", "db", "copy", f"sqlite:///{path}", url,
        env=environment(path.parent), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_server_that_crashes_meanwhile_costs_one_line_and_nothing_else(tmp_path: Path) -> None:
    path = fill(tmp_path / "waypost.db", {"status": 30_000, "callback": 15_000})
    server = Postgres(durable=True)
    await server.start()
    try:
        process = await begin(path, server.url)
        await until_rows(server.url)
        process.send_signal(signal.SIGSTOP)
        assert await is_unfinished(server.url)
        await server.kill()
        process.send_signal(signal.SIGCONT)
        out, err = await process.communicate()
        assert (process.returncode, out) == (1, b"")
        assert err.startswith(b"waypost: the journal postgresql://postgres@127.0.0.1:")
        assert err.endswith(b"nothing is lost: run the same command again and it goes on\n")
        assert err.count(b"\n") == 1

        await server.start()
        assert await is_unfinished(server.url)
        result = await copied(path, server.url)
        assert 0 < result.written < sum(table.source.rows for table in result.tables)
        assert await held_there(server.url) == held_here(path)
    finally:
        await server.remove()


async def until_rows(url: str) -> None:
    """Wait until the copy has begun to write."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(START_S):
            while await connection.fetchval("SELECT to_regclass($1)", UNFINISHED_COPY) is None or not (
                await connection.fetchval("SELECT EXISTS (SELECT 1 FROM message)")
            ):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_what_differs_is_named_and_no_gateway_opens_it(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    await half_copied(path, target)
    await run_sql(target, "UPDATE status SET raw = raw || ' ' WHERE message_id = (SELECT MIN(message_id) FROM status)")
    await run_sql(target, "DELETE FROM message WHERE id = (SELECT MIN(id) FROM message)")
    result = await copied(path, target)
    assert result.differing == ("message", "status")
    await assert_no_gateway_opens(target)
    assert (await copied(path, target)).differing == ("message", "status")


async def test_a_half_done_copy_is_not_gone_on_with_from_another_source(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    await half_copied(path, target)
    told = await held_there(target)
    other = fill(tmp_path / "other.db", seed=2)
    assert "of another journal" in await refused(other, target)
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE pause SET reason = 'changed'")
    connection.close()
    assert "the source has changed since it was begun" in await refused(path, target)
    assert await held_there(target) == told


async def test_a_source_that_is_written_meanwhile_is_noticed(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")

    class Writing:
        def before(self, name: str) -> None:
            with apsw.Connection(str(path)) as connection:
                connection.execute("UPDATE pause SET reason = ?", (name,))
            connection.close()

    with pytest.raises(CopyRefused, match="the source was written while it was copied"):
        await copy(path, target, Clock(), unheard, Writing())
    await assert_no_gateway_opens(target)


async def test_a_half_done_copy_of_another_version_is_left_to_it(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    await half_copied(path, target)
    await run_sql(target, "INSERT INTO schema_version VALUES (999, 0)")
    assert "begun by another version of this program" in await refused(path, target)


# --- targets that are somebody's ---


async def test_a_target_with_rows_of_its_own_is_left_alone(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    await copied(path, target)
    await run_sql(target, "UPDATE pause SET reason = 'other' WHERE kind = (SELECT MIN(kind) FROM pause)")
    held = await held_there(target)
    assert "holds rows that are not of this copy" in await refused(path, target)
    await run_sql(target, "DELETE FROM pause")
    held["pause"] = []
    assert "make the target database anew" in await refused(path, target)
    await run_sql(target, "DELETE FROM schema_version WHERE version > 3")
    assert "holds rows that are not of this copy" in await refused(path, target)
    assert await held_there(target) == held


async def test_a_target_of_a_newer_program_is_left_alone(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    store = PostgresStore(target, Clock())
    await store.open()
    await store.close()
    await run_sql(target, "INSERT INTO schema_version VALUES (999, 0)")
    with pytest.raises(StoreUnavailable, match="schema version 999, this program knows up to"):
        await copied(path, target)


async def test_a_target_that_a_gateway_is_on_is_refused(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    store = PostgresStore(target, Clock())
    await store.open()
    await store.ping()
    assert "stop all gateways on it first" in await refused(path, target)
    await store.close()
    await run_sql(target, "DELETE FROM mark")
    await copied(path, target)


async def test_a_gateway_that_comes_as_a_copy_begins_is_noticed(target: str) -> None:
    async with opened_target(target, Clock()) as opened:
        await opened.prepare([])
        gateway = await asyncpg.connect(target, server_settings={"application_name": "waypost"})
        with pytest.raises(CopyRefused, match="stop all gateways on it first"):
            await opened.begin({})
        await gateway.close()
        assert await opened.begun_with() is None


async def test_one_copy_at_a_time(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    async with opened_target(target, Clock()):
        assert "another copy into the target is under way" in await refused(path, target)


# --- sources that can't be copied ---


def _update(sql: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with apsw.Connection(str(path)) as connection:
            connection.execute(sql)
        connection.close()

    return change


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE pause SET reason = 'a' || char(0) WHERE key = 'k'", "its column reason holds the character NUL"),
        ("UPDATE pause SET key = 'k' || char(0) WHERE key = 'k'", r"('x', 'k\x00') of pause"),
        ("UPDATE pause SET reason = CAST(x'41ff' AS TEXT) WHERE key = 'k'", "reason holds bytes that are not UTF-8"),
        ("UPDATE pause SET reason = CAST(x'eda080' AS TEXT) WHERE key = 'k'", "('x', 'k') of pause"),
        ("UPDATE pause SET kind = CAST(x'ff' AS TEXT) WHERE key = 'k'", "kind holds bytes that are not UTF-8"),
        ("UPDATE pause SET reason = x'00' WHERE key = 'k'", "reason holds a bytes instead of TEXT"),
        ("UPDATE pause SET since_ms = 1.5 WHERE key = 'k'", "since_ms holds a float instead of BIGINT"),
        ("UPDATE pause SET since_ms = 'soon' WHERE key = 'k'", "since_ms holds a str instead of BIGINT"),
    ],
)
async def test_a_row_that_postgresql_cannot_hold_is_named_before_anything_is_written(
    sql: str, why: str, tmp_path: Path, target: str
) -> None:
    path = fill(tmp_path / "waypost.db")
    _update("INSERT INTO pause VALUES ('x', 'k', '', 0, NULL, '')")(path)
    _update(sql)(path)
    refusal = await refused(path, target)
    assert why in refusal
    assert "sqlite3" in refusal
    assert await held_there(target) == {}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM schema_version WHERE version > 3", "schema version 3, this program writes"),
        ("DELETE FROM schema_version", "holds no journal"),
        ("DROP TABLE schema_version", "holds no journal"),
        ("INSERT INTO schema_version VALUES (999, 0)", "schema version 999, this program knows up to"),
    ],
)
async def test_a_source_of_another_version_is_refused(sql: str, why: str, tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    _update(sql)(path)
    assert why in await refused(path, target)
