"""Sends an unknown message a second time, where its application wants that rather than its loss (decision D6).

What a crash leaves behind: before the claim's commit, an unknown message as before; after it, a message in flight that
becomes unknown at the next start, and is then called failed, since nothing is sent more than twice.
"""

import structlog

from waypost.gateway import attempt
from waypost.gateway.attempt import Attempts
from waypost.gateway.outbox import Outbox
from waypost.meta.answer import RefusedByMeta
from waypost.model import Message
from waypost.store.base import Resend, Store

log = structlog.get_logger("waypost.resend")

RESEND = "resend"
_FIRST = 1


class Resender:
    """Decides which unknown messages may go out again, and sends them."""

    def __init__(self, store: Store, attempts: Attempts, outbox: Outbox) -> None:
        self._store = store
        self._attempts = attempts
        self._outbox = outbox

    def wants(self, message: Message) -> bool:
        """Tell whether a message may be sent once more: its application says so and is in use, and nothing is missing.

        Its WABA may be gone from the tenants by now, and its body may be wiped.
        """
        tenants = self._outbox.tenants
        application = tenants.applications.get(message.appkey)
        return (
            application is not None
            and application.enabled
            and application.settle_policy == RESEND
            and message.attempt == _FIRST
            and message.body is not None
            and message.waba_id in tenants.wabas
        )

    async def resend(self, message: Message) -> None:
        """Send a message that `wants` approved, unless a report was faster; raises `StoreUnavailable`."""
        claimed = await self._store.begin_resend(self._claim(message))
        if claimed is None:
            return
        access_token = self._outbox.tenants.wabas[message.waba_id].access_token
        answer = await self._attempts.post(claimed, access_token)
        outcome = attempt.late_outcome_of(claimed, answer, self._attempts.now_ms())
        log.warning("message_resent", message_id=message.id, outcome=outcome.state, **attempt.evidence(answer))
        callback = None
        if isinstance(answer, RefusedByMeta):
            callback = self._outbox.draft_refusal(claimed, answer, at_ms=outcome.at_ms)
        await self._store.record_outcome(outcome, callback)

    def _claim(self, message: Message) -> Resend:
        """Return what the second attempt carries: a token of its own, or the customer's string once more."""
        assert message.body is not None
        body, token = message.body, None
        if message.token is not None:
            token = self._attempts.token(message.id, message.attempt + 1)
            body = body.replace(message.token.encode(), token.encode())
        return Resend(
            message_id=message.id,
            attempt=message.attempt,
            token=token,
            body=body,
            owner=self._attempts.owner,
            lease_until_ms=self._attempts.lease_until_ms(),
        )
