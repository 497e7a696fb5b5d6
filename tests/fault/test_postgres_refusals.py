"""Whatever is wrong with a PostgreSQL server or its URL, a gateway says so in one clear line, without the password."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.conformance.journal_rows import SteppedClock, message
from tests.servers import Postgres, free_port
from waypost.store.base import StoreUnavailable
from waypost.store.postgres import PostgresStore


async def refused(url: str) -> str:
    """Open a journal that can't be opened, and return the line that says why."""
    store = PostgresStore(url, SteppedClock())
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    line = str(caught.value)
    assert "\n" not in line
    assert "sEcret" not in line
    return line


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://weak:sEcret@{host}/postgres", "the user may not do this there"),
        ("postgresql://weak:sEcreter@{host}/postgres", "the password is wrong"),
        ("postgresql://single:sEcret@{host}/postgres", "no connection left"),
        ("postgresql://postgres:sEcret@{host}/nowhere", "there is no such database"),
        ("postgresql://{host}/nowhere?user=postgres&password=sEcret", "there is no such database"),
        ("postgresql://postgres:sEcret@{host}/latin", "the database is in LATIN1"),
        ("postgresql://postgres:sEcret@{nobody}/postgres", "the server can't be reached"),
        ("postgresql://postgres:sEcret@no.such.host.invalid/postgres", "the server can't be reached"),
        ("postgresql://postgres:sEcret@{host}/postgres?sslmode=sEcret", "asks for what there is not"),
        ("postgresql://postgres:x/sEcret@{host}/postgres", "can't be read"),
        ("postgresql://postgres:1/sEcret@{host}/postgres", "can't be read"),
        ("postgresql://postgres:x#sEcret@{host}/postgres", "can't be read"),
        ("postgresql://postgres:sEcret[@{host}/postgres", "can't be read"),
        ("mysql://postgres:sEcret@{host}/postgres", "can't be read"),
    ],
)
async def test_each_refusal_is_one_clear_line_without_the_password(granting: Postgres, url: str, why: str) -> None:
    line = await refused(url.format(host=f"127.0.0.1:{granting.port}", nobody=f"127.0.0.1:{free_port()}"))
    assert why in line


@pytest.fixture(scope="session")
def granting(durable: Postgres) -> Postgres:
    """A server with users who may do little."""
    asyncio.run(_grant(durable.url))
    return durable


async def _grant(url: str) -> None:
    admin = await asyncpg.connect(url)
    for user, more in (("weak", ""), ("single", "CONNECTION LIMIT 0")):
        await admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'sEcret' {more}")
    await admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'")
    _ask_for_password(Path(await admin.fetchval("SHOW hba_file")))
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()


def _ask_for_password(rules: Path) -> None:
    rules.write_text("host all weak 127.0.0.1/32 scram-sha-256\n" + rules.read_text())


async def test_standby_is_named_when_it_is_written(database_url: str) -> None:
    store = PostgresStore(f"{database_url}?options=-c%20default_transaction_read_only%3Don", SteppedClock())
    await store.open()
    try:
        with pytest.raises(StoreUnavailable, match="it is a standby"):
            await store.accept(message(SteppedClock()))
        with pytest.raises(StoreUnavailable, match="it is a standby"):
            await store.ping()
        assert await store.find("nothing") is None
    finally:
        await store.close()
