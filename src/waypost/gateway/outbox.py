"""What a sender is told: turns a status of a message, or our own verdict on it, into the callback that it causes."""

import hashlib

from waypost.gateway.event_routing import wants
from waypost.gateway.registry import Registry
from waypost.gateway.tenants import Tenants
from waypost.meta.answer import RefusedByMeta
from waypost.model import (
    RANK_ACCEPTED,
    RANK_FAILED_HERE,
    STATUS_RANK,
    CallbackDraft,
    CallbackKind,
    Message,
    State,
    StatusEvent,
)
from waypost.protocol import callbacks

STATUSES = "message_status_update"


class Outbox:
    """Drafts callbacks; whoever delivers is told of them by the journal, once they are in it.

    `draft` runs within the journal's transaction that records the status, also in another thread.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @property
    def tenants(self) -> Tenants:
        """The tenants as they are now."""
        return self._registry.tenants

    def draft(self, message: Message, event: StatusEvent) -> CallbackDraft | None:
        """Return the callback of a status, or None where nobody asked for it.

        It goes to the message's `dr_webhook`, else to the application's webhook if that wants statuses (decision D8).
        """
        url = self._url_for(message)
        if url is None:
            return None
        body = callbacks.status_body(
            message,
            event,
            waba_id=message.waba_id,
            app_id=app_id_of(message.appkey),
            display_number=message.business_phone,
        )
        rank = STATUS_RANK.get(event.status, (State.ACCEPTED, RANK_ACCEPTED))[1]
        return self._to_sender(message, url, body, event.status, rank)

    def draft_refusal(self, message: Message, answer: RefusedByMeta, *, at_ms: int) -> CallbackDraft | None:
        """Return the callback of a refusal of Meta's that came after the request was answered 0."""
        known = answer.meta_error
        return self.draft_failure(
            message, known.code, known.title, at_ms=at_ms, meta_code=known.code, details=answer.details
        )

    def draft_failure(
        self,
        message: Message,
        code: int,
        title: str,
        *,
        at_ms: int,
        meta_code: int | None = None,
        details: str | None = None,
    ) -> CallbackDraft | None:
        """Return the callback of a `failed` that the gateway concluded itself, or None where nobody asked for it."""
        url = self._url_for(message)
        if url is None:
            return None
        body = callbacks.own_failure_body(
            message,
            code=code,
            title=title,
            at_ms=at_ms,
            waba_id=message.waba_id,
            app_id=app_id_of(message.appkey),
            display_number=message.business_phone,
            meta_code=meta_code,
            details=details,
        )
        return self._to_sender(message, url, body, State.FAILED.value, RANK_FAILED_HERE)

    def _url_for(self, message: Message) -> str | None:
        if message.dr_webhook is not None:
            return message.dr_webhook
        application = self._registry.tenants.applications.get(message.appkey)
        if application is None or application.account != message.account:  # its appkey may be another account's by now
            return None
        return application.webhook if wants(application, STATUSES) else None

    def _to_sender(self, message: Message, url: str, body: bytes, status: str, rank: int) -> CallbackDraft:
        return CallbackDraft(
            account=message.account,
            appkey=message.appkey,
            url=url,
            endpoint=endpoint_of(message.account, url),
            kind=CallbackKind.STATUS,
            body=body,
            access_key=message.access_key,
            message_id=message.id,
            status=status,
            rank=rank,
        )


def endpoint_of(account: str, url: str) -> str:
    """Name what fails together: an account's callbacks to one origin."""
    return f"{account} {callbacks.origin_of(url)}"


def app_id_of(appkey: str) -> int:
    """Return a stable number for an application, for the field `app_id` of a callback."""
    return int.from_bytes(hashlib.sha256(appkey.encode()).digest()[:4]) & 0x7FFF_FFFF
