"""The audit trail: what operators did, written down before it is done, and how far it got."""

import msgspec

from waypost.model import AuditEntry
from waypost.store.rows import values_of
from waypost.store.session import Row, Session

KEPT_ENTRIES = 500


def begin(session: Session, entry: AuditEntry) -> None:
    """Write an entry, and drop the oldest beyond those that are kept."""
    session.run("insert_audit", **values_of(entry))
    session.run("trim_audit", kept=KEPT_ENTRIES)


def count(session: Session, audit_id: str, number: int) -> None:
    """Add to what an entry has affected, in the transaction that does it."""
    session.run("count_affected", id=audit_id, number=number)


def entry_of(row: Row) -> AuditEntry:
    """Build an entry from a whole row of `audit`."""
    return msgspec.convert(dict(zip(AuditEntry.__struct_fields__, row, strict=True)), AuditEntry)
