"""What every engine of the journal must do to judge messages whose fate stays unknown; an engine file inherits it."""

from typing import Any

import msgspec
import pytest

from tests.conformance.journal_rows import (
    ACCOUNT,
    DAY_MS,
    PHONE_ID,
    SteppedClock,
    accepted,
    message,
    receipt,
    status,
    unknown,
    with_opaque,
)
from tests.conformance.outbox_rows import Outlet, inbound
from tests.conformance.status_suite import PARKED, RECORDED, state_of
from waypost.model import RANK_FAILED_HERE, CallbackDraft, CallbackKind, Message, State
from waypost.store.base import Judgement, Store

MINUTE_MS = 60_000
MINUTES = 15


async def doubtful(store: Store, row: Message) -> Message:
    await store.accept(row)
    await store.record_outcome(unknown(row))
    return row


async def received(store: Store, clock: SteppedClock, minutes: int, *phones: str) -> None:
    """Let so many minutes pass, in each of which two POSTs come in that speak of the phones."""
    for _ in range(minutes):
        clock.wall_ms += MINUTE_MS
        for _ in range(2):
            await store.record_webhook(msgspec.structs.replace(receipt(clock), phones=phones or (PHONE_ID,)))


async def reported(store: Store, clock: SteppedClock, meta_id: str = "wamid.LATER", **changes: Any) -> Message:
    """Send a message that Meta takes and reports on."""
    clock.wall_ms += 1
    row = message(clock, **changes)
    await store.accept(row)
    await store.record_outcome(accepted(row, meta_id))
    await store.record_webhook(receipt(clock, status(row, "sent", meta_id)))
    return row


async def judgeable(store: Store, clock: SteppedClock, *, minutes: int = MINUTES, limit: int = 10) -> set[str]:
    found = await store.judgeable(minutes=minutes, given_up_before_ms=clock.now_ms() - DAY_MS, limit=limit)
    return {row.id for row in found}


def failure(row: Message) -> CallbackDraft:
    """Draft the callback of our own `failed`."""
    return inbound(kind=CallbackKind.STATUS, message_id=row.id, status="failed", rank=RANK_FAILED_HERE, body=b"910001")


async def judged(store: Store, clock: SteppedClock, *rows: Message) -> tuple[Message, ...]:
    judgements = tuple(Judgement(message_id=row.id, callback=failure(row)) for row in rows)
    return await store.fail_unknown(judgements, now_ms=clock.now_ms())


class JudgeableSuite:
    """Whose time is up (decision D6)."""

    async def test_counted_minutes_and_a_later_message_are_both_needed(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        await received(store, clock, MINUTES)
        assert await judgeable(store, clock) == set(), "no later message has been reported"
        await reported(store, clock)
        assert await judgeable(store, clock) == {row.id}
        assert await judgeable(store, clock, minutes=MINUTES + 1) == set()
        await received(store, clock, 1)
        assert await judgeable(store, clock, minutes=MINUTES + 1) == {row.id}

    async def test_time_without_webhooks_does_not_count(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        await reported(store, clock)
        await received(store, clock, MINUTES - 1)
        clock.wall_ms += 600 * MINUTE_MS
        assert await judgeable(store, clock) == set()
        await received(store, clock, 1)
        assert await judgeable(store, clock) == {row.id}

    async def test_minutes_before_the_doubt_began_do_not_count(self, store: Store, clock: SteppedClock) -> None:
        await received(store, clock, 100)
        row = await doubtful(store, message(clock))
        await reported(store, clock)
        await received(store, clock, MINUTES - 1)
        assert await judgeable(store, clock) == set()
        await received(store, clock, 1)
        assert await judgeable(store, clock) == {row.id}

    async def test_report_of_an_earlier_message_proves_nothing(self, store: Store, clock: SteppedClock) -> None:
        await reported(store, clock)
        clock.wall_ms += 1
        await doubtful(store, message(clock))
        await received(store, clock, MINUTES)
        assert await judgeable(store, clock) == set()

    async def test_late_report_of_an_earlier_message_does_not_hide_the_later_one(
        self, store: Store, clock: SteppedClock
    ) -> None:
        early = message(clock)
        await store.accept(early)
        await store.record_outcome(accepted(early, "wamid.EARLY"))
        clock.wall_ms += 1
        row = await doubtful(store, message(clock))
        await reported(store, clock)
        await store.record_webhook(receipt(clock, status(early, "sent", "wamid.EARLY")))
        await received(store, clock, MINUTES)
        assert await judgeable(store, clock) == {row.id}

    @pytest.mark.parametrize("other", ["1", PHONE_ID + "0", PHONE_ID[:-1]])
    async def test_another_phone_proves_nothing(self, other: str, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock))
        later = await reported(store, clock, phone_number_id=other)
        await received(store, clock, MINUTES, other, PHONE_ID)
        assert await judgeable(store, clock) == set()
        await reported(store, clock, "wamid.HERE")
        assert await judgeable(store, clock) == {row.id}
        assert await state_of(store, later) == State.SENT

    async def test_after_the_bound_no_evidence_is_needed(self, store: Store, clock: SteppedClock) -> None:
        rows = [await doubtful(store, message(clock)) for _ in range(3)]
        clock.wall_ms = rows[0].created_at_ms + 120 + DAY_MS  # when the outcome was recorded
        assert await judgeable(store, clock) == set()
        clock.wall_ms += 1
        assert await judgeable(store, clock) == {row.id for row in rows}
        assert len(await judgeable(store, clock, limit=2)) == 2

    async def test_only_unknown_messages_are_judged(self, store: Store, clock: SteppedClock) -> None:
        await store.accept(message(clock))
        settled = await doubtful(store, message(clock))
        await store.record_webhook(receipt(clock, status(settled, "sent")))
        await reported(store, clock)
        await received(store, clock, MINUTES)
        clock.wall_ms += 2 * DAY_MS
        assert await judgeable(store, clock) == set()


class JudgementSuite:
    """What a judgement writes."""

    async def test_message_is_failed_and_told_once(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        row = await doubtful(store, message(clock))
        (after,) = await judged(store, clock, row)
        assert (after.id, after.state, after.rank) == (row.id, State.FAILED, RANK_FAILED_HERE)
        assert after == await store.find(row.id)
        assert await judged(store, clock, row) == ()
        assert await outlet.statuses() == ["failed"]
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 0}
        assert (await store.list(state=State.UNKNOWN, limit=10, cursor=None)).messages == ()
        clock.wall_ms += 2 * DAY_MS
        assert await judgeable(store, clock) == set()

    async def test_message_without_a_receiver_is_failed_too(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await doubtful(store, message(clock))
        (after,) = await store.fail_unknown((Judgement(message_id=row.id),), now_ms=clock.now_ms())
        assert after.state == State.FAILED
        assert await outlet.claim() == ()

    async def test_message_that_is_not_unknown_is_left_alone(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        settled = await doubtful(store, message(clock))
        await store.record_webhook(receipt(clock, status(settled, "read")))
        flying = message(clock)
        await store.accept(flying)
        gone = message(clock)
        assert await judged(store, clock, settled, flying, gone) == ()
        assert await state_of(store, settled) == State.READ
        assert await state_of(store, flying) == State.SENDING
        clock.wall_ms += 10_000
        assert await outlet.statuses() == ["read"]

    async def test_key_stays_taken(self, store: Store, clock: SteppedClock) -> None:
        row = await doubtful(store, message(clock, key="cus:a"))
        await judged(store, clock, row)
        again = await store.accept(message(clock, key="cus:a"))
        assert (again.is_new, again.message.id) == (False, row.id)
        held = await store.find_by_key(ACCOUNT, "cus:a", clock.now_ms())
        assert held is not None
        assert held.answer_code == 0

    async def test_one_time_password_is_forgotten(self, store: Store, clock: SteppedClock) -> None:
        rows = [await doubtful(store, message(clock, category=name)) for name in ("authentication", "utility")]
        await judged(store, clock, *rows)
        found = [await store.find(row.id) for row in rows]
        assert [row is not None and row.body is None for row in found] == [True, False]


class OverrulingSuite:
    """Our own `failed` is provisional: any later status of Meta's overrides it."""

    @pytest.mark.parametrize("opaque", [None, "campaign-1"], ids=["our token", "the customer's string"])
    @pytest.mark.parametrize("told", ["sent", "delivered", "failed"])
    async def test_late_status_finds_its_message_and_is_called_back(
        self, told: str, opaque: str | None, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await doubtful(store, with_opaque(clock, opaque) if opaque else message(clock))
        await judged(store, clock, row)
        clock.wall_ms += DAY_MS
        late = status(row, told, timestamp_ms=clock.now_ms())
        assert await store.record_webhook(receipt(clock, late)) == RECORDED
        found = await store.find("wamid.META1")
        assert found is not None
        assert (found.id, found.state) == (row.id, State(told))
        clock.wall_ms += 10_000
        assert await outlet.drain() == ["failed", told]

    async def test_two_judged_messages_that_fit_are_no_match(self, store: Store, clock: SteppedClock) -> None:
        rows = [await doubtful(store, with_opaque(clock, "same")) for _ in range(2)]
        await judged(store, clock, *rows)
        assert await store.record_webhook(receipt(clock, status(rows[0], "sent"))) == PARKED
        assert [await state_of(store, row) for row in rows] == [State.FAILED, State.FAILED]

    async def test_judged_message_goes_with_all_that_hangs_on_it(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        row = await doubtful(store, with_opaque(clock, "campaign-1"))
        await judged(store, clock, row)
        later = clock.now_ms() + apart_ms
        await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=later, now_ms=later)
        assert await store.find(row.id) is None
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == PARKED
