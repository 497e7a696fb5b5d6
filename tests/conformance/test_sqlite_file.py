"""The embedded journal as a file: schema, durability, plans of its statements, copies and checks."""

import asyncio
import re
from pathlib import Path

import apsw
import pytest

from tests.conformance.journal_rows import SteppedClock, accepted, message
from tests.conformance.judging_suite import received
from tests.conformance.queued_rows import Worker, queue
from waypost.model import Callback, Message
from waypost.store.base import StoreUnavailable
from waypost.store.base_queue import Waiting
from waypost.store.connection import open_connection
from waypost.store.database_file import backup_file, check_file, schema_version, upgrade_file
from waypost.store.named_sql import parse, queries
from waypost.store.schema import migrations, newest_version
from waypost.store.sqlite import SqliteStore

# Statements that may walk a table, because that is what they are for.
WALKS = {
    "audit",
    "due_endpoints",
    "newest",
    "newest_of_state",
    "oldest",
    "orphans",
    "pauses",
    "purge_webhooks",
    "queue_depths",
    "reported_phones",
    "tenants",
    "trim_audit",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "waypost.db"
    upgrade_file(path)
    return path


def run(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    try:
        return [*connection.execute(sql, dict.fromkeys(re.findall(r":(\w+)", sql), "")).fetchall()]
    finally:
        connection.close()


def test_writer_gets_a_log_that_is_flushed_at_every_commit(path: Path) -> None:
    connection = open_connection(str(path))
    pragmas = [connection.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "temp_store")]
    connection.close()
    assert pragmas == ["wal", 2, 0, 2]


def test_reader_can_not_write_and_never_checkpoints(path: Path) -> None:
    connection = open_connection(str(path), read_only=True)
    assert connection.pragma("wal_autocheckpoint") == 0
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM message")
    connection.close()


def test_columns_of_message_are_the_fields_of_the_struct_in_order(path: Path) -> None:
    columns = [row[1] for row in run(path, "PRAGMA table_info(message)")]
    assert tuple(columns) == Message.__struct_fields__


def test_columns_of_callback_begin_with_the_fields_of_the_struct_in_order(path: Path) -> None:
    columns = [row[1] for row in run(path, "PRAGMA table_info(callback)")]
    assert columns == [*Callback.__struct_fields__, "waits_since_ms", "order_until_ms"]


def test_columns_of_queued_are_the_fields_of_the_struct_in_order(path: Path) -> None:
    columns = [str(row[1]) for row in run(path, "PRAGMA table_info(queued)")]
    renamed = {"due_ms": "due_at_ms", "expires_ms": "expires_at_ms"}
    assert tuple(renamed.get(name, name) for name in columns) == Waiting.__struct_fields__


@pytest.mark.parametrize("name", sorted(set(queries()) - WALKS))
def test_statement_is_valid_and_walks_no_table(path: Path, name: str) -> None:
    plan = [str(row[3]) for row in run(path, f"EXPLAIN QUERY PLAN {queries()[name]}")]
    assert [step for step in plan if step.startswith("SCAN") and not re.search("CONSTANT ROW|json_each", step)] == []


def test_report_is_matched_within_its_pair_however_much_is_parked_for_the_phone(path: Path) -> None:
    for name, expected in (
        ("settling_reports", "phone_number_id=? AND recipient=?"),
        ("settling_candidates", "scope=?"),
        ("judgeable_of_phone", "kind=? AND scope>? AND scope<?"),
        ("minute_from_the_end", "phone_number_id=?"),
    ):
        first, *_ = run(path, f"EXPLAIN QUERY PLAN {queries()[name]}")
        assert expected in str(first[3])


@pytest.mark.parametrize("name", sorted(WALKS))
def test_walking_statement_is_valid(path: Path, name: str) -> None:
    assert run(path, f"EXPLAIN QUERY PLAN {queries()[name]}")


def test_two_statements_of_one_name_are_refused() -> None:
    assert parse("-- a file\n\n-- name: one\n-- why\nSELECT 1;\n-- name: two\nSELECT 2;\n") == {
        "one": "SELECT 1;",
        "two": "SELECT 2;",
    }
    with pytest.raises(ValueError, match="'one'"):
        parse("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;")


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(migrations()) == list(range(1, newest_version() + 1))


def test_upgrade_is_idempotent_and_recorded(path: Path) -> None:
    assert schema_version(path) == newest_version() == upgrade_file(path)
    assert run(path, "SELECT version FROM schema_version ORDER BY version") == [(n,) for n in migrations()]


async def test_journal_of_an_earlier_program_keeps_what_is_in_it(tmp_path: Path) -> None:
    old, clock = tmp_path / "old.db", SteppedClock()
    run(old, migrations()[1])
    run(old, "CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)")
    run(old, "INSERT INTO schema_version VALUES (1, 0)")
    run(old, "INSERT INTO work VALUES ('lease', '1/2', 0, 0, 'wamid.1')")
    store = SqliteStore(old, clock)
    await store.open()
    assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 0}
    assert await store.due_endpoints() == ()
    await store.close()
    assert schema_version(old) == newest_version()


async def test_journal_of_a_newer_program_is_refused_untouched(path: Path) -> None:
    run(path, f"INSERT INTO schema_version VALUES ({newest_version() + 1}, 0)")
    refusal = f"schema version {newest_version() + 1}.*up to {newest_version()}"
    with pytest.raises(StoreUnavailable, match=refusal):
        await SqliteStore(path, SteppedClock()).open()
    with pytest.raises(StoreUnavailable, match=refusal):
        upgrade_file(path)
    assert run(path, "SELECT COUNT(*) FROM schema_version") == [(newest_version() + 1,)]
    assert "schema version" in check_file(path)[0]


async def test_minutes_of_webhooks_are_written_once_and_kept_for_a_day(path: Path) -> None:
    clock = SteppedClock()
    store = SqliteStore(path, clock)
    await store.open()
    await received(store, clock, 24 * 60 + 5, "1", "2")
    await store.close()
    this_minute = clock.now_ms() // 60_000
    for phone in ("1", "2"):
        kept = run(
            path, f"SELECT MIN(minute), MAX(minute), COUNT(*) FROM webhook_minute WHERE phone_number_id = '{phone}'"
        )
        assert kept == [(this_minute - 24 * 60, this_minute, 24 * 60 + 1)]


async def test_backup_is_consistent_while_messages_come_in(tmp_path: Path) -> None:
    clock = SteppedClock()
    store = SqliteStore(tmp_path / "waypost.db", clock)
    await store.open()
    rows = [message(clock) for _ in range(300)]

    async def send(row: Message) -> None:
        await store.accept(row)
        await store.record_outcome(accepted(row, f"wamid.{row.id}"))

    await asyncio.gather(*(send(row) for row in rows[:100]))
    copy = tmp_path / "copy.db"
    await asyncio.gather(store.backup(copy), *(send(row) for row in rows[100:]))
    await store.close()
    assert check_file(copy) == []
    ((count,),) = run(copy, "SELECT COUNT(*) FROM message")
    assert isinstance(count, int)
    assert 100 <= count <= 300
    restored = SqliteStore(copy, clock)
    await restored.open()
    assert (await restored.find(rows[0].id)) is not None
    await restored.close()


def test_backup_never_overwrites_and_names_a_missing_source(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(StoreUnavailable, match=r"copy\.db exists already"):
        backup_file(path, target)
    assert target.read_text() == "precious"
    with pytest.raises(StoreUnavailable, match=r"nowhere\.db: it can't be opened"):
        backup_file(tmp_path / "nowhere.db", tmp_path / "other.db")
    assert not (tmp_path / "nowhere.db").exists()
    with pytest.raises(StoreUnavailable, match=r"missing/copy\.db: it can't be opened"):
        backup_file(path, tmp_path / "missing" / "copy.db")
    notes = tmp_path / "notes.db"
    notes.write_bytes(b"these are my notes, not a database\n" * 200)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        backup_file(notes, tmp_path / "half.db")
    assert not (tmp_path / "half.db").exists()


async def test_backup_of_memory_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(":memory:", SteppedClock())
    await store.open()
    with pytest.raises(StoreUnavailable, match="in memory"):
        await store.backup(tmp_path / "copy.db")
    await store.close()


def test_check_names_rows_that_hang_on_nothing(path: Path) -> None:
    run(path, "INSERT INTO work VALUES ('lease', '1/2', 0, 0, 'wamid.gone'), ('callback', 'x', 0, 0, 'cb1')")
    run(path, "INSERT INTO meta_id VALUES ('m', '1', 'acme', 'wamid.gone')")
    run(path, "INSERT INTO attempt (callback_id, number, at_ms, duration_ms) VALUES ('cb2', 1, 0, 0)")
    for callback_id, state in (("cb3", "due"), ("cb4", "done")):
        columns = "id, state, account, appkey, url, endpoint, kind, body, rank, created_at_ms, attempts, waits_since_ms"
        row = f"'{callback_id}', '{state}', 'a', 'a', 'u', 'e', 'event', x'', 0, 0, 0, 0"
        run(path, f"INSERT INTO callback ({columns}) VALUES ({row})")
    assert check_file(path) == [
        "1 rows of meta_id belong to messages that are not there",
        "1 rows of work belong to messages that are not there",
        "1 rows of work belong to due callbacks that are not there",
        "1 rows of attempt belong to callbacks that are not there",
        "1 rows of callback belong to entries of work that are not there",
    ]


async def test_check_names_what_is_wrong_with_the_queue(path: Path) -> None:
    clock = SteppedClock()
    store = SqliteStore(path, clock)
    await store.open()
    rows = [await queue(store, clock) for _ in range(2)]
    flying = await Worker(store, clock).begin(await queue(store, clock, recipient="1"))
    await store.accept(message(clock))
    assert await store.check() == []
    await store.close()
    run(path, f"DELETE FROM queued WHERE message_id = '{rows[0].id}'")
    run(path, f"UPDATE message SET state = 'queued' WHERE id = '{flying.id}'")
    run(path, f"DELETE FROM work WHERE id = '{flying.id}'")
    assert check_file(path) == [
        "1 rows of message belong to places in the queue that are not there",
        "1 rows of queued belong to waiting messages that are not there",
        "1 rows of queued belong to leases that are not there",
        "1 rows of queued belong to fronts of lanes that are not there",
    ]


def test_lane_has_one_front(path: Path) -> None:
    columns = "message_id, phone_number_id, recipient, priority, waba_id, account, appkey, since_ms, due_ms, tries"
    for message_id, standing in (("a", 2), ("b", 1), ("c", 1)):
        run(
            path,
            f"INSERT INTO queued ({columns}, standing) VALUES ('{message_id}', 'p','r',1,'','','',0,0,0,{standing})",
        )
    with pytest.raises(apsw.ConstraintError):
        run(path, "UPDATE queued SET standing = 0 WHERE message_id = 'b'")


def test_check_of_a_missing_file_creates_none(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        check_file(tmp_path / "nowhere.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        schema_version(tmp_path / "nowhere.db")


async def test_store_that_is_not_open_says_so_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    clock = SteppedClock()
    store = SqliteStore(tmp_path / "waypost.db", clock)
    with pytest.raises(StoreUnavailable, match="is not open"):
        await store.accept(message(clock))
    await store.open()
    row = message(clock)
    waiting = asyncio.ensure_future(store.accept(row))
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert (await waiting).is_new, "what waited when the store was closed is still written"
    with pytest.raises(StoreUnavailable, match="is not open"):
        await store.find(row.id)
    await store.open()
    assert await store.find(row.id) == row
    await store.close()
