"""What operators order about the queue: to pause, to resume, to cancel what waits; each is put on record first.

What a crash leaves behind: before a portion's commit its messages wait as before; after it they are cancelled and told.
The audit entry says how many that were.
"""

import contextlib

import msgspec
import structlog

from waypost.clock import Clock
from waypost.gateway import queue_names
from waypost.gateway.outbox import Outbox
from waypost.gateway.sending import Sending
from waypost.model import State
from waypost.store.base import Store
from waypost.store.base_queue import Ending, Pause, PauseKind, QueueFilter, Waiting

log = structlog.get_logger("waypost.audit")

CANCELLED = 910_003
CANCELLED_TITLE = "cancelled while it waited"
_MOMENT_S = 1.0
AT_ONCE = 200  # messages in one commit: nobody else's write waits longer than some milliseconds


class QueueOrders:
    """Carries out what an operator orders; every call may raise `StoreUnavailable`."""

    def __init__(self, store: Store, outbox: Outbox, parts: Sending, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._parts = parts
        self._clock = clock

    async def pause(self, kind: PauseKind, name: str, reason: str, *, who: str) -> Pause:
        """Pause a phone, an application or a WABA until it is resumed; raises `NameUnknown`."""
        key = queue_names.key_of(self._outbox.tenants, kind, name)
        await self._record(who, "pause", {"kind": kind, "key": key, "reason": reason})
        return await self._parts.pauses.pause(kind, key, reason)

    async def resume(self, kind: PauseKind, name: str, *, who: str) -> bool:
        """Lift whatever holds something, also what the gateway held itself, and return whether anything did.

        Raises `NameUnknown` for what is not among the tenants, unless it is paused all the same.
        """
        try:
            key = queue_names.key_of(self._outbox.tenants, kind, name)
        except queue_names.NameUnknown:
            if (kind, name) not in {(pause.kind, pause.key) for pause in await self._store.pauses()}:
                raise
            key = name
        await self._record(who, "resume", {"kind": kind, "key": key})
        return await self._parts.pauses.resume(kind, key)

    async def count(self, wanted: QueueFilter) -> int:
        """Return how many messages a cancellation would take.

        Raises `NameUnknown` if that is none, and the selection names something that is not among the tenants.
        """
        number = await self._store.count_waiting(wanted)
        if not number:
            queue_names.check_known(self._outbox.tenants, wanted)
        return number

    async def cancel(self, wanted: QueueFilter, *, who: str) -> int:
        """Cancel what waits and fits, tell its customers, and return how many messages that were.

        What is being sent at this moment is left alone, and cancelled afterwards if it would have to wait again. What
        comes later is not meant. Raises as `count` does.
        """
        await self.count(wanted)
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        audit_id = await self._record(who, "cancel", given)
        before_id = self._clock.message_id()  # ids are time-ordered, whatever the clock does
        held = contextlib.ExitStack()
        held.enter_context(self._parts.turns.cancelling(wanted, before_id))
        try:
            cancelled = await self._end_all(wanted, before_id, audit_id)
        except BaseException:
            held.close()
            raise
        self._parts.dispatcher.see_to(self._look_again(held, wanted, before_id, audit_id))
        log.info("messages_cancelled", audit_id=audit_id, cancelled=cancelled)
        return cancelled

    async def _look_again(self, held: contextlib.ExitStack, wanted: QueueFilter, before_id: str, audit_id: str) -> None:
        """Cancel what has come back when every attempt that was under way has ended."""
        with held:
            await self._clock.sleep(self._parts.further.longest_s + _MOMENT_S)
            cancelled = await self._end_all(wanted, before_id, audit_id)
        if cancelled:
            log.info("messages_cancelled", audit_id=audit_id, cancelled=cancelled)

    async def _end_all(self, wanted: QueueFilter, before_id: str, audit_id: str) -> int:
        cancelled, cursor = 0, None
        while True:
            page = await self._store.waiting(wanted, limit=AT_ONCE, cursor=cursor)
            rows = tuple(row for row in page.rows if row.message_id < before_id)
            cancelled += await self._end(rows, audit_id)
            cursor = page.next_cursor
            if cursor is None or len(rows) < len(page.rows):
                break
        return cancelled

    async def _end(self, rows: tuple[Waiting, ...], audit_id: str) -> int:
        """End one portion; return how many of them still waited."""
        now = self._clock.now_ms()
        endings = tuple(
            Ending(
                message_id=message.id,
                state=State.CANCELLED,
                callback=self._outbox.draft_failure(message, CANCELLED, CANCELLED_TITLE, at_ms=now),
            )
            for message in await self._store.queued_messages(tuple(row.message_id for row in rows))
        )
        ended = await self._store.end_queued(endings, now_ms=now, audit_id=audit_id)
        self._parts.dispatcher.forget(rows, ended)
        for phone_number_id in {row.phone_number_id for row in rows}:
            self._parts.dispatcher.ring(phone_number_id)  # it has read ahead, also what is cancelled now
        return len(ended)

    async def _record(self, who: str, action: str, selection: dict[str, str]) -> str:
        return await self._store.begin_audit(who=who, action=action, selection=msgspec.json.encode(selection).decode())
