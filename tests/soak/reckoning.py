"""Holds what customers were answered against the journal, and the journal against what Meta has."""

import collections
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.journal_rows_of import rows_of
from tests.soak.traffic import Wish
from waypost.model import State

AT_META = frozenset({State.ACCEPTED, State.SENT, State.DELIVERED, State.READ})
NOT_AT_META = frozenset({State.UNKNOWN, State.FAILED, State.QUEUED, State.CANCELLED, State.EXPIRED})


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A message in the journal."""

    id: str
    key: str
    state: str
    recipient: str
    type: str
    token: str | None
    meta_answer: str | None
    statuses: frozenset[str]

    @property
    def expected(self) -> frozenset[str]:
        """What Meta reports in the end about a message of this type."""
        return frozenset({"sent"} if self.type == "reaction" else {"sent", "delivered", "read"})


class Books(NamedTuple):
    """The journal, and what Meta has of it."""

    rows: list[Row]
    bound: dict[str, str]  # Meta's id → ours, as statuses and answers told
    at_meta: list[dict[str, Any]]

    def owners(self) -> dict[str, Row | None]:
        """Return whose each of Meta's messages is: by our token where it has one, else by Meta's id."""
        by_token = {row.token: row for row in self.rows if row.token}
        by_id = {row.id: row for row in self.rows}
        return {
            taken["id"]: by_token.get(taken["payload"]["biz_opaque_callback_data"])
            or by_id.get(self.bound.get(taken["id"], ""))
            for taken in self.at_meta
        }


def open_books(folder: Path, at_meta: list[dict[str, Any]]) -> Books:
    """Read the journal; a gateway may be writing it."""
    statuses: dict[str, set[str]] = collections.defaultdict(set)
    for message_id, status in rows_of(folder, "SELECT message_id, status FROM status"):
        statuses[str(message_id)].add(str(status))
    columns = "id, key, state, recipient, type, token, meta_answer"
    rows = [
        msgspec.convert((*values, statuses[str(values[0])]), Row)
        for values in rows_of(folder, f"SELECT {columns} FROM message")
    ]
    bound = {str(meta_id): str(own) for meta_id, own in rows_of(folder, "SELECT meta_id, message_id FROM meta_id")}
    return Books(rows, bound, at_meta)


def unfinished(books: Books) -> list[str]:
    """Name what is still on its way: messages in flight, and statuses that Meta has yet to report."""
    found = [f"{row.id} is still sending" for row in books.rows if row.state == State.SENDING]
    for meta_id, row in books.owners().items():
        if row is None:
            found.append(f"{meta_id} at Meta has no message")
        elif not row.expected <= row.statuses:
            found.append(f"{row.id} ({row.type}) has {sorted(row.statuses)}")
    return found


def doubled(books: Books, wishes: list[Wish]) -> list[str]:
    """Name every message that Meta has twice: one key, two messages; or more of them than the customer asked for."""
    owners = books.owners()
    keys = collections.Counter(row.key for row in owners.values() if row is not None)
    found = [f"{key} is {number} times at Meta" for key, number in keys.items() if number > 1]
    per_recipient = collections.Counter(taken["payload"]["to"] for taken in books.at_meta)
    found += [
        f"{wish.recipient} has {per_recipient[wish.recipient]} messages, {len(wish.answers)} were asked for"
        for wish in wishes
        if per_recipient[wish.recipient] > len(wish.answers)
    ]
    return found


def lost(books: Books, wishes: list[Wish]) -> list[str]:
    """Name every message answered 0 that is neither at Meta nor visibly unknown, failed or queued in the journal."""
    # A refused message may be tried anew under its key: the newest row is the one that the last answers speak of.
    newest = {row.key: row for row in sorted(books.rows, key=lambda row: row.id)}
    taken = {row.key for row in books.owners().values() if row is not None}
    found = []
    answered = [(wish, key) for wish in wishes for key in wish.answers if 0 in codes(wish, key)]
    for wish, key in answered:
        row = newest.get(key)
        if row is None:
            found.append(f"{key} is not in the journal")
        elif row.state not in (AT_META if key in taken else NOT_AT_META):
            given = [answer["code"] for answer in wish.answers[key]]
            found.append(f"{key}, answered {given}, is {row.state} and {'' if key in taken else 'not '}at Meta")
    return found


def contradictions(books: Books, wishes: list[Wish]) -> list[str]:
    """Name every key that was answered with two ids, or refused in the end although Meta has it; and wrong owners."""
    taken = {row.key for row in books.owners().values() if row is not None}
    found = []
    for wish in wishes:
        for key, answers in wish.answers.items():
            ids = {answer["data"]["messages"][0]["id"] for answer in answers if answer["code"] == 0}
            if len(ids) > 1:
                found.append(f"{key} was answered with {ids}")
            if answers and not ids and key in taken:
                found.append(f"{key} was answered {sorted(codes(wish, key))} only, but Meta has it")
    for meta_id, row in books.owners().items():
        if row is not None and books.bound.get(meta_id) not in (row.id, None):
            found.append(f"{meta_id} belongs to {row.id}, the journal says {books.bound[meta_id]}")
    return found


def codes(wish: Wish, key: str) -> set[int]:
    """Return the codes that a key was answered with."""
    return {answer["code"] for answer in wish.answers[key]}


def settled(books: Books) -> int:
    """Count the messages that stood in doubt, until a status of Meta's said what had become of them."""
    return sum(row.state in AT_META and '"messages"' not in (row.meta_answer or "") for row in books.rows)
