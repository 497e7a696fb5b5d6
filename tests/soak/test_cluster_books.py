"""What the reckoning of an installation has to find in its books."""

import collections
import itertools
import random
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.postgres import database, postgres_server
from tests.soak import cluster_books
from tests.soak.callback_books import Entry
from tests.soak.cluster_books import Fate, Journal
from tests.soak.cluster_receiver import ClusterReceiver, Told
from tests.soak.cluster_traffic import PARTIES, callback_signature, endless_wishes
from tests.soak.reckoning import Books, Row
from waypost.clock import Clock
from waypost.store.postgres import PostgresStore

TO, META_ID = "8613900000100", "wamid.meta"
ALL = frozenset({"sent", "delivered", "read"})
ROW = Row("m1", "cus:order", "read", TO, "text", "token", None, ALL)
TAKEN: dict[str, Any] = {"id": META_ID, "payload": {"to": f"+{TO}", "biz_opaque_callback_data": "token"}}
ENTRY = Entry(META_ID, "sent", "done", 0, 1, 0)


def journal(**changes: Any) -> Journal:
    empty = Journal(Books([ROW], {META_ID: "m1"}, [TAKEN]), {}, [], {"m1": "order"}, collections.Counter())
    return empty._replace(**changes)


def told(status: str, **changes: Any) -> Told:
    return Told("acme", "order", META_ID, status, TO, 0)._replace(**changes)


def test_a_right_callback_is_not_wrong() -> None:
    assert cluster_books.wrong_content(journal(), [told(status) for status in sorted(ALL)]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        told("sent", wire_id="another"),
        told("sent", recipient="8613900000101"),
        told("sent", meta_message_id="wamid.unheard-of"),
        told("failed"),
    ],
)
def test_a_callback_about_something_else_is_found(wrong: Told) -> None:
    assert len(cluster_books.wrong_content(journal(), [told("sent"), wrong])) == 1


def test_an_end_that_nobody_was_told_of_is_found() -> None:
    given_up = journal(fates=[Fate("m1", "order", "expired")])
    assert cluster_books.untold(given_up, [told("sent")]) == ["m1 is expired"]
    assert cluster_books.untold(given_up, [told("failed")]) == []


def test_what_is_left_waiting_is_found_but_for_what_nobody_knows() -> None:
    unknown = Row("m2", "cus:other", "unknown", TO, "text", None, None, frozenset())
    books = Books([ROW, unknown], {}, [])
    assert cluster_books.left_over(journal(books=books, work=collections.Counter(unsettled=1, queued=0))) == []
    for work in ({"unsettled": 2}, {"unsettled": 1, "lease": 1}, {"unsettled": 1, "queued": 3}, {"queued": 0}):
        assert len(cluster_books.left_over(journal(books=books, work=collections.Counter(work)))) == 1


def test_failures_are_no_part_of_the_books_of_statuses() -> None:
    books = cluster_books.callback_books(
        journal(outbox={(META_ID, "sent"): ENTRY}), [told("sent"), told("failed", meta_message_id=None)]
    )
    assert [(arrival.meta_message_id, arrival.status) for arrival in books.arrivals] == [(META_ID, "sent")]
    assert (books.reported, books.entries) == ([META_ID], {(META_ID, "sent"): ENTRY})


async def test_a_callback_that_another_key_signed_is_not_accepted() -> None:
    receiver = ClusterReceiver(random.Random(1), most_of_one=0)
    await receiver.start()
    acme, globex = PARTIES
    body = b"{}"
    headers = {"accesskey": acme.access_key, "action": "mt", "biztype": "2", "ts": "1"}
    headers["sign"] = callback_signature(globex, headers, body)
    async with (
        aiohttp.ClientSession() as http,
        http.post(receiver.url + acme.path, data=body, headers=headers) as answer,
    ):
        assert answer.status == 401
    await receiver.stop()
    assert (len(receiver.forged), receiver.told) == (1, [])


def test_customers_and_messages_are_told_apart() -> None:
    wishes = [list(itertools.islice(endless_wishes(party, random.Random(1)), 50)) for party in PARTIES]
    recipients = [wish.recipient for some in wishes for wish in some]
    assert len(set(recipients)) == len(recipients)
    keys = [wish.cus_message_id for some in wishes for wish in some if wish.cus_message_id]
    assert 20 < len(keys) == len(set(keys)) < 80


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


async def test_an_empty_journal_is_read(server: str) -> None:
    async with database(server, "waypost_books") as url:
        store = PostgresStore(url, Clock())
        await store.open()
        await store.close()
        found = await cluster_books.open_journal(url, [])
        assert found == Journal(Books([], {}, []), {}, [], {}, collections.Counter({"queued": 0}))
        assert await cluster_books.what_waits(url) == collections.Counter({"queued": 0})
