"""The soak's reckoning notices what it is there for, and raises no false alarm."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.harness import settings_for
from tests.soak import reckoning
from tests.soak.reckoning import Books, Row
from tests.soak.traffic import Wish
from waypost import engines
from waypost.clock import Clock

TO = "8613900000100"
ALL = frozenset({"sent", "delivered", "read"})


def row(id_: str, state: str, *, key: str = "cus:a", statuses: frozenset[str] = ALL) -> Row:
    accepted = '{"messages":[{"id":"m"}]}'
    return Row(id_, key, state, TO, "text", f"token-{id_}", accepted if statuses else None, statuses)


def taken(meta_id: str, token: str) -> dict[str, Any]:
    return {"id": meta_id, "payload": {"to": TO, "biz_opaque_callback_data": token}}


def wish(**answers: list[int]) -> Wish:
    """A wish whose keys were answered with these codes."""
    made = Wish({"to": TO, "cus_message_id": "a"}, signs_anew=False)
    for key, codes in answers.items():
        made.answers[f"cus:{key}"] = [
            {"code": code, "data": {"messages": [{"id": key}]} if code == 0 else None} for code in codes
        ]
    return made


READ = Books([row("1", "read")], {"m1": "1"}, [taken("m1", "token-1")])


def test_a_message_that_is_where_it_should_be_breaks_no_rule() -> None:
    wishes = [wish(a=[0, 0])]
    assert reckoning.lost(READ, wishes) == []
    assert reckoning.doubled(READ, wishes) == []
    assert reckoning.contradictions(READ, wishes) == []
    assert reckoning.unfinished(READ) == []


@pytest.mark.parametrize(
    ("rows", "at_meta"),
    [
        ([], []),
        ([row("1", "accepted")], []),
        ([row("1", "rejected")], []),
        ([row("1", "sending")], []),
        ([row("1", "unknown")], [taken("m1", "token-1")]),
    ],
    ids=["not in the journal", "claimed to be at Meta", "refused", "still sending", "at Meta and called unknown"],
)
def test_a_yes_that_nothing_stands_behind_is_lost(rows: list[Row], at_meta: list[dict[str, Any]]) -> None:
    (found,) = reckoning.lost(Books(rows, {}, at_meta), [wish(a=[9001, 0])])
    assert found.startswith("cus:a")


@pytest.mark.parametrize("state", ["unknown", "failed", "queued", "cancelled", "expired"])
def test_a_message_in_doubt_that_is_called_so_is_not_lost(state: str) -> None:
    assert reckoning.lost(Books([row("1", state)], {}, []), [wish(a=[0])]) == []


def test_a_message_refused_and_then_tried_anew_without_an_answer_of_metas_is_unknown() -> None:
    books = Books([row("1", "rejected"), row("2", "unknown")], {}, [])
    assert reckoning.lost(books, [wish(a=[9099, 0])]) == []


def test_one_key_twice_at_meta_is_doubled() -> None:
    books = Books(
        [row("1", "read"), row("2", "read")],
        {"m1": "1", "m2": "2"},
        [taken("m1", "token-1"), taken("m2", "token-2")],
    )
    assert reckoning.doubled(books, [wish(a=[0])]) == [
        "cus:a is 2 times at Meta",
        f"{TO} has 2 messages, 1 were asked for",
    ]


def test_a_second_message_that_nobody_can_be_found_for_is_doubled_too() -> None:
    books = Books([row("1", "read")], {"m1": "1"}, [taken("m1", "token-1"), taken("m2", "strange")])
    assert reckoning.doubled(books, [wish(a=[0])]) == [f"{TO} has 2 messages, 1 were asked for"]


def test_two_ids_for_one_key_contradict_each_other() -> None:
    made = wish(a=[0, 0])
    made.answers["cus:a"][1]["data"]["messages"][0]["id"] = "another"
    (found,) = reckoning.contradictions(READ, [made])
    assert "another" in found


def test_a_message_that_was_only_ever_refused_and_is_at_meta_is_a_contradiction() -> None:
    (found,) = reckoning.contradictions(READ, [wish(a=[9001, 9001])])
    assert found == "cus:a was answered [9001] only, but Meta has it"


def test_a_message_bound_to_anothers_meta_id_is_a_contradiction() -> None:
    books = Books([row("1", "read"), row("2", "read", key="cus:b")], {"m1": "2"}, [taken("m1", "token-1")])
    assert reckoning.contradictions(books, [wish(a=[0])]) == ["m1 belongs to 1, the journal says 2"]


def test_what_is_on_its_way_is_named() -> None:
    books = Books(
        [row("1", "sending"), row("2", "sent", statuses=frozenset({"sent"}))],
        {"m2": "2"},
        [taken("m2", "token-2"), taken("m3", "strange")],
    )
    assert reckoning.unfinished(books) == [
        "1 is still sending",
        "2 (text) has ['sent']",
        "m3 at Meta has no message",
    ]


def test_an_empty_journal_is_read(tmp_path: Path) -> None:
    async def made() -> None:
        store = engines.journal(settings_for(tmp_path, "http://127.0.0.1:9"), Clock())
        await store.open()
        await store.close()

    asyncio.run(made())
    assert reckoning.open_books(tmp_path, []) == Books([], {}, [])
