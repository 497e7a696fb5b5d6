"""The queue when a commit fails or the process dies: nothing is half done, nobody is left behind, and told once."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import apsw
import msgspec
import pytest

from tests.conformance.journal_rows import PHONE_ID, SteppedClock, accepted, message
from tests.conformance.outbox_rows import EVERY, Outlet
from tests.conformance.queued_rows import EVERYTHING, OTHER, Worker, ending, entry, failure, held, queue, refused
from tests.fault.engines import NOT_TEXT, TOO_LARGE, problems_at
from tests.fault.test_store_outbox import opened
from waypost.model import CallbackState, Message, State
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import Pause, Standing, Waiting


class FailWhenArmed:
    """Makes the next effect of a name fail, as SQLite does on a full disk, once it has been told which."""

    def __init__(self) -> None:
        self.name: str | None = None

    def before(self, name: str) -> None:
        if name == self.name:
            self.name = None
            raise apsw.FullError("database or disk is full")


class Sight(NamedTuple):
    """Everything that can be seen of the queue and of what happened to its messages."""

    waiting: tuple[Waiting, ...]
    messages: tuple[Message, ...]
    counts: dict[str, int]
    callbacks: int
    pauses: tuple[Pause, ...]


async def sight(store: Store) -> Sight:
    return Sight(
        waiting=(await store.waiting(EVERYTHING, limit=100, cursor=None)).rows,
        messages=(await store.list(state=None, limit=100, cursor=None)).messages,
        counts=await store.count_by_state(),
        callbacks=await store.count_callbacks(EVERY),
        pauses=await store.pauses(),
    )


Act = Callable[[Worker, Message, Message], Awaitable[object]]  # the first message is in flight, the second behind it


async def accept(worker: Worker, flying: Message, behind: Message) -> object:
    row = held(worker.clock, id=f"{behind.id}0", key="cus:new")
    return await worker.store.accept(row, entry(worker.clock))


async def begin(worker: Worker, flying: Message, behind: Message) -> object:
    (head,) = [head for head in await worker.heads() if head.recipient == OTHER]
    return await worker.take(head.message_id)


async def defer(worker: Worker, flying: Message, behind: Message) -> object:
    rows = (await worker.store.waiting(EVERYTHING, limit=9, cursor=None)).rows
    (row,) = [row for row in rows if row.recipient == OTHER]
    return await worker.store.defer_queued(row.message_id, due_at_ms=worker.clock.now_ms() + 9, reason="pair limit")


async def back(worker: Worker, flying: Message, behind: Message) -> object:
    return await worker.back(flying)


async def refuse(worker: Worker, flying: Message, behind: Message) -> object:
    return await worker.store.record_outcome(refused(flying), failure(flying))


async def cancel(worker: Worker, flying: Message, behind: Message) -> object:
    return await worker.store.end_queued((ending(behind),), now_ms=worker.clock.now_ms())


async def expire(worker: Worker, flying: Message, behind: Message) -> object:
    return await worker.store.expire_leases(worker.clock.now_ms(), all_owners=True)


async def lease(worker: Worker, flying: Message, behind: Message) -> object:
    now_us = worker.clock.now_ms() * 1_000
    return await worker.store.lease_slots(PHONE_ID, interval_us=1_000, count=2, now_us=now_us)


async def pause(worker: Worker, flying: Message, behind: Message) -> object:
    made = Pause(kind="phone", key=PHONE_ID, reason="spam", since_ms=0, until_ms=None, by="gateway")
    await worker.store.save_pause(made)
    return made


ACTS: dict[str, Act] = {
    "accept_commit": accept,
    "begin_commit": begin,
    "defer_commit": defer,
    "requeue_commit": back,
    "outcome_commit": refuse,
    "ending_commit": cancel,
    "expiry_commit": expire,
    "slots_commit": lease,
    "pause_commit": pause,
}


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


async def lane(outlet: Outlet) -> tuple[Worker, Message, Message]:
    """Let one message be in flight, another stand behind it, and a third wait for another recipient."""
    worker = Worker(outlet.store, outlet.clock)
    flying = await worker.begin(await queue(outlet.store, outlet.clock))
    behind = await queue(outlet.store, outlet.clock)
    await queue(outlet.store, outlet.clock, recipient=OTHER)
    return worker, flying, behind


@pytest.mark.parametrize("name", ACTS)
async def test_commit_that_fails_changes_nothing_and_the_next_try_does(
    place: str, clock: SteppedClock, name: str
) -> None:
    disk = FailWhenArmed()
    async with opened(place, clock, disk) as outlet:
        worker, flying, behind = await lane(outlet)
        before = await sight(outlet.store)
        disk.name = name
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await ACTS[name](worker, flying, behind)
        assert await sight(outlet.store) == before
        assert await ACTS[name](worker, flying, behind)
        assert (await sight(outlet.store) != before) == (name != "slots_commit")


@pytest.mark.parametrize("name", ACTS)
async def test_commit_that_was_reported_as_failed_is_not_done_twice(place: str, clock: SteppedClock, name: str) -> None:
    disk = FailWhenArmed()
    async with opened(place, clock, disk) as outlet:
        worker, flying, behind = await lane(outlet)
        disk.name = f"after:{name}"
        with pytest.raises(StoreUnavailable):
            await ACTS[name](worker, flying, behind)
        after = await sight(outlet.store)
        if name != "begin_commit":  # whoever took it does not know: nothing is ready, and its lease will end
            await ACTS[name](worker, flying, behind)
        assert await sight(outlet.store) == after


async def test_slots_whose_lease_was_reported_as_failed_are_lost_and_not_given_twice(
    place: str, clock: SteppedClock
) -> None:
    disk = FailWhenArmed()
    async with opened(place, clock, disk) as outlet:
        worker, flying, behind = await lane(outlet)
        disk.name = "after:slots_commit"
        with pytest.raises(StoreUnavailable):
            await lease(worker, flying, behind)
        assert await lease(worker, flying, behind) == clock.now_ms() * 1_000 + 2_000


async def test_values_that_can_not_be_stored_fail_their_own_call_alone(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock) as outlet:
        worker = Worker(outlet.store, clock)
        rows = [await queue(outlet.store, clock, recipient=f"86{number}") for number in range(3)]
        flying = await worker.begin(rows[0])
        before = await sight(outlet.store)
        lease_until_ms = clock.now_ms() + 1
        results = await asyncio.gather(
            worker.back(flying, due_at_ms=1 << 64),
            outlet.store.begin_attempt(rows[1].id, owner="\ud800", lease_until_ms=lease_until_ms, token="wp1"),
            outlet.store.end_queued(
                (ending(rows[2]), msgspec.structs.replace(ending(rows[1]), message_id="\ud800")), now_ms=0
            ),
            outlet.store.accept(held(clock), entry(clock, tries=1 << 64)),
            return_exceptions=True,
        )
        for one, kinds in zip(results, (TOO_LARGE, NOT_TEXT, NOT_TEXT, TOO_LARGE), strict=True):
            assert isinstance(one, kinds)
        assert await sight(outlet.store) == before
        assert (await worker.begin(rows[1])).state == State.SENDING


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # the other engine does them in any order
async def test_steps_that_share_a_commit_see_each_other(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock) as outlet:
        worker = Worker(outlet.store, clock)
        first, second = held(clock), held(clock)
        inline = message(clock)
        await outlet.store.accept(inline)
        _, taken, _, _, again = await asyncio.gather(
            outlet.store.accept(first, entry(clock)),
            worker.take(first.id),
            outlet.store.accept(second, entry(clock)),
            worker.back(inline),
            worker.take(inline.id),
        )
        assert taken is not None
        assert again is None, "one of its lane is being sent"
        await outlet.store.record_outcome(accepted(taken))
        assert await worker.drain() == [second.id, inline.id]


# --- the process dies ----------------------------------------------------------------------------------------------

# Two messages of one lane; the process dies at the n-th effect of a name.
LIFE = """
import asyncio, os, signal, sys
from tests.conformance.journal_rows import SteppedClock
from tests.conformance.queued_rows import Worker, ending, failure, queue, refused
from waypost.store.sqlite import SqliteStore

class Death:
    def __init__(self, name, count):
        self.name, self.count = name, int(count)

    def before(self, name):
        self.count -= name == self.name
        if not self.count:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    clock = SteppedClock()
    store = SqliteStore(sys.argv[1], clock, effects=Death(*sys.argv[2].split("#")))
    await store.open()
    worker = Worker(store, clock)
    first, second = await queue(store, clock, key="cus:1"), await queue(store, clock, key="cus:2")
    await worker.back(await worker.begin(first))
    row = await worker.begin(first)
    await store.record_outcome(refused(row), failure(row))
    await store.end_queued((ending(second),), now_ms=clock.now_ms())

asyncio.run(main())
"""

READY, BEHIND = Standing.READY, Standing.BEHIND
UNKNOWN, FAILED, CANCELLED = State.UNKNOWN, State.FAILED, State.CANCELLED


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # `test_store_kill` does so on the other engine
@pytest.mark.parametrize(
    ("effect", "first", "second", "told"),
    [
        ("accept_commit#1", None, None, 0),
        ("after:accept_commit#1", READY, None, 0),
        ("accept_commit#2", READY, None, 0),
        ("after:accept_commit#2", READY, BEHIND, 0),
        ("begin_commit#1", READY, BEHIND, 0),
        ("after:begin_commit#1", UNKNOWN, READY, 0),
        ("requeue_commit#1", UNKNOWN, READY, 0),
        ("after:requeue_commit#1", READY, BEHIND, 0),
        ("begin_commit#2", READY, BEHIND, 0),
        ("after:begin_commit#2", UNKNOWN, READY, 0),
        ("outcome_commit#1", UNKNOWN, READY, 0),
        ("after:outcome_commit#1", FAILED, READY, 1),
        ("ending_commit#1", FAILED, READY, 1),
        ("after:ending_commit#1", FAILED, CANCELLED, 2),
    ],
)
async def test_killed_at_a_commit_of_the_queue(
    place: str, clock: SteppedClock, effect: str, first: object, second: object, told: int
) -> None:
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", LIFE, place, effect, stdout=subprocess.PIPE)
    await victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert await problems_at(place) == []
    async with opened(place, clock) as outlet:
        await outlet.store.expire_leases(clock.now_ms(), all_owners=True)
        waiting = (await outlet.store.waiting(EVERYTHING, limit=9, cursor=None)).rows
        standing: dict[str, object] = {row.message_id: row.standing for row in waiting}
        found = [await outlet.store.find(any_id) for any_id in await ids(outlet.store)]
        assert [row and standing.get(row.id, row.state) for row in found] == [first, second]
        page = await outlet.store.callbacks(EVERY, limit=9, cursor=None)
        assert [callback.state for callback in page.callbacks] == [CallbackState.DUE] * told
        left = [message_id for message_id in await ids(outlet.store) if message_id in standing]
        assert await Worker(outlet.store, clock).drain() == left


async def ids(store: Store) -> list[str]:
    """The ids of both messages, the first first; of one that was not journalled something that is no id."""
    rows = (await store.list(state=None, limit=9, cursor=None)).messages[::-1]
    return [row.id for row in rows] + ["nowhere"] * (2 - len(rows))
