"""Who goes first of what one application sends to one recipient: a lane, sent one by one (decision D3).

A lane is of one phone, recipient, application and priority. Whatever enters or leaves keeps it so that of a lane's rows
exactly one is in front, ready or in flight. Rows that wait aside are in no lane.
"""

from waypost.model import Message
from waypost.store import exclusion
from waypost.store.base_queue import QueueEntry, Waiting
from waypost.store.queue_rows import waiting_of
from waypost.store.rows import values_of
from waypost.store.session import Row, Session, Value


def enter(session: Session, message: Message, entry: QueueEntry) -> None:
    """Let a new message wait: in front of its lane where nobody is, else behind."""
    session.exclusive(exclusion.lane(message.phone_number_id, message.recipient, message.appkey))
    session.run("enter_queue", **_row_of(message, entry))


def put_back(session: Session, message: Message, entry: QueueEntry) -> None:
    """Let a message wait again, or one that was sent without waiting: before what is younger in its lane, or aside."""
    session.exclusive(exclusion.lane(message.phone_number_id, message.recipient, message.appkey))
    lane = session.row("return_to_queue", **_row_of(message, entry))
    if lane is not None:
        if not entry.aside:
            session.run("step_back", **_lane_of(lane))
        session.run("step_forward", **_lane_of(lane))


def bring_back(session: Session, now_ms: int, limit: int) -> tuple[Waiting, ...]:
    """Put into their lanes what waited aside and is due: before what is younger."""
    back = []
    for row in map(waiting_of, session.rows("due_aside", now_ms=now_ms, limit=limit)):
        session.exclusive(exclusion.lane(row.phone_number_id, row.recipient, row.appkey))
        if session.row("stand_behind", id=row.message_id) is None:
            continue  # somebody else brought it back, or it left
        lane = _lane_of((row.phone_number_id, row.recipient, row.appkey, row.priority))
        session.run("step_back", **lane)
        session.run("step_forward", **lane)
        back.append(row)
    return tuple(back)


def defer(session: Session, message_id: str, due_at_ms: int, reason: str | None) -> bool:
    """Make a ready row due at another time, and tell whether there was one."""
    return session.row("defer_queued", id=message_id, due_at_ms=due_at_ms, reason=reason) is not None


def leave(session: Session, message_id: str) -> None:
    """Take the row of a message away, if it has one, and let the next of its lane come forward."""
    lane = session.row("leave_queue", id=message_id)
    if lane is not None:
        phone_number_id, recipient, appkey, _ = lane
        session.exclusive(exclusion.lane(str(phone_number_id), str(recipient), str(appkey)))
        session.run("step_forward", **_lane_of(lane))
        session.run("wipe_overdue_body", id=message_id)


def _row_of(message: Message, entry: QueueEntry) -> dict[str, Value]:
    return {
        "message_id": message.id,
        "phone_number_id": message.phone_number_id,
        "waba_id": message.waba_id,
        "account": message.account,
        "appkey": message.appkey,
        "recipient": message.recipient,
        "since_ms": message.created_at_ms,
        **values_of(entry),
    }


def _lane_of(row: Row) -> dict[str, Value]:
    phone_number_id, recipient, appkey, priority = row
    if not isinstance(priority, int):
        raise TypeError(f"a lane of phone {phone_number_id}: priority {priority!r}")
    return {
        "phone_number_id": str(phone_number_id),
        "recipient": str(recipient),
        "appkey": str(appkey),
        "priority": priority,
    }
