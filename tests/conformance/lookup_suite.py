"""What every engine of the journal must do to find, list and forget; an engine file inherits it."""

import asyncio

import msgspec

from tests.conformance.journal_rows import (
    ACCOUNT,
    DAY_MS,
    PHONE_ID,
    SteppedClock,
    accepted,
    message,
    never_left,
    receipt,
    rejected,
    status,
    unknown,
)
from waypost.model import State, StatusRecord
from waypost.store.base import Store, TenantRow


class LookupSuite:
    """Finding messages, lists, tenants, and forgetting."""

    async def test_message_is_found_by_any_of_its_three_ids(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock, cus_message_id="order-1", key="cus:order-1")
        await store.accept(row)
        after = await store.record_outcome(accepted(row))
        for any_id in (row.id, "order-1", "wamid.META1"):
            assert await store.find(any_id) == after
        assert await store.find(row.key) is None
        assert await store.find("") is None

    async def test_of_several_messages_the_newest_is_found(self, store: Store, clock: SteppedClock) -> None:
        older = message(clock, cus_message_id="order-1", key="cus:order-1", account="globex")
        newer = message(clock, cus_message_id="order-1", key="cus:order-1")
        await store.accept(newer)
        await store.accept(older)
        assert await store.find("order-1") == newer

    async def test_context_is_resolved_within_account_and_phone(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock, cus_message_id="order-1", key="cus:order-1")
        await store.accept(row)
        assert await store.resolve_meta_id(ACCOUNT, PHONE_ID, row.id) is None  # Meta hasn't named it yet
        await store.record_outcome(accepted(row))
        for any_id in (row.id, "order-1", "wamid.META1"):
            assert await store.resolve_meta_id(ACCOUNT, PHONE_ID, any_id) == "wamid.META1"
            assert await store.resolve_meta_id("globex", PHONE_ID, any_id) is None
            assert await store.resolve_meta_id(ACCOUNT, "1", any_id) is None
        assert await store.resolve_meta_id(ACCOUNT, PHONE_ID, "wamid.OTHER") is None

    async def test_meta_ids_are_named_as_their_account_knows_them_and_no_other(
        self, store: Store, clock: SteppedClock
    ) -> None:
        mine = message(clock, cus_message_id="order-1", key="cus:order-1")
        plain = message(clock)
        others = message(clock, account="globex", cus_message_id="secret-7", key="cus:secret-7")
        for row, meta_id in ((mine, "wamid.A"), (plain, "wamid.B"), (others, "wamid.C")):
            await store.accept(row)
            await store.record_outcome(accepted(row, meta_id))
        asked = ("wamid.A", "wamid.B", "wamid.C", "wamid.UNKNOWN", "order-1", "")
        assert await store.wire_ids(ACCOUNT, PHONE_ID, asked) == {"wamid.A": "order-1", "wamid.B": plain.id}
        assert await store.wire_ids("globex", PHONE_ID, asked) == {"wamid.C": "secret-7"}
        assert await store.wire_ids(ACCOUNT, "1", asked) == {}
        assert await store.wire_ids(ACCOUNT, PHONE_ID, ()) == {}
        many = (*(f"wamid.{number}" for number in range(2000)), "wamid.A")
        assert await store.wire_ids(ACCOUNT, PHONE_ID, many) == {"wamid.A": "order-1"}

    async def test_list_gives_pages_newest_first(self, store: Store, clock: SteppedClock) -> None:
        rows = [message(clock) for _ in range(5)]
        for row in rows:
            await store.accept(row)
        first = await store.list(state=None, limit=2, cursor=None)
        second = await store.list(state=None, limit=2, cursor=first.next_cursor)
        third = await store.list(state=None, limit=2, cursor=second.next_cursor)
        listed = [*first.messages, *second.messages, *third.messages]
        assert listed == rows[::-1]
        assert third.next_cursor is None

    async def test_list_of_one_state(self, store: Store, clock: SteppedClock) -> None:
        rows = [message(clock) for _ in range(8)]
        for row in rows:
            await store.accept(row)
        for number, row in enumerate(rows[:6]):
            make = (unknown, rejected, accepted)[number % 3]
            await store.record_outcome(make(row) if make is not accepted else accepted(row, f"wamid.{number}"))
        for state, expected in (
            (State.SENDING, [rows[7], rows[6]]),
            (State.UNKNOWN, [rows[3], rows[0]]),
            (State.REJECTED, [rows[4], rows[1]]),
            (State.ACCEPTED, [rows[5], rows[2]]),
            ("no such state", []),
        ):
            whole = await store.list(state=state, limit=2, cursor=None)
            assert [row.id for row in whole.messages] == [row.id for row in expected]
            assert whole.next_cursor is None
            if expected:
                half = await store.list(state=state, limit=1, cursor=None)
                rest = await store.list(state=state, limit=1, cursor=half.next_cursor)
                assert [row.id for row in (*half.messages, *rest.messages)] == [row.id for row in expected]

    async def test_tenants_are_inserted_and_replaced(self, store: Store) -> None:
        account = TenantRow(kind="account", key="acme", origin="file", enabled=True, spec='{"name":"acme"}')
        phone = TenantRow(kind="phone", key="1", origin="admin", enabled=True, spec="{}")
        await store.save_tenants((phone, account))
        assert await store.tenants() == (account, phone)
        disabled = msgspec.structs.replace(account, enabled=False, spec="{}")
        await store.save_tenants((disabled,))
        assert await store.tenants() == (disabled, phone)

    async def test_ping_is_quiet_while_a_write_can_be_committed(self, store: Store) -> None:
        await store.ping()
        await store.ping()


class PurgeSuite:
    """Forgetting what was kept long enough (decision D15)."""

    @staticmethod
    async def purge(store: Store, now_ms: int, *, bodies: int = 0, webhooks: int = 0, messages: int = 0) -> int:
        return await store.purge(
            bodies_before_ms=bodies, webhooks_before_ms=webhooks, messages_before_ms=messages, now_ms=now_ms
        )

    async def test_bodies_go_first_and_the_rest_stays(self, store: Store, clock: SteppedClock, apart_ms: int) -> None:
        old = message(clock)
        await store.accept(old)
        clock.wall_ms += apart_ms
        young = message(clock)
        await store.accept(young)
        assert await self.purge(store, 0, bodies=young.created_at_ms) == 1
        assert await store.find(old.id) == msgspec.structs.replace(old, body=None)
        assert await store.find(young.id) == young
        assert await self.purge(store, 0, bodies=young.created_at_ms) == 0
        assert await self.purge(store, 0, bodies=young.created_at_ms + 1) == 1
        assert await store.find(young.id) == msgspec.structs.replace(young, body=None)

    async def test_message_goes_with_all_that_hangs_on_it(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        old = message(clock, cus_message_id="order-1", key="cus:order-1")
        await store.accept(old)
        await store.record_outcome(accepted(old))
        await store.record_webhook(receipt(clock, status(old, "sent")))
        lost = message(clock)
        await store.accept(lost)
        await store.record_outcome(unknown(lost))
        clock.wall_ms += apart_ms
        young = message(clock)
        await store.accept(young)
        assert await self.purge(store, 0, messages=young.created_at_ms) == 2
        for any_id in (old.id, "order-1", "wamid.META1", lost.id):
            assert await store.find(any_id) is None
        assert await store.statuses(old.id) == ()
        assert await store.count_by_state() == {"lease": 1, "unsettled": 0, "queued": 0}
        assert await store.find(young.id) == young
        assert (await store.accept(message(clock, key="cus:order-1"))).is_new

    async def test_key_taken_over_outlives_its_first_holder(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        old = message(clock, key="cus:a")
        await store.accept(old)
        await store.record_outcome(never_left(old))
        clock.wall_ms += apart_ms
        young = message(clock, key="cus:a")
        await store.accept(young)
        await self.purge(store, 0, messages=young.created_at_ms)
        assert await store.find_by_key(ACCOUNT, "cus:a", clock.now_ms()) == young

    async def test_expired_keys_go(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        assert await self.purge(store, row.key_expires_ms - 1) == 0
        assert await self.purge(store, row.key_expires_ms) == 1
        assert await self.purge(store, row.key_expires_ms) == 0
        assert await store.find(row.id) == row

    async def test_reports_without_a_message_go_after_a_day(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.record_webhook(receipt(clock, status(row, "sent", opaque=None)))
        assert await self.purge(store, clock.now_ms() + DAY_MS) == 0
        assert await self.purge(store, clock.now_ms() + DAY_MS + 1) == 1
        await store.accept(row)
        await store.record_outcome(accepted(row))
        assert await store.statuses(row.id) == ()

    async def test_a_call_takes_a_thousand_rows_and_the_next_goes_on(
        self, store: Store, clock: SteppedClock, apart_ms: int
    ) -> None:
        await asyncio.gather(*(store.record_webhook(receipt(clock)) for _ in range(1001)))
        await asyncio.gather(*(store.accept(message(clock)) for _ in range(1001)))
        soon = clock.now_ms() + 1
        steps = [await self.purge(store, soon, bodies=soon, webhooks=soon) for _ in range(3)]
        assert steps == [2000, 2, 0]
        later = clock.now_ms() + apart_ms
        steps = [await self.purge(store, 0, messages=later) for _ in range(3)]
        assert steps == [1000, 1, 0]

    async def test_status_is_kept_with_both_its_times(self, store: Store, clock: SteppedClock) -> None:
        row = message(clock)
        await store.accept(row)
        await store.record_outcome(accepted(row))
        event = status(row, "sent")
        await store.record_webhook(receipt(clock, event))
        assert await store.statuses(row.id) == (
            StatusRecord(status="sent", timestamp_ms=event.timestamp_ms, received_at_ms=clock.now_ms(), raw=event.raw),
        )
