"""Looking at the queue: what may go next, what waits and how long."""

from collections.abc import Iterator, Sequence

import msgspec

from waypost.model import Message, State
from waypost.store.base_queue import DuePhone, QueueDepth, QueueFilter, Waiting, WaitingPage
from waypost.store.rows import message_of
from waypost.store.session import Row, Session, Value

STRETCH = 10_000  # rows counted at a time: their grouping takes a few MB, and no read goes on for long

# The columns of `queued` stand in the order of the struct's fields (a test holds them together).
_FIELDS = Waiting.__struct_fields__

# It is walked in the order of its key, whatever is asked for: the index by phone would lead to all rows of a phone on
# every page, so it is hidden from the planner.
_CLAUSES = {
    "phone_number_id": "phone_number_id || '' = :phone_number_id",
    "appkey": "appkey = :appkey",
    "account": "account = :account",
    "template": "template = :template",
    "after": "message_id > :after",
}


class Group(msgspec.Struct, frozen=True, array_like=True):
    """An application's ready rows of one priority at one phone, and when the first of them came and is due."""

    phone_number_id: str
    priority: int
    appkey: str
    due_at_ms: int
    since_ms: int

    def due_to(self, now_ms: int) -> int:
        """Return up to which due time its rows may go: now.

        Or later where wall time was put back since the first came: that waits for nothing but its turn.
        """
        return self.due_at_ms if self.due_at_ms == self.since_ms > now_ms else now_ms


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one sort in a stretch of the queue; those in flight count 0 and have no age."""

    phone_number_id: str
    account: str
    appkey: str
    priority: int
    reason: str | None
    aside: int  # 1 or 0
    count: int
    oldest_since_ms: int | None
    last_id: str


def waiting_of(row: Row) -> Waiting:
    """Build a row of the queue from a whole row of `queued`."""
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Waiting)


def heads(session: Session, phone_number_id: str, now_ms: int, per_application: int) -> tuple[Waiting, ...]:
    """Return the first due rows of each priority and application of a phone."""
    found = [
        waiting_of(row)
        for group in _groups(session, phone_number_id)
        if group.due_at_ms <= group.due_to(now_ms)
        for row in session.rows(
            "heads_of_group",
            phone_number_id=phone_number_id,
            priority=group.priority,
            appkey=group.appkey,
            now_ms=group.due_to(now_ms),
            limit=per_application,
        )
    ]
    return tuple(sorted(found, key=lambda row: (row.priority, row.due_at_ms, row.message_id)))


def phones(session: Session) -> tuple[DuePhone, ...]:
    """Return the phones with ready rows, and when the first of each is due."""
    due: dict[str, int] = {}
    for group in _groups(session):
        earliest = due.get(group.phone_number_id, group.due_at_ms)
        due[group.phone_number_id] = min(earliest, group.due_at_ms)
    return tuple(DuePhone(phone_number_id=phone, due_at_ms=due_at_ms) for phone, due_at_ms in due.items())


def next_due(session: Session, phone_number_id: str) -> int | None:
    """Return when the first ready row of a phone is due."""
    return min((group.due_at_ms for group in _groups(session, phone_number_id)), default=None)


def lanes_stand(session: Session, phone_number_id: str) -> bool:
    """Return whether anything of a phone waits in a lane or is in flight."""
    return session.row("lanes_stand", phone_number_id=phone_number_id) is not None


def _groups(session: Session, only: str | None = None) -> Iterator[Group]:
    """Step from group to group, of all phones or of one: the rows of a group are not walked."""
    behind: dict[str, Value] = {"phone_number_id": only or "", "priority": -1, "appkey": ""}
    while (row := session.row("next_ready_group", **behind)) is not None:
        group = msgspec.convert(row, Group)
        if only is not None and group.phone_number_id != only:
            return
        yield group
        behind = {"phone_number_id": group.phone_number_id, "priority": group.priority, "appkey": group.appkey}


def page(session: Session, wanted: QueueFilter, limit: int, cursor: str | None) -> WaitingPage:
    """Return rows that fit and are not in flight, oldest first, from behind the cursor on."""
    tail = "ORDER BY message_id LIMIT :limit"
    rows = tuple(map(waiting_of, _select(session, "*", wanted, tail, after=cursor or "", limit=limit + 1)))
    return WaitingPage(rows=rows[:limit], next_cursor=rows[limit - 1].message_id if len(rows) > limit else None)


def count(session: Session, wanted: QueueFilter) -> int:
    """Return how many rows fit and are not in flight."""
    ((number,),) = _select(session, "COUNT(*)", wanted)
    return msgspec.convert(number, int)


def _select(session: Session, columns: str, wanted: QueueFilter, tail: str = "", **further: Value) -> Sequence[Row]:
    clauses, values = conditions(wanted, **further)
    sql = f"SELECT {columns} FROM queued WHERE {clauses} {tail}"  # noqa: S608 - our own words; values are bound
    return session.select(sql, values)


def conditions(wanted: QueueFilter, **further: Value) -> tuple[str, dict[str, Value]]:
    """Put together the clauses of what is asked for, and the values that they name."""
    asked: dict[str, Value] = {**msgspec.structs.asdict(wanted), **further}
    values: dict[str, Value] = {name: value for name, value in asked.items() if value is not None}
    return " AND ".join(["standing <> 2", *(_CLAUSES[name] for name in values if name in _CLAUSES)]), values


def messages(session: Session, message_ids: tuple[str, ...]) -> tuple[Message, ...]:
    """Return those of these messages that wait and are not being sent."""
    rows = (session.row("message", id=message_id) for message_id in message_ids)
    found = (message_of(row) for row in rows if row is not None)
    return tuple(message for message in found if message.state == State.QUEUED)


def expired(session: Session, now_ms: int, limit: int) -> tuple[Waiting, ...]:
    """Return rows that it is too late to send, longest overdue first."""
    return tuple(map(waiting_of, session.rows("expired_waiting", now_ms=now_ms, limit=limit)))


def depths(session: Session) -> tuple[QueueDepth, ...]:
    """Count what waits by what it is and what it waits for, a stretch of the queue at a time."""
    found: dict[tuple[str, str, str, int, str, int], QueueDepth] = {}
    after = ""
    while rows := session.rows("queue_depths", after=after, limit=STRETCH):
        counted = msgspec.convert(rows, list[Counted])
        after = max(one.last_id for one in counted)
        for one in counted:
            sort = (one.phone_number_id, one.account, one.appkey, one.priority, one.reason or "", one.aside)
            if one.oldest_since_ms is not None:
                found[sort] = _deeper(found.get(sort), one, one.oldest_since_ms)
    return tuple(found[sort] for sort in sorted(found))


def _deeper(so_far: QueueDepth | None, further: Counted, oldest_since_ms: int) -> QueueDepth:
    return QueueDepth(
        phone_number_id=further.phone_number_id,
        account=further.account,
        appkey=further.appkey,
        priority=further.priority,
        reason=further.reason,
        count=further.count + (so_far.count if so_far else 0),
        oldest_since_ms=min(oldest_since_ms, so_far.oldest_since_ms) if so_far else oldest_since_ms,
        aside=further.aside == 1,
    )
