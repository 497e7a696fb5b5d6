"""What every engine of the journal must do with messages that wait for their turn; an engine file inherits it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.conformance.journal_rows import (
    ACCOUNT,
    LEASE_MS,
    PHONE_ID,
    RECIPIENT,
    SteppedClock,
    accepted,
    message,
    never_left,
    receipt,
    status,
    unknown,
    with_opaque,
)
from tests.conformance.outbox_rows import Outlet
from tests.conformance.queued_rows import OTHER, Worker, entry, failure, held, queue, refused, standings
from tests.conformance.status_suite import RECORDED, state_of
from waypost.model import RANK_QUEUED, RANK_SENDING, Message, Outcome, State
from waypost.store.base import Store
from waypost.store.base_queue import PRIORITY_PROMPT, DuePhone, Standing, Waiting


class QueueingSuite:
    """Who waits, and who may go (decision D3)."""

    async def test_message_that_waits_is_journalled_whole_with_its_place(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        place = entry(
            clock, template="promo", due_at_ms=clock.now_ms() - 5, expires_at_ms=clock.now_ms() + 9, reason="pace"
        )
        row = await queue(store, clock, place=place)
        assert await store.find(row.id) == row
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 1}
        assert await worker.heads() == (
            Waiting(
                message_id=row.id,
                phone_number_id=PHONE_ID,
                waba_id=row.waba_id,
                account=ACCOUNT,
                appkey=row.appkey,
                recipient=RECIPIENT,
                priority=place.priority,
                template="promo",
                since_ms=row.created_at_ms,
                due_at_ms=place.due_at_ms,
                expires_at_ms=place.expires_at_ms,
                tries=0,
                reason="pace",
                standing=Standing.READY,
            ),
        )

    async def test_repeat_of_a_message_that_waits_gets_its_row(self, store: Store, clock: SteppedClock) -> None:
        first = await queue(store, clock)
        again = await store.accept(held(clock, key=first.key), entry(clock))
        inline = await store.accept(message(clock, key=first.key))
        assert [(one.is_new, one.message) for one in (again, inline)] == [(False, first)] * 2
        assert list(await standings(store)) == [first.id]

    async def test_state_and_place_must_agree(self, store: Store, clock: SteppedClock) -> None:
        for row, place in ((message(clock), entry(clock)), (held(clock), None)):
            with pytest.raises(ValueError, match=row.id):
                await store.accept(row, place)
            assert await store.find(row.id) is None
            assert await store.find_by_key(ACCOUNT, row.key, clock.now_ms()) is None

    async def test_one_phone_recipient_and_priority_goes_one_by_one(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        rows = [await queue(store, clock) for _ in range(3)]
        prompt = await queue(store, clock, place=entry(clock, priority=PRIORITY_PROMPT))
        other = await queue(store, clock, recipient=OTHER)
        elsewhere = await queue(store, clock, phone_number_id="1")
        assert await worker.ready() == [prompt.id, rows[0].id, other.id]
        assert await Worker(store, clock, "1").ready() == [elsewhere.id]
        assert await worker.take(rows[1].id) is None, "an earlier one is here"
        assert await worker.drain() == [prompt.id, *(row.id for row in rows), other.id]
        assert (await store.count_by_state())["queued"] == 1

    async def test_heads_are_the_first_few_of_each_priority_and_application(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        rows = {}
        for number, (appkey, priority) in enumerate([("crm", 1), ("shop", 1), ("shop", 0), ("crm", 1), ("crm", 1)]):
            place = entry(clock, priority=priority, due_at_ms=clock.now_ms() - 10 * number)
            rows[number] = await queue(store, clock, appkey=appkey, recipient=f"86{number}", place=place)
        heads = await worker.heads(per_application=2)
        assert [head.message_id for head in heads] == [rows[number].id for number in (2, 4, 3, 1)]
        assert [(head.priority, head.appkey) for head in heads] == [(0, "shop"), (1, "crm"), (1, "crm"), (1, "shop")]

    async def test_due_to_the_millisecond(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        later = await queue(store, clock, place=entry(clock, due_at_ms=clock.now_ms() + 10))
        last = await queue(store, clock, recipient=OTHER, place=entry(clock, due_at_ms=clock.now_ms() + 30))
        elsewhere = await queue(store, clock, phone_number_id="1")
        assert await worker.heads() == ()
        assert await store.next_queued(PHONE_ID) == later.created_at_ms + 10
        assert await store.queue_phones() == (
            DuePhone(phone_number_id="1", due_at_ms=elsewhere.created_at_ms),
            DuePhone(phone_number_id=PHONE_ID, due_at_ms=later.created_at_ms + 10),
        )
        clock.wall_ms += 10
        assert await worker.ready() == [later.id]
        await worker.begin(later)
        assert await store.next_queued(PHONE_ID) == last.created_at_ms + 30
        assert await store.next_queued("2") is None
        assert [await store.lanes_stand(phone) for phone in (PHONE_ID, "1", "2")] == [True, True, False]

    async def test_ready_message_can_be_put_off_and_its_lane_with_it(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        first, second = [await queue(store, clock, place=entry(clock, template="promo", tries=2)) for _ in range(2)]
        flying = await worker.begin(await queue(store, clock, recipient=OTHER))
        due = clock.now_ms() + 4_000
        deferred = [
            await store.defer_queued(row.id, due_at_ms=due, reason="pair limit")
            for row in (first, second, flying, message(clock))
        ]
        assert deferred == [True, False, False, False]
        assert await worker.heads() == ()
        assert await store.next_queued(PHONE_ID) == due
        clock.wall_ms = due
        (head,) = await worker.heads()
        assert (head.message_id, head.due_at_ms, head.reason) == (first.id, due, "pair limit")
        assert (head.template, head.tries, head.since_ms) == ("promo", 2, first.created_at_ms)
        assert await worker.drain() == [first.id, second.id]

    async def test_what_arrives_late_with_an_earlier_id_goes_before_those_behind(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        early, *rows = [held(clock) for _ in range(3)]
        for row in (*rows, early):
            await store.accept(row, entry(clock))
        assert await worker.drain() == [rows[0].id, early.id, rows[1].id]

    async def test_list_of_what_waits(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        rows = [await queue(store, clock) for _ in range(4)]
        await store.accept(message(clock))
        await worker.begin(rows[0])
        first = await store.list(state=State.QUEUED, limit=2, cursor=None)
        rest = await store.list(state=State.QUEUED, limit=2, cursor=first.next_cursor)
        assert [*first.messages, *rest.messages] == rows[:0:-1]
        assert rest.next_cursor is None
        assert await store.count_by_state() == {"lease": 2, "unsettled": 0, "queued": 3}


class TurnSuite:
    """Attempts: under a lease and a token of their own, and whoever is behind comes forward when they are over."""

    async def test_attempt_is_counted_and_leased_and_carries_a_new_token(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = await queue(store, clock)
        token = f"wp1.{row.id[6:]}.1.{'0' * 32}"
        lease_until_ms = clock.now_ms() + LEASE_MS
        taken = await store.begin_attempt(row.id, owner="me", lease_until_ms=lease_until_ms, token=token)
        assert taken == msgspec.structs.replace(
            row,
            state=State.SENDING,
            rank=RANK_SENDING,
            attempt=1,
            owner="me",
            lease_until_ms=lease_until_ms,
            token=token,
            body=b'{"biz_opaque_callback_data":"%s","type":"text"}' % token.encode(),
        )
        assert await store.find(row.id) == taken
        assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 0}
        assert await worker.take(row.id) is None, "it is being sent"
        assert await worker.heads() == ()
        assert await store.record_webhook(receipt(clock, status(taken, "sent"))) == RECORDED

    async def test_customer_s_own_opaque_data_stays(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        row = await queue(store, clock, opaque="campaign-1", token=None)
        taken = await worker.begin(row)
        assert (taken.body, taken.token, taken.attempt) == (row.body, None, 1)
        assert await store.record_webhook(receipt(clock, status(taken, "sent"))) != RECORDED, "it is in flight"
        assert (await store.record_outcome(unknown(taken))).state == State.SENT

    async def test_message_that_does_not_wait_can_not_be_taken(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        flying, gone = message(clock), message(clock)
        await store.accept(flying)
        assert [await worker.take(row.id) for row in (flying, gone)] == [None, None]
        assert await store.find(flying.id) == flying

    @pytest.mark.parametrize(
        ("outcome_of", "state"),
        [(accepted, State.ACCEPTED), (refused, State.FAILED), (unknown, State.UNKNOWN)],
        ids=["accepted", "refused", "unknown"],
    )
    async def test_outcome_ends_the_wait_and_the_next_is_ready(
        self,
        store: Store,
        clock: SteppedClock,
        worker: Worker,
        outcome_of: Callable[[Message], Outcome],
        state: State,
    ) -> None:
        first, second, third = [await queue(store, clock) for _ in range(3)]
        taken = await worker.begin(first)
        last = await queue(store, clock)
        assert await worker.heads() == ()
        assert (await store.record_outcome(outcome_of(taken))).state == state
        assert await worker.ready() == [second.id]
        behind = dict.fromkeys((third.id, last.id), Standing.BEHIND)
        assert await standings(store) == {second.id: Standing.READY, **behind}

    async def test_only_what_was_taken_last_has_an_outcome(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = await worker.begin(await queue(store, clock))
        await worker.back(row)
        again = await worker.begin(row)
        assert again.attempt == 2
        assert await store.record_outcome(refused(row)) == again
        assert (await store.record_outcome(accepted(again))).state == State.ACCEPTED

    async def test_callback_of_an_outcome_is_told_once_and_only_if_it_stands(
        self, store: Store, clock: SteppedClock, worker: Worker, outlet: Outlet
    ) -> None:
        failed = await worker.begin(await queue(store, clock))
        for _ in range(2):
            await store.record_outcome(refused(failed), failure(failed))
        assert await outlet.statuses() == ["failed"]
        overtaken = await worker.begin(await queue(store, clock))
        await store.record_webhook(receipt(clock, status(overtaken, "sent")))
        assert (await store.record_outcome(refused(overtaken), failure(overtaken))).state == State.SENT
        clock.wall_ms += 1_000
        assert await outlet.statuses() == ["sent"]

    async def test_refusal_that_comes_after_its_lease_ended_is_told(
        self, store: Store, clock: SteppedClock, worker: Worker, outlet: Outlet
    ) -> None:
        row = await worker.begin(await queue(store, clock))
        clock.wall_ms = row.lease_until_ms
        await store.expire_leases(clock.now_ms(), all_owners=False)
        assert (await store.record_outcome(refused(row), failure(row))).state == State.FAILED
        assert await outlet.statuses() == ["failed"]

    @pytest.mark.parametrize("all_owners", [True, False])
    async def test_lease_that_ends_leaves_the_message_unknown_and_blocks_nobody(
        self, store: Store, clock: SteppedClock, worker: Worker, all_owners: bool
    ) -> None:
        first, second = [await queue(store, clock) for _ in range(2)]
        taken = await worker.begin(first)
        clock.wall_ms += 0 if all_owners else LEASE_MS
        assert await store.next_queued(PHONE_ID) is None
        assert await store.lanes_stand(PHONE_ID), "one is in flight, and the other behind it"
        (ended,) = await store.expire_leases(clock.now_ms(), all_owners=all_owners)
        assert (ended.id, ended.state) == (first.id, State.UNKNOWN)
        assert await store.count_by_state() == {"lease": 0, "unsettled": 1, "queued": 1}
        assert await worker.ready() == [second.id]
        assert (await store.record_outcome(accepted(taken))).state == State.ACCEPTED

    @pytest.mark.parametrize("in_flight", [True, False])
    async def test_status_ends_the_wait(
        self, store: Store, clock: SteppedClock, worker: Worker, in_flight: bool
    ) -> None:
        first, second = [await queue(store, clock) for _ in range(2)]
        row = await worker.begin(first)
        if not in_flight:
            await worker.back(row)
        assert await store.record_webhook(receipt(clock, status(row, "delivered"))) == RECORDED
        assert await worker.ready() == [second.id]
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 1}
        assert await worker.take(first.id) is None
        assert (await worker.back(row)).state == State.DELIVERED

    async def test_of_many_workers_one_gets_the_attempt(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = await queue(store, clock)
        taken = await asyncio.gather(*(worker.take(row.id) for _ in range(10)))
        assert [one is None for one in taken].count(False) == 1


class RequeueSuite:
    """An attempt that sent nothing: the message waits again, and keeps its place."""

    async def test_message_waits_again_as_it_was_told(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        place = entry(clock, template="promo", priority=PRIORITY_PROMPT)
        first = await queue(store, clock, place=place)
        second = await queue(store, clock, place=place)
        row = await worker.begin(first)
        clock.wall_ms += 100
        due, expiry = clock.now_ms() + 4_000, clock.now_ms() + 60_000
        back = await worker.back(row, due_at_ms=due, expires_at_ms=expiry, priority=1, template="other")
        assert back == msgspec.structs.replace(row, state=State.QUEUED, rank=RANK_QUEUED, outcome_at_ms=clock.now_ms())
        assert back == await store.find(row.id)
        assert await store.count_by_state() == {"lease": 0, "unsettled": 0, "queued": 2}
        assert await worker.heads() == (), "the one behind does not pass it"
        assert await worker.take(second.id) is None
        clock.wall_ms = due
        (head,) = await worker.heads()
        assert (head.message_id, head.due_at_ms, head.expires_at_ms) == (first.id, due, expiry)
        assert (head.tries, head.reason, head.since_ms) == (1, "pair limit", first.created_at_ms)
        assert (head.priority, head.template) == (PRIORITY_PROMPT, "promo"), "these stay"
        assert await worker.drain() == [first.id, second.id]

    async def test_message_sent_without_waiting_goes_before_what_came_to_wait_meanwhile(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        inline = message(clock, price="0.05")
        await store.accept(inline)
        others = [await queue(store, clock) for _ in range(2)]
        assert await worker.ready() == [others[0].id]
        back = await worker.back(inline)
        assert (back.state, back.attempt, back.answer_code, back.price) == (State.QUEUED, 1, 0, "0.05")
        assert await worker.ready() == [inline.id]
        (row,) = await worker.heads()
        assert (row.since_ms, row.tries) == (inline.created_at_ms, 1)
        assert await worker.drain() == [inline.id, *(row.id for row in others)]

    async def test_who_is_being_sent_goes_on_before_an_earlier_one(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        inline = message(clock)
        await store.accept(inline)
        flying, behind = [await queue(store, clock) for _ in range(2)]
        taken = await worker.begin(flying)
        await worker.back(inline)
        assert await worker.heads() == ()
        assert await standings(store) == {inline.id: Standing.BEHIND, behind.id: Standing.BEHIND}
        await worker.back(taken)
        assert await worker.ready() == [inline.id]
        assert await worker.drain() == [inline.id, flying.id, behind.id]

    @pytest.mark.parametrize("queued", [True, False])
    async def test_what_is_known_of_the_message_wins(
        self, store: Store, clock: SteppedClock, worker: Worker, queued: bool
    ) -> None:
        row = message(clock)
        if queued:
            row = await worker.begin(await queue(store, clock))
        else:
            await store.accept(row)
        await store.record_webhook(receipt(clock, status(row, "sent")))
        before = await store.find(row.id)
        assert await worker.back(row) == before
        assert await store.find(row.id) == before
        assert await standings(store) == {}

    async def test_only_the_attempt_that_is_under_way_can_be_taken_back(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = await worker.begin(await queue(store, clock))
        await worker.back(row)
        again = await worker.begin(row)
        assert await worker.back(row) == again
        await store.record_outcome(unknown(again))
        assert (await worker.back(again)).state == State.UNKNOWN
        with pytest.raises(LookupError, match="no message wamid"):
            await worker.back(message(clock))

    async def test_answer_code_of_the_first_answer_is_kept(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        clock.wall_ms += 70
        back = await store.requeue(row.id, 1, entry(clock), answer_code=9001, now_ms=clock.now_ms())
        assert (back.answer_code, back.outcome_at_ms) == (9001, clock.now_ms())

    async def test_key_stays_taken(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        row = message(clock, key="cus:a")
        await store.accept(row)
        await worker.back(row)
        again = await store.accept(message(clock, key="cus:a"))
        assert (again.is_new, again.message.id, again.message.state) == (False, row.id, State.QUEUED)

    async def test_reports_that_fit_the_customer_s_string_do_not_take_a_message_that_waits(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = with_opaque(clock, "campaign-1")
        await store.accept(row)
        await worker.back(row)
        await store.record_webhook(receipt(clock, status(row, "sent")))
        assert await state_of(store, row) == State.QUEUED, "it certainly isn't at Meta"

    @pytest.mark.parametrize("changes", [{"phone_number_id": "1"}, {"recipient": OTHER}])
    async def test_others_are_not_touched(
        self, store: Store, clock: SteppedClock, worker: Worker, changes: dict[str, Any]
    ) -> None:
        other = await queue(store, clock, **changes)
        inline = message(clock)
        await store.accept(inline)
        await worker.back(inline)
        assert await standings(store) == {other.id: Standing.READY, inline.id: Standing.READY}

    async def test_outcome_of_a_message_sent_without_waiting_leaves_the_queue_alone(
        self, store: Store, clock: SteppedClock
    ) -> None:
        inline = message(clock)
        await store.accept(inline)
        rows = [await queue(store, clock) for _ in range(2)]
        await store.record_outcome(never_left(inline))
        assert await standings(store) == {rows[0].id: Standing.READY, rows[1].id: Standing.BEHIND}
