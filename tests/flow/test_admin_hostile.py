"""The admin API and what nobody should ask of it: one line of JSON says what is wrong, and nothing worse happens."""

import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.flow.test_meta_webhook import post
from tests.harness import ADMIN_TOKEN, TENANTS, WABA, Customer, Gateway, text_message
from tests.journal_rows_of import change_rows_of
from tests.receiver import Receiver
from waypost.gateway.tenant_file import read

ABSURD = ["", "%00", "%FF", "-1", "+1", "9" * 40, "%D9%A3", "x" * 5000, "%ED%A0%80", "1e9", "..", "'%20OR%201=1--"]


async def ask(gateway: Gateway, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    url = URL(f"{gateway.url}/admin/v1/{path}", encoded=True)
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, data=None if body is None else io.BytesIO(body), headers=headers) as answer,
    ):
        return answer.status, json.loads(await answer.read())


NAMES = {
    "messages": ("limit", "cursor", "state"),
    "callbacks": ("limit", "cursor", "state", "since_ms", "until_ms", "account", "appkey", "message_id"),
    "queue/messages": ("limit", "cursor", "phone", "appkey", "account", "template"),
    "audit": ("limit",),
}
NAMES["events"] = (*NAMES["callbacks"], "since", "delivered")
EVERY_NAME = sorted({name for names in NAMES.values() for name in names})


@pytest.mark.parametrize("path", NAMES)
async def test_absurd_queries_are_refused_or_find_nothing(path: str, gateway: Gateway) -> None:
    for name in EVERY_NAME:
        for value in ABSURD:
            status, content = await ask(gateway, "GET", f"{path}?{name}={value}")
            assert status in (200, 400), (name, value, content)
            if name not in NAMES[path]:
                assert (status, content["error"].partition(" here")[0]) == (400, f"nobody knows {name!r}")
            elif status == 400:
                assert content["error"].startswith(name if name != "since" else "since_ms"), (name, value)
            else:
                assert name not in ("limit", "cursor"), value


@pytest.mark.parametrize("path", NAMES)
@pytest.mark.parametrize("name", [value for value in ABSURD if len(value) < 100])
async def test_absurd_names_are_refused(path: str, name: str, gateway: Gateway) -> None:
    status, content = await ask(gateway, "GET", f"{path}?{name}=1")
    assert status == 400
    assert content["error"].startswith("nobody knows ")


@pytest.mark.parametrize("path", ["messages", "callbacks"])
@pytest.mark.parametrize("any_id", [value for value in ABSURD if value not in ("", "..")])
async def test_absurd_ids_are_nobodys(path: str, any_id: str, gateway: Gateway) -> None:
    status, content = await ask(gateway, "GET", f"{path}/{any_id}")
    assert (status, list(content)) == (404, ["error"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"since_ms":9223372036854775808}', 400),
        (b'{"since_ms":9223372036854775808,"dry_run":true}', 400),
        (b'{"until_ms":' + b"9" * 5000 + b"}", 400),
        (b'{"since_ms":-9223372036854775809}', 400),
        (b'{"account":"\\ud800"}', 400),
        (b'{"ids":["\\udfff"]}', 400),
        (b'{"ids":["' + b"x" * 2_000_000 + b'"]}', 413),
        (b'{"account":"\\u0000"}', 200),
        (b'{"since_ms":999999999999999}', 200),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
async def test_a_replay_of_what_can_not_be_is_refused(body: bytes, status: int, gateway: Gateway) -> None:
    assert (await ask(gateway, "POST", "callbacks/replay", body))[0] == status


async def test_a_replay_says_which_ids_it_does_not_know(gateway: Gateway) -> None:
    for body, answer in (
        ({"ids": ["nope", "neither", "nope"]}, {"replayed": 0, "unknown_ids": ["nope", "neither"]}),
        ({"ids": ["\0"], "dry_run": True}, {"count": 0, "unknown_ids": ["\0"]}),
        ({"state": "abandoned"}, {"replayed": 0}),
    ):
        assert await ask(gateway, "POST", "callbacks/replay", json.dumps(body).encode()) == (200, answer)


@pytest.mark.parametrize(
    "tables",
    [
        b'{"wabas":' + b"9" * 5000 + b"}",
        b'{"wabas":[{"waba_id":"\\ud800","access_token":"t"}]}',
        b'{"wabas":' + b"[" * 50_000,
        b'{"accounts":[{"name":"a","applications":[{"appkey":"x","ttl":{"service":1' + b"0" * 30 + b"}}]}]}",
        b'{"accounts":[{"name":"a","access_key":"k","access_secret":"\\u0000"}]}',
        b'{"wabas":[{"waba_id":"1","access_token":"t","templates":[{"name":"t","language":"en","components":[{"x":'
        + b"[" * 500 + b"]" * 500 + b"}]}]}]}",
        b"\xff",
    ],
    ids=lambda value: repr(value[:40]),
)  # fmt: skip
async def test_tables_that_can_not_be_kept_are_refused_and_change_nothing(tables: bytes, gateway: Gateway) -> None:
    status, content = await ask(gateway, "POST", "apply", tables)
    assert (status, list(content)) == (400, ["error"])
    assert await gateway.admin("POST", "apply", read(TENANTS, {})) == {"changes": []}


@pytest.fixture
async def webhook(receiver: Receiver, customer: Customer, gateway: Gateway) -> str:
    """The application's webhook."""
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["webhook"] = receiver.url
    await gateway.admin("POST", "apply", tables)
    return receiver.url


async def happens(gateway: Gateway, raw_value: str) -> None:
    entry = f'{{"id":"{WABA}","time":1761291192,"changes":[{{"field":"account_update","value":{raw_value}}}]}}'
    assert await post(gateway, body=f'{{"object":"whatsapp_business_account","entry":[{entry}]}}'.encode()) == 200


async def test_numbers_without_end_in_what_meta_said_are_shown_or_left_out(gateway: Gateway, webhook: str) -> None:
    for digits in (25, 60, 5000):
        await happens(gateway, f'{{"event":"VERIFIED_ACCOUNT","digits":{digits},"n":{"7" * digits},"half":"\\ud800"}}')
    status, content = await ask(gateway, "GET", "events")
    assert (status, len(content["events"])) == (200, 3)
    for event in content["events"]:
        assert event["payload"]["value"]["event"] == "VERIFIED_ACCOUNT"
        assert (await ask(gateway, "GET", f"callbacks/{event['id']}"))[0] == 200


async def test_pages_of_what_was_not_delivered_are_full_until_the_end(gateway: Gateway, webhook: str) -> None:
    for number in range(12):
        await happens(gateway, f'{{"number":{number}}}')
    ids = [event["id"] for event in (await ask(gateway, "GET", "events"))[1]["events"]]
    assert len(ids) == 12
    cursor, pages = "", []
    while True:
        _, content = await ask(gateway, "GET", f"events?since=0&delivered=false&limit=5{cursor}")
        pages.append([event["id"] for event in content["events"]])
        if content["next_cursor"] is None:
            break
        cursor = f"&cursor={content['next_cursor']}"
    assert pages == [ids[:5], ids[5:10], ids[10:]], "pushes to loopback are refused here, so all of them wait"
    assert (await ask(gateway, "GET", "events?delivered=false&state=done"))[1]["events"] == []


async def test_a_password_in_an_older_url_is_not_shown(
    customer: Customer, gateway: Gateway, webhook: str, tmp_path: Path
) -> None:
    await customer.send(text_message(cus_message_id="old", dr_webhook="https://receiver.example/x@y"))
    await gateway.until("old", "read")
    for table, column in (("callback", "url"), ("message", "dr_webhook")):
        change_rows_of(tmp_path / "data", f"UPDATE {table} SET {column} = 'https://user:geheim@receiver.example/x@y'")
    shown = [
        await gateway.admin("GET", "callbacks"),
        await gateway.admin("GET", "events"),
        await gateway.message("old"),
    ]
    callback_id = shown[0]["callbacks"][0]["id"]
    shown.append(await gateway.admin("GET", f"callbacks/{callback_id}"))
    for content in shown:
        assert "geheim" not in json.dumps(content)
        assert "https://***@receiver.example/x@y" in json.dumps(content)
