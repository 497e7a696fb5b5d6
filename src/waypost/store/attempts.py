"""Another attempt of a message that may have left already (decision D6)."""

from waypost.model import RANK_QUEUED, Message
from waypost.store import exclusion, lanes
from waypost.store.base_queue import QueueEntry
from waypost.store.rows import message_of
from waypost.store.session import Session
from waypost.store.settling import EARLIER, pair_scope


def resend(session: Session, message_id: str, attempt: int, entry: QueueEntry, now_ms: int) -> Message | None:
    """Let an unknown message wait once more, if it still is unknown and this is the first time."""
    session.exclusive(exclusion.message(message_id))
    row = session.row("resend", id=message_id, attempt=attempt, rank=RANK_QUEUED)
    if row is None:
        return None
    message = message_of(row)
    session.run("keep_token", id=message.id, attempt=attempt, token=message.token)
    session.run("leave_work", id=message.id)
    if message.opaque:  # both attempts carry the same string, so a report of each of them may come
        scope = pair_scope(message.phone_number_id, message.recipient)
        session.run("enter_work", kind=EARLIER, scope=scope, due_ms=now_ms, id=message.id)
    lanes.put_back(session, message, entry)
    return message
