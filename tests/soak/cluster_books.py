"""Reads the journal of an installation from its PostgreSQL, and holds what receivers were told against it."""

import collections
from typing import Any, NamedTuple

import asyncpg
import msgspec

from tests.soak.callback_books import STATUSES, Arrival, CallbackBooks, Entry
from tests.soak.cluster_receiver import Told
from tests.soak.reckoning import Books, Row
from waypost.model import State

ENDED_HERE = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED})  # by the gateway: its customer must be told


class Fate(NamedTuple):
    """A message that the gateway itself brought to an end after its request was answered."""

    message_id: str
    wire_id: str
    state: str


class Journal(NamedTuple):
    """What the journal says of messages and callbacks at one moment."""

    books: Books
    outbox: dict[tuple[str, str], Entry]
    fates: list[Fate]
    wire_ids: dict[str, str]  # our id → the customer's
    work: collections.Counter[str]  # rows in `work` by kind, and in `queued`


async def open_journal(url: str, at_meta: list[dict[str, Any]]) -> Journal:
    """Read it all at one moment; gateways may be writing it."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            books, wire_ids, states = await _messages(connection, at_meta)
            rows = await connection.fetch(
                "SELECT message.meta_message_id, callback.status, callback.state, callback.created_at_ms,"
                " callback.attempts, callback.first_attempt_at_ms"
                " FROM callback JOIN message ON message.id = callback.message_id"
            )
            work = await _work(connection)
    finally:
        await connection.close()
    entries = [msgspec.convert(tuple(row), Entry) for row in rows if row[0] is not None]
    fates = [
        Fate(message_id, wire_ids[message_id], state) for message_id, state in states.items() if state in ENDED_HERE
    ]
    outbox = {(entry.meta_message_id, entry.status): entry for entry in entries}
    return Journal(books, outbox, fates, wire_ids, work)


async def what_waits(url: str) -> collections.Counter[str]:
    """Count the rows in `work` by kind, and in `queued`."""
    connection = await asyncpg.connect(url)
    try:
        return await _work(connection)
    finally:
        await connection.close()


async def _work(connection: asyncpg.Connection) -> collections.Counter[str]:
    kinds = await connection.fetch("SELECT kind, count(*) FROM work GROUP BY kind")
    queued = await connection.fetchval("SELECT count(*) FROM queued")
    return collections.Counter({**dict(map(tuple, kinds)), "queued": queued})


async def _messages(
    connection: asyncpg.Connection, at_meta: list[dict[str, Any]]
) -> tuple[Books, dict[str, str], dict[str, str]]:
    statuses: dict[str, set[str]] = collections.defaultdict(set)
    for message_id, status in await connection.fetch("SELECT message_id, status FROM status"):
        statuses[message_id].add(status)
    found = await connection.fetch("SELECT id, key, state, recipient, type, token, meta_answer FROM message")
    rows = [msgspec.convert((*row, statuses[row[0]]), Row) for row in found]
    bound = dict(map(tuple, await connection.fetch("SELECT meta_id, message_id FROM meta_id")))
    wires = dict(map(tuple, await connection.fetch("SELECT id, coalesce(cus_message_id, id) FROM message")))
    return Books(rows, bound, at_meta), wires, {row.id: row.state for row in rows}


def callback_books(journal: Journal, told: list[Told]) -> CallbackBooks:
    """Return what is to be compared for the statuses that Meta reports of every message."""
    arrivals = [Arrival(one.meta_message_id or "", one.status, one.at_ms) for one in told if one.status in STATUSES]
    return CallbackBooks([taken["id"] for taken in journal.books.at_meta], journal.outbox, arrivals)


def untold(journal: Journal, told: list[Told]) -> list[str]:
    """Name every message that the gateway gave up after it was answered 0 and whose receiver never heard of it."""
    failed = {one.wire_id for one in told if one.status == "failed"}
    return [f"{fate.message_id} is {fate.state}" for fate in journal.fates if fate.wire_id not in failed]


def wrong_content(journal: Journal, told: list[Told]) -> list[str]:
    """Name every callback that went to another customer, or tells of another message, than it should."""
    owners = journal.books.owners()
    recipients = {taken["id"]: taken["payload"]["to"].lstrip("+") for taken in journal.books.at_meta}
    fates = {fate.wire_id: fate.state for fate in journal.fates}
    found = []
    for one in told:
        if one.status == "failed":
            if one.wire_id not in fates:
                found.append(f"failed of {one.wire_id}, which is not")
            continue
        owner = owners.get(one.meta_message_id or "")
        if owner is None:
            found.append(f"{one.status} of {one.meta_message_id}, which Meta does not have")
        elif (one.wire_id, one.recipient) != (journal.wire_ids[owner.id], recipients[str(one.meta_message_id)]):
            found.append(f"{one.status} of {one.wire_id} to {one.recipient}, it is {owner}")
    return found


def left_over(journal: Journal) -> list[str]:
    """Name what waits although nothing should, once all is done: only what nobody knows may."""
    unknown = sum(row.state == State.UNKNOWN for row in journal.books.rows)
    wanted = collections.Counter({"unsettled": unknown})
    return [
        f"{journal.work[kind]} rows of {kind}, {wanted[kind]} should be there"
        for kind in sorted({*journal.work, *wanted})
        if journal.work[kind] != wanted[kind]
    ]
