"""Messages that wait, for tests of the queue, and a worker that sends them as whoever does so does."""

from typing import Any

import msgspec

from tests.conformance.journal_rows import LEASE_MS, PHONE_ID, SteppedClock, accepted, message
from tests.conformance.outbox_rows import inbound
from waypost.clock import MESSAGE_ID_PREFIX, Clock
from waypost.model import RANK_FAILED_HERE, RANK_QUEUED, CallbackDraft, CallbackKind, Message, Outcome, Reuse, State
from waypost.store.base import Store
from waypost.store.base_queue import PRIORITY_ORDINARY, Ending, QueueEntry, QueueFilter, Standing, Waiting

EVERYTHING = QueueFilter()
OTHER = "8613800000000"  # another recipient


def held(clock: Clock, **changes: Any) -> Message:
    """A message that waits: no attempt yet, its token in its body."""
    row = message(clock, state=State.QUEUED, rank=RANK_QUEUED, attempt=0, owner="", lease_until_ms=0, answer_code=0)
    row = msgspec.structs.replace(row, **changes)
    body = msgspec.json.encode({"biz_opaque_callback_data": row.opaque or row.token, "type": "text"})
    return msgspec.structs.replace(row, body=body)


def entry(clock: Clock, **changes: Any) -> QueueEntry:
    """A place in the queue: due now, never too late."""
    made = QueueEntry(priority=PRIORITY_ORDINARY, template=None, due_at_ms=clock.now_ms(), expires_at_ms=None)
    return msgspec.structs.replace(made, **changes)


async def queue(store: Store, clock: SteppedClock, *, place: QueueEntry | None = None, **changes: Any) -> Message:
    """Let one more message wait."""
    row = held(clock, **changes)
    assert (await store.accept(row, place or entry(clock))).is_new
    return row


def refused(row: Message) -> Outcome:
    """Meta refused for good what had been answered 0."""
    return accepted(
        row,
        state=State.FAILED,
        rank=RANK_FAILED_HERE,
        reuse=Reuse.NEVER,
        answer_code=0,
        meta_message_id=None,
        meta_answer='{"error":{"code":131026}}',
    )


def failure(row: Message) -> CallbackDraft:
    """Draft the callback of our own `failed`."""
    return inbound(kind=CallbackKind.STATUS, message_id=row.id, status="failed", rank=RANK_FAILED_HERE)


def ending(row: Message, state: Any = State.CANCELLED) -> Ending:
    """That a message is not to be sent any more, with its callback."""
    return Ending(message_id=row.id, state=state, callback=failure(row))


async def standings(store: Store) -> dict[str, Standing]:
    """Tell where each row stands that is not in flight."""
    page = await store.waiting(EVERYTHING, limit=1_000, cursor=None)
    assert page.next_cursor is None
    return {row.message_id: row.standing for row in page.rows}


class Worker:
    """Takes what one phone may send and tells what came of it."""

    def __init__(self, store: Store, clock: SteppedClock, phone_number_id: str = PHONE_ID) -> None:
        self.store = store
        self.clock = clock
        self.phone_number_id = phone_number_id

    async def heads(self, per_application: int = 100) -> tuple[Waiting, ...]:
        """Look at what may go now."""
        return await self.store.queue_heads(
            self.phone_number_id, now_ms=self.clock.now_ms(), per_application=per_application
        )

    async def ready(self) -> list[str]:
        """Name what may go now."""
        return [head.message_id for head in await self.heads()]

    async def take(self, message_id: str) -> Message | None:
        """Begin an attempt, if it is the message's turn."""
        token = f"wp1.{message_id.removeprefix(MESSAGE_ID_PREFIX)}.7.{self.clock.token()}"
        return await self.store.begin_attempt(
            message_id, owner="worker", lease_until_ms=self.clock.now_ms() + LEASE_MS, token=token
        )

    async def begin(self, row: Message) -> Message:
        """Begin an attempt of a message whose turn it is."""
        taken = await self.take(row.id)
        assert taken is not None
        return taken

    async def back(self, row: Message, **changes: Any) -> Message:
        """Let a message wait again whose attempt sent nothing."""
        place = entry(self.clock, tries=row.attempt, reason="pair limit")
        return await self.store.requeue(
            row.id, row.attempt, msgspec.structs.replace(place, **changes), now_ms=self.clock.now_ms()
        )

    async def drain(self) -> list[str]:
        """Send whatever may go, one by one, and tell in which order."""
        sent = []
        while head := next(iter(await self.heads(1)), None):
            row = await self.take(head.message_id)
            assert row is not None
            await self.store.record_outcome(accepted(row, f"meta.{row.id}"))
            sent.append(row.id)
        return sent
