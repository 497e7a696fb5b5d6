"""How processes that share a journal stay out of each other's way, and learn of each other's changes."""

from waypost.model import Message
from waypost.store.base_queue import QueueEntry
from waypost.store.session import Session

_TENANTS_VERSION = "tenants_version"


def own_queue(session: Session, phone_number_id: str, owner: str, now_ms: int, until_ms: int) -> bool:
    """Take or keep the queue of a phone, and tell whether it is ours."""
    row = session.row("own_queue", phone_number_id=phone_number_id, owner=owner, now_ms=now_ms, until_ms=until_ms)
    return row is not None


def lane_stands(session: Session, message: Message, entry: QueueEntry) -> bool:
    """Tell whether earlier messages wait in the lane that a message would stand in."""
    row = session.row(
        "lane_stands",
        phone_number_id=message.phone_number_id,
        recipient=message.recipient,
        appkey=message.appkey,
        priority=entry.priority,
    )
    return row is not None


def tenants_changed(session: Session) -> None:
    """Count a change of the tenants."""
    session.run("count_mark", name=_TENANTS_VERSION)


def tenants_version(session: Session) -> str:
    """Return what every change of the tenants changes."""
    row = session.row("read_mark", name=_TENANTS_VERSION)
    return str(row[0]) if row else ""
