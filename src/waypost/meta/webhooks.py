"""Meta's webhooks: whether a POST is Meta's, and what it reports; one bad entry never costs the others."""

import hashlib
import hmac

import msgspec

from waypost.meta.webhook_parts import (
    CHANGE,
    ENTRY,
    LIST,
    MESSAGE,
    METADATA,
    STATUS,
    TOP,
    VALUE,
    WABA_INFO,
    Contacts,
    Value,
    digits_in,
    error_codes_of,
    identifier_of,
    mended,
    opaque_of,
    read_part,
    recipient_of,
    text_of,
    time_ms_of,
    verbatim,
)
from waypost.model import Noun, StatusEvent

WHATSAPP_OBJECT = "whatsapp_business_account"
MESSAGES_FIELD = "messages"  # statuses of messages come in this field only; "calls" has statuses of its own
ACCOUNT_FIELD = "account_update"
QUALITY_FIELD, UPGRADE_EVENT = "phone_number_quality_update", "THROUGHPUT_UPGRADE"
SIGNATURE_PREFIX = "sha256="

MAX_STATUS_CHARS = 64


class WebhookInvalid(Exception):
    """The POST is no webhook of a WhatsApp Business Account; `details` says why."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


class ReportedStatus(Noun, frozen=True, kw_only=True):
    """A status event with the WABA whose entry it came in ("" where Meta named none), and Meta's codes of a failure."""

    waba_id: str
    event: StatusEvent
    error_codes: tuple[int, ...] = ()


class ReportedMessage(Noun, frozen=True, kw_only=True):
    """One message that a recipient wrote to a business phone; `raw` is Meta's object for it."""

    phone_number_id: str
    display_number: str | None  # of the business phone, as Meta spells it
    meta_id: str
    contacts: str  # of the sender: a JSON array of Meta's, "" where there is none
    raw: str


class OtherEvent(Noun, frozen=True, kw_only=True):
    """Anything else that Meta reports: a template, account or phone event; `raw` is its `value`.

    `phone_number_id` and `display_digits` are of the phone that it names, None and "" where it names none. `time_ms`
    is Meta's, None where it gave none: a repeat has the same one.
    """

    field: str
    waba_id: str
    phone_number_id: str | None
    display_digits: str
    time_ms: int | None
    raw: str


class Webhook(Noun, frozen=True, kw_only=True):
    """One POST of Meta's taken apart; `ignored` counts the parts that could not be understood."""

    statuses: tuple[ReportedStatus, ...]
    messages: tuple[ReportedMessage, ...]
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


def tells_of_upgrade(event: OtherEvent) -> bool:
    """Say whether an event tells that Meta raised the throughput of a phone: to 1,000 messages a second."""
    value = read_part(event.raw.encode(), VALUE) if event.field == QUALITY_FIELD else None
    return value is not None and text_of(value.event) == UPGRADE_EVENT


def parse(raw: bytes, received_at_ms: int) -> Webhook:
    """Take one POST of Meta's apart, up to 3 MB and 1,000 updates.

    A status whose time can't be read gets `received_at_ms`. Raises `WebhookInvalid` only where the whole is no JSON
    object or not about a WhatsApp Business Account; each part that can't be read is counted and left out.
    """
    top = read_part(raw, TOP) or read_part(mended(raw), TOP)
    if top is None:
        raise WebhookInvalid("body is not a JSON object")
    if text_of(top.object) != WHATSAPP_OBJECT:
        raise WebhookInvalid(f"object is not {WHATSAPP_OBJECT}")
    reader = _Reader(received_at_ms)
    for raw_entry in reader.items(top.entry):
        reader.read_entry(raw_entry)
    return Webhook(
        statuses=tuple(reader.statuses),
        messages=tuple(reader.messages),
        other=tuple(reader.other),
        ignored=reader.ignored,
    )


class _Place(Noun, frozen=True, kw_only=True):
    """Where a change happened: the phone that it names, if any, and the contacts beside it."""

    waba_id: str
    phone_number_id: str | None
    display_number: str | None
    contacts: Contacts


class _Reader:
    """Collects what one POST reports; whatever can't be read adds one to `ignored`."""

    def __init__(self, received_at_ms: int) -> None:
        self._received_at_ms = received_at_ms
        self.statuses: list[ReportedStatus] = []
        self.messages: list[ReportedMessage] = []
        self.other: list[OtherEvent] = []
        self.ignored = 0

    def items(self, raw: msgspec.Raw) -> list[msgspec.Raw]:
        """Return the elements of an array; anything else counts as one part that can't be read."""
        items = read_part(raw, LIST)
        self.ignored += items is None
        return items or []

    def read_entry(self, raw: msgspec.Raw) -> None:
        """Read an entry: the WABA, the time, and what changed there."""
        entry = read_part(raw, ENTRY)
        if entry is None:
            self.ignored += 1
            return
        for raw_change in self.items(entry.changes):
            self._read_change(raw_change, identifier_of(entry.id) or "", time_ms_of(entry.time))

    def _read_change(self, raw: msgspec.Raw, waba_id: str, time_ms: int | None) -> None:
        change = read_part(raw, CHANGE)
        field = text_of(change.field) if change is not None else None
        value = read_part(change.value, VALUE) if change is not None else None
        if change is None or value is None or field is None or not 0 < len(field) <= MAX_STATUS_CHARS:
            self.ignored += 1
            return
        metadata = read_part(value.metadata, METADATA)
        phone_number_id = identifier_of(metadata.phone_number_id) if metadata is not None else None
        display_number = text_of(metadata.display_phone_number) if metadata is not None else None
        event = OtherEvent(
            field=field,
            waba_id=_waba_concerned(field, value) or waba_id,
            phone_number_id=phone_number_id or _phone_of_alert(value),
            display_digits=digits_in(text_of(value.display_phone_number) or display_number or ""),
            time_ms=time_ms,
            raw=verbatim(change.value),
        )
        if field != MESSAGES_FIELD:
            self.other.append(event)
            return
        if not (value.statuses or value.messages or value.errors):
            self.ignored += 1
        if value.errors and self.items(value.errors):  # of the phone or the account, not of a single message
            self.other.append(msgspec.structs.replace(event, raw=f'{{"errors":{verbatim(value.errors)}}}'))
        place = _Place(
            waba_id=waba_id,
            phone_number_id=phone_number_id,
            display_number=display_number,
            contacts=Contacts(value.contacts),
        )
        for raw_list, read in ((value.statuses, self._read_status), (value.messages, self._read_message)):
            items = self.items(raw_list) if raw_list else []
            for item in items:
                self.ignored += not read(item, place, alone=len(items) == 1)

    def _read_status(self, raw: msgspec.Raw, place: _Place, *, alone: bool) -> bool:
        fields = read_part(raw, STATUS)
        meta_id = identifier_of(fields.id) if fields is not None else None
        status = identifier_of(fields.status) if fields is not None else None
        if fields is None or place.phone_number_id is None or meta_id is None or status is None:
            return False
        if len(status) > MAX_STATUS_CHARS:
            return False
        contacts = place.contacts.of(
            (fields.recipient_id, fields.recipient_participant_id),
            (fields.recipient_user_id, fields.recipient_participant_user_id),
            alone=alone,
        )
        participant = identifier_of(fields.recipient_participant_id)
        event = StatusEvent(
            phone_number_id=place.phone_number_id,
            meta_message_id=meta_id,
            status=status,
            timestamp_ms=time_ms_of(fields.timestamp) or self._received_at_ms,
            recipient=recipient_of(fields.recipient_id),
            participant=participant or identifier_of(fields.recipient_participant_user_id) or "",
            opaque=opaque_of(fields.biz_opaque_callback_data),
            raw=_beside(contacts, verbatim(raw)),
        )
        codes = error_codes_of(fields.errors)
        self.statuses.append(ReportedStatus(waba_id=place.waba_id, event=event, error_codes=codes))
        return True

    def _read_message(self, raw: msgspec.Raw, place: _Place, *, alone: bool) -> bool:
        fields = read_part(raw, MESSAGE)
        meta_id = identifier_of(fields.id) if fields is not None else None
        if fields is None or place.phone_number_id is None or meta_id is None:
            return False
        self.messages.append(
            ReportedMessage(
                phone_number_id=place.phone_number_id,
                display_number=place.display_number,
                meta_id=meta_id,
                contacts=place.contacts.of((fields.sender,), (fields.from_user_id,), alone=alone),
                raw=verbatim(raw),
            )
        )
        return True


def _beside(contacts: str, status: str) -> str:
    """Put the contacts that stood beside a status into its object, where the journal keeps them."""
    return f'{{"contacts":{contacts},{status.lstrip()[1:]}' if contacts else status


def _waba_concerned(field: str, value: Value) -> str | None:
    """Return the WABA that an event names: some are filed under the id of the partner's business."""
    info = read_part(value.waba_info, WABA_INFO) if field == ACCOUNT_FIELD else None
    return identifier_of(info.waba_id) if info is not None else None


def _phone_of_alert(value: Value) -> str | None:
    """Return the phone number id that an alert names as what it is about."""
    return identifier_of(value.entity_id) if "PHONE" in (text_of(value.entity_type) or "").upper() else None
