"""The outbox when a commit fails, the process dies or the draft does: nothing is lost, and nothing is half."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import msgspec
import pytest

from tests.conformance.journal_rows import SteppedClock, message, receipt, status
from tests.conformance.outbox_rows import ENDPOINT, LEASE_MS, Outlet, draft, inbound, post, taken
from tests.fault.engines import NOT_TEXT, problems_at, store_at
from waypost.model import CallbackDraft, CallbackState, Message, State, StatusEvent
from waypost.store.base import CallbackFilter, StoreUnavailable
from waypost.store.effects import Effects
from waypost.store.session import Session
from waypost.store.sqlite import SqliteStore
from waypost.store.sqlite_engine import Result

EVERY = CallbackFilter()


class FailOnce:
    """Makes one named effect fail once, as SQLite does on a full disk."""

    def __init__(self, name: str) -> None:
        self._name: str | None = name

    def before(self, name: str) -> None:
        if name == self._name:
            self._name = None
            raise apsw.FullError("database or disk is full")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@asynccontextmanager
async def opened(place: str, clock: SteppedClock, effects: Effects | None = None) -> AsyncIterator[Outlet]:
    store = store_at(place, clock, effects=effects, draft=draft)
    await store.open()
    try:
        yield Outlet(store, clock)
        assert await store.check() == []
    finally:
        await store.close()


async def states(outlet: Outlet) -> list[tuple[CallbackState, int]]:
    page = await outlet.store.callbacks(EVERY, limit=9, cursor=None)
    return [(callback.state, callback.attempts) for callback in page.callbacks]


# --- a commit fails ----------------------------------------------------------------------------------------------


async def test_claim_whose_commit_fails_leases_nothing(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock, FailOnce("claim_commit")) as outlet:
        await outlet.store.record_webhook(post(clock, inbound(), inbound()))
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await outlet.claim()
        assert len(await outlet.claim()) == 2


async def test_attempts_whose_commit_fails_are_pushed_again_when_the_lease_ends(
    place: str, clock: SteppedClock
) -> None:
    async with opened(place, clock, FailOnce("attempts_commit")) as outlet:
        row = await taken(outlet.store, clock)
        await outlet.store.record_webhook(receipt(clock, status(row, "sent"), status(row, "delivered")))
        sent = await outlet.one()
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await outlet.accept(sent)
        assert await states(outlet) == [("due", 0), ("due", 0)]
        assert await outlet.claim() == ()
        clock.wall_ms += LEASE_MS
        assert await outlet.drain() == ["sent", "delivered"]


@pytest.mark.parametrize("effect", ["webhook_commit", "after:webhook_commit"], ids=["failed", "reported late"])
async def test_events_whose_commit_fails_are_called_back_once_when_meta_repeats_them(
    place: str, clock: SteppedClock, effect: str
) -> None:
    async with opened(place, clock, FailOnce(effect)) as outlet:
        row = await taken(outlet.store, clock)

        async def meta_posts() -> None:
            whole = receipt(clock, status(row, "sent"))
            await outlet.store.record_webhook(msgspec.structs.replace(whole, callbacks=(inbound("in:1"),)))

        with pytest.raises(StoreUnavailable):
            await meta_posts()
        await meta_posts()
        await meta_posts()
        assert await outlet.statuses() == ["sent", None]


@pytest.mark.parametrize("effect", ["replay_commit", "abandon_commit"])
async def test_replay_and_giving_up_whose_commit_fails_change_nothing(
    place: str, clock: SteppedClock, effect: str
) -> None:
    async with opened(place, clock, FailOnce(effect)) as outlet:
        await outlet.store.record_webhook(post(clock, inbound(), inbound()))
        done, _ = await outlet.claim()
        await outlet.accept(done)
        now = clock.now_ms() + 1
        audit_id = await outlet.store.begin_audit(who="admin", action="replay", selection="{}")

        async def act() -> int:
            if effect == "replay_commit":
                settled = CallbackFilter(settled=True)
                portion = await outlet.store.replay_callbacks(
                    settled, now_ms=now, limit=9, cursor=None, audit_id=audit_id
                )
                return len(portion.endpoints)
            return await outlet.store.abandon_callbacks(ENDPOINT, created_before_ms=now, now_ms=now, limit=9)

        with pytest.raises(StoreUnavailable, match="disk is full"):
            await act()
        assert await states(outlet) == [("done", 1), ("due", 0)]
        assert [entry.affected for entry in await outlet.store.audit(limit=9)] == [0]
        assert await act() == 1


class Overtaken(SqliteStore):
    """A journal in which something happens between a search and what follows from it."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _walk(self, work: Callable[[Session], Result]) -> Result:
        found = await super()._walk(work)
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        return found


@pytest.mark.parametrize("wanted", [CallbackFilter(state=CallbackState.DUE), CallbackFilter(settled=True)])
async def test_what_is_settled_or_replayed_while_a_replay_searches_is_left_alone(
    tmp_path: Path, clock: SteppedClock, wanted: CallbackFilter
) -> None:
    store = Overtaken(tmp_path / "waypost.db", clock, draft=draft)
    await store.open()
    outlet = Outlet(store, clock)
    await store.record_webhook(post(clock, inbound()))
    (callback,) = await outlet.claim()
    audit_id = await store.begin_audit(who="admin", action="replay", selection="{}")

    async def replay(wanted: CallbackFilter) -> int:
        portion = await store.replay_callbacks(wanted, now_ms=clock.now_ms(), limit=9, cursor=None, audit_id=audit_id)
        return len(portion.endpoints)

    if wanted.settled:
        await outlet.accept(callback)
        store.meanwhile = lambda: replay(EVERY)
    else:
        store.meanwhile = lambda: outlet.accept(callback)
    assert await replay(wanted) == 0
    assert [entry.affected for entry in await store.audit(limit=9)] == [int(wanted.settled)]
    await store.close()


# --- one caller's values are wrong ---------------------------------------------------------------------------------


async def test_attempt_that_can_not_be_stored_fails_its_own_call_alone(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock) as outlet:
        await outlet.store.record_webhook(post(clock, *(inbound() for _ in range(4))))
        claimed = await outlet.claim()
        calls = [(outlet.outcome(callback),) for callback in claimed]
        poisoned = msgspec.structs.replace(calls[1][0].attempt, error="\ud800")
        calls[1] = (msgspec.structs.replace(calls[1][0], attempt=poisoned),)
        results = await asyncio.gather(*map(outlet.store.record_attempts, calls), return_exceptions=True)
        assert isinstance(results.pop(1), NOT_TEXT)
        assert results == [None, None, None]
        assert await states(outlet) == [("done", 1), ("due", 0), ("done", 1), ("done", 1)]


async def test_draft_that_raises_fails_the_post_which_meta_repeats(place: str, clock: SteppedClock) -> None:
    broken = True

    def fragile(row: Message, event: StatusEvent) -> CallbackDraft | None:
        if broken:
            raise KeyError("a bug")
        return draft(row, event)

    store = store_at(place, clock, draft=fragile)
    await store.open()
    row = await taken(store, clock)
    others = [message(clock) for _ in range(3)]
    posting = store.record_webhook(receipt(clock, status(row, "sent")))
    failed, *journalled = await asyncio.gather(posting, *map(store.accept, others), return_exceptions=True)
    assert isinstance(failed, KeyError)
    assert [isinstance(one, Exception) for one in journalled] == [False] * 3
    assert await store.statuses(row.id) == ()
    found = await store.find(row.id)
    assert found is not None
    assert found.state == State.ACCEPTED
    broken = False
    assert (await store.record_webhook(receipt(clock, status(row, "sent")))).recorded == 1
    assert [callback.status for callback in await store.callbacks_of(row.id)] == ["sent"]
    await store.close()


# --- the process dies ----------------------------------------------------------------------------------------------


async def test_what_was_claimed_when_the_process_ended_is_claimable_when_its_lease_ends(
    place: str, clock: SteppedClock
) -> None:
    async with opened(place, clock) as outlet:
        row = await taken(outlet.store, clock)
        await outlet.store.record_webhook(receipt(clock, status(row, "sent"), status(row, "delivered")))
        claimed = await outlet.one()
    async with opened(place, clock) as outlet:
        assert await outlet.store.next_due(ENDPOINT) == clock.now_ms() + LEASE_MS
        assert await outlet.claim() == ()
        clock.wall_ms += LEASE_MS
        assert await outlet.one() == claimed
        await outlet.accept(claimed)
        assert await outlet.drain() == ["delivered"]


# A status on its way to the receiver; the process prints what it did and dies at the named effect.
LIFE = """
import asyncio, os, signal, sys
from tests.conformance.journal_rows import SteppedClock, receipt, status
from tests.conformance.outbox_rows import Outlet, draft, taken
from waypost.store.sqlite import SqliteStore

class Death:
    def before(self, name):
        if name == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    clock = SteppedClock()
    store = SqliteStore(sys.argv[1], clock, effects=Death(), draft=draft)
    await store.open()
    row = await taken(store, clock)
    await store.record_webhook(receipt(clock, status(row, "sent")))
    print("told", flush=True)
    outlet = Outlet(store, clock)
    callback = await outlet.one()
    print("pushed", flush=True)
    await outlet.accept(callback)
    print("recorded", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # `test_store_kill` does so on the other engine
@pytest.mark.parametrize(
    ("effect", "said", "pushes_left"),
    [
        ("webhook_commit", [], 0),  # Meta got no answer and posts again
        ("after:webhook_commit", [], 1),
        ("claim_commit", ["told"], 1),
        ("after:claim_commit", ["told"], 1),
        ("attempts_commit", ["told", "pushed"], 1),  # the one case in which a receiver gets it twice
        ("after:attempts_commit", ["told", "pushed"], 0),
    ],
)
async def test_killed_at_a_commit_of_the_outbox(
    place: str, clock: SteppedClock, effect: str, said: list[str], pushes_left: int
) -> None:
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", LIFE, place, effect, stdout=subprocess.PIPE)
    output, _ = await victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert output.decode().split() == said
    assert await problems_at(place) == []
    async with opened(place, clock) as outlet:
        clock.wall_ms += 1_000 + LEASE_MS  # the victim's clock stood still a second later
        assert len(await outlet.drain()) == pushes_left
