"""`waypost doctor` where processes share a journal: keys, PostgreSQL, the journal, NATS."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import NOBODY, engine_settings
from tests.flow.command import Ended, operator, waypost
from tests.harness import WABA, Control, Gateway
from tests.journal_rows_of import change_rows_of, rows_of
from tests.servers import Nats
from waypost.cli.doctor_shared import CONNECTIONS, about_server
from waypost.store.postgres_database import Server
from waypost.store.schema import newest_version

pytestmark = pytest.mark.shared

PASSWORD = "a-password-0001"


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    return operator(tmp_path / "data", simulator.url)


def about(ended: Ended, subject: str) -> list[dict[str, Any]]:
    return [finding for finding in ended.json["findings"] if finding["subject"] == subject]


async def test_without_a_gateway_the_tenants_are_looked_at_here(gateway: Gateway, env: dict[str, str]) -> None:
    await gateway.service.stop()
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 0, ended.out
    assert about(ended, "gateway") == [
        {"status": "warning", "subject": "gateway", "found": f"none answers at {NOBODY}",
         "advice": "`waypost serve`, or set WAYPOST_GATEWAY_URL to where one is"}
    ]  # fmt: skip
    assert about(ended, f"WABA {WABA}")[0]["status"] == "ok"
    assert about(ended, "keys")[0]["status"] == "ok"


async def test_a_look_at_nothing_makes_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 0
    assert about(ended, "journal")[0]["advice"].endswith("`waypost apply FILE` makes it")
    assert rows_of(tmp_path / "data", "SELECT to_regclass('schema_version')::text") == [(None,)]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "by", "status"),
    [
        ("INSERT INTO schema_version SELECT MAX(version) + 1, 0 FROM schema_version", 1, "problem"),
        ("DELETE FROM schema_version WHERE version = (SELECT MAX(version) FROM schema_version)", -1, "warning"),
    ],
    ids=["newer", "older"],
)
async def test_a_journal_of_another_version_is_told_and_left_alone(
    change: str, by: int, status: str, gateway: Gateway, tmp_path: Path, env: dict[str, str]
) -> None:
    await gateway.service.stop()
    change_rows_of(tmp_path / "data", change)
    ended = await waypost("doctor", "--json", env=env)
    (finding,) = about(ended, "journal")
    assert finding["status"] == status
    assert f"schema version {newest_version() + by}" in finding["found"]
    assert about(ended, "tenants") == []


async def test_keys_that_nobody_set_for_all_are_told(gateway: Gateway, tmp_path: Path, env: dict[str, str]) -> None:
    given = {name: value for name, value in env.items() if not name.endswith(("SECRET_KEY", "VERIFY_TOKEN"))}
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "secret-key").write_text("k" * 32)
    (folder / "secret-key").chmod(0o644)
    ended = await waypost("doctor", "--json", env=given)
    assert about(ended, "keys")[0]["status"] == "warning"
    assert about(ended, "keys")[0]["found"].startswith("secret-key, verify-token: not set")
    assert about(ended, "data folder")[0]["found"] == "others may read secret-key"


async def test_another_secret_key_is_a_problem(gateway: Gateway, env: dict[str, str]) -> None:
    await gateway.service.stop()
    ended = await waypost("doctor", env={**env, "WAYPOST_SECRET_KEY": "x" * 32})
    assert ended.code == 1
    assert "sealed under key" in ended.out


async def test_damage_and_settings_that_lose_messages_are_found(
    gateway: Gateway, env: dict[str, str], tmp_path: Path
) -> None:
    change_rows_of(tmp_path / "data", "INSERT INTO meta_id VALUES ('wamid.m', '1', 'acme', 'wamid.gone')")
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 1
    assert about(ended, "journal")[0]["found"] == "1 rows of meta_id belong to messages that are not there"
    warned = {one["found"] for one in about(ended, "database") if one["status"] == "warning"}
    switched_off = rows_of(tmp_path / "data", "SELECT name || ' is off' FROM pg_settings WHERE setting = 'off'"
                           " AND name IN ('fsync', 'full_page_writes')")  # fmt: skip
    assert warned == {found for (found,) in switched_off}


async def test_a_server_that_is_not_there_is_a_problem_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://waypost:{PASSWORD}@127.0.0.1:9/journal"
    ended = await waypost("doctor", "--json", env={**operator(tmp_path), "WAYPOST_DATABASE_URL": url})
    assert ended.code == 1
    (finding,) = about(ended, "database")
    assert "postgresql://waypost@127.0.0.1:9/journal: the server can't be reached" in finding["found"]
    assert PASSWORD not in ended.out + ended.err


SOUND = {"version": "16.1", "is_standby": False, "switched_off": (), "ahead_ms": 0, "connections": 97, "connected": 9}


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "ok", "PostgreSQL 16.1"),
        ({}, "ok", "9 of 97 connections are in use"),
        ({"connected": 98 - CONNECTIONS}, "warning", f"{98 - CONNECTIONS} of 97 connections are in use"),
        ({"is_standby": True}, "problem", "a standby that can't be written"),
        ({"switched_off": ("fsync",)}, "warning", "fsync is off"),
        ({"ahead_ms": 20_000}, "warning", "20 s behind"),
        ({"ahead_ms": -40_000}, "problem", "40 s ahead"),
    ],
)
def test_what_a_server_can_be_wrong_about_is_found(changes: dict[str, Any], status: str, words: str) -> None:
    found = about_server(Server(**{**SOUND, **changes}))
    assert [finding.status for finding in found if words in finding.found] == [status]
    assert {finding.status for finding in found} <= {"ok", status}


# --- NATS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def no_jetstream() -> AsyncIterator[Nats]:
    server = Nats(options=["-js=false"])
    await server.start()
    yield server
    await server.remove()


async def about_nats(env: dict[str, str], url: str, prefix: str = "") -> list[tuple[str, str]]:
    given = {**env, "WAYPOST_NATS_URL": url, **({"WAYPOST_NATS_PREFIX": prefix} if prefix else {})}
    ended = await waypost("doctor", "--json", env=given)
    return [(finding["status"], finding["found"]) for finding in about(ended, "NATS")]


async def test_the_doorbells_server_and_stream_are_found(gateway: Gateway, tmp_path: Path, env: dict[str, str]) -> None:
    url = engine_settings(tmp_path / "data")["nats_url"]
    assert await about_nats(env, url) == [
        ("ok", "1 of 1 named servers answer, JetStream is enabled"),
        ("ok", "the stream has 1 node"),
    ]
    assert await about_nats(env, f"{url},nats://user:{PASSWORD}@127.0.0.1:9") == [
        ("warning", "no answer from nats://127.0.0.1:9: [Errno 111] Connection refused"),
        ("ok", "1 of 2 named servers answer, JetStream is enabled"),
        ("ok", "the stream has 1 node"),
    ]
    assert (await about_nats(env, url, "nobodys"))[1:] == [("ok", "no stream yet: the first process makes it")]


async def test_without_jetstream_or_a_server_it_is_slower_and_no_problem(
    env: dict[str, str], no_jetstream: Nats
) -> None:
    ((status, found),) = await about_nats(env, no_jetstream.url)
    assert (status, found.startswith("JetStream is not usable: ")) == ("warning", True)
    await no_jetstream.kill()
    ((status, found),) = await about_nats(env, no_jetstream.url)
    assert (status, found.startswith(f"no answer from {no_jetstream.url}: ")) == ("warning", True)
    assert await about_nats(env, "") == [("ok", "not used: processes look for each other's work every few seconds")]


async def test_a_nats_url_that_is_none_is_told_without_its_password(env: dict[str, str]) -> None:
    ((status, found),) = await about_nats(env, f"nats://u:{PASSWORD}/@127.0.0.1:4222")
    assert status == "problem"
    assert PASSWORD not in found
    served = await waypost("serve", "--port", "0", env={**env, "WAYPOST_NATS_URL": f"nats://u:{PASSWORD}/@h:1"})
    assert served.code == 1
    assert "WAYPOST_NATS_URL" in served.err
    assert PASSWORD not in served.err
