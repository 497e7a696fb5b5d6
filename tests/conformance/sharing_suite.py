"""What every engine of the journal must do for processes that share it; an engine file inherits it."""

from tests.conformance.journal_rows import PHONE_ID, SteppedClock, message
from tests.conformance.queued_rows import OTHER, Worker, entry, queue
from waypost.model import State
from waypost.store.base import Store, TenantRow

OWNED_MS = 15_000


class OwnerSuite:
    """The queue of a phone belongs to one process at a time."""

    @staticmethod
    async def own(store: Store, clock: SteppedClock, owner: str, phone: str = PHONE_ID, ms: int = OWNED_MS) -> bool:
        now = clock.now_ms()
        return await store.own_queue(phone, owner, now_ms=now, until_ms=now + ms)

    async def test_first_who_asks_has_it_and_keeps_it(self, store: Store, clock: SteppedClock) -> None:
        assert await self.own(store, clock, "a")
        assert not await self.own(store, clock, "b")
        clock.wall_ms += OWNED_MS - 1
        assert await self.own(store, clock, "a")
        clock.wall_ms += OWNED_MS - 1
        assert not await self.own(store, clock, "b")
        assert await self.own(store, clock, "b", phone="another")

    async def test_it_goes_to_another_when_its_time_is_up(self, store: Store, clock: SteppedClock) -> None:
        await self.own(store, clock, "a")
        clock.wall_ms += OWNED_MS
        assert await self.own(store, clock, "b")
        assert not await self.own(store, clock, "a")

    async def test_who_gives_it_up_lets_another_have_it(self, store: Store, clock: SteppedClock) -> None:
        await self.own(store, clock, "a")
        await store.own_queue(PHONE_ID, "b", now_ms=0, until_ms=0)
        assert not await self.own(store, clock, "b"), "only its owner gives it up"
        await store.own_queue(PHONE_ID, "a", now_ms=0, until_ms=0)
        assert await self.own(store, clock, "b")


class BehindSuite:
    """What could leave at once waits behind what another process let wait before."""

    async def test_it_waits_where_its_lane_stands(self, store: Store, clock: SteppedClock, worker: Worker) -> None:
        earlier = await queue(store, clock)
        inline = message(clock)
        accepted = await store.accept(inline, behind=entry(clock))
        assert (accepted.is_new, accepted.message.state, accepted.message.attempt) == (True, State.QUEUED, 0)
        assert (await store.count_by_state()) == {"lease": 0, "unsettled": 0, "queued": 2}
        assert await worker.drain() == [earlier.id, inline.id]

    async def test_it_waits_also_behind_one_that_is_being_sent(
        self, store: Store, clock: SteppedClock, worker: Worker
    ) -> None:
        await worker.begin(await queue(store, clock))
        assert (await store.accept(message(clock), behind=entry(clock))).message.state == State.QUEUED

    async def test_it_goes_at_once_where_only_other_lanes_stand(self, store: Store, clock: SteppedClock) -> None:
        await queue(store, clock, recipient=OTHER)
        await queue(store, clock, appkey="another")
        accepted = await store.accept(message(clock), behind=entry(clock))
        assert (accepted.is_new, accepted.message.state) == (True, State.SENDING)


class TenantVersionSuite:
    """Every process learns that the tenants have changed."""

    async def test_each_change_changes_the_version(self, store: Store) -> None:
        row = TenantRow(kind="account", key="acme", origin="file", enabled=True, spec="{}")
        versions = [await store.tenants_version()]
        for _ in range(3):
            await store.save_tenants((row,))
            versions.append(await store.tenants_version())
        assert len(set(versions)) == 4
        assert await store.tenants_version() == versions[-1]
