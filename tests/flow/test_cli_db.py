"""`waypost db` on the embedded database: upgrade, check and backup, with and without a running gateway."""

import stat
from pathlib import Path

import apsw
import pytest

from tests.flow.command import operator, waypost
from tests.harness import Control, Customer, Gateway, text_message
from waypost.store.schema import newest_version

pytestmark = pytest.mark.embedded("`waypost db` on a file; test_cli_db_shared.py has the other")


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    return operator(tmp_path / "data", simulator.url)


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_upgrade_makes_a_database_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    env = operator(tmp_path / "data")
    assert (await waypost("db", "upgrade", env=env)).out == f"schema version 0 became {newest_version()}\n"
    assert (await waypost("db", "upgrade", env=env)).out == f"schema version {newest_version()}, nothing to do\n"
    checked = await waypost("db", "check", env=env)
    assert (checked.code, checked.out) == (0, f"{tmp_path / 'data' / 'waypost.db'}: no problems found\n")


async def test_upgrade_is_refused_while_a_gateway_runs(gateway: Gateway, env: dict[str, str]) -> None:
    ended = await waypost("db", "upgrade", env=env)
    assert ended.code == 1
    assert gateway.url in ended.err
    assert "stop the gateway first" in ended.err


async def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    env = operator(tmp_path)
    await waypost("db", "upgrade", env=env)
    with apsw.Connection(str(tmp_path / "waypost.db")) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999, 0)")
    connection.close()
    for words in (("db", "upgrade"), ("messages",)):
        ended = await waypost(*words, env=env)
        assert ended.code == 1
        assert "schema version 999" in ended.err


async def test_a_copy_made_while_the_gateway_runs_is_whole_and_private(
    customer: Customer, gateway: Gateway, env: dict[str, str], tmp_path: Path
) -> None:
    await customer.send(text_message(cus_message_id="copied"))
    await gateway.until("copied", "read")
    folder = tmp_path / "copies"
    folder.mkdir()
    ended = await waypost("db", "backup", "today.db", env=env, cwd=folder)

    assert ended.code == 0, ended.err
    copy = folder / "today.db"
    assert ended.out == f"today.db: {copy.stat().st_size} bytes\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names_in(folder) == ["today.db"]
    restored = tmp_path / "restored"
    restored.mkdir()
    copy.rename(restored / "waypost.db")
    assert (await waypost("db", "check", env=operator(restored))).code == 0
    shown = await waypost("messages", "copied", "--json", env=operator(restored))
    assert shown.json == await gateway.message("copied")


async def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    env = operator(tmp_path / "data")
    await waypost("db", "upgrade", env=env)
    (tmp_path / "old.db").write_text("precious")
    (tmp_path / "nowhere.db").symlink_to(tmp_path / "gone")
    for name in ("old.db", "nowhere.db"):
        ended = await waypost("db", "backup", str(tmp_path / name), env=env)
        assert ended.code == 1
        assert "exists already" in ended.err
    assert (tmp_path / "old.db").read_text() == "precious"
    assert names_in(tmp_path) == ["data", "nowhere.db", "old.db"]


async def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    env = operator(tmp_path / "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "waypost.db").write_bytes(b"this is no database" * 100)
    ended = await waypost("db", "backup", str(tmp_path / "copy.db"), env=env)
    assert ended.code == 1
    assert "no copy was made" in ended.err
    missing = await waypost("db", "backup", str(tmp_path / "no" / "such" / "copy.db"), env=env)
    assert missing.code == 1
    assert "cannot write" in missing.err
    assert names_in(tmp_path) == ["data"]


async def test_check_names_what_is_damaged(tmp_path: Path) -> None:
    env = operator(tmp_path)
    await waypost("db", "upgrade", env=env)
    with apsw.Connection(str(tmp_path / "waypost.db")) as connection:
        connection.execute("INSERT INTO meta_id VALUES ('wamid.m', '1', 'acme', 'wamid.gone')")
    connection.close()
    ended = await waypost("db", "check", "--json", env=env)
    assert ended.code == 1
    assert ended.json["problems"] == ["1 rows of meta_id belong to messages that are not there"]
    assert "has 1 problem;" in ended.err


@pytest.mark.parametrize("words", [("check",), ("backup", "copy.db")])
async def test_a_look_at_no_database_makes_none(words: tuple[str, ...], tmp_path: Path) -> None:
    ended = await waypost("db", *words, env=operator(tmp_path / "data"), cwd=tmp_path)
    assert ended.code == 1
    assert "there is no database at" in ended.err
    assert names_in(tmp_path) == []


async def test_backup_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    assert (await waypost("db", "backup", env=operator(tmp_path))).code == 2
