"""Several processes write one journal at the same moment: nobody is in anybody's way for long, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import msgspec
import pytest

from tests.conformance.journal_rows import LEASE_MS, SteppedClock, message, receipt, status
from tests.conformance.outbox_rows import draft, inbound, post
from tests.fault.postgres_hand import Hand, hand_on
from tests.fault.postgres_stress import Stress
from tests.fault.postgres_truth import faults_of
from waypost.clock import Clock
from waypost.model import Message
from waypost.store import postgres_names
from waypost.store.base import CallbackFilter, TenantRow
from waypost.store.postgres import PostgresStore

_TAKE = "SELECT COUNT(pg_advisory_xact_lock(number)) FROM generate_series(1, $1::int) AS number"

STATUSES = ("sent", "delivered", "read")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def stores(database_url: str, clock: SteppedClock) -> AsyncIterator[list[PostgresStore]]:
    opened = [PostgresStore(database_url, clock, draft=draft) for _ in range(3)]
    for store in opened:
        await store.open()
    yield opened
    assert await opened[0].check() == []
    for store in opened:
        await store.close()


@pytest.fixture
async def hand(database_url: str) -> AsyncIterator[Hand]:
    async with hand_on(database_url) as laid:
        yield laid


async def in_flight(store: PostgresStore, clock: SteppedClock, number: int) -> list[Message]:
    rows = [message(clock, recipient=f"86{one}") for one in range(number)]
    await asyncio.gather(*map(store.accept, rows))
    return rows


async def test_processes_that_want_the_same_in_other_orders_do_not_wait_for_each_other(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    """The server would notice after a second, undo one of them, and go on so with the next."""
    rows = await in_flight(stores[0], clock, 12)
    before = await deadlocks(hand)
    posts = [
        [receipt(clock, status(row, value, f"meta.{row.id}")) for row in order]
        for value, order in (*zip(STATUSES, (rows, rows[::-1], rows[6:] + rows[:6]), strict=True),)
    ]
    await asyncio.gather(
        *(store.record_webhook(post) for store, of_one in zip(stores, posts, strict=True) for post in of_one),
        *(
            store.record_webhook(receipt(clock, *(status(row, "sent", f"meta.{row.id}") for row in rows)))
            for store in stores
        ),
    )
    assert [len(await stores[0].statuses(row.id)) for row in rows] == [3] * len(rows)
    assert await deadlocks(hand) == before


async def deadlocks(hand: Hand) -> int:
    ((number,),) = await hand.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return msgspec.convert(number, int)


async def all_reported(stores: list[PostgresStore], clock: SteppedClock, number: int) -> bool:
    """Post about so many messages in three processes at once, each time about all of them."""
    rows = await in_flight(stores[0], clock, number)
    posts = [receipt(clock, *(status(row, value, f"meta.{row.id}") for row in rows)) for value in STATUSES]
    effects = await asyncio.gather(*(store.record_webhook(post) for store, post in zip(stores, posts, strict=True)))
    return sum(effect.recorded for effect in effects) == 3 * len(rows)


async def test_more_names_than_one_transaction_may_take(
    stores: list[PostgresStore], clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_names, "MOST_NAMES", 100)
    assert await all_reported(stores, clock, 80)


async def test_more_names_than_the_server_has_places_for(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    for number in range(60_000, 0, -1_000):
        try:
            await hand.do(_TAKE, number)
        except asyncpg.OutOfMemoryError:
            await hand.commit()
        else:
            break
    await hand.commit()
    await hand.do(_TAKE, number - 500)
    assert await all_reported(stores, clock, 300)


async def test_leases_of_a_process_that_died_end_though_they_are_many(
    stores: list[PostgresStore], clock: SteppedClock
) -> None:
    await in_flight(stores[0], clock, 700)
    clock.wall_ms += LEASE_MS
    ended = await asyncio.gather(*(store.expire_leases(clock.now_ms(), all_owners=False) for store in stores))
    assert sum(map(len, ended)) == 700
    assert await stores[0].count_unsettled() == 700


async def stressed(url: str, *, seed: int, lives: int, at_once: int) -> list[str]:
    """Let three processes do at random what gateways do, and return what should not be; the soak does it at length."""
    clocks = [Clock() for _ in range(3)]
    async with AsyncExitStack() as stack:
        stores = [PostgresStore(url, clock, draft=draft) for clock in clocks]
        for store in stores:
            await store.open()
            stack.push_async_callback(store.close)
        stress = Stress(list(stores), clocks, seed)
        async with asyncio.timeout(30 + lives / 5):
            await stress.run(lives, at_once)
        return await faults_of(stress, url) + await stores[0].check()


async def test_three_processes_at_the_same_few_rows(database_url: str, hand: Hand) -> None:
    before = await deadlocks(hand)
    assert await stressed(database_url, seed=7, lives=300, at_once=40) == []
    # Callbacks that are given up just as they are delivered may still meet in two orders; that is rare.
    assert await deadlocks(hand) - before <= 5


async def test_event_that_meta_posts_to_three_processes_at_once_is_called_back_once(
    stores: list[PostgresStore], clock: SteppedClock
) -> None:
    posts = [post(clock, *(inbound(f"in:{number}") for number in range(20))) for _ in range(9)]
    await asyncio.gather(*(stores[number % 3].record_webhook(one) for number, one in enumerate(posts)))
    assert await stores[0].count_callbacks(CallbackFilter()) == 20


async def test_tenants_that_three_processes_save_at_once_are_all_there(stores: list[PostgresStore]) -> None:
    names = [f"number {number}" for number in range(30)]
    await asyncio.gather(
        *(
            store.save_tenants(tuple(TenantRow("phone", name, "file", True, f"{process}") for name in names))
            for process, store in enumerate(stores)
        )
    )
    rows = await stores[0].tenants()
    assert sorted(row.key for row in rows) == sorted(names)
    assert len({row.spec for row in rows}) == 1, "one of them was the last"
