"""What a run of an installation comes to: the rules that it must keep, and the table of its figures."""

import asyncio
import collections
import time
from typing import NamedTuple

import aiohttp
from rich.table import Table

from tests.harness import Control
from tests.soak import callback_books as books_of
from tests.soak import reckoning
from tests.soak.cluster_books import Journal, callback_books, left_over, untold, wrong_content
from tests.soak.cluster_receiver import ClusterReceiver
from tests.soak.traffic import Wish
from waypost.model import State

_LOOK_S = 0.25


class Pulse:
    """Watches how long nothing arrives at Meta although something should."""

    def __init__(self, simulator: Control, wishes: list[Wish]) -> None:
        self._simulator = simulator
        self._wishes = wishes
        self.longest_s = 0.0
        self.is_due = True  # otherwise everything may have arrived

    async def watch(self) -> None:
        """Look for ever."""
        seen, since = 0, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                count = await self._simulator.count()
            except (aiohttp.ClientError, OSError):
                continue
            now = time.monotonic()
            if count != seen or not self.is_due or count >= len(self._wishes):
                seen, since = count, now
            self.longest_s = max(self.longest_s, now - since)


class Ended(NamedTuple):
    """What a run leaves to be judged."""

    journal: Journal
    wishes: list[Wish]
    receiver: ClusterReceiver
    troubles: collections.Counter[str]
    standstill_s: float
    drained_s: float


def judge(ended: Ended) -> dict[str, list[str]]:
    """Return what is wrong, by the rule that it breaks."""
    journal, wishes, told = ended.journal, ended.wishes, ended.receiver.told
    books = journal.books
    callbacks = callback_books(journal, told)
    return {
        "lost": reckoning.lost(books, wishes),
        "doubled": reckoning.doubled(books, wishes),
        "contradictions": reckoning.contradictions(books, wishes),
        "unfinished": reckoning.unfinished(books),
        "left over": left_over(journal),
        "missing callbacks": books_of.missing(callbacks),
        "fates not told": untold(journal, told),
        "wrong callbacks": wrong_content(journal, told),
        "disorder": books_of.disorder(callbacks),
        "forged callbacks": ended.receiver.forged,
    }


def table_of(ended: Ended, broken: dict[str, list[str]]) -> Table:
    """Return the figures of a run."""
    journal, wishes, receiver = ended.journal, ended.wishes, ended.receiver
    books, told = journal.books, receiver.told
    keys = [(wish, key) for wish in wishes for key in wish.answers]
    expected = len(books.at_meta) * len(books_of.STATUSES) + len(journal.fates)
    rows: list[tuple[str, object, str]] = [
        ("sent", len(wishes), "what customers wanted to send"),
        ("distinct messages", len(keys), "as the contract counts them"),
        ("answered 0", sum(0 in reckoning.codes(wish, key) for wish, key in keys), ""),
        ("never answered", sum(not wish.answers[key] for wish, key in keys), ""),
        ("at Meta", len(books.at_meta), ""),
        ("lost", len(broken["lost"]), "answered 0, not at Meta, not visible in the journal"),
        ("doubled", len(broken["doubled"]), "twice at Meta"),
        ("unknown", sum(row.state == State.UNKNOWN for row in books.rows), "nobody reported anything"),
        ("ended here", len(journal.fates), "failed, expired or cancelled after they were answered 0"),
        ("callbacks expected", expected, ""),
        ("callbacks received", len({(one.wire_id, one.meta_message_id, one.status) for one in told}), "and verified"),
        ("callbacks refused", receiver.failed, "by the receiver"),
        ("callbacks repeated", books_of.repeats(callback_books(journal, told)), ""),
        *((kind, number, "trouble") for kind, number in sorted(ended.troubles.items())),
        ("longest standstill", f"{ended.standstill_s:.1f} s", "nothing arrived at Meta although something should"),
        ("drained in", f"{ended.drained_s:.0f} s", "after the last trouble and the last message"),
    ]
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number, words in rows:
        table.add_row(name, str(number), words)
    return table
