"""Magic recipients: each suffix does what the table says, and the documentation has the same table."""

import asyncio
import re
from pathlib import Path
from typing import get_args

import aiohttp
import pytest

from tests.simulator.conftest import Meta, Receiver, text_to
from waypost.simulator.errors import KNOWN
from waypost.simulator.faults import Kind
from waypost.simulator.magic import BEHAVIOURS, SLOW_ANSWER_MS, magic_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
COURSES = {
    "9990001": ["sent"],
    "9990002": ["sent", "delivered"],
    "9990003": ["sent", "read"],
    "9990004": [],
    "9990005": ["sent", "delivered", "read"],
    "9990006": ["failed"],
    "9990007": ["sent", "delivered", "failed"],
    "9990022": ["read", "delivered", "sent"],
}


def number(suffix: str) -> str:
    return f"+1555{suffix}"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under one heading of the document, without its head."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_documented_table_is_the_one_in_the_code() -> None:
    documented = {cells[0].strip("`"): cells[1] for cells in rows("Magic recipients")}
    assert documented.pop("9CCCCCC") == "not accepted: Meta's error CCCCCC, with leading zeros"
    assert documented.pop("8CCCCCC") == "accepted, then `failed` with Meta's error CCCCCC"
    assert documented == {suffix: magic.meaning for suffix, magic in BEHAVIOURS.items()}


def test_the_documented_codes_are_those_in_the_code() -> None:
    documented = {int(cells[0]): (cells[1], int(cells[2])) for cells in rows("Meta's codes")}
    assert documented == {code: (known.title, known.http_status) for code, known in KNOWN.items()}


@pytest.mark.parametrize("ordinary", ["8613800000001", "15551234567", "9131026", "", "9", "15557131026", "15559999999"])
def test_ordinary_numbers_are_not_magic(ordinary: str) -> None:
    assert (magic_of(ordinary) is None) is (ordinary != "9131026")


@pytest.mark.parametrize("code", [0, 4, 100, 190, 80007, 130429, 131026, 131047, 131056, 132001])
async def test_nine_and_a_code_is_refused_with_it(code: int, sim_meta: Meta) -> None:
    status, answer = await sim_meta.send(text_to(number(f"9{code:06}")))
    assert (status, answer["error"]["code"]) == (KNOWN[code].http_status, code)
    assert answer["error"]["message"] == f"(#{code}) {KNOWN[code].title}"
    assert await sim_meta.control("GET", "count") == {"messages": 0}


async def test_a_body_that_is_wrong_is_refused_for_that(sim_meta: Meta) -> None:
    assert (await sim_meta.refused(text_to(number("9131056")) | {"text": {}}))[0] == 131008


@pytest.mark.parametrize("code", [131026, 131047, 131049, 131053, 132015])
async def test_eight_and_a_code_fails_with_it_later(code: int, sim_linked: Meta, sim_receiver: Receiver) -> None:
    message_id = await sim_linked.accepted(text_to(number(f"8{code:06}")))
    (hook,) = await sim_receiver.wait_for(1)
    assert (hook.status["id"], hook.status["status"]) == (message_id, "failed")
    assert hook.status["errors"][0]["code"] == code


@pytest.mark.parametrize("suffix", COURSES)
async def test_statuses_take_the_course_of_the_suffix(suffix: str, sim_linked: Meta, sim_receiver: Receiver) -> None:
    _, answer = await sim_linked.send(text_to(number(suffix)))
    held = answer["messages"][0].get("message_status") == "held_for_quality_assessment"
    assert held is (suffix in ("9990005", "9990006"))
    await sim_linked.accepted(text_to("+8613800000009"))
    course = COURSES[suffix]
    hooks = await sim_receiver.wait_for(len(course) + 3)
    assert [h.status["status"] for h in hooks if h.status["recipient_id"] == f"1555{suffix}"] == course


async def test_a_held_template_waits_a_minute(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(time_factor=1)
    await sim_linked.accepted(text_to(number("9990006")))
    await sim_linked.control("POST", "clock", {"advance_s": 60})
    (hook,) = await sim_receiver.wait_for(1)
    assert hook.status["errors"][0]["code"] == 132015


async def test_webhooks_come_twice(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.accepted(text_to(number("9990021")))
    assert sorted(await sim_receiver.statuses(6)) == ["delivered"] * 2 + ["read"] * 2 + ["sent"] * 2


@pytest.mark.parametrize(("suffix", "accepted"), [("9990012", 1), ("9990013", 1), ("9990015", 0)])
async def test_connections_break(suffix: str, accepted: int, sim_meta: Meta) -> None:
    with pytest.raises(aiohttp.ClientError):
        await sim_meta.send(text_to(number(suffix)))
    assert await sim_meta.control("GET", "count") == {"messages": accepted}
    (entry,) = await sim_meta.control("GET", "requests")
    assert entry["wire"] == {"9990012": "drop", "9990013": "half", "9990015": "reset"}[suffix]


async def test_answers_are_odd(sim_meta: Meta) -> None:
    assert "messages" not in (await sim_meta.send(text_to(number("9990014"))))[1]
    status, answer = await sim_meta.send(text_to(number("9990016")))
    assert (status, answer["error"]["code"]) == (500, 131000)
    url = f"{sim_meta.simulator.url}/v23.0/1/messages"
    async with sim_meta.http.post(url, json=text_to(number("9990017")), headers={"Authorization": "Bearer t"}) as html:
        assert (html.status, html.content_type) == (502, "text/html")
    assert await sim_meta.control("GET", "count") == {"messages": 1}


async def test_an_answer_is_slow(sim_linked: Meta, sim_receiver: Receiver) -> None:
    answer = asyncio.create_task(sim_linked.send(text_to(number("9990011"))))
    assert await sim_receiver.statuses(3) == ["sent", "delivered", "read"]
    assert not answer.done()
    answer.cancel()
    await asyncio.gather(answer, return_exceptions=True)
    assert SLOW_ANSWER_MS == 10_000


def test_every_kind_in_the_document_exists() -> None:
    described = set(re.findall(r"^\| `([a-z_0-9]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(get_args(Kind)) <= described
