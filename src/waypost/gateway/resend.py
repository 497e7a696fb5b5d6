"""Lets an unknown message wait to be sent a second time, where its application wants that rather than its loss (D6).

What a crash leaves behind: before the commit an unknown message as before; after it one that waits in the queue.
"""

import msgspec
import structlog

from waypost.clock import Clock
from waypost.gateway.backlog import Sort
from waypost.gateway.dispatch import Dispatcher
from waypost.gateway.gate import priority_of, ttl_ms
from waypost.gateway.outbox import Outbox
from waypost.model import Message
from waypost.store.base import Store
from waypost.store.base_queue import QueueEntry

log = structlog.get_logger("waypost.resend")

RESEND = "resend"
REASON = "sent once more: its outcome stayed unknown"


class _Template(msgspec.Struct):
    name: str


class _Body(msgspec.Struct):
    """What a message's body, as Meta gets it, tells about its place in the queue."""

    template: _Template | None = None


class Resender:
    """Decides which unknown messages may go out again, and puts them into the queue."""

    def __init__(self, store: Store, outbox: Outbox, dispatcher: Dispatcher, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._clock = clock

    async def resend(self, message: Message) -> bool:
        """Put a message into the queue once more, and return whether it waits there now; raises `StoreUnavailable`.

        Not where the application says `fail` or is disabled, its WABA is gone from the tenants, its body is wiped, it
        is too late for it, it was resent before, or a report was faster.
        """
        tenants = self._outbox.tenants
        application = tenants.applications.get(message.appkey)
        if (
            application is None
            or not application.enabled
            or application.settle_policy != RESEND
            or message.body is None
            or message.waba_id not in tenants.wabas
        ):
            return False
        now = self._clock.now_ms()
        lives_ms = ttl_ms(message.category, application)
        expires_at_ms = None if lives_ms is None else message.created_at_ms + lives_ms
        if expires_at_ms is not None and expires_at_ms <= now:
            return False
        entry = QueueEntry(
            priority=priority_of(message.category),
            template=template_of(message.body),
            due_at_ms=now,
            expires_at_ms=expires_at_ms,
            reason=REASON,
        )
        waits = await self._store.resend(message.id, message.attempt, entry, now_ms=now) is not None
        if waits:
            log.warning("message_resent", message_id=message.id)
            self._dispatcher.entered(Sort.of(message, entry.priority))
        return waits


def template_of(body: bytes) -> str | None:
    """Return the name of the template in the body of one of our messages, or None if it has none."""
    template = msgspec.json.decode(body, type=_Body).template
    return None if template is None else template.name
