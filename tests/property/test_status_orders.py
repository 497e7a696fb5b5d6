"""Every order of up to six statuses of a message, in every split into POSTs, with and without repeats (decision D7).

A repeat is told apart by its effect, which must be nothing, wherever it stands: before, between or after what is new.
So one repeat in each place stands for any number of them.

`make soak` runs all of them; a sample, drawn with a fixed seed, is run otherwise.
"""

import asyncio
import itertools
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tests.conformance.journal_rows import accepted, message, receipt, status
from tests.conformance.outbox_rows import Outlet
from tests.golden.stand import Stand, standing
from waypost.gateway.outbox import endpoint_of
from waypost.model import PREDECESSOR, RANK_ACCEPTED, STATUS_RANK, Message, State
from waypost.store.outbox import AFTER_OUTCOME_MS, HOLD_MS

VALUES = ("sent", "failed", "delivered", "read", "played", "from_the_future")
ALL = 75_972
ENOUGH_FOR_ALL = 20_000  # what the long form of the soak asks for
SAMPLE = 600
AT_ONCE = 1_000  # in one journal

Posts = tuple[tuple[str, ...], ...]


class Case(NamedTuple):
    """What Meta reports of one message, POST by POST, and whether it repeats in each what it ever said."""

    posts: Posts
    repeats: bool

    @property
    def statuses(self) -> set[str]:
        """What is reported, each once."""
        return set(itertools.chain(*self.posts))

    @property
    def told(self) -> list[str]:
        """In which order the customer is told, where its receiver takes at once whatever may go.

        Of what was reported and may go, the lowest first. What Meta normally reports after another, which has not been
        seen, is held; whatever is higher waits for it, and all goes when the hold is over.
        """
        told: list[str] = []
        seen: set[str] = set()
        for post in self.posts:
            seen.update(post)
            for value in sorted(seen.difference(told), key=rank):
                if PREDECESSOR.get(value, value) not in seen:
                    break
                told.append(value)
        return told + sorted(seen.difference(told), key=rank)


def rank(value: str) -> int:
    return STATUS_RANK.get(value, (State.ACCEPTED, RANK_ACCEPTED))[1]


def splits(order: Sequence[str]) -> Iterator[Posts]:
    """Every way to cut an order into POSTs."""
    places = range(1, len(order))
    for number in range(len(order)):
        for cuts in itertools.combinations(places, number):
            bounds = (0, *cuts, len(order))
            yield tuple(tuple(order[begin:end]) for begin, end in itertools.pairwise(bounds))


def every_case() -> Iterator[Case]:
    for length in range(1, len(VALUES) + 1):
        for order in itertools.permutations(VALUES, length):
            for posts in splits(order):
                yield Case(posts, repeats=False)
                yield Case(posts, repeats=True)


class Life:
    """A message of a case, and what its customer was told."""

    def __init__(self, stand: Stand, case: Case, number: int) -> None:
        self.case = case
        self.stand = stand
        url = f"https://m{number}.example/"
        self.row: Message = message(stand.clock, dr_webhook=url)
        self.meta_id = f"wamid.{number}"
        self.outlet = Outlet(stand.store, stand.clock, endpoint_of(self.row.account, url))
        self.told: list[str | None] = []

    async def begin(self) -> None:
        """Meta takes the message."""
        await self.stand.store.accept(self.row)
        await self.stand.store.record_outcome(accepted(self.row, self.meta_id))

    async def report(self, number: int) -> None:
        """Meta posts what comes next; the customer is told whatever may go."""
        if number >= len(self.case.posts):
            return
        new = self.case.posts[number]
        before = tuple(itertools.chain(*self.case.posts[:number]))
        values = (*before, *new, *before, *new) if self.case.repeats else new
        events = [status(self.row, value, self.meta_id) for value in values]
        effect = await self.stand.store.record_webhook(receipt(self.stand.clock, *events))
        assert (effect.recorded, effect.repeated, effect.parked) == (len(new), len(values) - len(new), 0), self.case
        await self.deliver()

    async def deliver(self) -> None:
        """The customer takes what may go."""
        self.told += await self.outlet.drain()

    async def check(self) -> None:
        """Hold the message and what was told against what the case says."""
        found = await self.stand.store.find(self.row.id)
        assert found is not None
        highest = max(self.case.statuses, key=rank)
        assert (found.state, found.rank) == STATUS_RANK.get(highest, (State.ACCEPTED, RANK_ACCEPTED)), self.case
        assert self.told == self.case.told, self.case


async def live(cases: Iterable[Case]) -> None:
    """Run cases in one journal, step by step, so that they share commits."""
    async with standing({}) as stand:
        lives = [Life(stand, case, number) for number, case in enumerate(cases)]
        await asyncio.gather(*(life.begin() for life in lives))
        stand.clock.wall_ms += 2 * AFTER_OUTCOME_MS
        for number in range(len(VALUES)):
            await asyncio.gather(*(life.report(number) for life in lives))
        stand.clock.wall_ms += HOLD_MS
        await asyncio.gather(*(life.deliver() for life in lives))
        await asyncio.gather(*(life.check() for life in lives))


def test_every_order_repeat_and_split_moves_the_headline_and_is_told_once_in_order() -> None:
    cases = list(every_case())
    assert len(cases) == len(set(cases)) == ALL
    examples = int(os.environ.get("WAYPOST_TEST_EXAMPLES", "0"))
    if examples < ENOUGH_FOR_ALL:
        cases = random.Random(20_260_801).sample(cases, max(SAMPLE, 2 * examples))
    for begin in range(0, len(cases), AT_ONCE):
        asyncio.run(live(cases[begin : begin + AT_ONCE]))
