"""Asking Meta about tokens and numbers: whatever comes back becomes findings, and none holds a secret."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness import META_TOKEN, PHONE, PHONE_ID, SECRETS, TENANTS, WABA
from waypost.clock import Clock
from waypost.gateway import checkup
from waypost.gateway.checkup import Checkup, Finding
from waypost.gateway.registry import Registry
from waypost.gateway.tenant_file import read
from waypost.gateway.vault import Vault
from waypost.meta.client import MetaClient
from waypost.store.sqlite import SqliteStore

NUMBER = {"id": PHONE_ID, "display_phone_number": "+86 158 0000 1795", "status": "CONNECTED"}
SUBSCRIBED = {"data": [{"whatsapp_business_api_data": {"id": "1"}}]}

NEVER = 0
Answer = Callable[[str], Awaitable[tuple[int, bytes]]]


@asynccontextmanager
async def meta(answer: Answer) -> AsyncIterator[str]:
    """A Meta that answers each path as told, and never where the status is `NEVER`."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        status, body = await answer(head.split()[1].decode())
        if status == NEVER:
            await reader.read()  # until the other side hangs up
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*(task for task in serving if task is not None))


def told(answers: Mapping[str, tuple[int, object]]) -> Answer:
    """Answers by a part of the path; numbers and subscription are in order where nothing else is told."""
    usual = {"/phone_numbers": (200, {"data": [NUMBER]}), "/subscribed_apps": (200, SUBSCRIBED)}

    async def answer(path: str) -> tuple[int, bytes]:
        status, body = next(
            value for part, value in {**usual, **answers, PHONE_ID: (200, NUMBER)}.items() if part in path
        )
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    return answer


async def findings(answer: Answer, tmp_path: Path, tenants: str = TENANTS) -> list[Finding]:
    """What a checkup finds with these tenants and this Meta; no secret may be among it."""
    store = SqliteStore(tmp_path / "waypost.db", Clock())
    await store.open()
    try:
        registry = Registry(store, Vault("k" * 32), Clock())
        await registry.apply(read(tenants, {}))
        async with meta(answer) as url:
            client = MetaClient(url, "v23.0", connect_timeout_s=5, read_timeout_s=5)
            await client.start()
            try:
                found = await Checkup(registry, client).findings()
            finally:
                await client.close()
    finally:
        await store.close()
    assert not any(secret in str(found) for secret in SECRETS)
    return found


async def test_everything_in_order_is_one_line_about_each_waba(tmp_path: Path) -> None:
    found = await findings(told({}), tmp_path)
    assert found[-1].subject == f"WABA {WABA}"
    assert [finding.status for finding in found] == ["ok", "ok", "ok"]


FAST = TENANTS.replace(f'number = "{PHONE}"', f'number = "{PHONE}"\n  messages_per_second = 1000')
SLOW = TENANTS.replace(f'number = "{PHONE}"', f'number = "{PHONE}"\n  messages_per_second = 20')


@pytest.mark.parametrize(
    ("level", "tenants", "advised"),
    [
        ("STANDARD", FAST, "messages_per_second = 80;"),
        ("HIGH", TENANTS, "messages_per_second = 1000;"),
        ("HIGH", FAST, None),
        ("STANDARD", TENANTS, None),
        ("HIGH", SLOW, None),
        ("STANDARD", SLOW, None),
        ("NOT_APPLICABLE", TENANTS, None),
        (["HIGH"], TENANTS, None),
        (None, FAST, None),
    ],
)
async def test_a_rate_that_meta_does_not_grant_or_exceeds_is_told(
    level: object, tenants: str, advised: str | None, tmp_path: Path
) -> None:
    number = NUMBER | {"throughput": {"level": level}}
    found = await findings(told({"/phone_numbers": (200, {"data": [number]})}), tmp_path, tenants)
    about = [finding for finding in found if finding.subject == f"number {PHONE}"]
    assert [finding.status for finding in about] == ([] if advised is None else ["warning"])
    assert advised is None or advised in (about[0].advice or "")


async def test_a_token_that_meta_quotes_is_hidden(tmp_path: Path) -> None:
    error = {"error": {"code": 190, "message": f"Malformed access token {META_TOKEN}", "type": "OAuthException"}}
    found = await findings(told({"/phone_numbers": (401, error)}), tmp_path)
    assert found[-1].found == "Meta refuses with code 190: Malformed access token ***"
    assert found[-1].status == "problem"


@pytest.mark.parametrize("code", [80007, 4, 131016])
async def test_throttling_says_nothing_against_the_token(code: int, tmp_path: Path) -> None:
    found = await findings(told({"/phone_numbers": (400, {"error": {"code": code}})}), tmp_path)
    assert found[-1].status == "warning"
    assert found[-1].found.startswith(f"Meta refuses with code {code}: ")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[1]"),
        (200, b"\xff"),
        (200, b'{"a":' * 3000),
        (502, b"{}"),
        (400, {"error": None}),
        (400, {"error": {"code": "190"}}),
        (400, {"error": {"code": True, "message": 7}}),
        (400, {"error": [1]}),
    ],
)
async def test_an_answer_that_is_none_is_told_as_such(status: int, body: object, tmp_path: Path) -> None:
    found = await findings(told({"/phone_numbers": (status, body)}), tmp_path)
    assert found[-1].subject == f"WABA {WABA}"
    assert found[-1].status in ("warning", "problem")
    assert found[-1].advice


@pytest.mark.parametrize("data", [None, 7, [None, "x"], {"a": 1}])
async def test_a_list_that_is_none_leaves_the_number_to_be_asked_for_singly(data: object, tmp_path: Path) -> None:
    found = await findings(told({"/phone_numbers": (200, {"data": data, "paging": {"next": "x"}})}), tmp_path)
    assert found[-1].found == f"Meta knows phone number id {PHONE_ID}, but not as one of WABA {WABA}"


async def test_the_list_of_numbers_is_read_page_by_page(tmp_path: Path) -> None:
    first = {"data": [{"id": "1"}], "paging": {"next": "https://…", "cursors": {"after": "page+2"}}}

    async def answer(path: str) -> tuple[int, bytes]:
        if "/phone_numbers" in path and "after=page" not in path:
            return 200, json.dumps(first).encode()
        return await told({})(path)

    found = await findings(answer, tmp_path)
    assert found[-1].status == "ok"


async def test_pages_without_end_are_left_after_a_while(tmp_path: Path) -> None:
    endless = {"data": [{"id": "1"}], "paging": {"next": "https://…", "cursors": {"after": "again"}}}
    found = await findings(told({"/phone_numbers": (200, endless)}), tmp_path)
    assert found[-1].subject == f"number {PHONE}"


async def test_a_number_that_is_not_connected_is_worth_a_thought(tmp_path: Path) -> None:
    banned = {"data": [{**NUMBER, "status": "BANNED"}]}
    found = await findings(told({"/phone_numbers": (200, banned)}), tmp_path)
    assert (found[-1].status, found[-1].subject) == ("warning", f"number {PHONE}")
    assert "BANNED" in found[-1].found


async def test_only_some_unlisted_numbers_are_asked_about_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "MAX_ASKED_SINGLY", 0)
    found = await findings(told({"/phone_numbers": (200, {"data": []})}), tmp_path)
    assert found[-1].found == f"Meta does not list them under their WABA: {PHONE}"


async def test_a_meta_that_does_not_answer_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "BUDGET_S", 0.05)
    found = await findings(told({"/phone_numbers": (NEVER, b"")}), tmp_path)
    assert "not done answering" in found[-1].found
    assert found[-1].status == "warning"


async def test_no_tenants_is_worth_a_thought(tmp_path: Path) -> None:
    (only,) = await findings(told({}), tmp_path, tenants="")
    assert (only.status, only.found, only.advice) == ("warning", "there are none", "`waypost apply FILE`")
