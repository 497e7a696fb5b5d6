"""What every engine of the journal must do with claims of callbacks; an engine file inherits it."""

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.conformance.outbox_rows import (
    ENDPOINT,
    LEASE_MS,
    RETRY_MS,
    Outlet,
    endpoint_of,
    inbound,
    post,
    report,
    taken,
)
from waypost.store.base import DueEndpoint, Store


class ClaimSuite:
    """A claim is a lease on the due time, within one endpoint."""

    async def test_claimed_callback_is_claimable_again_when_its_lease_ends(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        await store.record_webhook(post(clock, inbound()))
        first = await outlet.one()
        clock.wall_ms += LEASE_MS - 1
        assert await outlet.claim() == ()
        clock.wall_ms += 1
        assert await outlet.claim() == (first,)

    async def test_claim_takes_the_earliest_up_to_its_limit(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        for number in range(5):
            await store.record_webhook(post(clock, inbound(body=b"%d" % number)))
            clock.wall_ms += 1
        (zero,) = await outlet.claim(limit=1)
        await outlet.refuse(zero)
        clock.wall_ms += RETRY_MS
        assert [callback.body for callback in await outlet.claim(limit=3)] == [b"1", b"2", b"3"]
        assert [callback.body for callback in await outlet.claim(limit=3)] == [b"4", b"0"]
        assert await outlet.claim(limit=0) == ()

    async def test_what_is_passed_over_does_not_use_up_the_limit(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        row = await taken(store, clock)
        await report(store, clock, row, "sent", "delivered", "failed", "read")
        await store.record_webhook(post(clock, inbound(), inbound()))
        sent, *others = await outlet.claim(limit=3)
        assert sent.status == "sent"
        assert [callback.kind for callback in others] == ["inbound", "inbound"]

    async def test_endpoints_know_nothing_of_each_other(self, store: Store, clock: SteppedClock) -> None:
        await store.record_webhook(post(clock, *(inbound() for _ in range(30)), inbound(url="https://shop.example/h")))
        shop = Outlet(store, clock, endpoint_of("https://shop.example/h"))
        assert [callback.url for callback in await shop.claim()] == ["https://shop.example/h"]
        assert await Outlet(store, clock, "acme https://nobody.example").claim() == ()

    async def test_endpoints_tell_when_they_want_a_look(
        self, store: Store, clock: SteppedClock, outlet: Outlet
    ) -> None:
        assert await store.due_endpoints() == ()
        assert await store.next_due(ENDPOINT) is None
        row = await taken(store, clock)
        start = clock.now_ms()
        await report(store, clock, row, "delivered")
        await store.record_webhook(post(clock, inbound(url="https://shop.example/h")))
        shop = endpoint_of("https://shop.example/h")
        assert await store.due_endpoints() == (
            DueEndpoint(endpoint=ENDPOINT, due_at_ms=start + 2_000),
            DueEndpoint(endpoint=shop, due_at_ms=start),
        )
        await report(store, clock, row, "sent")
        assert await store.next_due(ENDPOINT) == start
        sent = await outlet.one()
        assert await store.next_due(ENDPOINT) == start + LEASE_MS, "the end of the lease comes before that of the wait"
        clock.wall_ms += 1
        await outlet.accept(sent)
        assert await store.next_due(ENDPOINT) == clock.now_ms(), "what waited for it is due"
        await outlet.accept(await outlet.one())
        assert await store.next_due(ENDPOINT) is None
        assert await store.due_endpoints() == (DueEndpoint(endpoint=shop, due_at_ms=start),)

    async def test_lease_that_ends_before_it_begins_is_refused(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms()
        with pytest.raises(ValueError, match="lease"):
            await store.claim_callbacks(ENDPOINT, now_ms=now, lease_until_ms=now, limit=1, order_wait_ms=1)
