"""What every engine of the journal must do to replay, find and forget callbacks; an engine file inherits it."""

import pytest

from tests.conformance.journal_rows import DAY_MS, SteppedClock, receipt, status
from tests.conformance.outbox_rows import (
    ENDPOINT,
    EVERY,
    LEASE_MS,
    RETRY_MS,
    Outlet,
    entered,
    inbound,
    purge,
    stored,
    taken,
)
from waypost.model import AuditEntry, Callback, CallbackKind, CallbackState
from waypost.store.base import CallbackFilter, Store


async def replay(store: Store, clock: SteppedClock, limit: int = 100, **wanted: object) -> tuple[str, ...]:
    """Replay what fits, portion by portion, and return the endpoint of each."""
    chosen = CallbackFilter(**wanted)  # type: ignore[arg-type] # members of the filter
    audit_id = await store.begin_audit(who="admin", action="replay", selection="{}")
    endpoints: tuple[str, ...] = ()
    cursor: str | None = None
    while True:
        portion = await store.replay_callbacks(
            chosen, now_ms=clock.now_ms(), limit=limit, cursor=cursor, audit_id=audit_id
        )
        endpoints += portion.endpoints
        cursor = portion.next_cursor
        if cursor is None:
            return endpoints


class ReplaySuite:
    """Callbacks go out again when somebody asks."""

    @pytest.mark.parametrize("state", [CallbackState.DONE, CallbackState.ABANDONED])
    async def test_settled_callback_is_due_again_at_once_and_its_attempts_count_on(
        self, store: Store, clock: SteppedClock, outlet: Outlet, state: CallbackState
    ) -> None:
        (callback,) = await entered(store, clock, inbound())
        claimed = await outlet.one()
        await (outlet.accept if state == CallbackState.DONE else outlet.give_up)(claimed)
        clock.wall_ms += DAY_MS
        assert await replay(store, clock, ids=(callback.id,)) == (ENDPOINT,)
        again = await outlet.one()
        assert (again.id, again.body, again.state, again.attempts) == (callback.id, callback.body, "due", 1)
        assert (again.settled_at_ms, again.created_at_ms) == (None, callback.created_at_ms)
        await outlet.accept(again)
        done = await stored(store, callback)
        assert (done.state, done.attempts, done.settled_at_ms) == ("done", 2, clock.now_ms())
        numbers = [attempt.number for attempt in await store.attempts(callback.id)]
        assert numbers == ([2] if state == CallbackState.DONE else [1, 2])

    @pytest.mark.parametrize("by", ["id", "state"])
    async def test_what_waits_for_its_next_try_is_due_at_once(
        self, store: Store, clock: SteppedClock, outlet: Outlet, by: str
    ) -> None:
        (callback,) = await entered(store, clock, inbound())
        claimed = await outlet.one()
        tomorrow = clock.now_ms() + DAY_MS
        await store.record_attempts((outlet.outcome(claimed, CallbackState.DUE, 500, tomorrow),))
        assert await outlet.claim() == ()
        wanted = {"ids": (callback.id,)} if by == "id" else {"state": CallbackState.DUE}
        assert await replay(store, clock, settled=True) == ()
        assert await replay(store, clock, **wanted) == (ENDPOINT,)
        assert await store.next_due(ENDPOINT) == clock.now_ms()
        again = await outlet.one()
        assert (again.id, again.attempts, again.state) == (callback.id, 1, "due")
        await outlet.accept(again)
        assert await store.next_due(ENDPOINT) is None

    async def test_replayed_an_hour_later_they_go_in_order_again(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await store.record_webhook(receipt(clock, *(status(row, value) for value in ("sent", "delivered", "read"))))
        assert await outlet.drain() == ["sent", "delivered", "read"]
        clock.wall_ms += 3_600_000
        assert len(await replay(store, clock, state=CallbackState.DONE)) == 3
        sent = await outlet.one()
        await outlet.refuse(sent)
        assert await outlet.claim() == (), "the others wait for it as they did the first time"
        clock.wall_ms += RETRY_MS
        assert await outlet.drain() == ["sent", "delivered", "read"]

    async def test_only_what_fits_is_replayed(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        crm, shop = inbound(), inbound(appkey="shop")
        callbacks = await entered(store, clock, crm, shop, crm, shop)
        await outlet.claim()
        await outlet.accept(*callbacks[:2])
        await outlet.give_up(*callbacks[2:])
        assert len(await replay(store, clock, state=CallbackState.ABANDONED, appkey="shop")) == 1
        assert [callback.id for callback in await outlet.claim()] == [callbacks[3].id]

    @pytest.mark.parametrize("back_ms", [0, 3_600_000])
    async def test_portion_by_portion_a_replay_takes_each_once_whatever_the_clock_does(
        self, store: Store, clock: SteppedClock, outlet: Outlet, back_ms: int
    ) -> None:
        callbacks = await entered(store, clock, *(inbound() for _ in range(5)))
        await outlet.accept(*(await outlet.claim()))
        clock.wall_ms += 1_000
        audit_id = await store.begin_audit(who="admin", action="replay", selection="{}")
        asked_at_ms = clock.now_ms()
        told: list[str] = []
        cursor: str | None = None
        for number in (2, 2, 1, 0):
            portion = await store.replay_callbacks(EVERY, now_ms=asked_at_ms, limit=2, cursor=cursor, audit_id=audit_id)
            assert portion.endpoints == (ENDPOINT,) * number
            cursor = portion.next_cursor
            claimed = await outlet.claim()
            told += [callback.id for callback in claimed]
            clock.wall_ms -= back_ms
            await outlet.accept(*claimed)  # settled again before the replay has come to its end
            clock.wall_ms += back_ms
        assert (told, cursor) == ([callback.id for callback in callbacks], None)

    async def test_what_comes_in_meanwhile_is_not_replayed(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        (old,) = await entered(store, clock, inbound())
        clock.wall_ms += 1
        (young,) = await entered(store, clock, inbound())
        await outlet.accept(*(await outlet.claim()))
        clock.wall_ms -= 1
        assert len(await replay(store, clock)) == 1
        clock.wall_ms += 1
        assert [callback.id for callback in await outlet.claim()] == [old.id]
        assert (await stored(store, young)).state == "done"

    async def test_horizon_counts_from_the_replay(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        await entered(store, clock, inbound())
        await outlet.give_up(await outlet.one())
        clock.wall_ms += 10 * DAY_MS
        assert len(await replay(store, clock, state=CallbackState.ABANDONED)) == 1
        replayed_at_ms = clock.now_ms()
        for before_ms, given_up in ((replayed_at_ms, 0), (replayed_at_ms + 1, 1)):
            number = await store.abandon_callbacks(
                ENDPOINT, created_before_ms=before_ms, now_ms=replayed_at_ms, limit=10
            )
            assert number == given_up


class AuditSuite:
    """Who had what done, and how far it got."""

    async def test_an_entry_counts_what_was_replayed_in_its_name(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        await entered(store, clock, *(inbound() for _ in range(5)))
        await outlet.accept(*(await outlet.claim()))
        assert len(await replay(store, clock, limit=2, state=CallbackState.DONE)) == 5
        asked_at_ms = clock.now_ms()
        clock.wall_ms += 10
        audit_id = await store.begin_audit(who="admin", action="replay", selection='{"state":"done"}')
        newest, before = await store.audit(limit=10)
        assert newest == AuditEntry(
            id=audit_id, at_ms=clock.now_ms(), who="admin", action="replay", selection='{"state":"done"}', affected=0
        )
        assert (before.affected, before.at_ms) == (5, asked_at_ms)
        assert await store.audit(limit=1) == (newest,)

    async def test_only_the_last_entries_are_kept(self, store: Store, clock: SteppedClock) -> None:
        ids = [await store.begin_audit(who="admin", action="replay", selection="{}") for _ in range(503)]
        kept = [entry.id for entry in await store.audit(limit=1_000)]
        assert kept == ids[:2:-1]


class ListSuite:
    """Finding callbacks, and forgetting them."""

    async def test_pages_go_from_the_oldest_to_the_newest(self, store: Store, clock: SteppedClock) -> None:
        callbacks = await entered(store, clock, *(inbound() for _ in range(5)))
        listed: list[Callback] = []
        cursor: str | None = None
        for expected in (2, 2, 1):
            page = await store.callbacks(EVERY, limit=2, cursor=cursor)
            assert len(page.callbacks) == expected
            listed += page.callbacks
            cursor = page.next_cursor
        assert cursor is None
        assert tuple(listed) == callbacks

    async def test_every_member_of_a_filter_must_fit(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        row = await taken(store, clock)
        await store.record_webhook(receipt(clock, status(row, "sent")))
        clock.wall_ms += 10
        middle = clock.now_ms()
        await entered(store, clock, inbound(appkey="shop"), inbound(account="globex"))
        clock.wall_ms += 10
        await entered(store, clock, inbound())
        sent, shop, globex, last = (await store.callbacks(EVERY, limit=9, cursor=None)).callbacks
        await outlet.claim()
        await outlet.accept(shop)
        await outlet.give_up(last)
        ids = (last.id, "no such id", sent.id)
        for wanted, expected in (
            (CallbackFilter(ids=ids), [sent, last]),
            (CallbackFilter(ids=()), []),
            (CallbackFilter(state=CallbackState.DUE), [sent, globex]),
            (CallbackFilter(state=CallbackState.DONE), [shop]),
            (CallbackFilter(state=CallbackState.ABANDONED), [last]),
            (CallbackFilter(account="globex"), [globex]),
            (CallbackFilter(appkey="shop"), [shop]),
            (CallbackFilter(message_id=row.id), [sent]),
            (CallbackFilter(kind=CallbackKind.STATUS), [sent]),
            (CallbackFilter(kind=CallbackKind.INBOUND, appkey="shop"), [shop]),
            (CallbackFilter(kind=CallbackKind.EVENT, since_ms=middle), []),
            (CallbackFilter(since_ms=middle), [shop, globex, last]),
            (CallbackFilter(since_ms=middle + 1), [last]),
            (CallbackFilter(until_ms=middle), [sent]),
            (CallbackFilter(since_ms=middle, until_ms=middle + 1), [shop, globex]),
            (CallbackFilter(ids=ids, state=CallbackState.ABANDONED, account="globex"), []),
            (CallbackFilter(ids=ids, state=CallbackState.DUE), [sent]),
            (CallbackFilter(settled=True), [shop, last]),
            (CallbackFilter(settled=True, since_ms=middle, until_ms=middle + 1), [shop]),
            (CallbackFilter(since_ms=0, account="globex"), [globex]),
            (CallbackFilter(since_ms=-1, state=CallbackState.DUE, account="acme", message_id=row.id), [sent]),
        ):
            listed = await store.callbacks(wanted, limit=9, cursor=None)
            assert [callback.id for callback in listed.callbacks] == [callback.id for callback in expected], wanted
            assert await store.count_callbacks(wanted) == len(expected)
            rest = await store.callbacks(wanted, limit=9, cursor=sent.id)
            assert [one.id for one in rest.callbacks] == [one.id for one in expected if one.id > sent.id]

    async def test_what_was_given_up_is_found_by_when_that_was(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        await entered(store, clock, inbound(), inbound())
        first, second = await outlet.claim()
        clock.wall_ms += 3 * DAY_MS
        await outlet.give_up(first)
        yesterday = clock.now_ms()
        clock.wall_ms += DAY_MS
        await outlet.give_up(second)
        for since_ms, until_ms, expected in (
            (yesterday, None, [first, second]),
            (yesterday + 1, None, [second]),
            (yesterday, clock.now_ms(), [first]),
            (clock.now_ms() + 1, None, []),
        ):
            wanted = CallbackFilter(state=CallbackState.ABANDONED, since_ms=since_ms, until_ms=until_ms)
            listed = await store.callbacks(wanted, limit=9, cursor=None)
            assert [callback.id for callback in listed.callbacks] == [callback.id for callback in expected]
            assert await store.count_callbacks(wanted) == len(expected)
        assert len(await replay(store, clock, state=CallbackState.ABANDONED, since_ms=yesterday + 1)) == 1
        assert [callback.id for callback in await outlet.claim()] == [second.id]

    async def test_what_waits_is_counted(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        assert await store.count_due_callbacks() == 0
        await entered(store, clock, *(inbound() for _ in range(5)))
        row = await taken(store, clock)
        await store.record_webhook(receipt(clock, status(row, "sent"), status(row, "read")))
        assert await store.count_due_callbacks() == 7
        done, leased, *_ = await outlet.claim()
        await outlet.accept(done)
        assert await store.count_due_callbacks() == 6
        assert leased.state == "due"

    async def test_callbacks_of_a_message_oldest_first(self, store: Store, clock: SteppedClock) -> None:
        row = await taken(store, clock)
        for value in ("read", "sent", "delivered"):
            await store.record_webhook(receipt(clock, status(row, value)))
        await entered(store, clock, inbound())
        assert [callback.status for callback in await store.callbacks_of(row.id)] == ["read", "sent", "delivered"]
        assert await store.callbacks_of("wamid.other") == ()
        assert await store.attempts("no such callback") == ()

    async def test_settled_callbacks_go_with_their_attempts_and_what_waits_stays(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        done, abandoned, late, waiting = await entered(store, clock, *(inbound() for _ in range(4)))
        await outlet.claim()
        await outlet.accept(done)
        await outlet.give_up(abandoned)
        await outlet.refuse(late, waiting)
        clock.wall_ms += RETRY_MS
        await outlet.claim()
        await outlet.accept(late)
        assert await purge(store, clock.now_ms()) == 2
        left = await store.callbacks(EVERY, limit=9, cursor=None)
        assert [callback.id for callback in left.callbacks] == [late.id, waiting.id]
        assert await store.attempts(abandoned.id) == ()
        assert len(await store.attempts(late.id)) == 2
        assert await purge(store, clock.now_ms() + 1) == 1
        assert await purge(store, clock.now_ms() + 365 * DAY_MS) == 0
        assert [callback.id for callback in await outlet.claim()] == []
        clock.wall_ms += LEASE_MS
        assert [callback.id for callback in await outlet.claim()] == [waiting.id]

    async def test_a_purge_takes_a_thousand_callbacks_and_the_next_goes_on(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        await entered(store, clock, *(inbound(f"once {number}") for number in range(1_001)))
        await outlet.give_up(*(await outlet.claim(limit=1_001)))
        soon = clock.now_ms() + 1
        assert [await purge(store, soon) for _ in range(3)] == [1_000, 1, 0]
        keys = [
            await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=0, now_ms=soon + 8 * DAY_MS)
            for _ in range(3)
        ]
        assert keys == [1_000, 1, 0]
