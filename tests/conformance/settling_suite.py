"""What every engine of the journal must do to settle messages whose fate is unknown; an engine file inherits it."""

from typing import Any

import pytest

from tests.conformance.journal_rows import (
    PHONE_ID,
    SteppedClock,
    accepted,
    message,
    never_left,
    receipt,
    status,
    unknown,
    with_opaque,
)
from tests.conformance.status_suite import PARKED, RECORDED, state_of, statuses_of
from waypost.model import Message, State
from waypost.store.base import Store


class TokenSuite:
    """Settling by our own token (decision D6)."""

    async def test_token_leads_to_the_message_and_settles_it(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(unknown(row))
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == RECORDED
        found = await store.find("wamid.META1")
        assert found is not None
        assert (found.id, found.state, found.meta_message_id) == (row.id, State.SENT, "wamid.META1")
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_status_may_overtake_the_answer(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_webhook(receipt(clock, status(row, "delivered")))
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}
        after = await store.record_outcome(accepted(row))
        assert (after.state, after.answer_code) == (State.DELIVERED, 0)
        assert after.outcome_at_ms == row.created_at_ms + 120

    async def test_settled_message_does_not_become_unknown(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_webhook(receipt(clock, status(row, "sent")))
        assert await store.expire_leases(clock.now_ms(), all_owners=True) == ()
        after = await store.record_outcome(unknown(row))
        assert (after.state, after.meta_message_id) == (State.SENT, "wamid.META1")
        assert (await store.count_by_state())["unsettled"] == 0

    async def test_earlier_reports_of_the_meta_id_come_along(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        assert await store.record_webhook(receipt(clock, status(row, "read", opaque=None))) == PARKED
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == RECORDED
        assert await state_of(store, row) == State.READ
        assert await statuses_of(store, row) == ["read", "sent"]

    async def test_wrong_token_is_no_token(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(unknown(row))
        assert row.token is not None
        forged = [
            row.token[:-1] + ("0" if row.token[-1] != "0" else "1"),
            row.token.replace(".1.", ".2."),
            row.token + "0",
            row.token.upper(),
            row.id,
        ]
        for number, opaque in enumerate(forged):
            event = status(row, "sent", f"wamid.F{number}", opaque=opaque)
            assert await store.record_webhook(receipt(clock, event)) == PARKED
        assert await state_of(store, row) == State.UNKNOWN

    async def test_token_counts_only_for_its_own_phone(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        assert await store.record_webhook(receipt(clock, status(row, "sent", phone_number_id="1"))) == PARKED
        assert await state_of(store, row) == State.SENDING

    async def test_our_own_failed_is_provisional(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(unknown(row))
        assert (await store.record_outcome(never_left(row))).state == State.FAILED
        await store.record_webhook(receipt(clock, status(row, "sent")))
        assert await state_of(store, row) == State.SENT


class OpaqueSuite:
    """Settling by the customer's own opaque data: only where exactly one message fits (decision D6)."""

    async def doubtful(self, store: Store, clock: SteppedClock, **changes: object) -> Message:
        row = with_opaque(clock, "campaign-1", **changes)
        await store.accept(row)
        await store.record_outcome(unknown(row))
        return row

    async def test_the_only_unknown_message_is_settled(self, store: Store, clock: SteppedClock) -> None:
        row = await self.doubtful(store, clock)
        await self.doubtful(store, clock, recipient="8613800000000")
        await self.doubtful(store, clock, phone_number_id="1")
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == RECORDED
        assert await state_of(store, row) == State.SENT
        assert (await store.count_by_state())["unsettled"] == 2

    @pytest.mark.parametrize(
        "changes",
        [{"opaque": "campaign-2"}, {"opaque": None}, {"recipient": "1"}, {"phone_number_id": "1"}],
        ids=["other string", "no string", "other recipient", "other phone"],
    )
    async def test_status_that_differs_settles_nothing(
        self, store: Store, clock: SteppedClock, changes: dict[str, Any]
    ) -> None:
        row = await self.doubtful(store, clock)
        assert await store.record_webhook(receipt(clock, status(row, "sent", **changes))) == PARKED
        assert await state_of(store, row) == State.UNKNOWN

    async def test_of_two_that_fit_none_is_settled(self, store: Store, clock: SteppedClock) -> None:
        first, second = await self.doubtful(store, clock), await self.doubtful(store, clock)
        assert await store.record_webhook(receipt(clock, status(second, "sent"))) == PARKED
        assert [await state_of(store, row) for row in (first, second)] == [State.UNKNOWN] * 2

    async def test_of_two_reports_for_one_message_none_is_taken(self, store: Store, clock: SteppedClock) -> None:
        row = with_opaque(clock, "campaign-1")
        await store.accept(row)
        for meta_id in ("wamid.A", "wamid.B"):
            assert await store.record_webhook(receipt(clock, status(row, "sent", meta_id))) == PARKED
        assert (await store.record_outcome(unknown(row))).state == State.UNKNOWN
        assert await store.record_webhook(receipt(clock, status(row, "read", "wamid.A"))) == PARKED

    async def test_message_created_after_the_status_does_not_fit(self, store: Store, clock: SteppedClock) -> None:
        row = await self.doubtful(store, clock)
        second_ms = row.created_at_ms // 1000 * 1000
        early = status(row, "sent", timestamp_ms=second_ms - 2000)
        assert await store.record_webhook(receipt(clock, early)) == PARKED
        tolerated = status(row, "sent", "wamid.META2", timestamp_ms=second_ms - 1000)
        assert await store.record_webhook(receipt(clock, tolerated)) == RECORDED
        found = await store.find(row.id)
        assert found is not None
        assert found.meta_message_id == "wamid.META2"

    async def test_later_message_does_not_hide_the_one_that_fits(self, store: Store, clock: SteppedClock) -> None:
        first = await self.doubtful(store, clock)
        clock.wall_ms += 60_000
        await self.doubtful(store, clock)
        assert await store.record_webhook(receipt(clock, status(first, "sent"))) == RECORDED
        assert await state_of(store, first) == State.SENT

    async def test_message_in_flight_makes_the_answer_wait_for_its_outcome(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = with_opaque(clock, "campaign-1")
        await store.accept(row)
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == PARKED
        assert await state_of(store, row) == State.SENDING
        after = await store.record_outcome(unknown(row))
        assert (after.state, after.meta_message_id) == (State.SENT, "wamid.META1")
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_lease_that_ends_settles_what_waited(self, store: Store, clock: SteppedClock) -> None:
        row = with_opaque(clock, "campaign-1")
        await store.accept(row)
        await store.record_webhook(receipt(clock, status(row, "delivered")))
        (expired,) = await store.expire_leases(row.lease_until_ms, all_owners=False)
        assert (expired.state, expired.meta_message_id) == (State.DELIVERED, "wamid.META1")
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}

    async def test_leases_that_end_together_are_not_told_apart(self, store: Store, clock: SteppedClock) -> None:
        rows = [with_opaque(clock, "campaign-1") for _ in range(2)]
        for row in rows:
            await store.accept(row)
        await store.record_webhook(receipt(clock, status(rows[0], "sent")))
        expired = await store.expire_leases(clock.now_ms(), all_owners=True)
        assert [row.state for row in expired] == [State.UNKNOWN] * 2

    async def test_unknown_message_is_settled_once_the_other_has_its_answer(
        self, store: Store, clock: SteppedClock
    ) -> None:
        lost = await self.doubtful(store, clock)
        flying = with_opaque(clock, "campaign-1")
        await store.accept(flying)
        for meta_id in ("wamid.LOST", "wamid.FLYING"):
            assert await store.record_webhook(receipt(clock, status(lost, "sent", meta_id))) == PARKED
        after = await store.record_outcome(accepted(flying, "wamid.FLYING"))
        assert after.state == State.SENT
        settled = await store.find("wamid.LOST")
        assert settled is not None
        assert (settled.id, settled.state) == (lost.id, State.SENT)

    async def test_customer_s_string_that_looks_like_a_token_is_just_a_string(
        self, store: Store, clock: SteppedClock
    ) -> None:
        victim = message(clock)
        await store.accept(victim)
        row = with_opaque(clock, f"wp1.{victim.id[6:]}.1.{'0' * 32}", phone_number_id=PHONE_ID)
        await store.accept(row)
        await store.record_outcome(unknown(row))
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == RECORDED
        assert [await state_of(store, one) for one in (victim, row)] == [State.SENDING, State.SENT]
