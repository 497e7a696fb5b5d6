"""What every engine of the journal must do with callbacks that enter, wait and go out; an engine file inherits it."""

from itertools import permutations

from tests.conformance.journal_rows import DAY_MS, SteppedClock, accepted, message, receipt, status, with_opaque
from tests.conformance.outbox_rows import (
    ENDPOINT,
    LEASE_MS,
    ORDER_WAIT_MS,
    PATH_PER_STATUS,
    RETRY_MS,
    WEBHOOK,
    WITHOUT_SENT,
    Outlet,
    endpoint_of,
    inbound,
    post,
    report,
    taken,
)
from waypost.model import Callback, CallbackKind, CallbackState, Message
from waypost.store.base import Store


async def told(store: Store, row: Message) -> list[str | None]:
    return [callback.status for callback in await store.callbacks_of(row.id)]


class EnteringSuite:
    """A callback enters with the event behind it, once, and says when it is due."""

    async def test_status_leads_to_a_callback_with_the_message_as_it_is_then(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent")
        (callback,) = await store.callbacks_of(row.id)
        assert callback == Callback(
            id=callback.id,
            account=row.account,
            appkey=row.appkey,
            url=WEBHOOK,
            endpoint=ENDPOINT,
            kind=CallbackKind.STATUS,
            body=b'{"status":"sent","headline":"sent"}',
            access_key=row.access_key,
            message_id=row.id,
            status="sent",
            rank=40,
            state=CallbackState.DUE,
            created_at_ms=clock.now_ms(),
            attempts=0,
        )

    async def test_repeated_status_is_called_back_once(self, store: Store, clock: SteppedClock) -> None:
        row = await taken(store, clock)
        for _ in range(3):
            await report(store, clock, row, "sent", "sent")
        assert await told(store, row) == ["sent"]

    async def test_status_that_nobody_wants_leads_to_none(self, store: Store, clock: SteppedClock) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "warning")
        assert await told(store, row) == []
        assert await store.due_endpoints() == ()

    async def test_first_callback_comes_half_a_second_after_the_outcome(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = message(clock)
        await store.accept(row)
        outcome_at_ms = clock.now_ms() + 120
        await store.record_outcome(accepted(row))
        await report(store, clock, row, "sent")
        clock.wall_ms = outcome_at_ms + 499
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["sent"]

    async def test_status_that_overtakes_the_outcome_waits_half_a_second_for_it(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = message(clock)
        await store.accept(row)
        await report(store, clock, row, "sent")
        clock.wall_ms += 499
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["sent"]

    async def test_parked_statuses_are_called_back_with_the_outcome_in_meta_s_order(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = message(clock)
        await store.accept(row)
        early = [status(row, value, opaque=None) for value in ("read", "delivered", "sent")]
        await store.record_webhook(receipt(clock, *early))
        assert await told(store, row) == []
        await store.record_outcome(accepted(row))
        assert await told(store, row) == ["sent", "delivered", "read"]
        clock.wall_ms += 619
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.drain() == ["sent", "delivered", "read"], "none is held: each found its predecessor"

    async def test_status_that_settles_an_unknown_message_is_called_back(
        self, store: Store, clock: SteppedClock
    ) -> None:
        row = with_opaque(clock, "order 7")
        await store.accept(row)
        await report(store, clock, row, "delivered")
        assert await told(store, row) == []
        await store.expire_leases(clock.now_ms(), all_owners=True)
        assert await told(store, row) == ["delivered"]

    async def test_status_without_its_predecessor_is_held_two_seconds(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "delivered")
        clock.wall_ms += 1_999
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["delivered"]

    async def test_hold_ends_when_the_predecessor_is_recorded(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "delivered")
        clock.wall_ms += 300
        await report(store, clock, row, "sent")
        assert await outlet.drain() == ["sent", "delivered"]

    async def test_hold_ends_also_where_the_predecessor_is_not_called_back(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock, appkey=WITHOUT_SENT)
        await report(store, clock, row, "delivered")
        assert await outlet.claim() == ()
        await report(store, clock, row, "sent")
        assert await outlet.statuses() == ["delivered"]

    async def test_predecessor_does_not_cut_a_lease_short(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock, appkey=WITHOUT_SENT)
        await report(store, clock, row, "delivered")
        clock.wall_ms += 2_000
        assert await outlet.statuses() == ["delivered"]
        await report(store, clock, row, "sent")
        clock.wall_ms += LEASE_MS - 1
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["delivered"]

    async def test_only_the_next_status_before_counts(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "delivered")
        await report(store, clock, row, "read", "failed")
        clock.wall_ms += 2_000
        assert await outlet.drain() == ["failed", "delivered", "read"]

    async def test_other_events_are_due_at_once(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        event = inbound(kind=CallbackKind.EVENT, access_key=None)
        await store.record_webhook(post(clock, inbound(), event, inbound()))
        claimed = await outlet.claim()
        assert [callback.kind for callback in claimed] == ["inbound", "event", "inbound"]
        assert {(callback.message_id, callback.status, callback.rank) for callback in claimed} == {(None, None, 0)}

    async def test_once_means_once_for_eight_days(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        await store.record_webhook(post(clock, inbound("in:1:crm"), inbound("in:1:crm"), inbound("in:1:shop")))
        await store.record_webhook(post(clock, inbound("in:1:crm"), inbound("in:2:crm")))
        assert len(await outlet.claim()) == 3
        for later_ms, entered in ((8 * DAY_MS, 0), (8 * DAY_MS + 1, 1)):
            purge_at_ms = clock.now_ms() + later_ms
            await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=0, now_ms=purge_at_ms)
            await store.record_webhook(post(clock, inbound("in:1:crm")))
            assert len(await outlet.claim()) == entered


class OrderSuite:
    """The callbacks of one message go out in order, within reason."""

    async def test_whatever_the_order_of_arrival_callbacks_go_out_by_rank(
        self, store: Store, clock: SteppedClock
    ) -> None:
        for number, arrival in enumerate(permutations(("sent", "delivered", "read", "failed"))):
            url = f"https://{number}.example/"
            row = await taken(store, clock, f"wamid.{number}", dr_webhook=url)
            for value in arrival:
                await report(store, clock, row, value, meta_id=f"wamid.{number}")
            clock.wall_ms += 2_000
            assert await Outlet(store, clock, endpoint_of(url)).drain() == ["sent", "failed", "delivered", "read"]

    async def test_what_comes_late_goes_out_late_and_nothing_is_lost(self, store: Store, clock: SteppedClock) -> None:
        for number, arrival in enumerate(permutations(("sent", "delivered", "read", "failed"))):
            url = f"https://{number}.example/"
            row = await taken(store, clock, f"wamid.{number}", dr_webhook=url)
            outlet = Outlet(store, clock, endpoint_of(url))
            went: list[str | None] = []
            for value in arrival:
                await report(store, clock, row, value, meta_id=f"wamid.{number}")
                clock.wall_ms += 2_000
                went += await outlet.drain()
            assert went == list(arrival)

    async def test_later_one_waits_until_the_earlier_was_accepted(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "delivered")
        sent = await outlet.one()
        assert sent.status == "sent"
        assert await outlet.claim() == (), "the earlier one is on its way"
        await outlet.refuse(sent)
        assert await outlet.claim() == (), "the earlier one is to be tried again"
        clock.wall_ms += RETRY_MS
        again = await outlet.one()
        assert (again.status, again.attempts) == ("sent", 1)
        await outlet.accept(again)
        assert await outlet.statuses() == ["delivered"]

    async def test_later_one_waits_no_longer_than_order_wait(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent")
        clock.wall_ms += 1_000
        await report(store, clock, row, "delivered")
        created_at_ms = clock.now_ms()
        sent = await outlet.one()
        await store.record_attempts((outlet.outcome(sent, CallbackState.DUE, 500, created_at_ms + 10 * ORDER_WAIT_MS),))
        clock.wall_ms = created_at_ms + ORDER_WAIT_MS - 1
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["delivered"]

    async def test_the_wait_begins_when_the_first_of_them_could_have_gone(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "delivered", "read")
        clock.wall_ms += 10 * ORDER_WAIT_MS  # the gateway was down
        sent = await outlet.one()
        assert sent.status == "sent"
        await outlet.refuse(sent)
        assert await outlet.claim() == ()
        clock.wall_ms += RETRY_MS
        assert await outlet.drain() == ["sent", "delivered", "read"]

    async def test_later_one_that_has_waited_retries_alone(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "delivered")
        sent = await outlet.one()
        tomorrow = clock.now_ms() + DAY_MS
        await store.record_attempts((outlet.outcome(sent, CallbackState.DUE, 500, tomorrow),))
        clock.wall_ms += ORDER_WAIT_MS
        delivered = await outlet.one()
        assert delivered.status == "delivered"
        await outlet.refuse(delivered)
        await outlet.accept(sent)
        assert await outlet.claim() == (), "what is to be tried later isn't due because the earlier was accepted"
        clock.wall_ms += RETRY_MS
        assert await outlet.statuses() == ["delivered"]

    async def test_abandoned_one_holds_nobody_up(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "delivered")
        await outlet.give_up(await outlet.one())
        assert await outlet.statuses() == ["delivered"]

    async def test_one_abandoned_for_its_age_holds_nobody_up(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent")
        sent = await outlet.one()
        clock.wall_ms += 10
        await report(store, clock, row, "delivered")
        now = clock.now_ms()
        assert await outlet.claim() == ()
        assert await store.abandon_callbacks(ENDPOINT, created_before_ms=now, now_ms=now, limit=10) == 1
        assert [callback.status for callback in await outlet.claim()] == ["delivered"]
        assert (await store.callbacks_of(row.id))[0].id == sent.id

    async def test_settling_one_does_not_cut_the_hold_of_another(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "read")
        await outlet.accept(await outlet.one())
        clock.wall_ms += 1_999
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.statuses() == ["read"]

    async def test_each_waits_only_for_those_of_its_own_message(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        first = await taken(store, clock)
        second = await taken(store, clock, "wamid.META2")
        await report(store, clock, first, "sent", "delivered")
        await report(store, clock, second, "sent", "delivered", meta_id="wamid.META2")
        claimed = await outlet.claim()
        assert [(callback.message_id, callback.status) for callback in claimed] == [
            (first.id, "sent"),
            (second.id, "sent"),
        ]
        await outlet.accept(claimed[1])
        assert [callback.message_id for callback in await outlet.claim()] == [second.id]

    async def test_another_url_does_not_wait(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        row = await taken(store, clock, appkey=PATH_PER_STATUS)
        await report(store, clock, row, "sent", "delivered", "read")
        assert await outlet.statuses() == ["sent", "delivered", "read"]

    async def test_participants_of_a_group_do_not_wait_for_each_other(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        ranks = ("sent", "delivered")
        events = [status(row, value, participant=name) for value in ranks for name in ("ann", "bob")]
        await store.record_webhook(receipt(clock, *events))
        first, second = await outlet.claim()
        assert {first.status, second.status} == {"sent"}
        await outlet.accept(first)
        assert await outlet.claim() == (), "one participant's is still on its way"
        await outlet.accept(second)
        assert await outlet.statuses() == ["delivered", "delivered"]
