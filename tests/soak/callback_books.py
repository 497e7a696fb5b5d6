"""Holds what a receiver accepted against what Meta reported, and against the outbox."""

import collections
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.journal_rows_of import rows_of
from waypost.gateway.deliver import ORDER_WAIT_MS

STATUSES = ("sent", "delivered", "read")  # what the simulator reports of every message, in this order
CLAIM_LAG_MS = 10_000  # fast milliseconds, real time in the soak is a twentieth: from a claim to what the receiver sees


class Arrival(NamedTuple):
    """A callback that the receiver answered 200, and when, by the gateway's clock."""

    meta_message_id: str
    status: str
    at_ms: int


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A callback of a status in the outbox."""

    meta_message_id: str
    status: str
    state: str
    created_at_ms: int
    attempts: int
    first_attempt_at_ms: int | None


class CallbackBooks(NamedTuple):
    """Everything that is to be compared; `reported` are Meta's ids of the messages that Meta reported on."""

    reported: list[str]
    entries: dict[tuple[str, str], Entry]
    arrivals: list[Arrival]

    def first(self) -> dict[tuple[str, str], int]:
        """Return when each status of each message first came."""
        found: dict[tuple[str, str], int] = {}
        for arrival in self.arrivals:
            found.setdefault((arrival.meta_message_id, arrival.status), arrival.at_ms)
        return found


def open_outbox(folder: Path) -> dict[tuple[str, str], Entry]:
    """Read the outbox; a gateway may be writing it."""
    rows = rows_of(
        folder,
        "SELECT message.meta_message_id, callback.status, callback.state, callback.created_at_ms,"
        " callback.attempts, callback.first_attempt_at_ms"
        " FROM callback JOIN message ON message.id = callback.message_id",
    )
    entries = [msgspec.convert(row, Entry) for row in rows]
    return {(entry.meta_message_id, entry.status): entry for entry in entries}


def waiting(books: CallbackBooks) -> list[str]:
    """Name what is still on its way to the receiver."""
    return [f"{key} is {entry.state}" for key, entry in books.entries.items() if entry.state == "due"]


def missing(books: CallbackBooks) -> list[str]:
    """Name every status that Meta reported and the receiver never accepted."""
    first = books.first()
    return [
        f"{status} of {meta_id}, in the outbox: {books.entries.get((meta_id, status))}"
        for meta_id in books.reported
        for status in STATUSES
        if (meta_id, status) not in first
    ]


def strange(books: CallbackBooks) -> list[str]:
    """Name what came although Meta never reported it."""
    reported = {(meta_id, status) for meta_id in books.reported for status in STATUSES}
    return [f"{status} of {meta_id}" for meta_id, status in books.first() if (meta_id, status) not in reported]


def repeats(books: CallbackBooks) -> int:
    """Count the callbacks that the receiver accepted once more."""
    counted = collections.Counter((arrival.meta_message_id, arrival.status) for arrival in books.arrivals)
    return sum(number - 1 for number in counted.values())


def disorder(books: CallbackBooks) -> list[str]:
    """Name every status that overtook an earlier one of its message, although that one was known and not long due.

    An earlier status that was recorded only after the later one had been claimed could not be waited for, and no status
    waits longer than `ORDER_WAIT_MS`.
    """
    first = books.first()
    found = []
    for meta_id in books.reported:
        for index, later in enumerate(STATUSES):
            for earlier in STATUSES[:index]:
                keys = (meta_id, earlier), (meta_id, later)
                if all(key in first and key in books.entries for key in keys) and _overtook(books, first, *keys):
                    found.append(f"{later} before {earlier} of {meta_id}")
    return found


def _overtook(
    books: CallbackBooks, first: dict[tuple[str, str], int], before: tuple[str, str], after: tuple[str, str]
) -> bool:
    if first[before] <= first[after]:
        return False
    entry = books.entries[after]
    pushed_ms = min(first[after], entry.first_attempt_at_ms or first[after])
    unknown_then = books.entries[before].created_at_ms > pushed_ms - CLAIM_LAG_MS
    waited_long = first[after] - entry.created_at_ms >= ORDER_WAIT_MS
    return not unknown_then and not waited_long
