"""`waypost doctor`: what it finds on this machine, among the tenants, and at Meta."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from tests.engine import is_shared
from tests.flow.command import Ended, operator, waypost
from tests.harness import META_TOKEN, PHONE, PHONE_ID, TENANTS, WABA, Control, Gateway, ShiftableClock
from waypost.cli.doctor_checks import compare_clocks
from waypost.clock import Clock


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    return operator(tmp_path / "data", simulator.url)


def about(ended: Ended, subject: str) -> list[dict[str, Any]]:
    return [finding for finding in ended.json["findings"] if finding["subject"] == subject]


@contextlib.asynccontextmanager
async def tells_time(seconds_off: float) -> AsyncIterator[str]:
    """A server that is no Meta, but whose answers carry a Date header."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = formatdate(Clock().now_ms() / 1000 + seconds_off, usegmt=True)
        writer.write(f"HTTP/1.1 400 Bad Request\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_gateway_in_order_has_no_problem(gateway: Gateway, env: dict[str, str]) -> None:
    ended = await waypost("doctor", "--json", env=env, fresh=True)

    assert ended.code == 0, ended.out
    assert ended.json["problems"] == 0
    assert about(ended, "gateway") == [
        {"status": "ok", "subject": "gateway", "found": f"ready at {gateway.url}", "advice": ""}
    ]
    of_the_engine = ("keys", "database", "journal", "NATS") if is_shared() else ("data folder", "database")
    for subject in (*of_the_engine, "Meta", "webhook", "tenants", f"WABA {WABA}"):
        assert about(ended, subject)[0]["status"] == "ok", ended.out
    assert about(ended, f"WABA {WABA}")[0]["found"] == "Meta takes the token and knows 1 number as declared"
    table = await waypost("doctor", env=env)
    assert table.code == 0
    assert "1 account, 1 application, 1 WABA, 1 number, 0 templates" in table.out


@pytest.mark.embedded("`waypost doctor` on file and folder; test_cli_doctor_shared.py has the other")
async def test_without_a_gateway_the_tenants_are_looked_at_here(gateway: Gateway, env: dict[str, str]) -> None:
    await gateway.service.stop()
    ended = await waypost("doctor", "--json", env=env)

    assert ended.code == 0, ended.out
    assert about(ended, "gateway")[0] == {
        "status": "warning", "subject": "gateway", "found": "none runs on this data folder",
        "advice": "`waypost serve`",
    }  # fmt: skip
    assert about(ended, f"WABA {WABA}")[0]["status"] == "ok"


@pytest.mark.embedded("`waypost doctor` on file and folder; test_cli_doctor_shared.py has the other")
async def test_a_look_at_nothing_makes_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    ended = await waypost("doctor", "--json", env=env)

    assert ended.code == 0
    assert about(ended, "data folder")[0]["advice"].endswith("`waypost apply FILE`")
    assert about(ended, "database")[0]["status"] == "warning"
    assert not (tmp_path / "data").exists()


async def test_a_bad_setting_is_the_one_thing_it_speaks_of(env: dict[str, str]) -> None:
    ended = await waypost("doctor", "--json", env={**env, "WAYPOST_NO_SUCH_THING": "1"})
    assert ended.code == 1
    (finding,) = ended.json["findings"]
    assert finding["status"] == "problem"
    assert "unknown setting WAYPOST_NO_SUCH_THING" in finding["found"]
    assert "1 problem found" in ended.err


async def test_metas_words_about_a_token_are_passed_on_without_the_token(
    gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    await simulator.config(
        mode="strict", wabas=[{"waba_id": WABA, "access_token": "another", "phones": [{"id": PHONE_ID}]}]
    )
    ended = await waypost("doctor", "--json", env=env)

    assert ended.code == 1
    (finding,) = about(ended, f"WABA {WABA}")
    assert finding["status"] == "problem"
    assert finding["found"].startswith("Meta refuses with code 190: ")
    assert "Issue a new access token" in finding["advice"]


async def test_numbers_are_held_against_what_meta_lists(
    gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    other = {"id": PHONE_ID, "display_phone_number": "+1 555-078-3881"}
    await simulator.config(wabas=[{"waba_id": WABA, "phones": [other]}])
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 1
    assert f"phone number id {PHONE_ID} is number 15550783881 at Meta" in about(ended, f"number {PHONE}")[0]["found"]

    await simulator.config(wabas=[{"waba_id": WABA}, {"waba_id": "77", "phones": [other]}])
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 0, "messages flow all the same"
    (stranger,) = about(ended, f"number {PHONE}")
    assert stranger["status"] == "warning"
    assert stranger["found"].endswith(f"but not as one of WABA {WABA}")

    await simulator.config(mode="strict", wabas=[{"waba_id": WABA, "access_token": META_TOKEN}])
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 1
    assert "code 100" in about(ended, f"number {PHONE}")[0]["found"]


async def test_a_waba_without_a_subscribed_app_gets_no_webhooks(
    gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {META_TOKEN}"}
    url = f"{simulator.url}/v23.0/{WABA}/subscribed_apps"
    async with aiohttp.ClientSession(headers=headers) as http, http.delete(url) as answer:
        assert answer.status == 200
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 1
    assert "no webhooks" in about(ended, f"WABA {WABA}")[0]["found"]
    assert "subscribed_apps" in about(ended, f"WABA {WABA}")[0]["advice"]


async def test_a_meta_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    ended = await waypost("doctor", "--json", env=operator(tmp_path / "data"))
    assert ended.code == 1
    (finding,) = about(ended, "Meta")
    assert finding["found"].startswith("no answer from http://127.0.0.1:9")
    assert "WAYPOST_META_BASE_URL" in finding["advice"]


async def test_a_verify_token_that_differs_is_found(gateway: Gateway, env: dict[str, str]) -> None:
    ended = await waypost("doctor", "--json", env={**env, "WAYPOST_META_VERIFY_TOKEN": "not the same"})
    assert ended.code == 1
    (finding,) = about(ended, "webhook")
    assert (finding["status"], finding["found"]) == ("problem", "the verification is answered with HTTP 403")


@pytest.mark.embedded("`waypost doctor` on file and folder; test_cli_doctor_shared.py has the other")
async def test_secrets_that_others_may_read_and_damage_are_found(
    gateway: Gateway, env: dict[str, str], tmp_path: Path
) -> None:
    await gateway.service.stop()
    (tmp_path / "data" / "secret-key").chmod(0o644)
    connection = apsw.Connection(str(tmp_path / "data" / "waypost.db"))
    connection.execute("INSERT INTO meta_id VALUES ('wamid.m', '1', 'acme', 'wamid.gone')")
    connection.close()
    ended = await waypost("doctor", "--json", env=env)
    assert ended.code == 1
    assert about(ended, "data folder")[0]["found"] == "others may read secret-key"
    assert about(ended, "data folder")[0]["advice"].startswith("chmod 600 ")
    assert about(ended, "database")[0]["found"] == "1 rows of meta_id belong to messages that are not there"


@pytest.mark.embedded("`waypost doctor` on file and folder; test_cli_doctor_shared.py has the other")
async def test_another_secret_key_is_a_problem_and_a_missing_one_is_not_replaced(
    gateway: Gateway, env: dict[str, str], tmp_path: Path
) -> None:
    await gateway.service.stop()
    ended = await waypost("doctor", env={**env, "WAYPOST_SECRET_KEY": "x" * 32})
    assert ended.code == 1
    assert "sealed under key" in ended.out
    key = tmp_path / "data" / "secret-key"
    key.unlink()
    ended = await waypost("doctor", env=env)
    assert "has no secret-key" in ended.out
    assert not key.exists()


@pytest.mark.parametrize(
    ("seconds_off", "status", "words"), [(0, "ok", ""), (40, "problem", " behind "), (-12, "warning", " ahead ")]
)
async def test_the_clock_is_compared_with_the_other_sides(
    seconds_off: float, status: str, words: str, tmp_path: Path
) -> None:
    async with tells_time(seconds_off) as url:
        ended = await waypost("doctor", "--json", env=operator(tmp_path / "data", url))
    (finding,) = about(ended, "clock")
    assert finding["status"] == status
    assert words in finding["found"]


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Mon, 99 Nov 2026 06:31:08 GMT", "Mon, 23 Nov 99999 06:31:08 GMT"]
)
def test_a_date_header_that_is_none_is_a_warning(date: str | None) -> None:
    assert compare_clocks(date, 0, 0).status == "warning"


class TestTenantsThatLackThings:
    """Hints about what was left out of the tenant file."""

    @pytest.fixture
    def tenants(self) -> str:
        return TENANTS.replace(f'phones = ["{PHONE}"]', "").replace("app_secret", "# app_secret")

    async def test_each_gap_is_a_warning_and_says_what_follows_from_it(
        self, tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str, env: dict[str, str]
    ) -> None:
        (tmp_path / "tenants.toml").write_text(tenants, "utf-8")
        assert (await waypost("apply", str(tmp_path / "tenants.toml"), env=env, fresh=True)).code == 0
        phones = [{"id": PHONE_ID, "display_phone_number": PHONE}]
        await simulator.config(wabas=[{"waba_id": WABA, "phones": phones}])
        ended = await waypost("doctor", "--json", env=env)

        assert ended.code == 0, ended.out
        gaps = {finding["found"]: finding["status"] for finding in about(ended, "tenants")[1:]}
        assert gaps == {
            "applications without a number: f543ertg": "warning",
            f"numbers of no application: {PHONE}": "warning",
            f"WABAs without app_secret: {WABA}": "warning",
            f"WABAs without templates: {WABA}": "ok",
        }
