"""What every engine of the journal must do to end, list, count and keep what waits; an engine file inherits it."""

from typing import Any

import msgspec
import pytest

from tests.conformance.journal_rows import ACCOUNT, DAY_MS, PHONE_ID, SteppedClock, accepted, message, receipt, status
from tests.conformance.outbox_rows import Outlet
from tests.conformance.queued_rows import EVERYTHING, OTHER, Worker, ending, entry, queue, refused, standings
from tests.conformance.status_suite import RECORDED, state_of
from waypost.model import RANK_FAILED_HERE, State
from waypost.store.base import Store
from waypost.store.base_queue import Ending, QueueDepth, QueueFilter, Standing


class EndingSuite:
    """Cancelled, expired, given up: not sent any more, and told once."""

    @pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED, State.FAILED])
    async def test_message_that_waits_is_ended_and_told(
        self, store: Store, clock: SteppedClock, worker: Worker, outlet: Outlet, state: State
    ) -> None:
        first, second = [await queue(store, clock) for _ in range(2)]
        clock.wall_ms += 50
        (after,) = await store.end_queued((ending(first, state),), now_ms=clock.now_ms())
        assert after == await store.find(first.id)
        assert after == msgspec.structs.replace(first, state=state, rank=RANK_FAILED_HERE, outcome_at_ms=clock.now_ms())
        assert await worker.ready() == [second.id]
        assert await store.end_queued((ending(first, state),), now_ms=clock.now_ms()) == ()
        assert await outlet.statuses() == ["failed"]
        assert await worker.take(first.id) is None

    async def test_what_is_being_sent_or_does_not_wait_is_left_alone(
        self, store: Store, clock: SteppedClock, worker: Worker, outlet: Outlet
    ) -> None:
        flying = await worker.begin(await queue(store, clock))
        inline, gone = message(clock), message(clock)
        await store.accept(inline)
        endings = tuple(ending(row) for row in (flying, inline, gone))
        assert await store.end_queued(endings, now_ms=clock.now_ms()) == ()
        assert [await state_of(store, row) for row in (flying, inline)] == [State.SENDING] * 2
        assert await outlet.claim() == ()
        assert (await store.record_outcome(accepted(flying))).state == State.ACCEPTED

    async def test_what_was_ended_counts_in_the_audit_entry_and_nothing_else_does(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        rows = [await queue(store, clock, recipient=f"86{number}") for number in range(4)]
        await worker.begin(rows[0])
        audit_id = await store.begin_audit(who="me", action="cancel", selection="{}")
        for chosen in (rows[:3], rows[2:3]):
            await store.end_queued(tuple(map(ending, chosen)), now_ms=clock.now_ms(), audit_id=audit_id)
        await store.end_queued((ending(rows[3]),), now_ms=clock.now_ms())
        assert [entry.affected for entry in await store.audit(limit=9)] == [2]

    async def test_messages_that_wait_are_found_by_their_own_ids_alone(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        first = await queue(store, clock)
        second = await queue(store, clock, cus_message_id=first.id, key=f"cus:{first.id}")
        flying = await worker.begin(await queue(store, clock, recipient=OTHER))
        await store.accept(inline := message(clock))
        ids = (first.id, flying.id, inline.id, "nobody", second.id)
        assert await store.queued_messages(ids) == (first, second)
        await store.end_queued((ending(first),), now_ms=clock.now_ms())
        assert await store.queued_messages(ids) == (second,)
        assert await store.queued_messages(()) == ()

    async def test_whole_lane_is_ended_in_any_order(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        rows = [await queue(store, clock) for _ in range(5)]
        for chosen in ((rows[2], rows[0]), (rows[4],)):
            await store.end_queued(tuple(map(ending, chosen)), now_ms=clock.now_ms())
        assert await standings(store) == {rows[1].id: Standing.READY, rows[3].id: Standing.BEHIND}
        quietly = tuple(Ending(message_id=rows[number].id, state=State.EXPIRED) for number in (1, 3))
        assert len(await store.end_queued(quietly, now_ms=clock.now_ms())) == 2
        assert await store.queue_phones() == ()

    async def test_key_stays_taken_and_a_late_status_overrides(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        row = await worker.begin(await queue(store, clock, key="cus:a"))
        await worker.back(row)
        await store.end_queued((ending(row),), now_ms=clock.now_ms())
        again = await store.accept(message(clock, key="cus:a"))
        assert (again.is_new, again.message.state) == (False, State.CANCELLED)
        assert await store.record_webhook(receipt(clock, status(row, "sent"))) == RECORDED
        assert await state_of(store, row) == State.SENT

    @pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED, State.FAILED])
    async def test_one_time_password_is_forgotten(self, store: Store, clock: SteppedClock, state: Any) -> None:
        rows = [await queue(store, clock, category=name) for name in ("authentication", "utility")]
        await store.end_queued(tuple(ending(row, state) for row in rows), now_ms=clock.now_ms())
        found = [await store.find(row.id) for row in rows]
        assert [row is not None and row.body is None for row in found] == [True, False]

    async def test_one_time_password_that_is_refused_is_forgotten_and_one_that_waits_is_not(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        first, second = [await queue(store, clock, category="authentication") for _ in range(2)]
        row = await worker.begin(first)
        await worker.back(row)
        assert (await worker.begin(first)).body is not None
        await store.record_outcome(msgspec.structs.replace(refused(row), attempt=2))
        found = [await store.find(one.id) for one in (first, second)]
        assert [one is not None and one.body is None for one in found] == [True, False]


class AsideSuite:
    """What waits for something that is no trouble of its lane lets the others go on."""

    async def test_later_ones_go_first_until_it_is_brought_back(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        first, second, third = [await queue(store, clock) for _ in range(3)]
        row = await worker.begin(first)
        due_at_ms = clock.now_ms() + DAY_MS
        await worker.back(row, due_at_ms=due_at_ms, aside=True)
        assert await standings(store) == {
            first.id: Standing.ASIDE,
            second.id: Standing.READY,
            third.id: Standing.BEHIND,
        }
        assert await worker.take(first.id) is None, "it is not its turn"
        assert await store.bring_back(due_at_ms - 1, 10) == ()
        (back,) = await store.bring_back(due_at_ms, 10)
        assert (back.message_id, back.standing, back.tries) == (first.id, Standing.ASIDE, row.attempt)
        assert await standings(store) == {
            first.id: Standing.READY,
            second.id: Standing.BEHIND,
            third.id: Standing.BEHIND,
        }
        assert await store.bring_back(due_at_ms, 10) == ()

    async def test_one_that_is_brought_back_waits_for_what_is_being_sent(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        first, second = [await queue(store, clock) for _ in range(2)]
        await worker.back(await worker.begin(first), aside=True)
        flying = await worker.begin(second)
        await store.bring_back(clock.now_ms(), 10)
        assert await standings(store) == {first.id: Standing.BEHIND}
        await store.record_outcome(accepted(flying))
        assert await worker.ready() == [first.id]

    async def test_a_few_at_a_time_longest_overdue_first(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        rows = [await queue(store, clock) for _ in range(3)]
        for wait_ms, row in zip((300, 100, 200), rows, strict=True):
            await worker.back(await worker.begin(row), due_at_ms=clock.now_ms() + wait_ms, aside=True)
        clock.wall_ms += 300
        found = [[row.message_id for row in await store.bring_back(clock.now_ms(), 2)] for _ in range(3)]
        assert found == [[rows[1].id, rows[2].id], [rows[0].id], []]
        assert await worker.drain() == [row.id for row in rows]

    async def test_it_can_be_ended_and_is_counted_apart(
        self, store: Store, clock: SteppedClock, worker: Worker, outlet: Outlet
    ) -> None:
        first, second = [await queue(store, clock) for _ in range(2)]
        await worker.back(await worker.begin(first), reason=None, aside=True)
        assert [(depth.aside, depth.count) for depth in await store.queue_depths()] == [(False, 1), (True, 1)]
        assert await store.end_queued((ending(first),), now_ms=clock.now_ms()) != ()
        assert await standings(store) == {second.id: Standing.READY}


class WaitingListSuite:
    """Looking at what waits."""

    async def test_what_fits_a_filter_is_listed_oldest_first_and_counted(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        promo = entry(clock, template="promo")
        flying = await queue(store, clock, place=promo)
        rows = [
            await queue(store, clock, place=promo),
            await queue(store, clock, appkey="shop"),
            await queue(store, clock, appkey="shop", phone_number_id="1", place=promo),
            await queue(store, clock, account="globex"),
        ]
        await worker.begin(flying)
        for wanted, expected in (
            (EVERYTHING, [0, 1, 2, 3]),
            (QueueFilter(template="promo"), [0, 2]),
            (QueueFilter(appkey="shop"), [1, 2]),
            (QueueFilter(phone_number_id="1"), [2]),
            (QueueFilter(phone_number_id=PHONE_ID), [0, 1, 3]),
            (QueueFilter(account=ACCOUNT), [0, 1, 2]),
            (QueueFilter(appkey="shop", template="promo", phone_number_id="1", account=ACCOUNT), [2]),
            (QueueFilter(appkey="shop", account="globex"), []),
            (QueueFilter(phone_number_id=""), []),
        ):
            listed: list[str] = []
            cursor: str | None = None
            while True:
                page = await store.waiting(wanted, limit=2, cursor=cursor)
                assert len(page.rows) <= 2
                listed += [row.message_id for row in page.rows]
                if (cursor := page.next_cursor) is None:
                    break
            assert listed == [rows[number].id for number in expected], wanted
            assert await store.count_waiting(wanted) == len(expected)

    async def test_pages_go_on_behind_what_was_cancelled(self, store: Store, clock: SteppedClock) -> None:
        rows = [await queue(store, clock) for _ in range(5)]
        first = await store.waiting(EVERYTHING, limit=2, cursor=None)
        await store.end_queued(tuple(map(ending, rows[:2])), now_ms=clock.now_ms())
        second = await store.waiting(EVERYTHING, limit=3, cursor=first.next_cursor)
        assert [row.message_id for row in second.rows] == [row.id for row in rows[2:]]
        assert second.next_cursor is None

    async def test_too_late_is_told_to_the_millisecond_and_longest_overdue_first(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        now = clock.now_ms()
        second, first, flying, third = [
            await queue(store, clock, recipient=f"86{number}", place=entry(clock, expires_at_ms=expires_at_ms))
            for number, expires_at_ms in enumerate((now + 20, now + 10, now + 5, now + 30))
        ]
        behind = await queue(store, clock, recipient="861", place=entry(clock, expires_at_ms=now + 15))
        await queue(store, clock, recipient=OTHER)
        taken = await worker.begin(flying)
        assert await store.expired_waiting(now + 9, 10) == ()
        assert [row.message_id for row in await store.expired_waiting(now + 10, 10)] == [first.id]
        overdue = [row.message_id for row in await store.expired_waiting(now + 29, 10)]
        assert overdue == [first.id, behind.id, second.id]
        assert [row.message_id for row in await store.expired_waiting(now + 30, 2)] == [first.id, behind.id]
        await worker.back(taken, expires_at_ms=now + 5)
        assert [row.message_id for row in await store.expired_waiting(now + 5, 10)] == [flying.id]
        await worker.begin(third)
        await store.record_outcome(accepted(third, attempt=1))
        assert third.id not in [row.message_id for row in await store.expired_waiting(now + 99, 10)]

    async def test_depths_tell_how_many_wait_for_what_and_since_when(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        flying = await queue(store, clock, recipient=OTHER)
        await worker.begin(flying)
        clock.wall_ms += 5
        oldest = clock.now_ms()
        for _ in range(3):
            await queue(store, clock)
            clock.wall_ms += 5
        prompt = await queue(store, clock, appkey="shop", place=entry(clock, priority=0))
        stuck = await queue(store, clock, phone_number_id="1", place=entry(clock, reason="paused"))
        sort: dict[str, Any] = {"account": ACCOUNT, "priority": 1, "appkey": flying.appkey, "reason": None, "count": 1}
        assert await store.queue_depths() == (
            QueueDepth(**sort | {"phone_number_id": "1", "reason": "paused", "oldest_since_ms": stuck.created_at_ms}),
            QueueDepth(**sort | {"phone_number_id": PHONE_ID, "count": 3, "oldest_since_ms": oldest}),
            QueueDepth(
                **sort
                | {
                    "phone_number_id": PHONE_ID,
                    "appkey": "shop",
                    "priority": 0,
                    "oldest_since_ms": prompt.created_at_ms,
                }
            ),
        )

    async def test_empty_queue_has_nothing_to_tell(self, store: Store, worker: Worker) -> None:
        assert await store.queue_depths() == ()
        assert await store.queue_phones() == ()
        assert await worker.heads() == ()
        assert await store.count_waiting(EVERYTHING) == 0
        page = await store.waiting(EVERYTHING, limit=5, cursor=None)
        assert (page.rows, page.next_cursor) == ((), None)


class KeepingSuite:
    """What waits is kept, however old it is (decision D15)."""

    @staticmethod
    async def purge(store: Store, now_ms: int, *, bodies: int = 0, messages: int = 0) -> int:
        return await store.purge(
            bodies_before_ms=bodies, webhooks_before_ms=0, messages_before_ms=messages, now_ms=now_ms
        )

    async def test_body_is_kept_while_its_message_waits_and_wiped_when_it_does_not_any_more(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        sent, ended, flying, told = [await queue(store, clock, recipient=f"86{number}") for number in range(4)]
        inline = message(clock)
        await store.accept(inline)
        taken = await worker.begin(flying)
        soon = clock.now_ms() + 1
        assert await self.purge(store, soon, bodies=soon) == 5
        assert await self.purge(store, soon, bodies=soon) == 0
        found = [await store.find(row.id) for row in (sent, ended, taken, told, inline)]
        assert [row is not None and row.body is not None for row in found] == [True] * 4 + [False]
        again = await worker.back(taken)
        assert again.body == taken.body
        clock.wall_ms += DAY_MS
        young = await queue(store, clock)
        assert (await worker.begin(sent)).body is not None
        await store.record_outcome(accepted(sent, attempt=1))
        await store.end_queued((ending(ended), ending(young)), now_ms=clock.now_ms())
        await store.record_webhook(receipt(clock, status(told, "sent", "wamid.TOLD")))
        found = [await store.find(row.id) for row in (sent, ended, told, young, flying)]
        assert [row is not None and row.body is None for row in found] == [True, True, True, False, False]

    async def test_message_that_waits_is_not_erased_until_it_does_not_any_more(
        self, store: Store, clock: SteppedClock, worker: Worker, apart_ms: int
    ) -> None:
        lasting = clock.now_ms() + 30 * DAY_MS
        first, second = [await queue(store, clock, key=f"cus:{n}", key_expires_ms=lasting) for n in range(2)]
        other = await queue(store, clock, recipient=OTHER)
        taken = await worker.begin(await worker.back(await worker.begin(other)))
        await store.record_outcome(accepted(taken, "wamid.LATE", attempt=1))  # the first attempt did reach Meta
        await store.record_webhook(receipt(clock, status(message(clock), "sent")))
        clock.wall_ms += apart_ms
        late = first.created_at_ms + apart_ms
        assert await self.purge(store, 0, messages=late) == 3
        assert await self.purge(store, 0, messages=late) == 0
        assert [await state_of(store, row) for row in (first, second, other)] == ["queued", "queued", "sending"]
        assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 2}
        assert await store.resolve_meta_id(ACCOUNT, PHONE_ID, "wamid.LATE") == "wamid.LATE"
        assert not (await store.accept(message(clock, key="cus:0"))).is_new
        await store.record_outcome(accepted(taken, "wamid.OTHER"))
        await store.end_queued((ending(second),), now_ms=clock.now_ms())
        assert await self.purge(store, 0, messages=late) == 3
        found = [await store.find(any_id) for any_id in (first.id, second.id, "wamid.OTHER")]
        assert [row is not None for row in found] == [True, False, False]
        assert await worker.drain() == [first.id]

    async def test_what_waits_does_not_keep_the_rest_from_being_erased(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        for number in range(1_001):
            await queue(store, clock, recipient=f"86{number}")
        done = [message(clock) for _ in range(3)]
        for row in done:
            await store.accept(row)
        soon = clock.now_ms() + apart_ms
        steps = [await self.purge(store, 0, messages=soon) for _ in range(3)]
        assert steps == [1_000, 4, 0]
        assert [await store.find(row.id) for row in done] == [None] * 3
        assert (await store.count_by_state())["queued"] == 1_001
        assert await self.purge(store, 0, messages=soon) == 1_000, "the next round begins anew"
