"""Which applications are told of what is no status; what concerns people is told to one account alone.

Numbers of several accounts may stand on one WABA, and a number may be shared. What a person wrote or did, and whatever
we don't know, goes to the one account whose number it came to. Only fields of a list tell nothing but the state of
templates, the WABA or a number, and may reach every account that sends through it.
"""

from typing import NamedTuple

from waypost.gateway.tenants import Tenants
from waypost.meta.webhooks import OtherEvent
from waypost.model import Application, BusinessPhone
from waypost.protocol import callbacks

MESSAGES = "messages"
BUSINESS_FIELDS = frozenset(
    {
        "account_alerts",
        "account_review_update",
        "account_update",
        "business_capability_update",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "template_category_update",
        "template_correct_category_detection",
    }
)


class Receiver(NamedTuple):
    """An application that is told of an event, and the one of its numbers that it is told for."""

    application: Application
    phone: BusinessPhone


def wants(application: Application, event: str) -> bool:
    """Tell whether an application has a webhook and has asked for an event (left out means all)."""
    if application.webhook is None or not application.enabled:
        return False
    return application.events is None or event in map(callbacks.subscription_of, application.events)


def inbound_receivers(tenants: Tenants, phone: BusinessPhone) -> tuple[Application, ...]:
    """Return the applications that get what recipients write to a phone; all are of one account.

    Each that lists `messages` in its `events`, and one more: the one that the WABA names as `inbound_application`, or
    where it names none of these, of those that take everything the first by appkey.
    """
    account = _account_of(tenants, (phone,))
    bound = tenants.bound.get(phone.number, ())
    willing = [item for item in bound if item.account == account and wants(item, MESSAGES)]
    waba = tenants.waba_of(phone)
    named = [item for item in willing if waba is not None and item.appkey == waba.inbound_application]
    one_more = named or [item for item in willing if item.events is None][:1]
    return tuple(item for item in willing if item.events is not None or item in one_more)


def receivers(tenants: Tenants, event: OtherEvent, field: str) -> list[Receiver]:
    """Return who is told of an event of a field, once for each of its numbers that the event is about.

    An event that names a phone is about that phone, and any other about all phones of its WABA. One that names a number
    nobody declared may be about all of them, as long as they are one account's.
    """
    named = phone_named(tenants, event)
    if named is None and event.phone_number_id is not None:
        return []
    phones = (named,) if named is not None else tenants.phones_of.get(event.waba_id, ())
    if field == MESSAGES and named is not None:
        return [Receiver(application, named) for application in inbound_receivers(tenants, named)]
    bound = [Receiver(item, phone) for phone in phones for item in tenants.bound.get(phone.number, ())]
    if field not in BUSINESS_FIELDS or (named is None and event.display_digits):
        account = _account_of(tenants, phones)
        bound = [receiver for receiver in bound if receiver.application.account == account]
    return [receiver for receiver in bound if wants(receiver.application, field)]


def phone_named(tenants: Tenants, event: OtherEvent) -> BusinessPhone | None:
    """Return the phone that an event names by its id, else by its number on the WABA of the event."""
    if event.phone_number_id is not None:
        return tenants.phones_by_id.get(event.phone_number_id)
    phone = tenants.phones.get(event.display_digits)
    return phone if phone is not None and phone.waba_id == event.waba_id else None


def _account_of(tenants: Tenants, phones: tuple[BusinessPhone, ...]) -> str | None:
    """Return the account that alone is told what people write or do at these phones of one WABA; None: there is none.

    It is the only one that uses them. Of a phone that several use it is that of the WABA's `inbound_application`.
    """
    users = {item.account for phone in phones for item in tenants.bound.get(phone.number, ())}
    waba = tenants.waba_of(phones[0]) if phones else None
    if len(phones) > 1 and waba is not None and waba.account is not None:
        users.add(waba.account)
    if len(users) == 1:
        return users.pop()
    heir = tenants.applications.get(waba.inbound_application or "") if waba is not None else None
    return heir.account if len(phones) == 1 and heir is not None and heir.account in users else None
