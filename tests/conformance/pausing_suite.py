"""What every engine of the journal must do with slots and pauses; an engine file inherits it."""

import asyncio

import msgspec
import pytest

from tests.conformance.journal_rows import PHONE_ID, SteppedClock
from waypost.store.base import Store
from waypost.store.base_queue import Pause

INTERVAL_US = 12_500  # 80 a second
COUNT = 20


class SlotSuite:
    """Slots of a phone are given out once, whoever asks."""

    @staticmethod
    async def lease(store: Store, now_us: int, *, phone_number_id: str = PHONE_ID, count: int = COUNT) -> int:
        return await store.lease_slots(phone_number_id, interval_us=INTERVAL_US, count=count, now_us=now_us)

    async def test_slots_follow_each_other_without_a_gap(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms() * 1_000
        firsts = [await self.lease(store, now + number) for number in range(3)]
        assert firsts == [now, now + COUNT * INTERVAL_US, now + 2 * COUNT * INTERVAL_US]
        assert await self.lease(store, now, phone_number_id="1", count=1) == now, "each phone has slots of its own"

    async def test_slots_that_nobody_took_are_gone(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms() * 1_000
        await self.lease(store, now)
        later = now + 3_600_000_000
        assert await self.lease(store, later) == later
        assert await self.lease(store, later + 1) == later + COUNT * INTERVAL_US

    async def test_of_many_who_ask_at_once_none_gets_another_s(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms() * 1_000
        firsts = await asyncio.gather(*(self.lease(store, now) for _ in range(50)))
        assert sorted(firsts) == [now + number * COUNT * INTERVAL_US for number in range(50)]

    async def test_rate_may_change_from_lease_to_lease(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms() * 1_000
        await store.lease_slots(PHONE_ID, interval_us=1_000, count=3, now_us=now)
        assert await store.lease_slots(PHONE_ID, interval_us=50_000, count=2, now_us=now) == now + 3_000
        assert await store.lease_slots(PHONE_ID, interval_us=1, count=1, now_us=now) == now + 103_000

    async def test_clock_that_was_put_back_does_not_stop_the_phone(self, store: Store, clock: SteppedClock) -> None:
        now = clock.now_ms() * 1_000
        await self.lease(store, now)
        second_back = now - 1_000_000
        assert await self.lease(store, second_back) == now + COUNT * INTERVAL_US
        hour_back = now - 3_600_000_000
        assert await self.lease(store, hour_back) == hour_back
        assert await self.lease(store, hour_back) == hour_back + COUNT * INTERVAL_US

    @pytest.mark.parametrize(("interval_us", "count"), [(0, 1), (-1, 1), (1, 0), (1, -3)])
    async def test_lease_of_nothing_is_refused(self, store: Store, interval_us: int, count: int) -> None:
        with pytest.raises(ValueError, match="lease"):
            await store.lease_slots(PHONE_ID, interval_us=interval_us, count=count, now_us=0)


class PauseSuite:
    """What stands still by somebody's word."""

    def pause(self, clock: SteppedClock, **changes: object) -> Pause:
        made = Pause(kind="phone", key=PHONE_ID, reason="spam", since_ms=clock.now_ms(), until_ms=None, by="gateway")
        return msgspec.structs.replace(made, **changes)

    async def test_pauses_are_kept_changed_and_lifted(self, store: Store, clock: SteppedClock) -> None:
        phone = self.pause(clock, until_ms=clock.now_ms() + 1_000)
        application = self.pause(clock, kind="application", by="operator")
        waba = self.pause(clock, kind="waba", key="w")
        for pause in (waba, phone, application):
            await store.save_pause(pause)
        assert await store.pauses() == (application, phone, waba)
        changed = msgspec.structs.replace(phone, reason="token expired", until_ms=None)
        await store.save_pause(changed)
        assert await store.pauses() == (application, changed, waba)
        assert await store.lift_pause("phone", PHONE_ID)
        assert not await store.lift_pause("phone", PHONE_ID)
        assert await store.pauses() == (application, waba)

    async def test_gateway_does_not_overrule_an_operator(self, store: Store, clock: SteppedClock) -> None:
        gateways = self.pause(clock)
        operators = self.pause(clock, by="operator", reason="wrong campaign", until_ms=clock.now_ms() + 50)
        await store.save_pause(gateways)
        await store.save_pause(operators)
        await store.save_pause(self.pause(clock, since_ms=clock.now_ms() + 49))
        assert not await store.lift_pause("phone", PHONE_ID, by="gateway")
        assert await store.pauses() == (operators,)
        after_its_end = self.pause(clock, since_ms=clock.now_ms() + 50)
        await store.save_pause(after_its_end)
        assert await store.pauses() == (after_its_end,)
        assert await store.lift_pause("phone", PHONE_ID, by="gateway")
