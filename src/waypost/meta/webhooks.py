"""Meta's webhooks: whether a POST is Meta's, and what it reports; one bad entry never costs the others."""

import hashlib
import hmac
import json
from typing import TypeVar

import msgspec

from waypost.model import Noun, StatusEvent

WHATSAPP_OBJECT = "whatsapp_business_account"
MESSAGES_FIELD = "messages"  # statuses of messages come in this field only; "calls" has statuses of its own
SIGNATURE_PREFIX = "sha256="

MAX_ID_CHARS = 512
MAX_STATUS_CHARS = 64
MAX_OPAQUE_CHARS = 4096  # Meta takes 512; what is longer is not ours, and is still shown in `raw`
MAX_RECIPIENT_DIGITS = 32

# Meta documents seconds and has sent milliseconds: no time in seconds reaches 10^11 before the year 5138, and in
# milliseconds it was passed in 1973.
FIRST_MILLISECONDS = 10**11
FIRST_BEYOND_MILLISECONDS = 10**14

_ABSENT = msgspec.Raw()


class WebhookInvalid(Exception):
    """The POST is no webhook of a WhatsApp Business Account; `details` says why."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


class ReportedStatus(Noun, frozen=True, kw_only=True):
    """A status event with the WABA whose entry it came in ("" where Meta named none)."""

    waba_id: str
    event: StatusEvent


class OtherEvent(Noun, frozen=True, kw_only=True):
    """Anything else that Meta reports: an inbound message, a template or account event; `raw` is its `value`."""

    field: str
    waba_id: str
    phone_number_id: str | None
    raw: str


class Webhook(Noun, frozen=True, kw_only=True):
    """One POST of Meta's taken apart; `ignored` counts the parts that could not be understood."""

    statuses: tuple[ReportedStatus, ...]
    other: tuple[OtherEvent, ...]
    ignored: int


def verify_signature(raw: bytes, header: str | None, app_secret: str) -> bool:
    """Say whether `X-Hub-Signature-256` is the HMAC-SHA256 of exactly these bytes under the app's secret.

    Compares in constant time. Without a header or without a secret nothing is ever genuine. Meta escapes non-ASCII
    before it signs, so the bytes must be those of the request, never JSON that was parsed and written again.
    """
    if header is None or not app_secret or not header.startswith(SIGNATURE_PREFIX):
        return False
    expected = hmac.new(app_secret.encode(errors="surrogateescape"), raw, hashlib.sha256).hexdigest()
    given = header.removeprefix(SIGNATURE_PREFIX)
    return hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode())


def parse(raw: bytes, received_at_ms: int) -> Webhook:
    """Take one POST of Meta's apart, up to 3 MB and 1,000 updates.

    A status whose time can't be read gets `received_at_ms`. Raises `WebhookInvalid` only where the whole is no JSON
    object or not about a WhatsApp Business Account; each part that can't be read is counted and left out.
    """
    top = _read_top(raw)
    if _text(top.object) != WHATSAPP_OBJECT:
        raise WebhookInvalid(f"object is not {WHATSAPP_OBJECT}")
    reader = _Reader(received_at_ms)
    for raw_entry in reader.items(top.entry):
        reader.read_entry(raw_entry)
    return Webhook(statuses=tuple(reader.statuses), other=tuple(reader.other), ignored=reader.ignored)


# Every member is kept as raw bytes and read on its own, so that what is wrong with one costs no other. Reading the
# same bytes once per level is cheap: 1,000 statuses take a few milliseconds.


class _Top(msgspec.Struct):
    object: msgspec.Raw = _ABSENT
    entry: msgspec.Raw = _ABSENT


class _Entry(msgspec.Struct):
    id: msgspec.Raw = _ABSENT
    changes: msgspec.Raw = _ABSENT


class _Change(msgspec.Struct):
    field: msgspec.Raw = _ABSENT
    value: msgspec.Raw = _ABSENT


class _Value(msgspec.Struct):
    metadata: msgspec.Raw = _ABSENT
    statuses: msgspec.Raw = _ABSENT
    messages: msgspec.Raw = _ABSENT
    errors: msgspec.Raw = _ABSENT


class _Metadata(msgspec.Struct):
    phone_number_id: msgspec.Raw = _ABSENT


class _Status(msgspec.Struct):
    id: msgspec.Raw = _ABSENT
    status: msgspec.Raw = _ABSENT
    timestamp: msgspec.Raw = _ABSENT
    recipient_id: msgspec.Raw = _ABSENT
    recipient_participant_id: msgspec.Raw = _ABSENT
    recipient_participant_user_id: msgspec.Raw = _ABSENT
    biz_opaque_callback_data: msgspec.Raw = _ABSENT


class _Reader:
    """Collects what one POST reports; whatever can't be read adds one to `ignored`."""

    def __init__(self, received_at_ms: int) -> None:
        self._received_at_ms = received_at_ms
        self.statuses: list[ReportedStatus] = []
        self.other: list[OtherEvent] = []
        self.ignored = 0

    def items(self, raw: msgspec.Raw) -> list[msgspec.Raw]:
        """Return the elements of an array; anything else counts as one part that can't be read."""
        items = _decode(raw, _LIST)
        self.ignored += items is None
        return items or []

    def read_entry(self, raw: msgspec.Raw) -> None:
        entry = _decode(raw, _ENTRY)
        if entry is None:
            self.ignored += 1
            return
        waba_id = _identifier(entry.id) or ""
        for raw_change in self.items(entry.changes):
            self._read_change(raw_change, waba_id)

    def _read_change(self, raw: msgspec.Raw, waba_id: str) -> None:
        change = _decode(raw, _CHANGE)
        field = _text(change.field) if change is not None else None
        value = _decode(change.value, _VALUE) if change is not None else None
        if change is None or value is None or field is None or not 0 < len(field) <= MAX_STATUS_CHARS:
            self.ignored += 1
            return
        metadata = _decode(value.metadata, _METADATA)
        phone_number_id = _identifier(metadata.phone_number_id) if metadata is not None else None
        has_statuses = field == MESSAGES_FIELD and bool(value.statuses)
        if has_statuses:
            for raw_status in self.items(value.statuses):
                self._read_status(raw_status, waba_id, phone_number_id)
        if not has_statuses or value.messages or value.errors:
            text = _verbatim(change.value)
            self.other.append(OtherEvent(field=field, waba_id=waba_id, phone_number_id=phone_number_id, raw=text))

    def _read_status(self, raw: msgspec.Raw, waba_id: str, phone_number_id: str | None) -> None:
        fields = _decode(raw, _STATUS)
        meta_id = _identifier(fields.id) if fields is not None else None
        status = _identifier(fields.status) if fields is not None else None
        if fields is None or phone_number_id is None or meta_id is None or status is None:
            self.ignored += 1
            return
        if len(status) > MAX_STATUS_CHARS:
            self.ignored += 1
            return
        participant = _identifier(fields.recipient_participant_id)
        event = StatusEvent(
            phone_number_id=phone_number_id,
            meta_message_id=meta_id,
            status=status,
            timestamp_ms=_timestamp_ms(fields.timestamp, self._received_at_ms),
            recipient=_digits(fields.recipient_id),
            participant=participant or _identifier(fields.recipient_participant_user_id) or "",
            opaque=_opaque(fields.biz_opaque_callback_data),
            raw=_verbatim(raw),
        )
        self.statuses.append(ReportedStatus(waba_id=waba_id, event=event))


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TOP = msgspec.json.Decoder(_Top)
_ENTRY = msgspec.json.Decoder(_Entry)
_CHANGE = msgspec.json.Decoder(_Change)
_VALUE = msgspec.json.Decoder(_Value)
_METADATA = msgspec.json.Decoder(_Metadata)
_STATUS = msgspec.json.Decoder(_Status)
_TEXT_OR_INTEGER = msgspec.json.Decoder(str | int)

_T = TypeVar("_T")


def _decode(raw: msgspec.Raw | bytes, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _read_top(raw: bytes) -> _Top:
    top = _decode(raw, _TOP)
    if top is None:
        top = _decode(_mended(raw), _TOP)
    if top is None:
        raise WebhookInvalid("body is not a JSON object")
    return top


def _mended(raw: bytes) -> bytes:
    """Write JSON again with U+FFFD in place of half surrogate pairs and broken UTF-8, or return nothing.

    A text that was cut in the middle of an emoji must not cost the thousand reports around it.
    """
    try:
        text = json.dumps(json.loads(raw.decode(errors="replace")), ensure_ascii=False)
    except (ValueError, RecursionError):
        return b""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _text(raw: msgspec.Raw) -> str | None:
    """Read a string, or an integer as its digits (Meta's ids have come as both); None for anything else, and for NUL,
    which a database may refuse."""
    value = _decode(raw, _TEXT_OR_INTEGER)
    return None if value is None or "\0" in str(value) else str(value)


def _identifier(raw: msgspec.Raw) -> str | None:
    text = _text(raw)
    return text if text and len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable() else None


def _opaque(raw: msgspec.Raw) -> str | None:
    text = _text(raw)
    return text if text is not None and len(text) <= MAX_OPAQUE_CHARS else None


def _digits(raw: msgspec.Raw) -> str:
    """Read a recipient's number; anything but digits (a group, a user id) is "", for numbers are matched by digits."""
    text = (_text(raw) or "").removeprefix("+")
    return text if text.isascii() and text.isdigit() and len(text) <= MAX_RECIPIENT_DIGITS else ""


def _timestamp_ms(raw: msgspec.Raw, received_at_ms: int) -> int:
    text = _text(raw) or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        return received_at_ms
    value = int(text)
    if not 0 < value < FIRST_BEYOND_MILLISECONDS:
        return received_at_ms
    return value if value >= FIRST_MILLISECONDS else value * 1000


def _verbatim(raw: msgspec.Raw) -> str:
    return bytes(raw).decode(errors="replace")
