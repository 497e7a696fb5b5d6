"""`waypost queue`: the queue from an operator's terminal, and the hand on it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.command import Ended, no_gateway, operator, waypost
from tests.flow.queue_stand import TEMPLATES, counted_gateway, settings, template
from tests.harness import (
    APPKEY,
    PHONE,
    PHONE_ID,
    WABA,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    text_message,
)
from tests.receiver import Receiver
from waypost.meta.errors import TABLE

NO_TEXT = os.fsdecode(b"caf\xe9")
TO = "8613900000002"


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback."""
    async with counted_gateway(settings(tmp_path, simulator), clock, TEMPLATES) as running:
        await connect(simulator, running)
        yield running


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    """The operator's environment on the gateway's machine."""
    return operator(tmp_path / "data", simulator.url)


async def queue(*words: str, env: dict[str, str], stdin: bytes = b"", fresh: bool = False) -> Ended:
    return await waypost("queue", *words, env=env, stdin=stdin, fresh=fresh)


@pytest.fixture
async def waiting(customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock) -> list[str]:
    """Three messages of a sale and a reply that wait because the phone is paused."""
    await gateway.admin("POST", "queue/pause", {"kind": "phone", "key": PHONE, "reason": "stock\u202etaking"})
    for n in range(3):
        sale = template("sale", cus_message_id=f"sale{n}", dr_webhook=receiver.url, appkey="second", to=TO)
        assert (await customer.send(sale))["code"] == 0
    assert (await customer.send(text_message(cus_message_id="reply")))["code"] == 0
    clock.advance(200)
    return ["sale0", "sale1", "sale2"]


async def states(gateway: Gateway, names: list[str]) -> list[str]:
    return [(await gateway.message(name))["state"] for name in names]


async def test_an_empty_queue_is_one_line(gateway: Gateway, env: dict[str, str]) -> None:
    ended = await queue(env=env, fresh=True)
    assert (ended.code, ended.out) == (0, "nothing waits; 0 under way\n")
    assert (await queue("messages", env=env)).out == "nothing waits\n"
    as_json = await queue("--json", env=env)
    assert (as_json.json["waiting"], as_json.json["phones"][0]["number"]) == (0, PHONE)


async def test_the_picture_tells_phone_by_phone_what_waits_and_why(waiting: list[str], env: dict[str, str]) -> None:
    ended = await queue(env=env)
    assert ended.code == 0
    head, titles, phone, _, _, *sorts = ended.out.splitlines()
    assert head == "4 waiting, the oldest for 3 min; 0 under way"
    assert titles.split() == ["phone", "waiting", "oldest", "under", "way", "pace", "empty", "in", "held", "by"]
    cells = [PHONE, "4", "3", "min", "0", "20", "of", "20/s", "nobody", "knows"]
    assert phone.split() == [*cells, "paused", "by", "an", "operator:", "stock\\u202etaking"]
    assert [line.split() for line in sorts] == [
        [PHONE, APPKEY, "prompt", "1", "3", "min", "its", "turn"],
        [PHONE, "second", "ordinary", "3", "3", "min", "its", "turn"],
    ]
    assert (await queue("--json", env=env)).json["phones"][0]["sorts"][1]["waiting"] == 3


async def test_messages_are_listed_with_their_reason_and_go_on_by_the_cursor(
    waiting: list[str], env: dict[str, str]
) -> None:
    ended = await queue("messages", "--phone", PHONE, "--limit", "3", env=env)
    titles, *rows, more = ended.out.splitlines()
    assert titles.startswith("waiting  waits for")
    assert "paused by an operator: stock\\u202etaking" in rows[0]
    assert [row.split()[-2] for row in rows] == ["sale"] * 3
    assert "an earlier message to this recipient" in rows[1]
    cursor = more.removeprefix("more: --cursor ")
    rest = await queue("messages", "--cursor", cursor, "--json", env=env)
    (last,) = rest.json["messages"]
    assert (last["appkey"], last["template"], rest.json["next_cursor"]) == (APPKEY, None, None)
    narrow = await queue("messages", "--application", "second", "--template", "sale", "--account", "acme", env=env)
    assert len(narrow.out.splitlines()) == 4


async def test_pause_and_resume_by_hand(
    customer: Customer, gateway: Gateway, env: dict[str, str], simulator: Control
) -> None:
    for kind, key in (("application", "second"), ("waba", WABA), ("phone", PHONE)):
        paused = await queue("pause", kind, key, "--reason", "wrong prices", env=env)
        assert (paused.code, paused.out) == (0, f"{kind} {key} is paused until `waypost queue resume {kind} {key}`\n")
    assert (await customer.send(text_message(cus_message_id="m", appkey="second")))["code"] == 0
    alone = await queue("resume", "waba", WABA, env=env)
    assert (alone.code, alone.out) == (0, f"waba {WABA} goes on\n")
    held = (await queue("--json", env=env)).json["phones"][0]["held_by"]
    assert [item["kind"] for item in held] == ["phone", "application"]
    assert {item["reason"] for item in held} == {"paused by an operator: wrong prices"}
    for kind, key in (("application", "second"), ("phone", PHONE_ID)):
        assert (await queue("resume", kind, key, env=env)).code == 0
    await gateway.until("m", "read")
    again = await queue("resume", "phone", PHONE, env=env)
    assert (again.code, again.out) == (0, f"phone {PHONE} was not held\n")


async def test_what_is_paused_without_a_backlog_is_told_too(gateway: Gateway, env: dict[str, str]) -> None:
    await queue("pause", "application", "second", env=env)
    assert (await queue(env=env)).out.splitlines()[:2] == [
        "nothing waits; 0 under way",
        "application second: paused by an operator",
    ]


async def test_what_meta_withholds_for_a_day_is_told_apart_from_what_waits_in_turn(
    customer: Customer, gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    await simulator.fault("error", code=131049, times=2)
    for _ in range(2):
        assert (await customer.send(template("sale")))["code"] == 0
    _, _, phone, _, _, sort = (await queue(env=env)).out.splitlines()
    assert phone.split()[:4] == [PHONE, "2,", "2", "aside"]
    assert phone.split()[-2:] == ["of", "20/s"], "no time when it is empty"
    assert sort.split()[:4] == [PHONE, APPKEY, "ordinary", "2"]
    assert sort.rstrip().endswith(f"131049: {TABLE[131049].title}; aside")

    await queue("pause", "phone", PHONE, env=env)
    assert (await customer.send(text_message()))["code"] == 0
    _, _, phone, _, _, *sorts = (await queue(env=env)).out.splitlines()
    assert phone.split()[1:4] == ["3,", "2", "aside"]
    assert "nobody knows" in phone
    assert [line.rstrip().endswith("its turn") for line in sorts] == [True, False]


async def test_what_meta_restricted_says_that_a_person_lifts_it(
    customer: Customer, gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    await simulator.fault("error", code=131048, times=1)
    assert (await customer.send(text_message(cus_message_id="m")))["code"] == 0
    phone = (await queue(env=env)).out.splitlines()[2]
    assert phone.rstrip().endswith("(Meta's code 131048), until somebody resumes it")
    assert (await queue("resume", "phone", PHONE, env=env)).out == f"phone {PHONE} goes on\n"
    await gateway.until("m", "read")


async def test_a_cancellation_counts_asks_and_tells(
    gateway: Gateway, receiver: Receiver, waiting: list[str], env: dict[str, str]
) -> None:
    counted = await queue("cancel", "--template", "sale", "--dry-run", env=env)
    assert (counted.code, counted.out) == (0, "3 would be cancelled\n")
    question = "3 messages will never be sent, and the customers are told. Go on? [y/N] "
    for said, words in ((b"n\n", "nothing was cancelled"), (b"", "nobody said yes"), (b"\xff\n", "nothing was")):
        refused = await queue("cancel", "--template", "sale", env=env, stdin=said)
        assert (refused.code, refused.out) == (1, f"{question}\n")
        assert words in refused.err
    assert await states(gateway, waiting) == ["queued"] * 3
    assert len(receiver.received) == 0

    done = await queue("cancel", "--template", "sale", env=env, stdin=b"y\n", fresh=True)
    assert (done.code, done.out) == (0, f"{question}3 cancelled\n")
    assert await states(gateway, waiting) == ["cancelled"] * 3
    told: list[Any] = [item.content["statuses"][0]["errors"][0]["code"] for item in await receiver.until(3)]
    assert told == [910003] * 3
    assert await states(gateway, ["reply"]) == ["queued"]
    nothing = await queue("cancel", "--template", "sale", env=env)
    assert (nothing.code, nothing.out) == (0, "nothing that waits fits\n")


async def test_programs_cancel_without_being_asked(gateway: Gateway, waiting: list[str], env: dict[str, str]) -> None:
    selection = ("--application", "second", "--phone", PHONE_ID, "--account", "acme")
    assert (await queue("cancel", *selection, "--dry-run", "--json", env=env)).json == {"count": 3}
    assert (await queue("cancel", *selection, "--yes", "--json", env=env)).json == {"cancelled": 3}
    assert (await queue("cancel", *selection, "--yes", "--json", env=env)).json == {"cancelled": 0}
    ended = await queue("cancel", "--account", "acme", "--yes", env=env)
    assert (ended.code, ended.out) == (0, "1 cancelled\n")
    assert await states(gateway, [*waiting, "reply"]) == ["cancelled"] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause", "phone", "123456"), "no phone among the tenants has the number or phone number id 123456"),
        (("resume", "waba", "1"), "no WABA among the tenants has the id 1"),
        (("pause", "application", APPKEY, "--reason", "x" * 201), "the body must say what"),
        (("cancel", "--application", "nobody", "--yes"), "no application among the tenants has the appkey nobody"),
        (("cancel", "--phone", "1", "--dry-run"), "no phone among the tenants"),
        (("messages", "--cursor", "nowhere"), "cursor must be the next_cursor of the page before"),
    ],
)
async def test_what_the_gateway_refuses_is_one_line(
    words: tuple[str, ...], said: str, gateway: Gateway, env: dict[str, str]
) -> None:
    ended = await queue(*words, env=env)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("cancel", "--yes"),
        ("cancel", "--application", ""),
        ("cancel", "--phone", PHONE, "--json"),
        ("cancel", "--phone", NO_TEXT, "--yes"),
        ("pause",),
        ("pause", "phone"),
        ("pause", "number", PHONE),
        ("pause", "phone", NO_TEXT),
        ("resume", "waba", NO_TEXT),
        ("messages", "--limit", "0"),
        ("messages", "--account", NO_TEXT),
        ("nothing",),
    ],
)
async def test_wrong_usage_is_told_before_anybody_is_asked(words: tuple[str, ...], tmp_path: Path) -> None:
    assert (await queue(*words, env=operator(tmp_path / "data"))).code == 2


@pytest.mark.parametrize(
    "words", [(), ("messages",), ("pause", "phone", "1"), ("resume", "phone", "1"), ("cancel", "--phone", "1", "--yes")]
)
async def test_without_a_gateway_there_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ended = await queue(*words, env=operator(folder))
    assert ended.code == 1
    assert ended.err == no_gateway(folder)
    assert not folder.exists()
