"""What every engine of the journal must do with attempts and giving up; an engine file inherits it."""

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.conformance.outbox_rows import ENDPOINT, EVERY, LEASE_MS, RETRY_MS, Outlet, entered, inbound, purge, stored
from waypost.model import Attempt, CallbackState
from waypost.store.base import Store


class AttemptSuite:
    """What attempts leave behind."""

    async def test_first_attempt_that_succeeds_is_one_row(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        (callback,) = await entered(store, clock, inbound())
        claimed = await outlet.one()
        clock.wall_ms += 40
        await outlet.accept(claimed)
        done = await stored(store, callback)
        assert (done.state, done.attempts, done.http_status, done.error) == ("done", 1, 200, None)
        assert (done.first_attempt_at_ms, done.settled_at_ms) == (clock.now_ms(), clock.now_ms())
        assert await store.attempts(callback.id) == ()
        clock.wall_ms += LEASE_MS
        assert await outlet.claim() == ()

    async def test_attempts_that_fail_are_kept_and_the_row_tells_the_last(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        (callback,) = await entered(store, clock, inbound())
        start = clock.now_ms()
        await outlet.refuse(await outlet.one())
        waiting = await stored(store, callback)
        assert (waiting.state, waiting.attempts, waiting.http_status, waiting.error) == ("due", 1, 500, "HTTP 500")
        assert (waiting.first_attempt_at_ms, waiting.settled_at_ms) == (start, None)
        clock.wall_ms += RETRY_MS
        again = await outlet.one()
        assert again == waiting
        await outlet.accept(again)
        done = await stored(store, callback)
        assert (done.state, done.attempts, done.http_status, done.error) == ("done", 2, 200, None)
        assert (done.first_attempt_at_ms, done.settled_at_ms) == (start, clock.now_ms())
        assert await store.attempts(callback.id) == (
            Attempt(
                callback_id=callback.id,
                number=1,
                at_ms=start,
                duration_ms=12,
                http_status=500,
                error="HTTP 500",
                excerpt="sorry",
            ),
            Attempt(callback_id=callback.id, number=2, at_ms=clock.now_ms(), duration_ms=12, http_status=200),
        )

    async def test_next_try_is_due_to_the_millisecond(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        await entered(store, clock, inbound())
        await outlet.refuse(await outlet.one())
        clock.wall_ms += RETRY_MS - 1
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert len(await outlet.claim()) == 1

    async def test_last_twenty_attempts_are_kept(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        (callback,) = await entered(store, clock, inbound())
        for _ in range(23):
            await outlet.refuse(await outlet.one())
            clock.wall_ms += RETRY_MS
        assert [attempt.number for attempt in await store.attempts(callback.id)] == list(range(4, 24))
        assert (await stored(store, callback)).attempts == 23

    async def test_settled_is_final(self, store: Store, clock: SteppedClock, outlet: Outlet) -> None:
        done, abandoned = await entered(store, clock, inbound(), inbound())
        await outlet.claim()
        await outlet.accept(done)
        await outlet.give_up(abandoned)
        before = await store.callbacks(EVERY, limit=9, cursor=None)
        clock.wall_ms += 1
        await outlet.refuse(done, abandoned)
        await outlet.give_up(done)
        await outlet.accept(abandoned)
        assert await store.callbacks(EVERY, limit=9, cursor=None) == before
        assert await store.attempts(done.id) == ()
        assert len(await store.attempts(abandoned.id)) == 1
        clock.wall_ms += LEASE_MS
        assert await outlet.claim() == ()

    async def test_attempts_of_two_workers_whose_leases_overlapped_both_count(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        (callback,) = await entered(store, clock, inbound())
        first = await outlet.one()
        clock.wall_ms += LEASE_MS
        second = await outlet.one()
        await outlet.refuse(first)
        await outlet.accept(second)
        assert [(one.number, one.http_status) for one in await store.attempts(callback.id)] == [(1, 500), (2, 200)]

    async def test_many_outcomes_at_once_and_one_of_a_callback_that_is_gone(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        await entered(store, clock, *(inbound() for _ in range(6)))
        *known, gone = await outlet.claim()
        await outlet.accept(gone)
        assert await purge(store, clock.now_ms() + 1) == 1
        await store.record_attempts(
            (
                *(outlet.outcome(callback) for callback in known[:3]),
                outlet.outcome(gone, CallbackState.ABANDONED, 500),
                *(outlet.outcome(callback, CallbackState.ABANDONED, 500) for callback in known[3:]),
            )
        )
        await store.record_attempts(())
        listed = await store.callbacks(EVERY, limit=9, cursor=None)
        assert [callback.state for callback in listed.callbacks] == ["done"] * 3 + ["abandoned"] * 2

    async def test_due_again_at_no_time_is_refused_and_changes_nothing(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        good, bad = await entered(store, clock, inbound(), inbound())
        with pytest.raises(ValueError, match="time"):
            await store.record_attempts((outlet.outcome(good), outlet.outcome(bad, CallbackState.DUE, 500)))
        assert (await stored(store, good), await stored(store, bad)) == (good, bad)


class AbandonSuite:
    """Giving up what has waited too long."""

    async def test_only_what_is_older_than_the_horizon_is_given_up(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        old, other = await entered(store, clock, inbound(), inbound(url="https://shop.example/h"))
        await outlet.refuse(await outlet.one())
        clock.wall_ms += 1
        (young,) = await entered(store, clock, inbound())
        now = clock.now_ms()
        assert await store.abandon_callbacks(ENDPOINT, created_before_ms=now, now_ms=now, limit=10) == 1
        states = [(await stored(store, callback)).state for callback in (old, other, young)]
        assert states == ["abandoned", "due", "due"]
        given_up = await stored(store, old)
        assert (given_up.settled_at_ms, given_up.attempts, given_up.http_status) == (now, 1, 500)
        assert await store.abandon_callbacks(ENDPOINT, created_before_ms=now, now_ms=now, limit=10) == 0
        assert await store.next_due(ENDPOINT) == now, "only the young one waits"

    async def test_giving_up_goes_on_where_the_limit_stopped_it(self, store: Store, clock: SteppedClock) -> None:
        callbacks = await entered(store, clock, *(inbound() for _ in range(5)))
        soon = clock.now_ms() + 1
        numbers = [
            await store.abandon_callbacks(ENDPOINT, created_before_ms=soon, now_ms=soon, limit=2) for _ in range(4)
        ]
        assert numbers == [2, 2, 1, 0]
        assert {(await stored(store, callback)).state for callback in callbacks} == {"abandoned"}
