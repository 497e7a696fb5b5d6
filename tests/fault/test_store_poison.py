"""One bad row in a batch fails alone; a caller that gives up takes nobody with it (decision D2)."""

import asyncio
from collections.abc import AsyncIterator

import apsw
import asyncpg
import msgspec
import pytest

from tests.conformance.journal_rows import SteppedClock, accepted, message, receipt, status, with_opaque
from tests.fault.engines import NOT_TEXT, TOO_LARGE, store_at
from waypost.model import State
from waypost.store.base import CallbackFilter, Store, WebhookEffect

REFUSED = (apsw.ConstraintError, asyncpg.IntegrityConstraintViolationError)


class CommitLog:
    """Notes the effects that the writer announces."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def before(self, name: str) -> None:
        self.names.append(name)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def commits() -> CommitLog:
    return CommitLog()


@pytest.fixture
async def store(place: str, clock: SteppedClock, commits: CommitLog) -> AsyncIterator[Store]:
    engine = store_at(place, clock, effects=commits)
    await engine.open()
    yield engine
    assert await engine.check() == []
    await engine.close()


async def test_the_same_message_id_twice_fails_only_the_second(
    store: Store, clock: SteppedClock, commits: CommitLog
) -> None:
    rows = [message(clock) for _ in range(8)]
    twin = message(clock, id=rows[3].id)
    results = await asyncio.gather(*(store.accept(row) for row in [*rows, twin]), return_exceptions=True)
    assert isinstance(results[-1], REFUSED)
    assert all(not isinstance(one, BaseException) and one.is_new for one in results[:-1])
    assert [await store.find(row.id) for row in rows] == rows
    assert await store.find_by_key(twin.account, twin.key, clock.now_ms()) is None, "its key was not taken either"
    assert len(commits.names) < 2 * len(rows), "the rest still shared a commit"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"trace_id": "\ud800"}, NOT_TEXT),
        ({"lease_until_ms": 1 << 64}, TOO_LARGE),
        ({"appkey": None}, REFUSED),
    ],
    ids=["lone surrogate", "number too large", "missing value"],
)
async def test_what_can_not_be_stored_fails_alone(
    store: Store, clock: SteppedClock, changes: dict[str, object], error: tuple[type[Exception], ...]
) -> None:
    good = [message(clock) for _ in range(4)]
    bad = message(clock, **changes)
    results = await asyncio.gather(*(store.accept(row) for row in [*good, bad]), return_exceptions=True)
    assert isinstance(results[-1], error)
    assert [await store.find(row.id) for row in good] == good
    assert await store.find(bad.id) is None


async def test_nul_in_text_costs_nothing_and_is_found_again(place: str, store: Store, clock: SteppedClock) -> None:
    """PostgreSQL can't keep it: there another character stands in its place, in what is looked for, too."""
    row = with_opaque(clock, "a\0b", key="cus:a\0b")
    await store.accept(row)
    await store.record_outcome(accepted(row, "meta\0id"))
    event = status(row, "se\0nt", "meta\0id", raw="\0", recipient="\0", participant="\0")
    assert (await store.record_webhook(receipt(clock, event))).recorded == 1
    found = await store.find("a\0b")
    assert found is not None
    assert found.opaque == ("a\0b" if place.endswith(".db") else "a\ufffdb")
    assert await store.find_by_key(row.account, row.key, clock.now_ms()) == found
    assert list(await store.wire_ids(row.account, row.phone_number_id, ("meta\0id",))) == [found.meta_message_id]
    wanted = CallbackFilter(ids=("a\0b",), appkey="a\0b")
    assert (await store.callbacks(wanted, limit=1, cursor=None)).callbacks == ()
    assert not (await store.accept(msgspec.structs.replace(row, id=clock.message_id()))).is_new


@pytest.mark.parametrize("name", ["recipient", "key", "phone_number_id"])
async def test_text_that_is_too_long_for_an_index_costs_nobody_else_his_commit(
    place: str, store: Store, clock: SteppedClock, name: str
) -> None:
    good = [message(clock) for _ in range(4)]
    long = message(clock, **{name: "".join(clock.token() for _ in range(400))})
    *results, of_long = await asyncio.gather(*map(store.accept, [*good, long]), return_exceptions=True)
    assert not any(isinstance(one, BaseException) for one in results)
    assert isinstance(of_long, asyncpg.ProgramLimitExceededError) == (not place.endswith(".db"))


async def test_bad_post_of_meta_s_undoes_all_of_itself_and_nothing_else(store: Store, clock: SteppedClock) -> None:
    row = message(clock)
    await store.accept(row)
    await store.record_outcome(accepted(row))
    bad = receipt(clock, status(row, "sent"), status(row, "read", timestamp_ms=1 << 64))
    failed, counted = await asyncio.gather(
        store.record_webhook(bad),
        store.record_webhook(receipt(clock, status(row, "delivered"))),
        return_exceptions=True,
    )
    assert isinstance(failed, TOO_LARGE)
    assert counted == WebhookEffect(recorded=1)
    assert [record.status for record in await store.statuses(row.id)] == ["delivered"]


async def test_cancelled_caller_changes_nothing_for_the_others(store: Store, clock: SteppedClock) -> None:
    rows = [message(clock) for _ in range(10)]
    tasks = [asyncio.ensure_future(store.accept(row)) for row in rows]
    await asyncio.sleep(0)  # every one of them is in the writer's hands now
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in results[::2])
    assert all(not isinstance(one, BaseException) and one.is_new for one in results[1::2])
    page = await store.list(state=State.SENDING, limit=20, cursor=None)
    assert len(page.messages) == len(rows), "handed over is written, whether or not somebody still waits"


async def test_what_waits_shares_commits(store: Store, clock: SteppedClock, commits: CommitLog) -> None:
    await asyncio.gather(*(store.accept(message(clock)) for _ in range(200)))
    assert commits.names[:2] == ["accept_commit", "after:accept_commit"]
    assert len(commits.names) // 2 <= 20
