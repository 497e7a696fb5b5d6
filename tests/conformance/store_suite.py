"""What every engine of the journal must do with keys and outcomes; an engine file inherits it."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from tests.conformance.journal_rows import (
    ACCOUNT,
    LEASE_MS,
    SteppedClock,
    accepted,
    message,
    never_left,
    receipt,
    rejected,
    status,
    unknown,
)
from waypost.model import Message, Outcome, State
from waypost.store.base import Store

OTHER_SIGN = "f" * 32


class KeySuite:
    """Accepting a message: the key decides (decision D5)."""

    async def test_new_message_is_journalled_whole_and_in_flight(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock, cus_message_id="order-1", key="cus:order-1", price="0.05", currency="USD", opaque="x")
        journalled = await store.accept(row)
        assert journalled.is_new
        assert journalled.message == row
        assert await store.find(row.id) == row
        assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 0}

    async def test_repeat_gets_the_earlier_row_and_writes_nothing(self, store: Store, clock: SteppedClock) -> None:
        first = message(clock)
        await store.accept(first)
        repeat = message(clock, key=first.key, body=b"another")
        again = await store.accept(repeat)
        assert not again.is_new
        assert again.message == first
        assert await store.find(repeat.id) is None
        assert await store.find(first.id) == first
        assert (await store.count_by_state())["lease"] == 1

    async def test_key_belongs_to_one_account(self, store: Store, clock: SteppedClock) -> None:
        await store.accept(message(clock, key="cus:order-1"))
        other = await store.accept(message(clock, key="cus:order-1", account="globex"))
        assert other.is_new

    @pytest.mark.parametrize(
        ("outcome_of", "same_request_is_new", "newly_signed_is_new"),
        [(accepted, False, False), (unknown, False, False), (rejected, False, True), (never_left, True, True)],
        ids=["accepted", "unknown", "rejected", "never left"],
    )
    async def test_outcome_says_when_a_key_may_be_used_again(
        self,
        store: Store,
        clock: SteppedClock,
        outcome_of: Callable[[Message], Outcome],
        same_request_is_new: bool,
        newly_signed_is_new: bool,
    ) -> None:
        for sign, is_new in ((None, same_request_is_new), (OTHER_SIGN, newly_signed_is_new)):
            first = message(clock, key=f"cus:{sign}")
            await store.accept(first)
            done = await store.record_outcome(outcome_of(first))
            repeat = message(clock, key=first.key, sign=sign or first.sign)
            journalled = await store.accept(repeat)
            assert journalled.is_new is is_new
            assert journalled.message == (repeat if is_new else done)

    async def test_key_in_flight_is_held_against_any_signature(self, store: Store, clock: SteppedClock) -> None:
        first = message(clock)
        await store.accept(first)
        assert not (await store.accept(message(clock, key=first.key, sign=OTHER_SIGN))).is_new

    async def test_key_taken_over_is_held_again(self, store: Store, clock: SteppedClock) -> None:
        first, second = message(clock, key="cus:a"), message(clock, key="cus:a")
        await store.accept(first)
        await store.record_outcome(never_left(first))
        assert (await store.accept(second)).is_new
        third = await store.accept(message(clock, key="cus:a"))
        assert not third.is_new
        assert third.message.id == second.id

    async def test_outcome_of_a_former_holder_does_not_free_the_key(self, store: Store, clock: SteppedClock) -> None:
        first, second = message(clock, key="cus:a"), message(clock, key="cus:a")
        await store.accept(first)
        await store.record_outcome(never_left(first))
        await store.accept(second)
        await store.record_outcome(never_left(first))
        assert not (await store.accept(message(clock, key="cus:a"))).is_new

    async def test_key_expires_to_the_millisecond(self, store: Store, clock: SteppedClock) -> None:
        first = message(clock)
        await store.accept(first)
        clock.wall_ms = first.key_expires_ms - 1
        assert not (await store.accept(message(clock, key=first.key))).is_new
        assert await store.find_by_key(ACCOUNT, first.key, clock.now_ms()) == first
        clock.wall_ms += 1
        assert await store.find_by_key(ACCOUNT, first.key, clock.now_ms()) is None
        assert (await store.accept(message(clock, key=first.key))).is_new

    async def test_find_by_key_is_within_the_account(self, store: Store, clock: SteppedClock) -> None:
        first = message(clock)
        await store.accept(first)
        assert await store.find_by_key("globex", first.key, clock.now_ms()) is None
        assert await store.find_by_key(ACCOUNT, "sign:other", clock.now_ms()) is None

    async def test_of_many_repeats_at_once_exactly_one_is_new(self, store: Store, clock: SteppedClock) -> None:
        attempts = [message(clock, key="cus:once") for _ in range(20)]
        journalled = await asyncio.gather(*(store.accept(row) for row in attempts))
        assert [one.is_new for one in journalled].count(True) == 1
        assert len({one.message.id for one in journalled}) == 1


class OutcomeSuite:
    """What an attempt came to, and leases that ended without anybody saying."""

    async def test_accepted_outcome_is_kept_whole(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        outcome = accepted(row)
        after = await store.record_outcome(outcome)
        assert after == msgspec.structs.replace(
            row,
            state=State.ACCEPTED,
            rank=outcome.rank,
            outcome_at_ms=outcome.at_ms,
            answer_code=0,
            meta_message_id="wamid.META1",
            meta_answer=outcome.meta_answer,
        )
        assert await store.find(row.id) == after
        assert await store.find("wamid.META1") == after
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_unknown_outcome_waits_to_be_settled_and_a_late_answer_settles_it(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = message(clock)
        await store.accept(row)
        assert (await store.record_outcome(unknown(row))).state == State.UNKNOWN
        assert await store.count_by_state() == {"lease": 0, "unsettled": 1, "queued": 0}
        assert await store.count_unsettled() == 1
        assert (await store.record_outcome(accepted(row))).state == State.ACCEPTED
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_outcome_never_moves_a_message_back(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        after = await store.record_outcome(unknown(row))
        assert (after.state, after.meta_message_id) == (State.ACCEPTED, "wamid.META1")
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_outcome_of_another_attempt_changes_nothing_but_the_meta_id(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = message(clock, attempt=2)
        await store.accept(row)
        assert await store.record_outcome(msgspec.structs.replace(rejected(row), attempt=1)) == row
        late = await store.record_outcome(accepted(row, attempt=1))
        assert late == msgspec.structs.replace(row, meta_message_id="wamid.META1")
        assert (await store.count_by_state())["lease"] == 1
        assert await store.find("wamid.META1") == late

    async def test_meta_s_answer_outweighs_an_earlier_owner_of_the_meta_id(
        self, store: Store, clock: SteppedClock
    ) -> None:
        first, second = message(clock), message(clock)
        for row in (first, second):
            await store.accept(row)
            await store.record_outcome(accepted(row, "wamid.SAME"))
        await store.record_webhook(receipt(clock, status(second, "sent", "wamid.SAME", opaque=None)))
        assert [(await store.find(row.id)).state for row in (first, second)] == [  # type: ignore[union-attr] # both exist
            State.ACCEPTED,
            State.SENT,
        ]

    async def test_outcome_of_no_message_is_an_error_of_its_own(self, store: Store, clock: SteppedClock) -> None:
        with pytest.raises(LookupError, match="no message wamid"):
            await store.record_outcome(accepted(message(clock)))

    async def test_only_leases_that_ended_become_unknown(self, store: Store, clock: SteppedClock) -> None:
        ended, running = message(clock), message(clock, lease_until_ms=clock.now_ms() + 2 * LEASE_MS)
        await store.accept(ended)
        await store.accept(running)
        assert await store.expire_leases(ended.lease_until_ms - 1, all_owners=False) == ()
        (expired,) = await store.expire_leases(ended.lease_until_ms, all_owners=False)
        assert (expired.id, expired.state) == (ended.id, State.UNKNOWN)
        assert await store.find(running.id) == running
        assert await store.count_by_state() == {"lease": 1, "unsettled": 1, "queued": 0}

    async def test_at_start_every_lease_has_ended(self, store: Store, clock: SteppedClock) -> None:
        rows = [message(clock) for _ in range(3)]
        for row in rows:
            await store.accept(row)
        expired = await store.expire_leases(clock.now_ms(), all_owners=True)
        assert [(row.id, row.state) for row in expired] == [(row.id, State.UNKNOWN) for row in rows]
        assert await store.expire_leases(clock.now_ms(), all_owners=True) == ()
