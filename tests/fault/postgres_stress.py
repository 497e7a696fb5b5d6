"""Several stores on one journal, each with many tasks that do at random what gateways do, all to the same few rows.

What is done to one message happens in the stores at the same moment: its outcome in one, its statuses in others, twice.
In the end the journal is compared with what was done to it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.conformance.journal_rows import accepted, message, never_left, receipt, rejected, status, unknown
from tests.conformance.outbox_rows import ENDPOINT
from tests.conformance.queued_rows import ending, entry, held
from waypost.clock import Clock
from waypost.model import Attempt, AttemptOutcome, CallbackState, Message, State
from waypost.store.base import CallbackFilter, Judgement, Store, TenantRow
from waypost.store.base_queue import Ending, Waiting

STATUSES = ("sent", "delivered", "read")
_PHONES, _PEOPLE, _APPS, _KEYS = 3, 3, 2, 8
_LEASE_MS = 400
_TRIES_LIMIT = 4  # of one message in the queue


class Done(msgspec.Struct):
    """What was done, by name, and what nobody may see twice or lose."""

    operations: Counter[str] = msgspec.field(default_factory=Counter)
    begun: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    new_of_key: Counter[str] = msgspec.field(default_factory=Counter)
    reported: set[tuple[str, str]] = msgspec.field(default_factory=set)  # of messages whose Meta id is told or held
    recorded: Counter[str] = msgspec.field(default_factory=Counter)
    faults: list[str] = msgspec.field(default_factory=list)


class Stress:
    """Runs so many lives of messages on the stores; the same seed makes the same wishes, though not the same order."""

    def __init__(self, stores: list[Store], clocks: list[Clock], seed: int) -> None:
        self._stores = stores
        self._clocks = clocks
        self._random = random.Random(seed)
        self.done = Done()
        self._ended = asyncio.Event()

    async def run(self, lives: int, at_once: int) -> None:
        """Let messages live, so many at once, while others look after the journal."""
        others = [
            asyncio.create_task(self._again_and_again(work, number))
            for number in range(len(self._stores))
            for work in (self._work_off_queue, self._deliver, self._look_after)
        ]
        places = asyncio.Semaphore(at_once)

        async def live(seed: int) -> None:
            async with places:
                await self._guarded(lambda: self._live(random.Random(seed)))

        await asyncio.gather(*(live(self._random.getrandbits(64)) for _ in range(lives)))
        self._ended.set()
        await asyncio.gather(*others)
        await self._settle()

    async def _settle(self) -> None:
        """Bring everything to its end that can come to one."""
        store, clock = self._stores[0], self._clocks[0]
        while (await store.count_by_state())["lease"] or (await store.count_by_state())["queued"]:
            await store.bring_back(clock.now_ms() + 3_600_000, 1_000)
            for phone in range(_PHONES):
                for head in await store.queue_heads(
                    f"phone{phone}", now_ms=clock.now_ms() + 3_600_000, per_application=99
                ):
                    await store.end_queued((_cancelled(head),), now_ms=clock.now_ms())
            await store.expire_leases(clock.now_ms() + 3_600_000, all_owners=False)

    # --- one message ---

    async def _live(self, chance: random.Random) -> None:
        store, clock = self._any(chance)
        row = self._row(clock, chance)
        if chance.random() < 0.5:
            repeats = chance.choice((1, 1, 3))
            made = await asyncio.gather(
                *(self._accept(repeat, self._store(chance)) for repeat in self._repeats(row, clock, repeats))
            )
            mine = [one for one in made if one is not None]
            if mine:
                await self._attempted(mine[0], chance)
            return
        waits = held(
            clock, **{name: getattr(row, name) for name in ("phone_number_id", "recipient", "appkey", "opaque", "key")}
        )
        if row.token is None:
            waits = msgspec.structs.replace(waits, token=None)
        place = entry(clock, priority=chance.choice((0, 1)))
        if chance.random() < 0.2:
            place = msgspec.structs.replace(place, expires_at_ms=clock.now_ms() + chance.randrange(5, 200))
        self.done.operations["accept queued"] += 1
        if (await store.accept(waits, place)).is_new and chance.random() < 0.1:
            await self._end((waits,), chance)

    def _row(self, clock: Clock, chance: random.Random) -> Message:
        changes: dict[str, Any] = {
            "phone_number_id": f"phone{chance.randrange(_PHONES)}",
            "recipient": f"86138{chance.randrange(_PEOPLE)}",
            "appkey": f"app{chance.randrange(_APPS)}",
            "lease_until_ms": clock.now_ms() + _LEASE_MS,
        }
        if chance.random() < 0.3:
            changes |= {"opaque": f"order {chance.randrange(4)}", "token": None}
        row = message(clock, **changes)
        return msgspec.structs.replace(row, key=f"cus:{chance.randrange(_KEYS)}") if chance.random() < 0.2 else row

    def _repeats(self, row: Message, clock: Clock, number: int) -> list[Message]:
        others = (msgspec.structs.replace(row, id=clock.message_id()) for _ in range(number - 1))
        return [row, *(msgspec.structs.replace(one, token=one.token and f"{one.token}x") for one in others)]

    async def _accept(self, row: Message, store: Store) -> Message | None:
        self.done.operations["accept"] += 1
        made = await store.accept(row)
        if made.is_new != (made.message.id == row.id):
            self.done.faults.append(f"accept of {row.id}: new {made.is_new}, but {made.message.id}")
        if made.is_new and not row.key.startswith("cus:"):
            self.done.new_of_key[row.key] += 1
        return row if made.is_new else None

    async def _attempted(self, row: Message, chance: random.Random) -> None:
        """What comes of an attempt: its outcome here, and its statuses there, at the same moment."""
        meta_id = f"meta.{row.id}.{row.attempt}"
        fate = chance.choices(("taken", "unknown", "silent", "rejected", "never", "again"), (10, 3, 2, 1, 1, 2))[0]
        if fate == "rejected":
            return await self._outcome(rejected(row), chance)
        if fate == "never":
            return await self._outcome(never_left(row), chance)
        if fate == "again":
            return await self._again(row, chance)
        works: list[Awaitable[object]] = []
        if fate == "taken":
            works.append(self._outcome(accepted(row, meta_id), chance))
        elif fate == "unknown":
            works.append(self._outcome(unknown(row), chance))
            if chance.random() < 0.3:
                works.append(self._resend(row, chance))
        reported = STATUSES[: chance.randrange(4)]
        for value in reported:
            for _ in range(chance.choice((1, 1, 2))):
                works.append(self._report(row, meta_id, value, chance))
        if fate == "taken":
            self.done.reported |= {(row.id, value) for value in reported}
        chance.shuffle(works)
        await asyncio.gather(*works)
        return None

    async def _outcome(self, outcome: Any, chance: random.Random) -> None:
        self.done.operations["outcome"] += 1
        await self._store(chance).record_outcome(outcome)

    async def _again(self, row: Message, chance: random.Random) -> None:
        store, clock = self._any(chance)
        tries = row.attempt
        if tries >= _TRIES_LIMIT:
            return await self._outcome(rejected(row), chance)
        place = entry(clock, tries=tries, reason="pair limit", aside=chance.random() < 0.4)
        place = msgspec.structs.replace(place, due_at_ms=clock.now_ms() + chance.randrange(20))
        self.done.operations["requeue"] += 1
        await store.requeue(row.id, row.attempt, place, now_ms=clock.now_ms())
        return None

    async def _resend(self, row: Message, chance: random.Random) -> None:
        store, clock = self._any(chance)
        self.done.operations["resend"] += 1
        await store.resend(
            row.id, row.attempt, entry(clock, tries=1, aside=chance.random() < 0.3), now_ms=clock.now_ms()
        )

    async def _report(self, row: Message, meta_id: str, value: str, chance: random.Random) -> None:
        store, clock = self._any(chance)
        self.done.operations["webhook"] += 1
        event = status(row, value, meta_id)
        if row.opaque and chance.random() < 0.3:
            event = msgspec.structs.replace(event, opaque=None)
        post = msgspec.structs.replace(receipt(clock, event), phones=(row.phone_number_id,))
        effect = await store.record_webhook(post)
        self.done.recorded[f"{meta_id} {value}"] += effect.recorded

    async def _end(self, rows: tuple[Message, ...], chance: random.Random) -> None:
        store, clock = self._any(chance)
        self.done.operations["end"] += 1
        await store.end_queued(tuple(ending(row) for row in rows), now_ms=clock.now_ms())

    # --- what goes on all the time ---

    async def _work_off_queue(self, number: int, chance: random.Random) -> None:
        store, clock = self._stores[number], self._clocks[number]
        await store.bring_back(clock.now_ms(), 10)
        late = await store.expired_waiting(clock.now_ms(), 10)
        if late:
            self.done.operations["expire waiting"] += 1
            await store.end_queued(tuple(_cancelled(one) for one in late), now_ms=clock.now_ms())
        phone = f"phone{chance.randrange(_PHONES)}"
        await store.lease_slots(phone, interval_us=1000, count=2, now_us=clock.now_ms() * 1000)
        heads = await store.queue_heads(phone, now_ms=clock.now_ms(), per_application=5)
        await asyncio.gather(*(self._begin(head, number, random.Random(chance.random())) for head in heads))

    async def _begin(self, head: Waiting, number: int, chance: random.Random) -> None:
        store, clock = self._stores[number], self._clocks[number]
        if chance.random() < 0.1:
            await store.defer_queued(head.message_id, due_at_ms=clock.now_ms() + 5, reason="later")
            return
        self.done.operations["begin"] += 1
        token = f"wp1.{head.message_id[6:]}.{chance.randrange(1, 9)}.{clock.token()}"
        taken = await store.begin_attempt(
            head.message_id, owner=str(number), lease_until_ms=clock.now_ms() + _LEASE_MS, token=token
        )
        if taken is not None:
            self.done.begun[taken.id, taken.attempt] += 1
            await self._attempted(taken, chance)

    async def _deliver(self, number: int, chance: random.Random) -> None:
        store, clock = self._stores[number], self._clocks[number]
        now = clock.now_ms()
        claimed = await store.claim_callbacks(
            ENDPOINT, now_ms=now, lease_until_ms=now + 60_000, limit=40, order_wait_ms=500
        )
        self.done.operations["claim"] += 1
        ends: list[AttemptOutcome] = []
        for callback in claimed:
            state = chance.choices((CallbackState.DONE, CallbackState.DUE, CallbackState.ABANDONED), (8, 2, 1))[0]
            attempt = Attempt(callback_id=callback.id, number=callback.attempts + 1, at_ms=now, duration_ms=1)
            due = now + 10 if state == CallbackState.DUE else None
            ends.append(AttemptOutcome(attempt=attempt, state=state, due_at_ms=due))
        chance.shuffle(ends)
        await asyncio.gather(*(store.record_attempts((one,)) for one in ends[:20]))
        if ends[20:]:
            await store.record_attempts(tuple(ends[20:]))
        self.done.operations["attempt"] += len(ends)

    async def _look_after(self, number: int, chance: random.Random) -> None:
        store, clock = self._stores[number], self._clocks[number]
        now = clock.now_ms()
        ended = await store.expire_leases(now, all_owners=False)
        self.done.operations["expire leases"] += 1
        if ended and chance.random() < 0.3:
            await store.fail_unknown(tuple(Judgement(message_id=row.id) for row in ended), now_ms=now)
        for row in ended:
            if chance.random() < 0.3:
                await self._resend(row, chance)
        if chance.random() < 0.1:
            await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=0, now_ms=now)
            kinds = ["account", "waba", "phone"]
            chance.shuffle(kinds)
            await store.save_tenants(tuple(TenantRow(kind, "one", "admin", True, "{}") for kind in kinds))
            audit_id = await store.begin_audit(who="stress", action="replay", selection="{}")
            wanted = CallbackFilter(state=CallbackState.ABANDONED)
            await store.replay_callbacks(wanted, now_ms=now, limit=50, cursor=None, audit_id=audit_id)
            await store.abandon_callbacks(ENDPOINT, created_before_ms=now - 1_500, now_ms=now, limit=20)
        await asyncio.sleep(0.01)

    async def _again_and_again(self, work: Callable[[int, random.Random], Awaitable[None]], number: int) -> None:
        chance = random.Random(self._random.getrandbits(64))
        while not self._ended.is_set():
            await self._guarded(lambda: work(number, chance))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            self.done.faults.append(f"{type(error).__name__}: {error}")

    def _any(self, chance: random.Random) -> tuple[Store, Clock]:
        number = chance.randrange(len(self._stores))
        return self._stores[number], self._clocks[number]

    def _store(self, chance: random.Random) -> Store:
        return self._any(chance)[0]


def _cancelled(head: Waiting) -> Ending:
    return Ending(message_id=head.message_id, state=State.CANCELLED)
