"""Whatever Meta reports about a message, in any order, repeated, in any number of POSTs: its customer is told right."""

import asyncio
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

from tests.conformance.journal_rows import SteppedClock
from tests.flow.test_meta_webhook import post, status
from tests.harness import TENANTS, Control, Customer, Gateway, connect, running_gateway, settings_for, text_message
from tests.journal_rows_of import rows_of
from tests.receiver import Receiver
from waypost.model import RANK_ACCEPTED, STATUS_RANK, State
from waypost.store.outbox import AFTER_OUTCOME_MS, HOLD_MS

VALUES = (*STATUS_RANK, "from_the_future")
TIMES = {value: 1_750_030_000 + 7 * index for index, value in enumerate(VALUES)}  # Meta's, of each status
CHAIN = ("sent", "delivered", "read", "played")  # each waits for the one before it (decision D7)
USUAL = ("sent", "delivered", "read", "failed")
DRAWN = 250
AT_ONCE = 12
SLOT_MS = 1000 // 80 + 1  # between messages, so that none has to wait for its number
WAIT_S = 60.0  # a bound that ends a broken test

Posts = tuple[tuple[str, ...], ...]  # the statuses of one message as Meta sends them, POST by POST


class Case(NamedTuple):
    """A message and what Meta says of it."""

    name: str
    recipient: str
    posts: Posts

    @property
    def statuses(self) -> set[str]:
        """What is reported, each once."""
        return set(itertools.chain(*self.posts))

    @property
    def headline(self) -> State:
        """The state with the highest rank (decision D7)."""
        return max((reached(value) for value in self.statuses), key=lambda pair: pair[1])[0]


def reached(value: str) -> tuple[State, int]:
    """How far a status moves its message: one that nobody knows proves that Meta took it."""
    return STATUS_RANK.get(value, (State.ACCEPTED, RANK_ACCEPTED))


def all_posts(rng: random.Random, drawn: int) -> Iterator[Posts]:
    """Every order of the usual statuses, in one POST and in one each; then drawn ones: any repeat or split."""
    for order in (*itertools.permutations(USUAL), *itertools.permutations(CHAIN)):
        yield (order,)
        yield tuple((value,) for value in order)
    for _ in range(drawn):
        events = [rng.choice(VALUES) for _ in range(rng.randint(1, 6))]
        cuts = sorted({0, len(events), *(rng.randrange(len(events) + 1) for _ in range(rng.randint(0, 5)))})
        yield tuple(tuple(events[begin:end]) for begin, end in itertools.pairwise(cuts))


async def begun(customer: Customer, receiver: Receiver, name: str, posts: Posts) -> Case:
    """Send the message of a case; Meta reports nothing of its own accord."""
    message = text_message(cus_message_id=name, dr_webhook=f"{receiver.url}/{name}")
    assert (await customer.send(message))["code"] == 0
    return Case(name, message["to"], posts)


async def report(gateway: Gateway, cases: list[Case], folder: Path, clock: SteppedClock) -> None:
    """Post what Meta says: the first POST of each message, then the second; between, whatever may go is called back."""
    meta_ids = {case.name: (await gateway.message(case.name))["meta_message_id"] for case in cases}
    for number in range(max(len(case.posts) for case in cases)):
        waiting = iter([case for case in cases if number < len(case.posts)])

        async def work(cases: Iterator[Case], number: int) -> None:
            for case in cases:
                entries = [
                    status(meta_ids[case.name], value, timestamp=str(TIMES[value]), recipient_id=case.recipient)
                    for value in case.posts[number]
                ]
                assert await post(gateway, *entries) == 200

        await asyncio.gather(*(work(waiting, number) for _ in range(AT_ONCE)))
        async with asyncio.timeout(WAIT_S):
            while due(folder, clock.now_ms()):
                await asyncio.sleep(0.02)


def due(folder: Path, now_ms: int) -> int:
    """Count the callbacks that may go now and have not been claimed."""
    sql = "SELECT COUNT(*) FROM work WHERE kind = 'callback' AND priority = 0 AND due_ms <= $1"
    ((number,),) = rows_of(folder, sql, now_ms)
    assert isinstance(number, int)
    return number


async def told(receiver: Receiver, number: int) -> dict[str, list[tuple[str, str]]]:
    """Wait for so many callbacks and return the status and time of each, by the message that it is about."""
    async with asyncio.timeout(WAIT_S):
        while len(receiver.received) < number:
            await asyncio.sleep(0.05)
    found: dict[str, list[tuple[str, str]]] = {}
    for item in receiver.received:
        (one,) = item.content["statuses"]
        assert item.path == f"/{one['id']}"
        found.setdefault(one["id"], []).append((one["status"], one["timestamp"]))
    return found


def in_order(case: Case, values: list[str]) -> bool:
    """Whether the callbacks came in order, as far as that is promised.

    Everything where one POST brought all. Else what Meta normally reports one after the other: nobody could know of an
    early `failed`, or of a status from the future, that something below it is still to come.
    """
    promised = values if len(case.posts) == 1 else [value for value in values if value in CHAIN]
    return promised == sorted(promised, key=lambda value: reached(value)[1])


async def test_each_status_is_called_back_once_in_order_with_its_own_time(tmp_path: Path, simulator: Control) -> None:
    # `make soak` asks for many more; the seed makes a failure repeatable.
    drawn = max(DRAWN, int(os.environ.get("WAYPOST_TEST_EXAMPLES", "0")) // 10)
    plans = list(all_posts(random.Random(20_260_801), drawn))
    clock = SteppedClock()  # however slow the machine is, all of Meta's POSTs come within the hold
    receiver = Receiver()
    await receiver.start()
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    try:
        async with running_gateway(settings, clock, TENANTS) as gateway, aiohttp.ClientSession() as http:
            await connect(simulator, gateway)
            await simulator.config(auto_statuses=False)
            customer = Customer(gateway.url, http, clock.now_ms)
            cases = []
            for index, posts in enumerate(plans):
                clock.wall_ms += SLOT_MS
                cases.append(await begun(customer, receiver, f"m{index}", posts))
            clock.wall_ms += AFTER_OUTCOME_MS
            await report(gateway, cases, tmp_path / "data", clock)
            clock.wall_ms += HOLD_MS  # what waited for an earlier one goes now
            calls = await told(receiver, sum(len(case.statuses) for case in cases))
            headlines = {case.name: (await gateway.message(case.name))["state"] for case in cases}
        # Stopped, so nothing more comes.
        assert len(receiver.received) == sum(map(len, calls.values()))
    finally:
        await receiver.stop()

    for case in cases:
        values = [value for value, _ in calls[case.name]]
        assert sorted(values) == sorted(case.statuses), case
        assert calls[case.name] == [(value, str(TIMES[value])) for value in values], case
        assert in_order(case, values), (case, values)
        assert headlines[case.name] == case.headline, case
