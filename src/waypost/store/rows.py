"""Rows of the journal to nouns and back."""

from collections.abc import Iterable

import msgspec

from waypost.model import Message, StatusEvent, StatusRecord
from waypost.store.base import TenantRow
from waypost.store.session import Row, Value

# The columns of `message` stand in the order of the struct's fields (a test holds them together).
_MESSAGE_FIELDS = Message.__struct_fields__


def message_of(row: Row) -> Message:
    """Build a message from a whole row of `message`."""
    return msgspec.convert(dict(zip(_MESSAGE_FIELDS, row, strict=True)), Message, builtin_types=(bytes,))


def messages_of(rows: Iterable[Row]) -> tuple[Message, ...]:
    """Build messages from whole rows of `message`."""
    return tuple(message_of(row) for row in rows)


def values_of(noun: msgspec.Struct) -> dict[str, Value]:
    """Give the fields of a noun as values to bind by name."""
    return msgspec.structs.asdict(noun)


def status_record_of(row: Row) -> StatusRecord:
    """Build a status record from the columns of `statuses`."""
    return msgspec.convert(dict(zip(StatusRecord.__struct_fields__, row, strict=True)), StatusRecord)


def tenant_of(row: Row) -> TenantRow:
    """Build a tenant row from the columns of `tenants`; the flag is kept as a number."""
    kind, key, origin, enabled, spec = row
    return msgspec.convert(
        {"kind": kind, "key": key, "origin": origin, "enabled": enabled == 1, "spec": spec}, TenantRow
    )


_PARKED_FIELDS = (
    "phone_number_id",
    "meta_message_id",
    "status",
    "timestamp_ms",
    "recipient",
    "participant",
    "opaque",
    "raw",
)


def parked_of(row: Row) -> tuple[StatusEvent, int]:
    """Build the status event, and when it came in, from the columns of `fetch_parked`."""
    *fields, received_at_ms = row
    return (
        msgspec.convert(dict(zip(_PARKED_FIELDS, fields, strict=True)), StatusEvent),
        msgspec.convert(received_at_ms, int),
    )
