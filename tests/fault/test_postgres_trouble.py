"""A PostgreSQL server in trouble: whoever writes is told the truth in time, and the journal heals by itself."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.conformance.journal_rows import SteppedClock, accepted, message, receipt, status
from tests.fault.postgres_hand import until
from tests.fault.postgres_wire import Trouble, Wire
from tests.servers import Postgres
from waypost.model import State
from waypost.store import postgres_connection, postgres_writer
from waypost.store.base import StoreUnavailable
from waypost.store.effects import Effects
from waypost.store.postgres import PostgresStore


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with Wire(database_url) as stretched:
        yield stretched


@pytest.fixture
async def store(wire: Wire, clock: SteppedClock) -> AsyncIterator[PostgresStore]:
    async with opened(wire.url, clock) as engine:
        yield engine
        wire.mend()
        assert await engine.check() == []


@asynccontextmanager
async def opened(url: str, clock: SteppedClock, effects: Effects | None = None) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, clock, effects=effects)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long."""
    monkeypatch.setattr(postgres_connection, "STATEMENT_S", 0.5)
    monkeypatch.setattr(postgres_connection, "CONNECT_S", 0.5)
    monkeypatch.setattr(postgres_writer, "_FATE_S", 1.0)


# --- the wire ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "committed"), [("before", False), ("after", True)])
async def test_connection_that_is_cut_at_a_commit(
    wire: Wire, store: PostgresStore, clock: SteppedClock, trouble: Trouble, committed: bool
) -> None:
    rows = [message(clock) for _ in range(3)]
    wire.trouble = trouble
    results = await asyncio.gather(*map(store.accept, rows), return_exceptions=True)
    assert all(isinstance(one, StoreUnavailable) != committed for one in results), "they shared it"
    for row, result in zip(rows, results, strict=True):
        assert (await store.find(row.id) is None) == isinstance(result, StoreUnavailable)
    again = [await store.accept(row) for row in rows]
    assert all(one.is_new != committed for one in again)


async def test_server_that_hangs_is_given_up_in_time(hasty: None, database_url: str, clock: SteppedClock) -> None:
    async with Wire(database_url) as wire, opened(wire.url, clock) as store:
        row = message(clock)
        wire.hang()
        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable, match="doesn't answer in time"):
                await store.accept(row)
            with pytest.raises(StoreUnavailable, match="doesn't answer in time"):
                await store.find(row.id)
        wire.mend()
        assert (await store.accept(row)).is_new
        wire.hang()
        waiting = asyncio.create_task(store.accept(message(clock)))
        async with asyncio.timeout(10):
            await store.close()
        with pytest.raises(StoreUnavailable):
            await waiting


async def test_commit_that_hangs_and_then_is_there(hasty: None, database_url: str, clock: SteppedClock) -> None:
    """The server did it but can't say so in time; as soon as it can be asked, it is."""
    async with Wire(database_url) as wire, opened(wire.url, clock) as store:
        await store.ping()
        row = message(clock)
        wire.trouble = "hangs"
        accepting = asyncio.create_task(store.accept(row))
        async with asyncio.timeout(10):
            async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as looking:
                while not await looking.fetchval("SELECT 1 FROM message"):
                    await asyncio.sleep(0.01)
            wire.mend()
            assert (await accepting).is_new


async def test_server_that_is_away_when_the_journal_is_closed(
    wire: Wire, database_url: str, clock: SteppedClock
) -> None:
    async with opened(wire.url, clock) as store:
        wire.trouble, wire.for_good = "before", True
        waiting = [asyncio.create_task(store.accept(message(clock))) for _ in range(1_000)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await store.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, StoreUnavailable) for one in results)


async def test_connection_that_an_operator_ends_costs_no_look(
    store: PostgresStore, clock: SteppedClock, database_url: str
) -> None:
    row = message(clock)
    await store.accept(row)
    await asyncio.gather(*(store.find(row.id) for _ in range(4)))
    admin = await asyncpg.connect(database_url)
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waypost'")
    await admin.close()
    found = await asyncio.gather(*(store.find(row.id) for _ in range(4)))
    assert found == [row] * 4
    assert (await store.list(state=None, limit=1, cursor=None)).messages == (row,)
    assert (await store.accept(message(clock))).is_new


# --- the server --------------------------------------------------------------------------------------------------


class Killer:
    """Kills the server at an effect, once it has been told which."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.pid = 0

    def before(self, name: str) -> None:
        if name == self.name:
            self.name = None
            os.kill(self.pid, signal.SIGQUIT)

    async def aim(self, server: Postgres, name: str) -> None:
        connection = await asyncpg.connect(server.url)
        self.pid = int((await connection.fetchval("SELECT pg_read_file('postmaster.pid')")).split()[0])
        await connection.close()
        self.name = name


@pytest.mark.parametrize("effect", ["accept_commit", "after:accept_commit", "webhook_commit"])
async def test_server_that_is_killed_at_a_commit_and_started_again(
    durable: Postgres, clock: SteppedClock, effect: str
) -> None:
    """Whatever had come of the commit: it is told, as soon as the server can be asked."""
    killer = Killer()
    async with opened(durable.url, clock, killer) as store:
        rows = [message(clock) for _ in range(20)]
        await asyncio.gather(*map(store.accept, rows[:5]))
        await killer.aim(durable, effect)
        works: list[asyncio.Task[object]] = [asyncio.create_task(store.accept(row)) for row in rows[5:]]
        reports = [receipt(clock, status(row, "sent", f"meta.{row.id}")) for row in rows[:5]]
        works += [asyncio.create_task(store.record_webhook(report)) for report in reports]
        await until(lambda: killer.name is None)
        await durable.kill()
        await durable.start()
        async with asyncio.timeout(20):
            results = await asyncio.gather(*works, return_exceptions=True)
        told = [not isinstance(result, BaseException) for result in results]
        assert all(isinstance(result, StoreUnavailable) for result, good in zip(results, told, strict=True) if not good)
        there = [await store.find(row.id) is not None for row in rows[5:]]
        there += [bool(await store.statuses(row.id)) for row in rows[:5]]
        assert there == told
        assert (await store.accept(message(clock))).is_new
        assert await store.check() == []


async def test_commit_that_was_lost_in_a_crash_is_not_taken_for_a_later_one(
    durable: Postgres, clock: SteppedClock
) -> None:
    """A server that crashes numbers its transactions anew from the last one that was flushed."""
    async with Wire(durable.url) as wire, opened(wire.url, clock) as store:
        row = message(clock)
        await store.accept(message(clock))
        wire.trouble, wire.for_good = "before", True
        accepting = asyncio.create_task(store.accept(row))
        await until(lambda: wire.trouble is None)
        await durable.kill()
        await durable.start()
        async with opened(durable.url, clock) as other:
            for _ in range(20):
                await other.accept(message(clock))
        wire.mend()
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable):
                await accepting
        assert await store.find(row.id) is None


# A process that hangs in the middle of a transaction, and what it is told when it goes on.
HANGS = """
import asyncio, os, signal, sys
from tests.conformance.journal_rows import SteppedClock, accepted
from waypost.store import postgres_connection
from waypost.store.base import StoreUnavailable
from waypost.store.effects import Effects
from waypost.store.postgres import PostgresStore

class Hang:
    def before(self, name):
        if name == "outcome_commit":
            os.kill(os.getpid(), signal.SIGSTOP)

async def main():
    postgres_connection._SERVER_SETTINGS["idle_in_transaction_session_timeout"] = "500ms"
    store = PostgresStore(sys.argv[1], SteppedClock(), effects=Hang())
    await store.open()
    row = await store.find(sys.argv[2])
    try:
        await store.record_outcome(accepted(row, "meta.late"))
    except StoreUnavailable:
        print("unavailable", flush=True)
    await store.close()

asyncio.run(main())
"""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_process_that_hangs_in_a_transaction_holds_others_up_for_a_bounded_time(
    database_url: str, clock: SteppedClock
) -> None:
    async with opened(database_url, clock) as store:
        row = message(clock)
        await store.accept(row)
        victim = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HANGS, database_url, row.id, stdout=asyncio.subprocess.PIPE
        )
        try:
            await until(lambda: is_stopped(victim.pid))
            async with asyncio.timeout(10):
                assert (await store.record_outcome(accepted(row))).state == State.ACCEPTED
        finally:
            victim.send_signal(signal.SIGCONT)
            output, _ = await victim.communicate()
        assert output.split() == [b"unavailable"]
