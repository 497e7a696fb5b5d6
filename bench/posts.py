"""Meta's POSTs as whole HTTP requests: one status each, as mostly in life, or up to 1,000 and nearly 3 MB."""

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from bench.requests import APP_SECRET, Customer
from bench.upstream import phone_of

T = TypeVar("T")

MOST_UPDATES = 1_000  # Meta's rule: so many updates in one POST at most,
MOST_BYTES = 3_000_000  # and 3 MB
STATUSES = ("sent", "delivered", "read")
_AT_ONCE = 10  # statuses in a change, changes in an entry: a large POST mixes all three
_SPARE_BYTES = 20_000
_CHARGED = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}


def single(customer: Customer, meta_message_id: str, status: str) -> bytes:
    """Return a signed POST of one status."""
    change = _change(customer, phone_of(meta_message_id), [_status(meta_message_id, status)])
    return _post([_entry(customer, [change])])


def bulk(customer: Customer, meta_message_ids: Sequence[str], status: str) -> bytes:
    """Return a signed POST of the same status of many messages."""
    return _bulk(customer, [_status(one, status) for one in meta_message_ids])


def largest(customer: Customer, meta_message_ids: Sequence[str], status: str) -> bytes:
    """Return a signed POST with as many bytes as Meta's rule allows, in equal parts for each status.

    They have what statuses of older versions have as well, and members that nobody knows yet.
    """
    statuses = [_status(one, status) | _rich(one) for one in meta_message_ids]
    room = MOST_BYTES - _SPARE_BYTES - sum(len(msgspec.json.encode(one)) for one in statuses)
    hints = ["h" * 40] * (room // len(statuses) // 43)  # an element is quoted and followed by a comma
    return _bulk(customer, [one | {"delivery_hints": hints} for one in statuses])


def _bulk(customer: Customer, statuses: list[dict[str, object]]) -> bytes:
    of_phones: dict[str, list[dict[str, object]]] = {}  # for a change is about one phone
    for one in statuses:
        of_phones.setdefault(phone_of(str(one["id"])), []).append(one)
    changes = [_change(customer, phone, some) for phone, told in of_phones.items() for some in portions(told, _AT_ONCE)]
    return _post([_entry(customer, some) for some in portions(changes, _AT_ONCE)])


def portions(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return the items in portions of that size; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _post(entries: list[dict[str, object]]) -> bytes:
    body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": entries})
    return (
        b"POST /meta/webhook HTTP/1.1\r\nhost: localhost\r\nuser-agent: facebookexternalua\r\naccept: */*\r\n"
        b"content-type: application/json\r\nx-hub-signature-256: sha256=%b\r\ncontent-length: %d\r\n\r\n%b"
    ) % (hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest().encode(), len(body), body)


def _entry(customer: Customer, changes: Sequence[dict[str, object]]) -> dict[str, object]:
    return {"id": customer.waba_id, "changes": changes}


def _change(customer: Customer, phone_number_id: str, statuses: Sequence[dict[str, object]]) -> dict[str, object]:
    metadata = {"display_phone_number": customer.phones[phone_number_id], "phone_number_id": phone_number_id}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses}
    return {"value": value, "field": "messages"}


def _status(meta_message_id: str, status: str) -> dict[str, object]:
    told: dict[str, object] = {
        "id": meta_message_id,
        "status": status,
        "timestamp": str(int(time.time())),
        "recipient_id": "8613900000000",
    }
    if status != "read":  # Meta's rule: with sent, and with delivered or read, whichever comes first
        told |= {"pricing": _CHARGED}
    return told


def _rich(meta_message_id: str) -> dict[str, object]:
    return {
        "conversation": {
            "id": hashlib.md5(meta_message_id.encode()).hexdigest(),
            "expiration_timestamp": str(int(time.time()) + 86_400),
            "origin": {"type": "utility"},
        },
        "pricing": _CHARGED,
        "recipient_user_id": "CN." + "7" * 125,
    }
