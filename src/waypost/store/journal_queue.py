"""The queue in the journal."""

from waypost.model import Message
from waypost.store import attempts, lanes, pausing, queue_rows, queueing, sharing
from waypost.store.base_queue import (
    DuePhone,
    Ending,
    Pause,
    PausedBy,
    PauseKind,
    QueueDepth,
    QueueEntry,
    QueueFilter,
    QueueStore,
    Waiting,
    WaitingPage,
)
from waypost.store.engine import Engine


class JournalQueue(Engine, QueueStore):
    """What a journal does with messages that wait; fulfils `waypost.store.base_queue.QueueStore`."""

    async def begin_attempt(self, message_id: str, *, owner: str, lease_until_ms: int, token: str) -> Message | None:
        return await self._write(
            "begin_commit",
            lambda session: queueing.begin_attempt(session, message_id, owner, lease_until_ms, token),
        )

    async def defer_queued(self, message_id: str, *, due_at_ms: int, reason: str | None) -> bool:
        return await self._write("defer_commit", lambda session: lanes.defer(session, message_id, due_at_ms, reason))

    async def bring_back(self, now_ms: int, limit: int) -> tuple[Waiting, ...]:
        if not await self._read(lambda session: session.rows("due_aside", now_ms=now_ms, limit=1)):
            return ()
        return await self._write("return_commit", lambda session: lanes.bring_back(session, now_ms, limit))

    async def requeue(
        self, message_id: str, attempt: int, entry: QueueEntry, *, answer_code: int = 0, now_ms: int
    ) -> Message:
        return await self._write(
            "requeue_commit",
            lambda session: queueing.requeue(session, message_id, attempt, entry, answer_code, now_ms),
        )

    async def resend(self, message_id: str, attempt: int, entry: QueueEntry, *, now_ms: int) -> Message | None:
        return await self._write(
            "resend_commit", lambda session: attempts.resend(session, message_id, attempt, entry, now_ms)
        )

    async def end_queued(
        self, endings: tuple[Ending, ...], *, now_ms: int, audit_id: str | None = None
    ) -> tuple[Message, ...]:
        return await self._write(
            "ending_commit", lambda session: queueing.end_queued(session, self._outbox, endings, now_ms, audit_id)
        )

    async def own_queue(self, phone_number_id: str, owner: str, *, now_ms: int, until_ms: int) -> bool:
        return await self._write(
            "owner_commit", lambda session: sharing.own_queue(session, phone_number_id, owner, now_ms, until_ms)
        )

    # --- looking ---

    async def queue_heads(self, phone_number_id: str, *, now_ms: int, per_application: int) -> tuple[Waiting, ...]:
        return await self._read(lambda session: queue_rows.heads(session, phone_number_id, now_ms, per_application))

    async def queue_phones(self) -> tuple[DuePhone, ...]:
        return await self._read(queue_rows.phones)

    async def next_queued(self, phone_number_id: str) -> int | None:
        return await self._read(lambda session: queue_rows.next_due(session, phone_number_id))

    async def lanes_stand(self, phone_number_id: str) -> bool:
        return await self._read(lambda session: queue_rows.lanes_stand(session, phone_number_id))

    async def waiting(self, wanted: QueueFilter, *, limit: int, cursor: str | None) -> WaitingPage:
        return await self._walk(lambda session: queue_rows.page(session, wanted, limit, cursor))

    async def count_waiting(self, wanted: QueueFilter) -> int:
        return await self._walk(lambda session: queue_rows.count(session, wanted))

    async def queued_messages(self, message_ids: tuple[str, ...]) -> tuple[Message, ...]:
        return await self._read(lambda session: queue_rows.messages(session, message_ids))

    async def expired_waiting(self, now_ms: int, limit: int) -> tuple[Waiting, ...]:
        return await self._read(lambda session: queue_rows.expired(session, now_ms, limit))

    async def queue_depths(self) -> tuple[QueueDepth, ...]:
        return await self._walk(queue_rows.depths)

    # --- slots and pauses ---

    async def lease_slots(self, phone_number_id: str, *, interval_us: int, count: int, now_us: int) -> int:
        return await self._write(
            "slots_commit", lambda session: pausing.lease_slots(session, phone_number_id, interval_us, count, now_us)
        )

    async def pauses(self) -> tuple[Pause, ...]:
        return await self._read(pausing.pauses)

    async def save_pause(self, pause: Pause) -> None:
        await self._write("pause_commit", lambda session: pausing.save(session, pause))

    async def lift_pause(self, kind: PauseKind, key: str, *, by: PausedBy | None = None) -> bool:
        return await self._write("pause_commit", lambda session: pausing.lift(session, kind, key, by))
