"""What every engine of the journal must do with Meta's reports: find the message, move only forward."""

from collections.abc import Callable

import msgspec
import pytest

from tests.conformance.journal_rows import (
    SteppedClock,
    accepted,
    message,
    never_left,
    receipt,
    rejected,
    status,
)
from waypost.model import Message, Outcome, State
from waypost.store.base import Store, WebhookEffect

RECORDED = WebhookEffect(recorded=1)
REPEATED = WebhookEffect(repeated=1)
PARKED = WebhookEffect(parked=1)


async def state_of(store: Store, row: Message) -> State:
    found = await store.find(row.id)
    assert found is not None
    return found.state


async def statuses_of(store: Store, row: Message) -> list[str]:
    return [record.status for record in await store.statuses(row.id)]


class StatusSuite:
    """Statuses of messages whose Meta id is known, or is yet to come (decision D7)."""

    async def test_status_moves_the_headline_and_a_repeat_does_not_count(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        sent = status(row, "sent")
        assert await store.record_webhook(receipt(clock, sent)) == RECORDED
        assert await state_of(store, row) == State.SENT
        assert await store.record_webhook(receipt(clock, sent)) == REPEATED
        both = receipt(clock, status(row, "delivered"), status(row, "delivered"), status(row, "read", "wamid.OTHER"))
        foreign = msgspec.structs.replace(both.statuses[2], opaque=None)
        counted = await store.record_webhook(msgspec.structs.replace(both, statuses=(*both.statuses[:2], foreign)))
        assert counted == WebhookEffect(recorded=1, repeated=1, parked=1)
        assert await statuses_of(store, row) == ["delivered", "sent"]
        assert await state_of(store, row) == State.DELIVERED

    async def test_webhook_without_statuses_is_kept_and_moves_nothing(self, store: Store, clock: SteppedClock) -> None:
        assert await store.record_webhook(receipt(clock)) == WebhookEffect()
        soon = clock.now_ms() + 1
        purged = await store.purge(bodies_before_ms=0, webhooks_before_ms=soon, messages_before_ms=0, now_ms=soon)
        assert purged == 1

    async def test_unheard_of_status_is_recorded_and_moves_nothing(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        before = await store.record_outcome(accepted(row))
        assert await store.record_webhook(receipt(clock, status(row, "warning"))) == RECORDED
        assert await store.find(row.id) == before
        assert await statuses_of(store, row) == ["warning"]

    async def test_each_participant_of_a_group_has_statuses_of_its_own(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        events = [status(row, "read", participant=name) for name in ("ann", "bob", "ann")]
        assert await store.record_webhook(receipt(clock, *events)) == WebhookEffect(recorded=2, repeated=1)

    async def test_statuses_are_told_in_the_order_of_meta_s_clock(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        for value, at_ms in (("read", 9000), ("sent", 7000), ("delivered", 8000)):
            clock.wall_ms += 1
            await store.record_webhook(receipt(clock, status(row, value, timestamp_ms=at_ms)))
        assert await statuses_of(store, row) == ["sent", "delivered", "read"]
        assert await state_of(store, row) == State.READ

    async def test_status_of_another_phone_with_the_same_meta_id_is_foreign(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        assert await store.record_webhook(receipt(clock, status(row, "read", phone_number_id="1"))) == PARKED
        assert await state_of(store, row) == State.ACCEPTED

    async def test_parked_statuses_join_their_message_with_its_outcome(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        early = [status(row, value, opaque=None) for value in ("delivered", "sent", "delivered")]
        received_ms = clock.now_ms()
        assert await store.record_webhook(receipt(clock, *early)) == WebhookEffect(parked=2, repeated=1)
        assert await state_of(store, row) == State.SENDING
        clock.wall_ms += 1
        after = await store.record_outcome(accepted(row))
        assert (after.state, after.answer_code, after.meta_message_id) == (State.DELIVERED, 0, "wamid.META1")
        assert {record.received_at_ms for record in await store.statuses(row.id)} == {received_ms}
        assert await store.record_webhook(receipt(clock, early[0])) == REPEATED

    @pytest.mark.parametrize("refused", [rejected, never_left])
    async def test_status_proves_that_a_refused_message_left_and_bars_its_key(
        self, store: Store, clock: SteppedClock, refused: Callable[[Message], Outcome]
    ) -> None:
        row = message(clock, key="cus:a")
        await store.accept(row)
        await store.record_outcome(refused(row))
        assert await store.record_webhook(receipt(clock, status(row, "warning"))) == RECORDED
        assert await state_of(store, row) == State.ACCEPTED
        repeat = await store.accept(message(clock, key="cus:a"))
        assert (repeat.is_new, repeat.message.id) == (False, row.id)

    async def test_refusal_that_comes_after_a_status_does_not_free_the_key(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = message(clock, key="cus:a")
        await store.accept(row)
        await store.record_webhook(receipt(clock, status(row, "sent")))
        after = await store.record_outcome(never_left(row))
        assert (after.state, after.answer_code) == (State.SENT, 9001)
        assert not (await store.accept(message(clock, key="cus:a"))).is_new
