"""`waypost db copy`: a gateway's journal moves to PostgreSQL, and what comes afterwards finds everything there."""

import asyncio
import fcntl
import os
import pty
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import asyncpg
import msgspec
import pytest

from tests.conformance.journal_rows import receipt, status
from tests.fault.process import environment
from tests.filled_journal import fill, held_here, held_there
from tests.flow.command import operator, waypost
from tests.flow.queue_admin import pause
from tests.flow.test_callbacks import until_state, with_webhook
from tests.flow.test_cli_db import names_in
from tests.harness import (
    PHONE_ID,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from tests.postgres import database, postgres_server
from tests.receiver import Receiver
from tests.servers import Postgres, free_port
from waypost.cli.db_copy_progress import LINE_EVERY_S, Lines
from waypost.clock import Clock
from waypost.model import Message, State
from waypost.settings import Settings
from waypost.store.base import Accepted, CallbackFilter, Store
from waypost.store.copying import Phase
from waypost.store.copying_tables import Content
from waypost.store.copying_target import opened_target
from waypost.store.postgres import PostgresStore
from waypost.store.postgres_connection import without_password
from waypost.store.sqlite import SqliteStore

NOBODY = "postgresql://postgres@127.0.0.1:9/waypost"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
async def target(server: str) -> AsyncIterator[str]:
    async with database(server, f"waypost_moved_{os.getpid()}") as url:
        yield url


def embedded(folder: Path, simulator: Control) -> Settings:
    """The settings of a gateway with an embedded database, whatever engine the tests run on."""
    engine = {"database_url": "", "nats_url": "", "secret_key": ""}
    return settings_for(folder / "data", simulator.url, allow_private_callbacks=True, **engine)


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    async with running_gateway(embedded(tmp_path, simulator), clock, tenants) as running:
        await connect(simulator, running)
        yield running


@pytest.fixture
async def moved(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str, receiver: Receiver) -> Path:
    """The database of a gateway that has stopped: a message of each fate, callbacks that wait, a paused phone."""
    receiver.answer = 500
    running = running_gateway(embedded(tmp_path, simulator), clock, tenants)
    async with running as gateway, aiohttp.ClientSession() as http:
        await connect(simulator, gateway)
        await with_webhook(gateway, receiver.url)
        customer = Customer(gateway.url, http, clock.now_ms)
        await send(customer, gateway, "read", State.READ)
        await until_state(gateway, "due", 3)
        await simulator.config(time_factor=100_000)
        await simulator.fault("accept_then_drop", times=1)
        await send(customer, gateway, "unknown", State.UNKNOWN)
        await simulator.fault("error", times=1, code=131009)
        assert (await customer.send(text_message(cus_message_id="rejected")))["code"] == 9099
        await pause(gateway)
        await send(customer, gateway, "queued", State.QUEUED)
    return tmp_path / "data" / "waypost.db"


async def send(customer: Customer, gateway: Gateway, name: str, state: State) -> None:
    assert (await customer.send(text_message(cus_message_id=name)))["code"] == 0
    await gateway.until(name, state)


async def seen(store: Store) -> dict[str, object]:
    """Everything that the contract shows of a journal."""
    page = await store.list(state=None, limit=100, cursor=None)
    callbacks = await store.callbacks(CallbackFilter(), limit=100, cursor=None)
    endpoints = await store.due_endpoints()
    return {
        "messages": page.messages,
        "found": [await store.find(name) for name in ("read", "unknown", "rejected", "queued", page.messages[0].id)],
        "statuses": [await store.statuses(message.id) for message in page.messages],
        "callbacks": callbacks.callbacks,
        "attempts": [await store.attempts(callback.id) for callback in callbacks.callbacks],
        "of messages": [await store.callbacks_of(message.id) for message in page.messages],
        "endpoints": endpoints,
        "next due": [await store.next_due(endpoint.endpoint) for endpoint in endpoints],
        "queue": await store.queue_depths(),
        "heads": await store.queue_heads(PHONE_ID, now_ms=2**53, per_application=9),
        "pauses": await store.pauses(),
        "counted": await store.count_by_state(),
        "tenants": await store.tenants(),
        "audit": await store.audit(limit=9),
    }


async def found(store: Store, name: str) -> Message:
    message = await store.find(name)
    assert message is not None
    return message


async def test_a_gateways_journal_is_the_same_on_postgresql_and_goes_on_there(
    moved: Path, target: str, clock: ShiftableClock
) -> None:
    ended = await waypost("db", "copy", f"sqlite:///{moved}", target, env=operator(moved.parent))
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert str(moved.parent / "secret-key") in ended.out
    assert (moved.parent / "secret-key").read_text().strip() not in ended.out

    old, new = SqliteStore(moved, clock), PostgresStore(target, Clock())
    old.open_read_only()
    await new.open()
    try:
        here = await seen(old)
        assert all(here.values())
        assert await seen(new) == here
        assert await new.check() == []
        sealed = [row.spec for row in await new.tenants() if row.kind == "waba"]
        assert sealed == [row.spec for row in await old.tenants() if row.kind == "waba"]

        # what comes late, or once more, finds its message
        first = await found(new, "read")
        repeat = msgspec.structs.replace(first, id=clock.message_id(), state=State.SENDING)
        assert await new.accept(repeat) == Accepted(message=first, is_new=False)
        doubtful = await found(new, "unknown")
        effect = await new.record_webhook(receipt(clock, status(doubtful, "delivered", "wamid.LATE")))
        assert effect.recorded == 1
        assert (await found(new, "unknown")).state == State.DELIVERED
        assert (await found(old, "unknown")).state == State.UNKNOWN
    finally:
        await old.close()
        await new.close()


async def test_json_tells_what_was_copied_and_a_second_time_nothing_was(moved: Path, target: str) -> None:
    words = ("db", "copy", f"sqlite:///{moved}", target, "--json")
    first = await waypost(*words, env=operator(moved.parent))
    again = await waypost(*words, env=operator(moved.parent))
    rows = {name: len(held) for name, held in held_here(moved).items()}
    assert {table["table"]: table["rows"] for table in first.json["tables"]} == rows
    assert all(table["ok"] for table in first.json["tables"])
    assert (first.json["written"], again.json["written"]) == (sum(rows.values()), 0)
    assert first.json["tables"] == again.json["tables"]
    assert first.json["secret_key_file"] == str(moved.parent / "secret-key")
    assert first.json["target"] == without_password(target)


async def test_a_running_gateway_is_not_copied_but_its_backup_is(
    gateway: Gateway, customer: Customer, tmp_path: Path, target: str
) -> None:
    env = operator(tmp_path / "data")
    await send(customer, gateway, "kept", State.READ)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "data" / "waypost.db")
    for path in (tmp_path / "data" / "waypost.db", link):
        ended = await waypost("db", "copy", f"sqlite:///{path}", target, env=env)
        assert ended.code == 1
        assert gateway.url in ended.err
        assert "stop the gateway first" in ended.err
    assert await held_there(target) == {}

    backup = tmp_path / "backup.db"
    assert (await waypost("db", "backup", str(backup), env=env)).code == 0
    ended = await waypost("db", "copy", f"sqlite:///{backup}", target, env=env)
    assert ended.code == 0, ended.err
    assert "the file secret-key in its data folder" in ended.out
    assert await held_there(target) == held_here(backup)
    assert not (tmp_path / "lock").exists()


async def test_the_folder_is_owned_while_its_database_is_copied(moved: Path, target: str) -> None:
    connection = await asyncpg.connect(target)
    await connection.execute("SELECT pg_advisory_lock(5737150173)")  # for which the copy waits a while
    copy = asyncio.create_task(waypost("db", "copy", f"sqlite:///{moved}", target, env=operator(moved.parent)))
    async with asyncio.timeout(WAIT_S):
        while not await connection.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    with (moved.parent / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await connection.close()
    assert (await copy).code == 0


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (NOBODY, "sqlite:///waypost.db", "SOURCE, must be sqlite:///PATH"),
        ("waypost.db", NOBODY, "SOURCE, must be sqlite:///PATH"),
        ("sqlite:///", NOBODY, "SOURCE, must be sqlite:///PATH"),
        ("sqlite:///waypost.db", "sqlite:///other.db", "TARGET, must be postgresql://"),
        ("sqlite:///waypost.db", "mysql://host/waypost", "TARGET, must be postgresql://"),
    ],
)
async def test_the_wrong_way_round_is_wrong_usage(source: str, target: str, why: str, tmp_path: Path) -> None:
    ended = await waypost("db", "copy", source, target, env=operator(tmp_path))
    assert ended.code == 2
    assert why in " ".join(ended.err.replace("│", "").split())
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing.db", "it is not there"),
        ("no/such/folder.db", "it is not there"),
        ("folder", "it is a folder"),
        ("loop.db", "it is not there"),
        ("x" * 300, "File name too long"),
        ("text.db", "the file is not a SQLite database"),
        ("empty.db", "holds no journal"),
        ("other.db", "holds no journal"),
    ],
)
async def test_a_source_that_is_no_journal_is_one_line(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    (tmp_path / "text.db").write_text("not a database" * 100)
    (tmp_path / "empty.db").touch()
    with apsw.Connection(str(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE message (id)")
    connection.close()
    ended = await waypost("db", "copy", f"sqlite:///{tmp_path / name}", NOBODY, env=operator(tmp_path))
    assert ended.code == 1
    assert why in ended.err


async def test_an_older_source_is_told_how_to_become_newer(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "old.db")
    with apsw.Connection(str(path)) as connection:
        connection.execute("DELETE FROM schema_version WHERE version = (SELECT MAX(version) FROM schema_version)")
    connection.close()
    ended = await waypost("db", "copy", f"sqlite:///{path}", target, env=operator(tmp_path))
    assert ended.code == 1
    assert f"WAYPOST_DATABASE_URL=sqlite:///{path} waypost db upgrade" in ended.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://postgres@127.0.0.1:{free}/waypost", "the server can't be reached"),
        ("postgresql://postgres@name.invalid/waypost", "the server can't be reached"),
        ("{server}/no_such_database", "there is no such database"),
        ("{server}/postgres?sslmode=verify-full", "its URL asks for what there is not"),
        ("{server}/postgres?sslmode=strange", "its URL asks for what there is not"),
        ("postgresql://u:geheim/x@127.0.0.1/waypost", "the target's URL can't be read"),
        ("postgresql://u:geheim@127.0.0.1:port/waypost", "the target's URL can't be read"),
        ("postgresql://u:geheim@[::1/waypost", "the target's URL can't be read"),
    ],
)
async def test_a_target_that_is_not_there_is_one_line(url: str, why: str, tmp_path: Path, server: str) -> None:
    path = fill(tmp_path / "waypost.db")
    named = url.format(server=server.rpartition("/")[0], free=free_port())
    ended = await waypost("db", "copy", f"sqlite:///{path}", named, env=operator(tmp_path))
    assert ended.code == 1
    assert why in ended.err
    assert "geheim" not in ended.err


async def test_passwords_are_asked_for_and_never_shown(tmp_path: Path) -> None:
    path = fill(tmp_path / "waypost.db")
    server = Postgres()
    await server.start()
    try:
        await demand_passwords(server.url)
        where = f"@127.0.0.1:{server.port}/postgres"
        ended = {
            who: await waypost("db", "copy", f"sqlite:///{path}", f"postgresql://{who}{where}", env=env)
            for who, env in {
                "mover:falsch": {},
                "mover": {"PGPASSWORD": "falsch"},
                "guest:geheim": {},
                "mover:geheim": {},
                "mover:": {"PGPASSWORD": "geheim"},
            }.items()
        }
    finally:
        await server.remove()
    assert {who: one.code for who, one in ended.items()} == {
        "mover:falsch": 1, "mover": 1, "guest:geheim": 1, "mover:geheim": 0, "mover:": 0
    }  # fmt: skip
    assert "the password is wrong" in ended["mover:falsch"].err
    assert "the password is wrong" in ended["mover"].err
    assert "grant it, or use another user" in ended["guest:geheim"].err
    for one in ended.values():
        assert "falsch" not in one.out + one.err
        assert "geheim" not in one.out + one.err


async def demand_passwords(url: str) -> None:
    """Have a server ask two users for theirs; one of them may do nothing."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE ROLE mover LOGIN SUPERUSER PASSWORD 'geheim'")
    await connection.execute("CREATE ROLE guest LOGIN PASSWORD 'geheim'")
    await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    rules = await connection.fetchval("SHOW hba_file")
    await connection.execute(
        f"COPY (VALUES ('host all mover,guest all scram-sha-256'), ('host all all 127.0.0.1/32 trust')) TO '{rules}'"
    )
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


async def test_what_differs_ends_with_1_and_is_named(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db")
    words = ("db", "copy", f"sqlite:///{path}", target)
    first = await waypost(*words, "--json", env=operator(tmp_path))
    await as_if_unfinished(target, first.json["tables"])
    connection = await asyncpg.connect(target)
    await connection.execute("UPDATE pause SET reason = 'other'")
    await connection.close()
    ended = await waypost(*words, env=operator(tmp_path))
    assert ended.code == 1
    assert "what was read back differs in pause: the target can't be used" in ended.err
    (line,) = (line for line in ended.out.splitlines() if "DIFFERS" in line)
    assert " pause " in line
    assert "WAYPOST_SECRET_KEY" not in ended.out
    told = await waypost(*words, "--json", env=operator(tmp_path))
    assert told.code == 1
    assert [table["table"] for table in told.json["tables"] if not table["ok"]] == ["pause"]


async def as_if_unfinished(target: str, tables: list[dict[str, Any]]) -> None:
    """Put the mark there again that a copy removes as the last thing."""
    async with opened_target(target, Clock()) as opened:
        contents = {one["table"]: Content(rows=one["rows"], checksum=one["checksum"]) for one in tables}
        await opened.begin(contents)


# --- how far it is ---


class Watch(Clock):
    """A clock that stands still until it is moved."""

    at_s = 100.0

    def monotonic_s(self) -> float:
        return self.at_s


def test_a_line_comes_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    lines = Lines(watch)
    for rows in range(0, 30_000, 5_000):
        lines(Phase.COPY, "status", rows, 30_000)
        watch.at_s += LINE_EVERY_S / 2
    lines(Phase.COPY, "callback", 0, 10)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "copying status: 10000 of 30000 rows, 2000 rows/s",
        "copying status: 20000 of 30000 rows, 2000 rows/s",
    ]


async def test_a_terminal_shows_a_bar_that_is_gone_in_the_end(tmp_path: Path, target: str) -> None:
    path = fill(tmp_path / "waypost.db", {"status": 20_000})
    screen, stderr = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waypost", "db", "copy", f"sqlite:///{path}", target,
        env=environment(path.parent) | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE, stderr=stderr,
    )  # fmt: skip
    os.close(stderr)
    shown = asyncio.create_task(asyncio.to_thread(read_screen, screen))
    out, _ = await process.communicate()
    told = (await shown).decode()
    assert process.returncode == 0, told
    assert b"status" in out
    for phase in Phase:
        assert f"{phase} " in told
    assert "rows/s" in told
    assert "20000" not in told.rpartition("\x1b[2K")[2]


def read_screen(screen: int) -> bytes:
    """Return everything that was written to a terminal, until nobody writes to it any more."""
    told = b""
    try:
        while chunk := os.read(screen, 65_536):
            told += chunk
    except OSError:  # the other side is closed
        pass
    finally:
        os.close(screen)
    return told
