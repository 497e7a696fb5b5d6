"""`waypost db` and `waypost messages` on a journal in PostgreSQL, with and without a running gateway."""

import asyncio
from pathlib import Path

import pytest

from tests.engine import NOBODY, engine_settings
from tests.flow.command import operator, waypost
from tests.harness import WAIT_S, Control, Customer, Gateway, text_message
from tests.journal_rows_of import change_rows_of, rows_of
from waypost.store.schema import newest_version

pytestmark = pytest.mark.shared

PASSWORD = "a-password-0001"
NOT_THERE = f"postgresql://waypost:{PASSWORD}@127.0.0.1:9/journal"


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    return operator(tmp_path / "data", simulator.url)


def journal_of(folder: Path) -> str:
    """How messages name the journal of a data folder."""
    return engine_settings(folder)["database_url"].partition("?")[0]


async def test_upgrade_makes_a_journal_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    env = operator(tmp_path / "data")
    assert (await waypost("db", "upgrade", env=env)).out == f"schema version 0 became {newest_version()}\n"
    assert (await waypost("db", "upgrade", env=env)).out == f"schema version {newest_version()}, nothing to do\n"
    checked = await waypost("db", "check", env=env)
    assert (checked.code, checked.out) == (0, f"{journal_of(tmp_path / 'data')}: no problems found\n")
    assert not (tmp_path / "data").exists()


async def test_upgrade_and_check_go_beside_a_gateway(gateway: Gateway, env: dict[str, str]) -> None:
    assert (await waypost("db", "upgrade", env=env)).out == f"schema version {newest_version()}, nothing to do\n"
    assert (await waypost("db", "check", env=env)).code == 0


async def test_a_journal_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    env = operator(tmp_path)
    await waypost("db", "upgrade", env=env)
    change_rows_of(tmp_path, "INSERT INTO schema_version VALUES (999, 0)")
    for words in (("db", "upgrade"), ("messages",)):
        ended = await waypost(*words, env=env)
        assert ended.code == 1
        assert "schema version 999" in ended.err


async def test_a_journal_of_an_older_program_is_only_looked_at(tmp_path: Path) -> None:
    env = operator(tmp_path)
    await waypost("db", "upgrade", env=env)
    older = newest_version() - 1
    change_rows_of(tmp_path, f"DELETE FROM schema_version WHERE version > {older}")
    checked = await waypost("db", "check", env=env)
    assert checked.out == f"schema version {older}, this program expects {newest_version()}\n"
    listed = await waypost("messages", env=env)
    assert f"has schema version {older}, this program reads {newest_version()}" in listed.err
    assert rows_of(tmp_path, "SELECT MAX(version) FROM schema_version") == [(older,)]


async def test_check_names_what_is_damaged(tmp_path: Path) -> None:
    env = operator(tmp_path)
    await waypost("db", "upgrade", env=env)
    change_rows_of(tmp_path, "INSERT INTO meta_id VALUES ('wamid.m', '1', 'acme', 'wamid.gone')")
    ended = await waypost("db", "check", "--json", env=env)
    assert ended.code == 1
    assert ended.json["problems"] == ["1 rows of meta_id belong to messages that are not there"]
    assert "has 1 problem;" in ended.err


async def test_a_copy_is_left_to_those_who_can_make_it(tmp_path: Path) -> None:
    ended = await waypost("db", "backup", str(tmp_path / "copy.db"), env=operator(tmp_path))
    assert ended.code == 1
    assert "pg_dump" in ended.err
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("words", [("db", "upgrade"), ("db", "check"), ("db", "backup", "x"), ("messages",)])
async def test_a_server_that_is_not_there_is_one_line_without_the_password(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    ended = await waypost(*words, env={**operator(tmp_path), "WAYPOST_DATABASE_URL": NOT_THERE})
    assert ended.code == 1
    assert "postgresql://waypost@127.0.0.1:9/journal" in ended.err
    assert PASSWORD not in ended.err


async def test_where_there_is_no_journal_none_is_made(tmp_path: Path) -> None:
    ended = await waypost("messages", env=operator(tmp_path))
    assert ended.code == 1
    assert f"there is no journal in {journal_of(tmp_path)}" in ended.err
    assert rows_of(tmp_path, "SELECT to_regclass('schema_version')::text") == [(None,)]


async def test_a_tenant_file_that_is_applied_beside_a_gateway_is_seen_by_it(
    gateway: Gateway, customer: Customer, env: dict[str, str], tmp_path: Path
) -> None:
    """Where no gateway is found, the journal itself is changed, and those that run see that by themselves."""
    (tmp_path / "tenants.toml").write_text("", "utf-8")
    ended = await waypost("apply", str(tmp_path / "tenants.toml"), env={**env, "WAYPOST_GATEWAY_URL": NOBODY})
    assert ended.code == 0, ended.err
    async with asyncio.timeout(WAIT_S):
        while (await customer.send(text_message()))["code"] == 0:
            await asyncio.sleep(0.05)


async def test_a_gateway_that_wants_another_token_says_so(gateway: Gateway, env: dict[str, str]) -> None:
    no_token = {name: value for name, value in env.items() if name != "WAYPOST_ADMIN_TOKEN"}
    ended = await waypost("queue", env=no_token)
    assert ended.code == 1
    assert f"a gateway runs at {gateway.url}" in ended.err
    assert "set WAYPOST_ADMIN_TOKEN" in ended.err
