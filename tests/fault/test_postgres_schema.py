"""Processes that start at once on an empty database, and pieces that are made while others write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.journal_rows import DAY_MS, SteppedClock, accepted, message, receipt, status
from tests.fault.postgres_hand import Hand, hand_on
from tests.postgres import database
from waypost.model import Message, State
from waypost.store.postgres import PostgresStore
from waypost.store.postgres_partitions import DAYS


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def fresh(postgres_url: str) -> AsyncIterator[str]:
    """The URL of an empty database without a schema."""
    async with database(postgres_url, "fresh") as url:
        yield url


@pytest.fixture
async def hand(fresh: str) -> AsyncIterator[Hand]:
    async with hand_on(fresh) as laid:
        yield laid


async def test_six_processes_start_at_once_on_an_empty_database(fresh: str, clock: SteppedClock) -> None:
    async def begin(stack: AsyncExitStack) -> bool:
        store = PostgresStore(fresh, clock)
        await store.open()
        stack.push_async_callback(store.close)
        return (await store.accept(message(clock))).is_new

    async with AsyncExitStack() as stack:
        assert await asyncio.gather(*(begin(stack) for _ in range(6))) == [True] * 6


async def test_process_that_starts_while_another_makes_pieces_can_write(
    fresh: str, clock: SteppedClock, hand: Hand
) -> None:
    """It doesn't wait for the pieces, which may be in use; what it writes has a place all the same."""
    first = PostgresStore(fresh, clock)
    await first.open()
    await first.close()
    tables = await hand.rows("SELECT relname FROM pg_class WHERE relname ~ '^(message|status)_\\d+$' AND relkind = 'r'")
    for (table,) in tables:
        await hand.do(f"DROP TABLE {table}")
    await hand.commit()
    await hand.do("SELECT pg_advisory_xact_lock(5737150172)")  # as who makes pieces does
    second = PostgresStore(fresh, clock)
    await second.open()
    row = message(clock)
    assert (await second.accept(row)).is_new
    await hand.commit()
    third = PostgresStore(fresh, clock)
    await third.open()
    assert await hand.rows("SELECT tableoid::regclass::text LIKE '%default' FROM message") == [(False,)]
    assert await third.find(row.id) == row
    await second.close()
    await third.close()


async def test_row_that_changes_while_its_piece_is_made_keeps_the_change(
    fresh: str, clock: SteppedClock, hand: Hand
) -> None:
    store = PostgresStore(fresh, clock)
    await store.open()
    clock.wall_ms += 5 * DAYS * DAY_MS  # no piece is there yet
    row = message(clock)
    await store.accept(row)
    await hand.do("UPDATE message SET state = 'accepted', rank = 30 WHERE id = $1", row.id)
    purging = asyncio.create_task(
        store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=0, now_ms=clock.now_ms())
    )
    await hand.until_waiting(1, purging)
    await hand.commit()
    await purging
    await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=0, now_ms=clock.now_ms())
    found = await store.find(row.id)
    assert found is not None
    assert found.state == State.ACCEPTED
    assert await hand.rows("SELECT tableoid::regclass::text LIKE '%default' FROM message") == [(False,)]
    await store.close()


async def test_three_processes_erase_at_once_while_a_fourth_writes(fresh: str, clock: SteppedClock) -> None:
    async with AsyncExitStack() as stack:
        stores = [PostgresStore(fresh, clock) for _ in range(4)]
        for store in stores:
            await store.open()
            stack.push_async_callback(store.close)
        rows = [message(clock) for _ in range(300)]
        await asyncio.gather(*(stores[0].accept(row) for row in rows))
        await asyncio.gather(*(stores[0].record_outcome(accepted(row, f"meta.{row.id}")) for row in rows))
        await asyncio.gather(
            *(stores[1].record_webhook(receipt(clock, status(row, "sent", f"meta.{row.id}"))) for row in rows)
        )
        clock.wall_ms += 40 * DAY_MS
        writing = asyncio.create_task(_write_on(stores[3], clock))
        for _ in range(4):
            now, before = clock.now_ms(), clock.now_ms() - 2 * DAYS * DAY_MS
            await asyncio.gather(
                *(
                    store.purge(
                        bodies_before_ms=before, webhooks_before_ms=before, messages_before_ms=before, now_ms=now
                    )
                    for store in stores[:3]
                )
            )
        young = await writing
        assert [await stores[0].find(row.id) for row in rows] == [None] * len(rows)
        assert [await stores[0].find(row.id) for row in young] == young
        assert await stores[0].check() == []


async def _write_on(store: PostgresStore, clock: SteppedClock) -> list[Message]:
    rows = [message(clock) for _ in range(60)]
    for row in rows:
        await store.accept(row)
    return rows
