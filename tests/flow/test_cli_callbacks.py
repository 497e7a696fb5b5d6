"""`waypost callbacks`: what was pushed and what was not, from an operator's terminal, and pushing it again."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.command import Ended, no_gateway, operator, waypost
from tests.flow.test_meta_webhook import post
from tests.harness import (
    APPKEY,
    TENANTS,
    WABA,
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
from tests.receiver import Receiver
from waypost.gateway.tenant_file import read

NO_TEXT = os.fsdecode(b"caf\xe9")
HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def gateway(
    tmp_path: Path, simulator: Control, clock: ShiftableClock, receiver: Receiver
) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback, and signs what it pushes to the application's webhook."""
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, TENANTS) as running:
        await connect(simulator, running)
        tables = read(TENANTS, {})
        tables["accounts"][0]["applications"][0] |= {"webhook": f"{receiver.url}/app", "callback_secret": HOOK_SECRET}
        await running.admin("POST", "apply", tables)
        yield running


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    """The operator's environment on the gateway's machine."""
    return operator(tmp_path / "data", simulator.url)


async def callbacks(*words: str, env: dict[str, str], fresh: bool = False) -> Ended:
    ended = await waypost("callbacks", *words, env=env, fresh=fresh)
    assert HOOK_SECRET not in ended.out + ended.err
    return ended


async def settled(gateway: Gateway, number: int) -> list[dict[str, Any]]:
    """Wait until so many callbacks are done, and return them."""
    async with asyncio.timeout(WAIT_S):
        while len(found := (await gateway.admin("GET", "callbacks?state=done"))["callbacks"]) < number:
            await asyncio.sleep(0.02)
    rows: list[dict[str, Any]] = found
    return rows


async def told(customer: Customer, gateway: Gateway, cus_message_id: str) -> list[dict[str, Any]]:
    """Send a message, and return its three callbacks once they are done."""
    before = len((await gateway.admin("GET", "callbacks?state=done"))["callbacks"])
    await customer.send(text_message(cus_message_id=cus_message_id))
    return (await settled(gateway, before + 3))[before:]


async def test_a_list_shows_what_went_where_and_how_it_was_answered(
    customer: Customer, gateway: Gateway, receiver: Receiver, env: dict[str, str]
) -> None:
    rows = await told(customer, gateway, "one")
    ended = await callbacks("list", env=env, fresh=True)

    assert ended.code == 0, ended.err
    heading, *lines = ended.out.splitlines()
    assert heading.split() == ["created", "state", "tries", "what", "answer", "to", "id"]
    for line, row, status in zip(lines, rows, ("sent", "delivered", "read"), strict=True):
        assert line.split()[-6:] == ["done", "1", status, "200", f"{receiver.url}/app", row["id"]]
    as_json = await callbacks("list", "--json", env=env)
    assert as_json.json == {"callbacks": rows, "next_cursor": None}


async def test_a_list_is_narrowed_down_and_goes_page_by_page(
    customer: Customer, gateway: Gateway, env: dict[str, str]
) -> None:
    rows = await told(customer, gateway, "one")
    others = await told(customer, gateway, "two")
    message_id = rows[0]["message_id"]

    mine = await callbacks("list", "--message", message_id, "--state", "done", "--since", "1h", "--json", env=env)
    assert [row["id"] for row in mine.json["callbacks"]] == [row["id"] for row in rows]
    for words in (("--state", "abandoned"), ("--account", "nobody"), ("--appkey", "none"), ("--message", "two")):
        assert (await callbacks("list", *words, env=env)).out == "no callbacks\n"
    first = await callbacks("list", "--appkey", APPKEY, "--account", "acme", "--limit", "4", env=env)
    more = first.out.splitlines()[-1]
    assert more.startswith("more: --cursor ")
    second = await callbacks(
        "list", "--limit", "4", "--cursor", more.removeprefix("more: --cursor "), "--json", env=env
    )
    assert [row["id"] for row in second.json["callbacks"]] == [row["id"] for row in others[1:]]


async def test_one_callback_is_shown_with_its_payload_and_its_attempts(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock, env: dict[str, str]
) -> None:
    receiver.answer = lambda item: 503 if len(receiver.received) == 1 else 200
    await customer.send(text_message(cus_message_id="twice"))
    await receiver.until(1)
    async with asyncio.timeout(WAIT_S):
        while (await gateway.admin("GET", "callbacks?limit=1"))["callbacks"][0]["attempts"] < 1:
            await asyncio.sleep(0.02)
    clock.advance(10)
    callback_id = (await settled(gateway, 3))[0]["id"]
    ended = await callbacks("show", callback_id, env=env)

    assert ended.code == 0, ended.err
    first, heading, *attempts, payload = ended.out.splitlines()
    assert first == f"{callback_id}  done  to {receiver.url}/app"
    assert heading.split() == ["try", "when", "took", "answer"]
    assert [(line.split()[0], line.split()[-1]) for line in attempts] == [("1", "503"), ("2", "200")]
    assert payload.encode() == receiver.received[0].body
    as_json = await callbacks("show", callback_id, "--json", env=env)
    assert as_json.json["payload"]["statuses"][0]["id"] == "twice"
    assert [item["http_status"] for item in as_json.json["attempts"]] == [503, 200]


async def test_a_callback_is_replayed_by_its_id_with_the_same_bytes(
    customer: Customer, gateway: Gateway, receiver: Receiver, env: dict[str, str]
) -> None:
    rows = await told(customer, gateway, "one")
    ended = await callbacks("replay", rows[1]["id"], env=env)

    assert (ended.code, ended.out) == (0, "1 are pushed again\n")
    received = await receiver.until(4)
    assert received[3].body == received[1].body
    assert received[3].headers["webhook-id"] == received[1].headers["webhook-id"]


async def test_a_selection_is_counted_before_it_is_replayed(
    customer: Customer, gateway: Gateway, receiver: Receiver, env: dict[str, str]
) -> None:
    await told(customer, gateway, "one")
    selection = ("--state", "done", "--account", "acme", "--since", "2d")
    counted = await callbacks("replay", *selection, "--dry-run", env=env)
    assert (counted.code, counted.out) == (0, "3 would be pushed again\n")
    assert len(receiver.received) == 3
    as_json = await callbacks("replay", *selection, "--json", env=env)
    assert as_json.json == {"replayed": 3}
    assert [item.status for item in (await receiver.until(6))[3:]] == ["sent", "delivered", "read"]
    nothing = await callbacks("replay", "--state", "abandoned", "--dry-run", "--json", env=env)
    assert (nothing.code, nothing.json) == (0, {"count": 0})
    nothing = await callbacks("replay", "--state", "abandoned", env=env)
    assert (nothing.code, nothing.out) == (0, "there is nothing to push again\n")


async def test_an_id_that_nobody_has_is_told_and_fails(
    customer: Customer, gateway: Gateway, receiver: Receiver, env: dict[str, str]
) -> None:
    alone = await callbacks("replay", "nobody", env=env)
    assert (alone.code, alone.out) == (1, "there is nothing to push again\n")
    assert alone.err == "waypost: no callback has the id nobody\n"
    rows = await told(customer, gateway, "one")
    beside = await callbacks("replay", "nobody", rows[0]["id"], "--json", env=env)
    assert (beside.code, beside.json) == (1, {"replayed": 1, "unknown_ids": ["nobody"]})
    assert "no callback has the id nobody" in beside.err
    assert len(await receiver.until(4)) == 4


async def test_a_payload_with_a_number_beyond_every_limit_is_shown_as_it_is(
    gateway: Gateway, env: dict[str, str]
) -> None:
    value = '{"event":"VERIFIED_ACCOUNT","n":' + "7" * 30 + "}"
    entry = f'{{"id":"{WABA}","time":1761291192,"changes":[{{"field":"account_update","value":{value}}}]}}'
    assert await post(gateway, body=f'{{"object":"whatsapp_business_account","entry":[{entry}]}}'.encode()) == 200
    (row,) = (await callbacks("list", "--json", env=env)).json["callbacks"]
    for words in (("show", row["id"]), ("show", row["id"], "--json")):
        ended = await callbacks(*words, env=env)
        assert ended.code == 0
        assert '"n":' + "7" * 30 in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "a/b?c#d"), "no callback has this id"),
        (("list", "--state", "lost"), "state must be one of due, done, abandoned"),
        (("replay", "--state", "lost"), "the body must say which callbacks"),
        (("list", "--cursor", "nowhere"), "cursor must be the next_cursor of the page before"),
        (("list", "--cursor", "9" * 9999), "cursor must be"),
    ],
)
async def test_what_the_gateway_refuses_is_one_line(
    words: tuple[str, ...], said: str, gateway: Gateway, env: dict[str, str]
) -> None:
    ended = await callbacks(*words, env=env)
    assert ended.code == 1
    assert said in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("replay", "--dry-run"),
        ("list", "--since", "soon"),
        ("list", "--since", "999999d"),
        ("replay", "--since", "999999d"),
        ("list", "--since", "-1d"),
        ("list", "--since", "٣d"),
        ("list", "--limit", "-1"),
        ("list", "--limit", "9" * 40),
        ("list", "--cursor", NO_TEXT),
        ("list", "--account", NO_TEXT),
        ("show", NO_TEXT),
        ("replay", "an-id", NO_TEXT),
        ("list", "--limit", "0"),
        ("list", "--limit", "501"),
        ("show",),
    ],
)
async def test_wrong_usage_is_told_before_anybody_is_asked(words: tuple[str, ...], tmp_path: Path) -> None:
    assert (await callbacks(*words, env=operator(tmp_path / "data"))).code == 2


@pytest.mark.parametrize("words", [("list",), ("show", "x"), ("replay", "x")])
async def test_without_a_gateway_there_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ended = await callbacks(*words, env=operator(folder))
    assert ended.code == 1
    assert ended.err == no_gateway(folder)
    assert not folder.exists()
