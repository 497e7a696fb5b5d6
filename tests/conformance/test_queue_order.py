"""Whatever happens to the messages of two lanes, they are sent in order, one by one, and none is left for good."""

import asyncio
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.journal_rows import (
    RECIPIENT,
    SteppedClock,
    accepted,
    message,
    receipt,
    status,
    unknown,
)
from tests.conformance.queued_rows import EVERYTHING, OTHER, Worker, ending, queue, refused
from waypost.model import Message, State
from waypost.store.base_queue import Standing
from waypost.store.sqlite import SqliteStore

LANES = (RECIPIENT, OTHER)


KINDS = [
    *["queue", "inline", "begin", "back"] * 3,
    *["elsewhere", "accept", "refuse", "doubt", "later", "aside", "bring back", "status", "cancel", "expire"],
]


class Step(NamedTuple):
    """Something that happens to the n-th message from the end (modulo how many there are), or to a new one."""

    what: str
    which: int


STEPS = st.builds(Step, st.sampled_from(KINDS), st.integers(0, 2))


class Queue:
    """Two lanes of one phone, and what is expected of them."""

    def __init__(self, store: SqliteStore, clock: SteppedClock) -> None:
        self.store = store
        self.clock = clock
        self.worker = Worker(store, clock)
        self.rows: list[Message] = []

    async def do(self, step: Step) -> None:
        """Let a step happen."""
        if step.what in ("queue", "elsewhere"):
            recipient = OTHER if step.what == "elsewhere" else RECIPIENT
            self.rows.append(await queue(self.store, self.clock, recipient=recipient))
        elif step.what == "inline":
            row = message(self.clock)
            await self.store.accept(row)
            self.rows.append(row)
        elif step.what == "bring back":
            await self.store.bring_back(self.clock.now_ms(), 10)
        elif step.what == "expire":
            await self.store.expire_leases(self.clock.now_ms(), all_owners=True)
        elif self.rows:
            await self.happen(step.what, await self.now(self.rows[-1 - step.which % len(self.rows)]))
        self.clock.wall_ms += 1_000

    async def happen(self, what: str, row: Message) -> None:
        """Let something happen to a message, whether or not it is the time for it."""
        match what:
            case "begin":
                await self.worker.take(row.id)
            case "back" | "later":
                await self.worker.back(row, due_at_ms=self.clock.now_ms() + (5_000 if what == "later" else 0))
            case "aside":
                await self.worker.back(row, due_at_ms=self.clock.now_ms() + 5_000, aside=True)
            case "status":
                await self.store.record_webhook(receipt(self.clock, status(row, "sent", f"meta.{row.id}")))
            case "cancel":
                await self.store.end_queued((ending(row),), now_ms=self.clock.now_ms())
            case _ if row.state == State.SENDING:
                outcomes = {"accept": accepted(row, f"meta.{row.id}"), "refuse": refused(row), "doubt": unknown(row)}
                await self.store.record_outcome(outcomes[what])

    async def now(self, row: Message) -> Message:
        """Read a message again."""
        found = await self.store.find(row.id)
        assert found is not None
        return found

    async def check(self) -> None:
        """What waits is what is `queued`; of each lane the earliest is in front, unless another is being sent.

        What waits aside is in no lane.
        """
        assert await self.store.check() == []
        waiting = (await self.store.waiting(EVERYTHING, limit=1_000, cursor=None)).rows
        messages = [await self.now(row) for row in self.rows]
        assert [row.message_id for row in waiting] == [row.id for row in messages if row.state == State.QUEUED]
        for recipient in LANES:
            lane = [row for row in waiting if row.recipient == recipient and row.standing != Standing.ASIDE]
            ready = [row for row in lane if row.standing == Standing.READY]
            flying = [row for row in messages if row.recipient == recipient and row.state == State.SENDING]
            assert ready == lane[: len(ready)]
            assert len(ready) == 1 or not lane or (flying and not ready)


async def life(steps: list[Step]) -> None:
    clock = SteppedClock()
    store = SqliteStore(":memory:", clock)
    await store.open()
    lanes = Queue(store, clock)
    for step in steps:
        await lanes.do(step)
        await lanes.check()
    await store.expire_leases(clock.now_ms(), all_owners=True)
    clock.wall_ms += 5_000
    for row in await store.bring_back(clock.now_ms(), 1_000):
        assert row.standing == Standing.ASIDE
    left = [row.id for row in lanes.rows if (await lanes.now(row)).state == State.QUEUED]
    sent = await lanes.worker.drain()
    assert sorted(sent) == left
    for recipient in LANES:
        lane = [row.id for row in lanes.rows if row.recipient == recipient and row.id in left]
        assert [message_id for message_id in sent if message_id in lane] == lane
    await store.close()


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEPS, min_size=10, max_size=40))
def test_lanes_are_sent_in_order_whatever_happens(steps: list[Step]) -> None:
    asyncio.run(life(steps))
