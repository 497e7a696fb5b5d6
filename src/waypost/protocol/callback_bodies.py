"""What a customer receives about a message it sent: NxCloud's flat status callback, one status in each.

Everything here is pure and total: whatever Meta sent, there is a body. What is missing is left out, never null.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import msgspec

from waypost.model import Message, StatusEvent
from waypost.protocol.callback_json import as_object, as_objects, as_text, as_whole, read_object, write

PRODUCT = "whatsapp"
CHANNEL = 2  # NxCloud's callback pages: the number of WhatsApp among its channels
DOWNLINK = 1  # the same: `direction` of a cost, business to recipient
UPLINK = 2  # recipient to business

# NxCloud's callback pages: `cdr_type` says what a cost is for.
CDR_MESSAGE = 1
CDR_SERVICE = 7
CDR_MM_LITE = 10
_CDR_BY_CATEGORY = {"marketing": 4, "utility": 5, "authentication": 6, "service": CDR_SERVICE}
_CDR_BY_META_CATEGORY = {
    "referral_conversion": 8,
    "authentication-international": 9,  # Meta spells it with a hyphen in `pricing`,
    "authentication_international": 9,  # and with an underscore in `conversation.origin`
}
MARKETING_ENDPOINT = "marketing_messages"

PRICE_STEP = Decimal("0.000001")  # NxCloud shows prices with six decimals at most

CODE_UNEXPLAINED = -1  # NxCloud's code of a general failure
TITLE_UNEXPLAINED = "No reason was given"

_OURS = frozenset(  # what we say ourselves about a status; every other member of Meta's is carried
    {
        "id", "meta_message_id", "status", "timestamp", "recipient_id", "biz_opaque_callback_data",
        "conversation", "pricing", "costs", "errors", "contacts",
    }
)  # fmt: skip


def status_body(message: Message, event: StatusEvent, *, waba_id: str, app_id: int, display_number: str) -> bytes:
    """Return the callback of one status that Meta reported.

    The opaque data are the customer's own, whatever went to Meta in their place. `costs` stands on `sent` alone, so
    that who adds costs up counts each message once.
    """
    raw = read_object(event.raw)
    status: dict[str, object] = {
        "id": message.wire_id,
        "meta_message_id": event.meta_message_id,
        "status": event.status,
        "timestamp": seconds_text(event.timestamp_ms),
        "recipient_id": as_text(raw.get("recipient_id")) or event.recipient or message.recipient,
        "biz_opaque_callback_data": message.opaque,
        "conversation": _conversation(raw.get("conversation")),
        "pricing": as_object(raw.get("pricing")) or None,
        "costs": _costs(message, raw) if event.status == "sent" else None,
        "errors": _errors(event.status, raw.get("errors")),
    }
    status |= {name: member for name, member in raw.items() if name not in _OURS}
    if event.status == "deleted":
        status.setdefault("type", "message")
        status.setdefault("message", {"recipient_id": status["recipient_id"]})
    metadata = {"display_phone_number": display_number, "phone_number_id": message.phone_number_id}
    envelope = message_envelope(
        app_id=app_id, business_phone=message.business_phone, waba_id=waba_id, metadata=metadata
    )
    return write(envelope | {"contacts": contacts_told(raw.get("contacts")) or None, "statuses": [status]})


def own_failure_body(
    message: Message,
    *,
    code: int,
    title: str,
    at_ms: int,
    waba_id: str,
    app_id: int,
    display_number: str,
    meta_code: int | None = None,
    details: str | None = None,
) -> bytes:
    """Return the callback of a `failed` that the gateway concluded itself; `meta_code` is Meta's last code if any.

    Codes from 910001 on are the gateway's own: 910001 outcome unknown, 910002 too late, 910003 cancelled, 910004
    retries exhausted. A refusal of Meta's that came after the request was answered has Meta's code in both.
    """
    error = {"code": code, "meta_code": meta_code, "title": title}
    status: dict[str, object] = {
        "id": message.wire_id,
        "meta_message_id": message.meta_message_id,
        "status": "failed",
        "timestamp": seconds_text(at_ms),
        "recipient_id": message.recipient,
        "biz_opaque_callback_data": message.opaque,
        "errors": [error | ({"error_data": {"details": details}} if details else {})],
    }
    metadata = {"display_phone_number": display_number, "phone_number_id": message.phone_number_id}
    envelope = message_envelope(
        app_id=app_id, business_phone=message.business_phone, waba_id=waba_id, metadata=metadata
    )
    return write(envelope | {"statuses": [status]})


def message_envelope(*, app_id: int, business_phone: str, waba_id: str, metadata: dict[str, str]) -> dict[str, object]:
    """Return what every callback about messages carries beside them.

    `business_phone` is the number as the customer configured it: programs compare it with their own.
    """
    return {
        "app_id": app_id,
        "business_phone": business_phone,
        "channel": CHANNEL,
        "merchant_phone": business_phone,
        "messaging_product": PRODUCT,
        "metadata": metadata,
        "wabaId": waba_id,
    }


def contacts_told(contacts: object) -> list[dict[str, object]]:
    """Return Meta's contacts with their ids as strings; what is no contact is left out.

    `wa_id` is empty where Meta knows a person by a user id only.
    """
    told = []
    for contact in as_objects(contacts):
        ids = {name: as_text(contact.get(name)) for name in ("user_id", "parent_user_id")}
        number = {"wa_id": as_text(contact.get("wa_id")) or ""}
        told.append(contact | number | ids | {"profile": _profile(contact.get("profile"))})
    return told


def cost(message_id: str, price: Decimal, currency: str, *, cdr_type: int, direction: int) -> dict[str, object]:
    """Return one cost item.

    NxCloud states the price in its own currency (`price`) and in the customer's (`foreign_price`). A gateway of one's
    own has no rate of exchange: both are the price in the application's currency.
    """
    number = msgspec.Raw(f"{price.normalize():f}".encode())
    return {
        "currency": currency,
        "price": number,
        "foreign_price": number,
        "cdr_type": cdr_type,
        "message_id": message_id,
        "direction": direction,
    }


def seconds_text(at_ms: int) -> str:
    """Return a time as callbacks state it: seconds since 1970, as a string."""
    return str(at_ms // 1000)


def _profile(profile: object) -> dict[str, object] | None:
    if not isinstance(profile, dict):
        return None
    return profile | {name: as_text(profile.get(name)) for name in ("name", "username")}


def _conversation(conversation: object) -> dict[str, object] | None:
    members = as_object(conversation)
    texts = {name: as_text(members.get(name)) for name in ("id", "expiration_timestamp") if name in members}
    return (members | texts) or None


def _costs(message: Message, raw: Mapping[str, object]) -> list[dict[str, object]] | None:
    price = _price(message.price)
    if price is None or message.currency is None:
        return None
    meta_category = as_object(raw.get("pricing")).get("category")
    cdr_type = _CDR_BY_META_CATEGORY.get(meta_category) if isinstance(meta_category, str) else None
    if cdr_type is None and message.endpoint == MARKETING_ENDPOINT:
        cdr_type = CDR_MM_LITE
    if cdr_type is None:
        cdr_type = _CDR_BY_CATEGORY.get(message.category, CDR_MESSAGE)
    return [cost(message.wire_id, price, message.currency, cdr_type=cdr_type, direction=DOWNLINK)]


def _price(text: str | None) -> Decimal | None:
    """Read decimal text and round it to what callbacks show; what is no finite amount is no price."""
    if text is None:
        return None
    try:
        price = Decimal(text).quantize(PRICE_STEP, ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return price if price.is_finite() else None


def _errors(status: str, errors: object) -> list[dict[str, object]] | None:
    """Return Meta's errors; a `failed` has at least one, for programs read the first without looking."""
    told = [_error(error) for error in as_objects(errors)]
    if not told and status == "failed":
        told = [{"code": CODE_UNEXPLAINED, "title": TITLE_UNEXPLAINED}]
    return told or None


def _error(error: Mapping[str, object]) -> dict[str, object]:
    code = as_whole(error.get("code"))
    title = as_text(error.get("title")) or as_text(error.get("message")) or TITLE_UNEXPLAINED
    told = {"code": CODE_UNEXPLAINED if code is None else code, "meta_code": code, "title": title}
    rest = {name: member for name, member in error.items() if name not in told}
    if "error_data" in rest:
        rest["error_data"] = as_object(rest["error_data"]) or None
    return told | rest
