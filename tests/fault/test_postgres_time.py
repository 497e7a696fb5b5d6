"""Machines whose clocks are wrong: leases, holds and slots are by the server's clock, so all processes agree."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from tests.conformance.journal_rows import LEASE_MS, PHONE_ID, message
from tests.conformance.outbox_rows import ENDPOINT, draft, inbound
from tests.conformance.queued_rows import entry, held
from waypost.clock import MESSAGE_ID_PREFIX, Clock, first_id_of
from waypost.model import State
from waypost.store.base import WebhookReceipt
from waypost.store.postgres import PostgresStore

_HOUR_MS = 3_600_000
_AGREE_MS = 10_000  # far more than a look at the server's clock takes, far less than an hour


class WrongClock(Clock):
    """The clock of a machine that is off, until it follows somebody."""

    def __init__(self, off_ms: int) -> None:
        super().__init__()
        self._off_ms = off_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._off_ms

    def follow(self, now_us: int) -> None:
        super().follow(now_us)
        self._off_ms = 0


@pytest.fixture
def clocks() -> list[Clock]:
    wrong = [WrongClock(_HOUR_MS), WrongClock(-_HOUR_MS), Clock()]
    for clock in wrong:
        clock.uuid7_hex()  # as a process does that names itself before it has seen the journal
    return wrong


@pytest.fixture
async def stores(database_url: str, clocks: list[Clock]) -> AsyncIterator[list[PostgresStore]]:
    async with AsyncExitStack() as stack:
        opened = [PostgresStore(database_url, clock, draft=draft) for clock in clocks]
        for store in opened:
            await store.open()
            stack.push_async_callback(store.close)
        yield opened


async def test_clocks_agree_and_ids_are_of_their_time(stores: list[PostgresStore], clocks: list[Clock]) -> None:
    times = [clock.now_ms() for clock in clocks]
    assert max(times) - min(times) < _AGREE_MS
    for clock in clocks:
        assert clock.message_id() < MESSAGE_ID_PREFIX + first_id_of(min(times) + _AGREE_MS)


async def test_lease_of_one_process_does_not_end_by_the_clock_of_another(
    stores: list[PostgresStore], clocks: list[Clock]
) -> None:
    rows = [message(clock) for clock in clocks]
    for store, row in zip(stores, rows, strict=True):
        await store.accept(row)
    for store, clock in zip(stores, clocks, strict=True):
        assert await store.expire_leases(clock.now_ms(), all_owners=False) == ()
    for number, (store, clock) in enumerate(zip(stores, clocks, strict=True)):
        ended = await store.expire_leases(clock.now_ms() + LEASE_MS + _AGREE_MS, all_owners=False)
        assert [row.state for row in ended] == ([] if number else [State.UNKNOWN] * 3)


async def test_what_one_process_queued_or_claimed_is_due_for_another_at_its_time(
    stores: list[PostgresStore], clocks: list[Clock]
) -> None:
    ahead, behind = stores[0], stores[1]
    row = held(clocks[0])
    await ahead.accept(row, entry(clocks[0]))
    heads = await behind.queue_heads(PHONE_ID, now_ms=clocks[1].now_ms() + _AGREE_MS, per_application=1)
    assert [head.message_id for head in heads] == [row.id]
    at = clocks[1].now_ms()
    await behind.record_webhook(
        WebhookReceipt(id=clocks[1].uuid7_hex(), received_at_ms=at, raw=b"", callbacks=(inbound(),))
    )
    claims = []
    for store, clock in zip(stores, clocks, strict=True):
        now = clock.now_ms() + _AGREE_MS
        claims.append(
            await store.claim_callbacks(ENDPOINT, now_ms=now, lease_until_ms=now + 60_000, limit=9, order_wait_ms=0)
        )
    assert [len(claimed) for claimed in claims] == [1, 0, 0]


async def test_slots_are_given_out_in_turn_though_the_machines_differ(
    stores: list[PostgresStore], clocks: list[Clock]
) -> None:
    slots = await asyncio.gather(
        *(
            store.lease_slots(PHONE_ID, interval_us=1_000_000, count=1, now_us=clock.now_ms() * 1_000)
            for store, clock in zip(stores, clocks, strict=True)
        )
    )
    slots.sort()
    assert [later - earlier for earlier, later in pairwise(slots)] == [1_000_000] * 2
