"""What a customer receives about its templates, account and phones, and the names under which it subscribes to that."""

from collections.abc import Mapping
from typing import Any

from waypost.protocol.callback_json import as_text, read_object, write

MESSAGES = "messages"
STATUSES = "message_status_update"
TEMPLATE_STATUS = "message_template_status_update"
TEMPLATE_QUALITY = "message_template_quality_update"

SUBSCRIPTIONS = (  # NxCloud's callback pages
    MESSAGES,
    STATUSES,
    TEMPLATE_STATUS,
    TEMPLATE_QUALITY,
    "template_category_update",
    "account_update",
    "account_review_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "user_preferences",
    "calls",
)
_SPELLINGS = {
    "mesages": MESSAGES,  # as NxCloud's page spells it
    "inbound": MESSAGES,  # the gateway's own words for the two kinds
    "status": STATUSES,
}


def subscription_of(name: str) -> str:
    """Return the event name that an application subscribes to, for a spelling of it, a field of Meta's or a kind.

    A name that nobody knows stays what it is: Meta adds fields, and an application may ask for one before we know it.
    """
    plain = name.strip().lower()
    return _SPELLINGS.get(plain, plain)


def read_event(value: str | bytes) -> Mapping[str, Any]:
    """Read the `value` of a change of Meta's, once for however many callbacks."""
    return read_object(value)


def event_field(field: str, value: str | bytes | Mapping[str, object]) -> str:
    """Return the field that an event belongs to by its content.

    Meta's page on template quality prints the field of the template status; the score in it gives it away.
    """
    members = value if isinstance(value, Mapping) else read_object(value)
    if field == TEMPLATE_STATUS and "new_quality_score" in members and "event" not in members:
        return TEMPLATE_QUALITY
    return field


def event_body(
    field: str, value: str | bytes | Mapping[str, object], *, business_phone: str | None, waba_id: str, time_s: int
) -> bytes:
    """Return the callback of a template, account or phone event: `{field, value}`.

    The value is Meta's, as text or as read before, with the business phone (one callback for each number, None where
    none is meant), the WABA and the time in seconds added, and the template's id as a string.
    """
    members = value if isinstance(value, Mapping) else read_object(value)
    told: dict[str, object] = {"business_phone": business_phone}
    told |= {name: member for name, member in members.items() if name not in ("business_phone", "time", "wabaId")}
    if "message_template_id" in members:
        told["message_template_id"] = as_text(members["message_template_id"])
    return write({"field": event_field(field, members), "value": told | {"time": time_s, "wabaId": waba_id}})
