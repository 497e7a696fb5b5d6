"""Who is told what: turns a status, an inbound message or an event into the callbacks that it causes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from waypost.gateway.registry import Registry
from waypost.gateway.tenants import Tenants
from waypost.meta.answer import RefusedByMeta
from waypost.meta.webhooks import OtherEvent
from waypost.model import (
    RANK_ACCEPTED,
    RANK_FAILED_HERE,
    STATUS_RANK,
    Application,
    BusinessPhone,
    CallbackDraft,
    CallbackKind,
    Message,
    State,
    StatusEvent,
)
from waypost.protocol import callbacks

MESSAGES = "messages"
STATUSES = "message_status_update"


class Outbox:
    """Drafts callbacks; `ring` is told the endpoint of each, so that whoever delivers wakes up.

    `draft` runs in the journal's writer thread, within the transaction that records the status.
    """

    def __init__(self, registry: Registry, ring: Callable[[str], None]) -> None:
        self._registry = registry
        self._ring = ring

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
        application = self._registry.tenants.applications.get(message.appkey)
        if message.dr_webhook is None and application is not None and wants(application, STATUSES):
            return application.webhook
        return message.dr_webhook

    def _to_sender(self, message: Message, url: str, body: bytes, status: str, rank: int) -> CallbackDraft:
        return self._rung(
            CallbackDraft(
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
        )

    def drafts(self, events: Iterable[OtherEvent], received_at_ms: int) -> Iterator[CallbackDraft]:
        """Yield the callbacks of inbound messages and of template, account and phone events."""
        tenants = self._registry.tenants
        for event in events:
            if event.field == MESSAGES:
                yield from self._inbound(tenants, event)
            else:
                yield from self._account_event(tenants, event, received_at_ms)

    def _inbound(self, tenants: Tenants, event: OtherEvent) -> Iterator[CallbackDraft]:
        phone = tenants.phones_by_id.get(event.phone_number_id or "")
        if phone is None:
            return
        receivers = inbound_receivers(tenants, phone)
        inbound = callbacks.read_inbound(event.raw)
        for index, meta_id in enumerate(inbound.ids):
            for application in receivers if meta_id else ():  # what has no id is no message
                body = callbacks.inbound_body(
                    inbound,
                    index,
                    waba_id=phone.waba_id,
                    app_id=app_id_of(application.appkey),
                    business_phone=phone.number,
                    currency=application.currency if application.prices is not None else None,
                )
                once = f"in:{phone.phone_number_id}:{meta_id}:{application.appkey}"
                yield self._to_webhook(application, CallbackKind.INBOUND, body, once)

    def _account_event(self, tenants: Tenants, event: OtherEvent, received_at_ms: int) -> Iterator[CallbackDraft]:
        """One callback for each application and each of its numbers on the WABA."""
        field = callbacks.event_field(event.field, event.raw)
        digest = hashlib.sha256(event.raw.encode()).hexdigest()[:32]
        for application in tenants.applications.values():
            if not wants(application, field):
                continue
            for number in application.phones:
                phone = tenants.phones.get(number)
                if phone is None or phone.waba_id != event.waba_id:
                    continue
                body = callbacks.event_body(
                    field,
                    event.raw,
                    business_phone=number,
                    waba_id=event.waba_id,
                    time_s=received_at_ms // 1000,
                )
                once = f"ev:{event.waba_id}:{field}:{digest}:{application.appkey}:{number}"
                yield self._to_webhook(application, CallbackKind.EVENT, body, once)

    def _to_webhook(self, application: Application, kind: CallbackKind, body: bytes, once: str) -> CallbackDraft:
        assert application.webhook is not None
        return self._rung(
            CallbackDraft(
                account=application.account,
                appkey=application.appkey,
                url=application.webhook,
                endpoint=endpoint_of(application.account, application.webhook),
                kind=kind,
                body=body,
                once=once,
            )
        )

    def _rung(self, draft: CallbackDraft) -> CallbackDraft:
        # Before the commit, but whoever claims asks the writer, and comes after this transaction there.
        self._ring(draft.endpoint)
        return draft


def wants(application: Application, event: str) -> bool:
    """Tell whether an application has a webhook and has asked for an event (left out means all)."""
    if application.webhook is None or not application.enabled:
        return False
    return application.events is None or event in map(callbacks.subscription_of, application.events)


def inbound_receivers(tenants: Tenants, phone: BusinessPhone) -> list[Application]:
    """Return the applications that get what recipients write to a phone.

    The one that its WABA names as `inbound_application`, and every other that lists `messages` in its `events`; where
    there is neither, one: of those bound to the phone that take everything, the first by appkey.
    """
    waba = tenants.waba_of(phone)
    bound = sorted(
        (item for item in tenants.applications.values() if phone.number in item.phones and wants(item, MESSAGES)),
        key=lambda item: item.appkey,
    )
    named = waba.inbound_application if waba is not None else None
    chosen = [item for item in bound if item.appkey == named or item.events is not None]
    return chosen or bound[:1]


def endpoint_of(account: str, url: str) -> str:
    """Name what fails together: an account's callbacks to one origin."""
    return f"{account} {callbacks.origin_of(url)}"


def app_id_of(appkey: str) -> int:
    """Return a stable number for an application, for the field `app_id` of a callback."""
    return int.from_bytes(hashlib.sha256(appkey.encode()).digest()[:4]) & 0x7FFF_FFFF
