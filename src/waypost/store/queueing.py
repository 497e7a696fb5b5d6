"""What happens to a message that waits: an attempt begins, sends nothing and is taken back, or there is to be none."""

from waypost.model import RANK_FAILED_HERE, RANK_QUEUED, RANK_SENDING, Message
from waypost.store import audit, exclusion, lanes
from waypost.store.base_queue import Ending, QueueEntry
from waypost.store.outbox import Outbox
from waypost.store.rows import message_of
from waypost.store.session import Session
from waypost.store.settling import AUTHENTICATION, pair_scope


def begin_attempt(session: Session, message_id: str, owner: str, lease_until_ms: int, token: str) -> Message | None:
    """Take a message for an attempt, under a lease and a token of its own; None if it is not its turn."""
    session.exclusive(exclusion.message(message_id))
    waiting = session.row("ready_message", id=message_id)
    if waiting is None:
        return None
    before = message_of(waiting)
    session.run("take_off", id=message_id)
    row = session.row(
        "begin_attempt",
        id=message_id,
        rank=RANK_SENDING,
        owner=owner,
        lease_until_ms=lease_until_ms,
        token=None if before.token is None else token,
        body=_with_token(before, token),
    )
    if row is None:
        raise LookupError(f"message {message_id} is gone")
    scope = pair_scope(before.phone_number_id, before.recipient)
    session.run("enter_work", kind="lease", scope=scope, due_ms=lease_until_ms, id=message_id)
    return message_of(row)


def _with_token(message: Message, token: str) -> bytes | None:
    """Return the body with a new token in place of its old one, which stands in it but once: it can't be guessed."""
    if message.token is None or message.body is None:
        return message.body
    return message.body.replace(message.token.encode(), token.encode())


def requeue(
    session: Session, message_id: str, attempt: int, entry: QueueEntry, answer_code: int, now_ms: int
) -> Message:
    """Let a message wait (again) that is still `sending` this attempt; return it as it is then."""
    session.exclusive(exclusion.message(message_id))
    row = session.row(
        "back_to_queued",
        id=message_id,
        attempt=attempt,
        rank=RANK_QUEUED,
        answer_code=answer_code,
        now_ms=now_ms,
    )
    if row is None:
        found = session.row("message", id=message_id)
        if found is None:
            raise LookupError(f"no message {message_id} in the journal")
        return message_of(found)
    message = message_of(row)
    session.run("leave_work", id=message_id)
    lanes.put_back(session, message, entry)
    return message


def end_queued(
    session: Session, outbox: Outbox, endings: tuple[Ending, ...], now_ms: int, audit_id: str | None = None
) -> tuple[Message, ...]:
    """End messages that still wait, enter the callback of each, and return them as they are then."""
    ended = []
    session.exclusive(*(exclusion.message(ending.message_id) for ending in endings))
    for ending in endings:
        row = session.row("end_queued", id=ending.message_id, state=ending.state, rank=RANK_FAILED_HERE, now_ms=now_ms)
        if row is None:
            continue
        message = message_of(row)
        lanes.leave(session, message.id)
        if message.category == AUTHENTICATION:
            session.run("wipe_secret_body", id=message.id)
        if ending.callback is not None:
            outbox.enter(session, (ending.callback,))
        ended.append(message)
    if audit_id is not None:
        audit.count(session, audit_id, len(ended))
    return tuple(ended)
