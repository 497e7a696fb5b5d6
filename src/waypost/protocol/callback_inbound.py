"""What a customer receives when a recipient writes: one inbound message, with who wrote it.

Pure and total. Meta's message is carried as it is, but for what NxCloud's callbacks say in another way: a voice note is
`voice`, coordinates are numbers, ids and times are strings, and there is a `cost`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from waypost.model import Noun
from waypost.protocol.callback_bodies import CDR_SERVICE, UPLINK, contacts_told, cost, message_envelope, seconds_text
from waypost.protocol.callback_json import as_number, as_object, as_text, as_whole, read, read_object, write

# Meta documents seconds and has sent milliseconds; no time in seconds reaches this before the year 5138.
FIRST_MILLISECONDS = 10**11
UNKNOWN = "unknown"  # Meta's own word for a message that it could not put into words
MAX_REFERENCE_CHARS = 512
_MEDIA = frozenset({"image", "video", "audio", "voice", "document", "sticker"})
_NO_WIRE_IDS: Mapping[str, str] = {}


class Inbound(Noun, frozen=True, kw_only=True):
    """One inbound message, read once for however many callbacks."""

    message: dict[str, Any]
    contacts: tuple[dict[str, object], ...]
    metadata: dict[str, str]
    received_at_ms: int

    @property
    def references(self) -> frozenset[str]:
        """Meta's ids of the messages that it replies or reacts to."""
        found = (as_text(place.get(name)) for place, name in _references(self.message))
        return frozenset(
            meta_id
            for meta_id in found
            if meta_id and len(meta_id) <= MAX_REFERENCE_CHARS and meta_id.isascii() and meta_id.isprintable()
        )


def read_inbound(
    message: str | bytes, *, contacts: str | bytes, metadata: Mapping[str, str | None], received_at_ms: int
) -> Inbound:
    """Read one of the `messages` of Meta's field of that name.

    `contacts` are those of its sender, `metadata` the business phone as Meta names it; a message without a time that
    can be read was written when it was received.
    """
    return Inbound(
        message=read_object(message),
        contacts=tuple(contacts_told(read(contacts))),
        metadata={name: text for name, text in metadata.items() if text is not None},
        received_at_ms=received_at_ms,
    )


def inbound_body(
    inbound: Inbound,
    *,
    waba_id: str,
    app_id: int,
    business_phone: str,
    currency: str | None = None,
    wire_ids: Mapping[str, str] = _NO_WIRE_IDS,
) -> bytes:
    """Return the callback of one inbound message.

    `contacts` is never empty: where Meta sent none it is made from the sender. With a `currency` there is a `cost` of
    0. `wire_ids` gives, by Meta's id, the id under which the customer knows a message it sent: what the inbound
    message replies or reacts to is named by that, and Meta's id stands beside it as `meta_message_id`.
    """
    envelope = message_envelope(
        app_id=app_id, business_phone=business_phone, waba_id=waba_id, metadata=inbound.metadata
    )
    told = _told(inbound, wire_ids)
    if currency is not None:
        told["cost"] = cost(str(told["id"]), Decimal(0), currency, cdr_type=CDR_SERVICE, direction=UPLINK)
    return write(envelope | {"contacts": inbound.contacts or [_sender(inbound.message)], "messages": [told]})


def _told(inbound: Inbound, wire_ids: Mapping[str, str]) -> dict[str, object]:
    message = inbound.message
    kind = as_text(message.get("type")) or UNKNOWN
    members = dict(message)
    if kind == "audio" and as_object(members.get("audio")).get("voice") is True:
        kind = "voice"
        members["voice"] = members.pop("audio")
    if kind in _MEDIA and isinstance(members.get(kind), dict):
        members[kind] = _medium(kind, members[kind])
    if kind == "location" and isinstance(members.get("location"), dict):
        place = members["location"]
        members["location"] = place | {name: as_number(place.get(name)) for name in ("latitude", "longitude")}
    members["context"] = as_object(members.get("context")) or None
    for place, name in _references(message):
        wire_id = wire_ids.get(as_text(place.get(name)) or "")
        if wire_id is not None:
            where = "context" if name == "id" else "reaction"
            members[where] = place | {name: wire_id, "meta_message_id": place[name]}
    told: dict[str, object] = {
        "from": as_text(message.get("from")) or "",
        "id": as_text(message.get("id")) or "",
        "timestamp": _seconds(message.get("timestamp"), inbound.received_at_ms),
        "type": kind,
    }
    return told | {name: member for name, member in members.items() if name not in told and name != "cost"}


def _medium(kind: str, medium: Mapping[str, object]) -> dict[str, object]:
    """Leave out Meta's `url`, which needs the gateway's own token, and the flag that `voice` as a type replaces."""
    dropped = {"url", "voice"} if kind in ("audio", "voice") else {"url"}
    return {name: member for name, member in medium.items() if name not in dropped}


def _references(message: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return the places where a message names another: the object and the name of its member."""
    places = ((as_object(message.get("context")), "id"), (as_object(message.get("reaction")), "message_id"))
    return [(place, name) for place, name in places if name in place]


def _seconds(timestamp: object, received_at_ms: int) -> str:
    at = as_whole(timestamp)
    if at is None or at < 0:
        return seconds_text(received_at_ms)
    return seconds_text(at if at >= FIRST_MILLISECONDS else at * 1000)


def _sender(message: Mapping[str, object]) -> dict[str, object]:
    """Make a contact from what a message says of its sender."""
    return {
        "wa_id": as_text(message.get("from")) or "",
        "user_id": as_text(message.get("from_user_id")),
        "parent_user_id": as_text(message.get("from_parent_user_id")),
    }
