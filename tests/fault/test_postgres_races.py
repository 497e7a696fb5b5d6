"""Two processes work on one message at the same moment: one is stopped in the middle, the other comes by.

Each test has one store stop where a row is held by a hand, lets another begin, and lets both go on.
"""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conformance.journal_rows import (
    LEASE_MS,
    RECIPIENT,
    SteppedClock,
    accepted,
    message,
    receipt,
    status,
    unknown,
    with_opaque,
)
from tests.conformance.outbox_rows import Outlet, draft, report, taken
from tests.conformance.queued_rows import entry, held, queue
from tests.fault.postgres_hand import Hand, hand_on
from waypost.model import State
from waypost.store.base import Accepted
from waypost.store.postgres import PostgresStore

# Stops whoever has just learned that a message left: the last but one thing that is done to it.
_STOP = "LOCK TABLE message_key IN SHARE MODE"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def stores(database_url: str, clock: SteppedClock) -> AsyncIterator[list[PostgresStore]]:
    """Three processes, as far as the journal can tell."""
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


async def told(store: PostgresStore, message_id: str) -> list[str]:
    return [record.status for record in await store.statuses(message_id)]


async def test_status_that_comes_while_another_settles_its_message_is_not_parked_for_ever(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    row = with_opaque(clock, "order 7")
    await stores[0].accept(row)
    await stores[0].record_webhook(receipt(clock, status(row, "sent")))  # its own answer is still to come: parked
    await hand.do("LOCK TABLE callback IN SHARE MODE")
    settles = asyncio.create_task(stores[1].record_outcome(unknown(row)))
    await hand.until_waiting(1)
    comes = asyncio.create_task(stores[2].record_webhook(receipt(clock, status(row, "delivered", opaque=None))))
    await hand.until_waiting(2, comes)
    await hand.commit()
    await settles
    assert (await comes).recorded == 1
    assert await told(stores[0], row.id) == ["delivered", "sent"]
    assert await hand.rows("SELECT status FROM parked_status") == []


async def test_report_that_is_explained_meanwhile_is_not_given_to_another_message(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    """Of two messages that fit, one is resolved by its own answer while a report waits to be settled."""
    first, second = with_opaque(clock, "order 7"), with_opaque(clock, "order 7")
    await stores[0].accept(first)
    await stores[0].accept(second)
    await stores[0].record_outcome(unknown(second))
    await stores[0].record_webhook(receipt(clock, status(first, "sent")))  # fits both: parked
    await hand.do(_STOP)
    answers = asyncio.create_task(stores[1].record_outcome(accepted(first)))
    await hand.until_waiting(1)
    settles = asyncio.create_task(stores[2].record_webhook(receipt(clock, status(second, "sent", "wamid.META2"))))
    await hand.until_waiting(2, settles)
    await hand.commit()
    await asyncio.gather(answers, settles)
    assert await hand.rows("SELECT meta_id, message_id FROM meta_id ORDER BY meta_id") == [
        ("wamid.META1", first.id),
        ("wamid.META2", second.id),
    ]


async def test_message_steps_back_while_it_is_being_taken(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    row = await queue(stores[0], clock)
    earlier = held(clock, id="wamid.0")
    place = (
        "phone_number_id, waba_id, account, appkey, recipient, priority, template, since_ms, due_ms, expires_ms, tries"
    )
    await hand.do("UPDATE queued SET standing = 1 WHERE message_id = $1", row.id)
    await hand.do(
        f"INSERT INTO queued (message_id, {place}, reason, standing) "
        f"SELECT $1, {place}, NULL, 0 FROM queued WHERE message_id = $2",
        earlier.id,
        row.id,
    )
    takes = asyncio.create_task(
        stores[1].begin_attempt(row.id, owner="two", lease_until_ms=clock.now_ms() + LEASE_MS, token=row.token or "")
    )
    await hand.until_waiting(1)
    await hand.commit()
    assert await takes is None
    found = await stores[0].find(row.id)
    assert found is not None
    assert found.state == State.QUEUED
    await hand.do("DELETE FROM queued WHERE message_id = $1", earlier.id)
    await hand.do("UPDATE queued SET standing = 0 WHERE message_id = $1", row.id)
    await hand.commit()


async def test_attempt_begins_in_one_process_only(stores: list[PostgresStore], clock: SteppedClock) -> None:
    rows = [await queue(stores[0], clock, recipient=f"{RECIPIENT}{number}") for number in range(5)]
    begun = await asyncio.gather(
        *(
            store.begin_attempt(row.id, owner="x", lease_until_ms=clock.now_ms() + LEASE_MS, token=clock.token())
            for row in rows
            for store in stores
        )
    )
    assert sorted(row.id for row in begun if row is not None) == sorted(row.id for row in rows)


async def test_same_key_at_once_makes_one_message(stores: list[PostgresStore], clock: SteppedClock, hand: Hand) -> None:
    """Nine requests in three processes; the first holder is still being committed when the others come."""
    rows = [message(clock, key="cus:order-7") for _ in range(9)]
    await hand.do("LOCK TABLE work IN SHARE MODE")
    tasks = [asyncio.create_task(stores[0].accept(rows[0]))]
    await hand.until_waiting(1)
    tasks += [asyncio.create_task(stores[number % 3].accept(row)) for number, row in enumerate(rows[1:])]
    await hand.until_waiting(3)
    await hand.commit()
    made = await asyncio.gather(*tasks)
    assert [one.is_new for one in made] == [True] + 8 * [False]
    assert {one.message.id for one in made} == {rows[0].id}


async def test_key_is_free_again_when_its_first_holder_is_not_committed(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    """The first one fails alone, because its id is taken; the second one in another process was waiting for it."""
    there = message(clock)
    await stores[0].accept(there)
    first, second = message(clock, id=there.id, key="cus:order-7"), message(clock, key="cus:order-7")
    await hand.do("LOCK TABLE message IN SHARE MODE")
    tasks = [asyncio.create_task(stores[0].accept(first))]
    await hand.until_waiting(1)
    tasks.append(asyncio.create_task(stores[1].accept(second)))
    await hand.until_waiting(2)
    await hand.commit()
    made = await asyncio.gather(*tasks, return_exceptions=True)
    assert not isinstance(made[1], BaseException)
    assert made[1].is_new
    # undone, it is done again: by then the other may have taken the key, and its row is the answer
    assert isinstance(made[0], asyncpg.UniqueViolationError) or made[0] == Accepted(message=second, is_new=False)


async def test_follower_goes_when_what_it_follows_is_settled_while_it_is_claimed(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    row = await taken(stores[0], clock)
    await report(stores[0], clock, row, "sent")
    (first,) = await Outlet(stores[0], clock).claim()
    await report(stores[0], clock, row, "delivered")
    await hand.do("SELECT 1 FROM work WHERE kind = 'callback' AND id = $1 FOR UPDATE", first.id)
    settles = asyncio.create_task(Outlet(stores[1], clock).accept(first))
    await hand.until_waiting(1)
    clock.wall_ms += 3_000
    claimed = await Outlet(stores[2], clock).claim()
    await hand.commit()
    await settles
    claimed += await Outlet(stores[2], clock).claim()
    assert [callback.status for callback in claimed] == ["delivered"], "at once, and not after two minutes"


async def test_lease_that_ends_while_the_outcome_is_written(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    row = message(clock)
    await stores[0].accept(row)
    clock.wall_ms += LEASE_MS + 1
    await hand.do(_STOP)
    answers = asyncio.create_task(stores[1].record_outcome(accepted(row)))
    await hand.until_waiting(1)
    ends = asyncio.create_task(stores[2].expire_leases(clock.now_ms(), all_owners=False))
    await hand.until_waiting(2, ends)
    await hand.commit()
    await answers
    assert await ends == ()
    found = await stores[0].find(row.id)
    assert found is not None
    assert found.state == State.ACCEPTED
    assert await stores[0].count_unsettled() == 0


async def test_report_while_a_message_is_sent_once_more(
    stores: list[PostgresStore], clock: SteppedClock, hand: Hand
) -> None:
    """Whichever comes first: it doesn't wait any more, and no later report is taken for its first attempt's."""
    row = with_opaque(clock, "order 7")
    await stores[0].accept(row)
    await stores[0].record_outcome(unknown(row))
    await hand.do("LOCK TABLE queued IN SHARE MODE")
    again = asyncio.create_task(stores[1].resend(row.id, 1, entry(clock), now_ms=clock.now_ms()))
    await hand.until_waiting(1)
    comes = asyncio.create_task(stores[2].record_webhook(receipt(clock, status(row, "sent"))))
    await hand.until_waiting(2, comes)
    await hand.commit()
    await asyncio.gather(again, comes)
    found = await stores[0].find(row.id)
    assert found is not None
    assert found.state == State.SENT
    assert await hand.rows("SELECT kind FROM work WHERE id = $1", row.id) == []
    assert await hand.rows("SELECT 1 FROM queued") == []
