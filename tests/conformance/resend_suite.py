"""What every engine of the journal must do when an unknown message goes out again; an engine file inherits it."""

import asyncio

import msgspec
import pytest

from tests.conformance.journal_rows import (
    LEASE_MS,
    SteppedClock,
    accepted,
    message,
    receipt,
    status,
    unknown,
    with_opaque,
)
from tests.conformance.judging_suite import doubtful, failure, judged
from tests.conformance.outbox_rows import Outlet
from tests.conformance.status_suite import PARKED, RECORDED, REPEATED, state_of, statuses_of
from waypost.clock import MESSAGE_ID_PREFIX
from waypost.model import RANK_FAILED_HERE, Message, Outcome, State
from waypost.store.base import Store
from waypost.store.base_queue import PRIORITY_ORDINARY, QueueEntry

STRINGS = pytest.mark.parametrize("opaque", [None, "campaign-1"], ids=["our token", "the customer's string"])


def entry(clock: SteppedClock) -> QueueEntry:
    """How a message waits to be sent once more."""
    return QueueEntry(priority=PRIORITY_ORDINARY, template=None, due_at_ms=clock.now_ms(), expires_at_ms=None)


async def resend(store: Store, clock: SteppedClock, row: Message) -> Message | None:
    return await store.resend(row.id, row.attempt, entry(clock), now_ms=clock.now_ms())


async def resent(store: Store, clock: SteppedClock, row: Message) -> Message:
    """Put a message in flight again that is unknown."""
    clock.wall_ms += 60_000
    assert await resend(store, clock, row) is not None
    token = f"wp1.{row.id.removeprefix(MESSAGE_ID_PREFIX)}.2.{clock.token()}"
    second = await store.begin_attempt(row.id, owner="process-2", lease_until_ms=clock.now_ms() + LEASE_MS, token=token)
    assert second is not None
    return second


def refused_late(row: Message) -> Outcome:
    """Meta refused an attempt whose request was answered long ago."""
    return msgspec.structs.replace(
        unknown(row), state=State.FAILED, rank=RANK_FAILED_HERE, meta_answer='{"error":{"code":131026}}'
    )


def doubtful_row(clock: SteppedClock, opaque: str | None) -> Message:
    return with_opaque(clock, opaque) if opaque else message(clock)


class ResendSuite:
    """One more attempt, once, and reports of both attempts (decision D6)."""

    async def test_it_waits_and_is_in_flight_again_under_a_lease_of_its_own(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = await doubtful(store, message(clock))
        again = await resent(store, clock, row)
        assert (again.state, again.attempt, again.owner) == (State.SENDING, 2, "process-2")
        assert again.token != row.token
        assert again == await store.find(row.id)
        assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 0}
        assert await store.expire_leases(again.lease_until_ms - 1, all_owners=False) == ()
        (expired,) = await store.expire_leases(again.lease_until_ms, all_owners=False)
        assert expired.state == State.UNKNOWN

    async def test_nothing_is_sent_more_than_twice(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        again = await resent(store, clock, row)
        assert await resend(store, clock, again) is None, "it is in flight"
        await store.record_outcome(unknown(again))
        assert await resend(store, clock, again) is None, "it was sent twice"
        assert await state_of(store, row) == State.UNKNOWN

    async def test_of_two_claims_at_once_one_wins(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        claims = await asyncio.gather(*(resend(store, clock, row) for _ in range(2)))
        assert [found is None for found in claims].count(True) == 1

    async def test_what_is_not_unknown_is_left_alone(self, store: Store, clock: SteppedClock) -> None:
        flying, settled, gone, given_up = (message(clock) for _ in range(4))
        await store.accept(flying)
        await doubtful(store, settled)
        await store.record_webhook(receipt(clock, status(settled, "sent")))
        await judged(store, clock, await doubtful(store, given_up))
        for row in (flying, settled, gone, given_up):
            assert await resend(store, clock, row) is None
        assert await state_of(store, settled) == State.SENT

    @STRINGS
    async def test_reports_of_both_attempts_are_told_once_each(
        self, opaque: str | None, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await doubtful(store, doubtful_row(clock, opaque))
        again = await resent(store, clock, row)
        await store.record_outcome(accepted(again, "wamid.SECOND"))
        assert await store.record_webhook(receipt(clock, status(row, "sent", "wamid.FIRST"))) == RECORDED
        assert await store.record_webhook(receipt(clock, status(again, "sent", "wamid.SECOND"))) == REPEATED
        assert await store.record_webhook(receipt(clock, status(row, "read", "wamid.FIRST"))) == RECORDED
        assert await store.record_webhook(receipt(clock, status(again, "delivered", "wamid.SECOND"))) == RECORDED
        assert await statuses_of(store, row) == ["delivered", "read", "sent"]
        for any_id in ("wamid.FIRST", "wamid.SECOND"):
            found = await store.find(any_id)
            assert found is not None
            assert (found.id, found.state, found.meta_message_id) == (row.id, State.READ, "wamid.SECOND")
        clock.wall_ms += 10_000
        assert sorted(filter(None, await outlet.drain())) == ["delivered", "read", "sent"]

    @STRINGS
    async def test_late_report_of_the_first_settles_a_second_that_is_unknown_too(
        self, opaque: str | None, store: Store, clock: SteppedClock
    ) -> None:
        row = await doubtful(store, doubtful_row(clock, opaque))
        again = await resent(store, clock, row)
        await store.record_outcome(unknown(again))
        assert await store.record_webhook(receipt(clock, status(row, "delivered", "wamid.FIRST"))) == RECORDED
        assert await store.record_webhook(receipt(clock, status(again, "read", "wamid.SECOND"))) == RECORDED
        assert await state_of(store, row) == State.READ
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    @STRINGS
    async def test_report_of_the_first_while_it_waits_takes_it_out_of_the_queue(
        self, opaque: str | None, store: Store, clock: SteppedClock
    ) -> None:
        row = await doubtful(store, doubtful_row(clock, opaque))
        assert await resend(store, clock, row) is not None
        assert await store.record_webhook(receipt(clock, status(row, "sent", "wamid.FIRST"))) == RECORDED
        assert await state_of(store, row) == State.SENT
        assert await store.queue_heads(row.phone_number_id, now_ms=clock.now_ms(), per_application=9) == ()

    async def test_report_of_the_first_while_the_second_is_in_flight(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        again = await resent(store, clock, row)
        await store.record_webhook(receipt(clock, status(row, "delivered", "wamid.FIRST")))
        after = await store.record_outcome(refused_late(again), failure(row))
        assert after.state == State.DELIVERED, "the refusal of the second takes nothing back"
        assert [item.status for item in await store.callbacks_of(row.id)] == ["delivered"]

    async def test_the_customers_string_waits_for_the_attempt_in_flight(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = await doubtful(store, with_opaque(clock, "campaign-1"))
        again = await resent(store, clock, row)
        assert await store.record_webhook(receipt(clock, status(row, "sent", "wamid.FIRST"))) == PARKED
        await store.record_outcome(accepted(again, "wamid.SECOND"))
        found = await store.find("wamid.FIRST")
        assert found is not None, "what is not the second's can only be the first's"
        assert (found.id, found.state) == (row.id, State.SENT)

    async def test_string_of_a_resent_message_is_no_guess_for_another(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, with_opaque(clock, "same"))
        await store.record_outcome(accepted(await resent(store, clock, row), "wamid.SECOND"))
        other = await doubtful(store, with_opaque(clock, "same"))
        assert await store.record_webhook(receipt(clock, status(other, "sent", "wamid.WHOSE"))) == PARKED
        assert await state_of(store, other) == State.UNKNOWN

    async def test_late_refusal_is_told_and_keeps_the_key(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await doubtful(store, message(clock))
        again = await resent(store, clock, row)
        after = await store.record_outcome(refused_late(again), failure(row))
        assert (after.state, after.answer_code) == (State.FAILED, 0)
        assert await outlet.drain() == ["failed"]
        repeat = await store.accept(message(clock, key=row.key, sign="f" * 32))
        assert (repeat.is_new, repeat.message.id) == (False, row.id)

    async def test_resent_message_goes_with_all_that_hangs_on_it(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        row = await doubtful(store, with_opaque(clock, "campaign-1"))
        again = await resent(store, clock, row)
        await store.record_outcome(accepted(again, "wamid.SECOND"))
        later = clock.now_ms() + apart_ms
        await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=later, now_ms=later)
        assert await store.find(row.id) is None
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == PARKED

    async def test_its_key_stays_taken_when_both_are_unknown(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        again = await resent(store, clock, row)
        await store.record_outcome(unknown(again))
        held = await store.find_by_key(row.account, row.key, clock.now_ms())
        assert held is not None
        assert (held.id, held.answer_code) == (row.id, 0)
