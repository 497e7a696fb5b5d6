"""Another attempt of a message that may have left already (decision D6)."""

from waypost.model import RANK_SENDING, Message
from waypost.store.base import Resend
from waypost.store.rows import message_of
from waypost.store.session import Session
from waypost.store.settling import pair_scope


def begin_resend(session: Session, resend: Resend) -> Message | None:
    """Put an unknown message in flight once more, if it still is unknown and this is the first time."""
    before = session.row("message", id=resend.message_id)
    if before is None:
        return None
    earlier = message_of(before)
    row = session.row(
        "begin_resend",
        id=earlier.id,
        attempt=resend.attempt,
        rank=RANK_SENDING,
        token=resend.token,
        body=resend.body,
        owner=resend.owner,
        lease_until_ms=resend.lease_until_ms,
    )
    if row is None:
        return None
    session.run("keep_token", id=earlier.id, attempt=earlier.attempt, token=earlier.token)
    session.run("leave_work", id=earlier.id)
    scope = pair_scope(earlier.phone_number_id, earlier.recipient)
    session.run("enter_work", kind="lease", scope=scope, due_ms=resend.lease_until_ms, id=earlier.id)
    if earlier.opaque:  # both attempts carry the same string, so a report of each of them may come
        session.run("enter_work", kind="earlier", scope=scope, due_ms=resend.lease_until_ms, id=earlier.id)
    return message_of(row)
