"""What applications are told of what is no status: inbound messages, calls, template, account and phone events."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from waypost.gateway.event_routing import Receiver, inbound_receivers, receivers
from waypost.gateway.outbox import app_id_of, endpoint_of
from waypost.gateway.tenants import Tenants
from waypost.meta.webhooks import OtherEvent, ReportedMessage
from waypost.model import Application, BusinessPhone, CallbackDraft, CallbackKind, Noun
from waypost.protocol import callbacks

CALLS = "calls"


class Heard(Noun, frozen=True, kw_only=True):
    """An inbound message, read, and the applications of one account that get it."""

    phone: BusinessPhone
    meta_id: str
    inbound: callbacks.Inbound
    receivers: tuple[Application, ...]  # never empty

    @property
    def account(self) -> str:
        """Whose the receivers are."""
        return self.receivers[0].account


def hear(tenants: Tenants, messages: Iterable[ReportedMessage], received_at_ms: int) -> Iterator[Heard]:
    """Yield each inbound message with those who get it; one that nobody gets is left out."""
    known: dict[str, tuple[Application, ...]] = {}
    for message in messages:
        phone = tenants.phones_by_id.get(message.phone_number_id)
        if phone is None:
            continue
        if phone.number not in known:
            known[phone.number] = inbound_receivers(tenants, phone)
        if not known[phone.number]:
            continue
        metadata = {"display_phone_number": message.display_number, "phone_number_id": message.phone_number_id}
        inbound = callbacks.read_inbound(
            message.raw, contacts=message.contacts, metadata=metadata, received_at_ms=received_at_ms
        )
        yield Heard(phone=phone, meta_id=message.meta_id, inbound=inbound, receivers=known[phone.number])


def inbound_drafts(heard: Heard, wire_ids: Mapping[str, str]) -> Iterator[CallbackDraft]:
    """Yield the callbacks of an inbound message; `wire_ids` are those of the receivers' account, by Meta's id."""
    phone = heard.phone
    for application in heard.receivers:
        body = callbacks.inbound_body(
            heard.inbound,
            waba_id=phone.waba_id,
            app_id=app_id_of(application.appkey),
            business_phone=phone.number,
            currency=application.currency if application.prices is not None else None,
            wire_ids=wire_ids,
        )
        once = f"in:{phone.phone_number_id}:{heard.meta_id}:{application.appkey}"
        yield _to_webhook(application, CallbackKind.INBOUND, body, once)


def event_drafts(tenants: Tenants, event: OtherEvent, received_at_ms: int) -> Iterator[CallbackDraft]:
    """Yield the callbacks of an event: one for each application and each of its numbers that it is about."""
    value = callbacks.read_event(event.raw)
    field = callbacks.event_field(event.field, value)
    calls = callbacks.ended_calls(value) if field == CALLS else ()
    # Meta's time tells an event that happens again (approved, paused, approved) from a POST that is repeated.
    same = f"{event.waba_id}:{field}:{event.time_ms}:{_digest(event.raw.encode())}"
    for receiver in receivers(tenants, event, field):
        application, phone = receiver
        if calls:
            yield from _call_drafts(calls, receiver)
            continue
        body = callbacks.event_body(
            field,
            value,
            business_phone=phone.number,
            waba_id=phone.waba_id,
            time_s=(event.time_ms or received_at_ms) // 1000,
        )
        once = f"ev:{same}:{application.appkey}:{phone.number}"
        yield _to_webhook(application, CallbackKind.EVENT, body, once)


def _call_drafts(calls: Iterable[Mapping[str, object]], receiver: Receiver) -> Iterator[CallbackDraft]:
    application, phone = receiver
    for call in calls:
        body = callbacks.call_body(
            call,
            waba_id=phone.waba_id,
            app_id=app_id_of(application.appkey),
            business_phone=phone.number,
            phone_number_id=phone.phone_number_id,
        )
        yield _to_webhook(application, CallbackKind.EVENT, body, f"call:{_digest(body)}:{application.appkey}")


def _to_webhook(application: Application, kind: CallbackKind, body: bytes, once: str) -> CallbackDraft:
    assert application.webhook is not None
    return CallbackDraft(
        account=application.account,
        appkey=application.appkey,
        url=application.webhook,
        endpoint=endpoint_of(application.account, application.webhook),
        kind=kind,
        body=body,
        once=once,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
