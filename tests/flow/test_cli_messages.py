"""`waypost messages`: with a running gateway, and with the database it left behind."""

import os
from pathlib import Path

import pytest

from tests.flow.command import operator, waypost
from tests.harness import ADMIN_TOKEN, PHONE, Control, Customer, Gateway, text_message

NO_TEXT = os.fsdecode(b"caf\xe9")


@pytest.fixture
def env(tmp_path: Path, simulator: Control) -> dict[str, str]:
    return operator(tmp_path / "data", simulator.url)


async def test_one_message_is_told_as_a_story(customer: Customer, gateway: Gateway, env: dict[str, str]) -> None:
    message = text_message(cus_message_id="order-7")
    await customer.send(message)
    timeline = await gateway.until("order-7", "read")
    ended = await waypost("messages", "order-7", env=env, fresh=True)

    assert ended.code == 0, ended.err
    told = ended.out
    for part in (timeline["id"], "order-7", timeline["meta_message_id"], message["to"], PHONE, "taken: ", "ago"):
        assert part.rstrip(": ") in told
    places = [
        told.index(word) for word in ("taken in", "answered 0", "sent (Meta's", "delivered (Meta's", "read (Meta's")
    ]
    assert places == sorted(places)
    assert "Meta's answer: {" in told


async def test_a_refused_message_comes_with_advice(
    customer: Customer, gateway: Gateway, simulator: Control, env: dict[str, str]
) -> None:
    await simulator.fault("error", code=131042, times=1)
    await customer.send(text_message(cus_message_id="unpaid"))
    ended = await waypost("messages", "unpaid", env=env)

    assert "Meta refused; the customer was answered 9099" in ended.out
    assert "what to do: Settle billing" in ended.out


async def test_an_unknown_message_says_what_that_means(
    customer: Customer, simulator: Control, env: dict[str, str]
) -> None:
    await simulator.config(auto_statuses=False)
    await simulator.fault("accept_then_drop", times=1)
    await customer.send(text_message(cus_message_id="lost"))
    ended = await waypost("messages", "lost", env=env)
    assert "unknown: Meta may or may not have it" in ended.out


async def test_a_list_goes_page_by_page_and_by_state(customer: Customer, gateway: Gateway, env: dict[str, str]) -> None:
    for index in range(3):
        await customer.send(text_message(cus_message_id=f"n{index}"))
        await gateway.until(f"n{index}", "read")
    first = await waypost("messages", "--limit", "2", "--state", "read", env=env)

    assert [line.split()[-1] for line in first.out.splitlines()[1:3]] == ["n2", "n1"]
    cursor = first.out.splitlines()[3].removeprefix("more: --cursor ")
    second = await waypost("messages", "--limit", "2", "--cursor", cursor, "--json", env=env)
    assert [item["cus_message_id"] for item in second.json["messages"]] == ["n0"]
    assert second.json["next_cursor"] is None
    none = await waypost("messages", "--state", "failed", env=env)
    assert (none.code, none.out) == (0, "no messages\n")


async def test_without_a_gateway_the_database_is_read_as_it_stands(
    customer: Customer, gateway: Gateway, env: dict[str, str]
) -> None:
    await customer.send(text_message(cus_message_id="kept"))
    online = await gateway.until("kept", "read")
    await gateway.service.stop()

    offline = await waypost("messages", "kept", "--json", env=env)
    assert offline.json == online
    listed = await waypost("messages", env=env)
    assert "kept" in listed.out
    unknown = await waypost("messages", "nobody", env=env)
    assert unknown.code == 1
    assert "no message has the id nobody" in unknown.err


async def test_another_machine_is_asked_by_url_and_token(gateway: Gateway, customer: Customer, tmp_path: Path) -> None:
    await customer.send(text_message(cus_message_id="far"))
    elsewhere = {"WAYPOST_DATA_DIR": str(tmp_path / "elsewhere"), "WAYPOST_ADMIN_TOKEN": ADMIN_TOKEN}
    ended = await waypost("messages", "far", "--url", gateway.url, "--json", env=elsewhere)
    assert ended.json["cus_message_id"] == "far"

    missing = await waypost("messages", "--url", gateway.url, env={"WAYPOST_DATA_DIR": str(tmp_path / "elsewhere")})
    assert missing.code == 1
    assert "set WAYPOST_ADMIN_TOKEN" in missing.err
    wrong = await waypost("messages", "--url", gateway.url, env={**elsewhere, "WAYPOST_ADMIN_TOKEN": "something else"})
    assert wrong.code == 1
    assert "Bearer <admin token>" in wrong.err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.embedded("there is no file, or one that is no database; test_cli_db_shared.py has the other")
async def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    ended = await waypost("messages", env=operator(tmp_path / "data"))
    assert ended.code == 1
    assert f"there is no database at {tmp_path / 'data' / 'waypost.db'}" in ended.err
    assert not (tmp_path / "data").exists()


@pytest.mark.embedded("there is no file, or one that is no database; test_cli_db_shared.py has the other")
async def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "waypost.db").write_bytes(b"this is no database, but it is long enough to look like one" * 20)
    ended = await waypost("messages", env=operator(tmp_path))
    assert ended.code == 1
    assert "not a SQLite database" in ended.err


async def test_an_unknown_message_of_a_running_gateway_and_wrong_usage(gateway: Gateway, env: dict[str, str]) -> None:
    ended = await waypost("messages", "a/b?c#d", env=env)
    assert ended.code == 1
    assert "no message has this id" in ended.err
    assert (await waypost("messages", "--state", "lost", env=env)).code == 2
    assert (await waypost("messages", "x", "--state", "read", env=env)).code == 2
    for words in (
        (NO_TEXT,),
        ("--cursor", NO_TEXT),
        ("--url", NO_TEXT),
        ("--url", "nonsense"),
        ("--url", "http://a..b"),
    ):
        assert (await waypost("messages", *words, env=env)).code == 2
    ended = await waypost("messages", "--cursor", "nowhere", env=env)
    assert (ended.code, ended.err) == (
        1,
        "waypost: the gateway says: cursor must be the next_cursor of the page before\n",
    )


@pytest.mark.embedded("`waypost db` on a file; test_cli_db_shared.py has the other")
async def test_a_file_may_have_a_name_that_is_no_text(
    customer: Customer, gateway: Gateway, env: dict[str, str], tmp_path: Path
) -> None:
    """Also in a terminal that knows few letters."""
    await customer.send(text_message())
    few = {**env, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ended = await waypost("db", "backup", str(tmp_path / NO_TEXT), env=few, fresh=True)
    assert ended.code == 0, ended.err
    assert "caf\\xe9: " in ended.out or "caf\\udce9: " in ended.out
    assert (tmp_path / NO_TEXT).stat().st_size > 0
