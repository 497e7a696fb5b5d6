"""Callbacks and attempts as nouns, and lists of callbacks by what is asked for."""

from collections.abc import Sequence

import msgspec

from waypost.model import Attempt, Callback, CallbackKind, CallbackState
from waypost.store.base import CallbackFilter, CallbackPage
from waypost.store.session import Row, Session, Value

# The columns of `callback` begin with the struct's fields, in order (a test holds them together).
_CALLBACK_FIELDS = Callback.__struct_fields__
_ATTEMPT_FIELDS = Attempt.__struct_fields__

_CLAUSES = {
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "account": "account = :account",
    "appkey": "appkey = :appkey",
    "message_id": "message_id = :message_id",
    # The id begins with a time that is never before the creation, so it leads to where the walk may start.
    "since_ms": "created_at_ms >= :since_ms AND id >= :since_id",
    "until_ms": "created_at_ms < :until_ms",
    "settled_by_ms": "state <> 'due' AND settled_at_ms <= :settled_by_ms",
    "after": "id > :after",
}
# What waits is found by `work`, what was given up by an index: neither walks what was delivered.
_STATE_CLAUSES = {
    CallbackState.DUE: "id IN (SELECT id FROM work WHERE kind = 'callback')",
    CallbackState.DONE: "state = 'done'",
    CallbackState.ABANDONED: "state = 'abandoned'",
}

# In so many words, for the index of events, which are few beside the rest, serves nothing that is bound later.
_KIND_CLAUSES = {kind: f"kind = '{kind}'" for kind in CallbackKind}


def callback_of(row: Row) -> Callback:
    """Build a callback from a whole row of `callback`; columns behind the struct's fields are dropped."""
    return msgspec.convert(dict(zip(_CALLBACK_FIELDS, row, strict=False)), Callback, builtin_types=(bytes,))


def attempt_of(row: Row) -> Attempt:
    """Build an attempt from the columns of `attempts`."""
    return msgspec.convert(dict(zip(_ATTEMPT_FIELDS, row, strict=True)), Attempt)


def first_id_of(at_ms: int) -> str:
    """Return what sorts before every callback id made at or after a time: the time in front of a UUIDv7."""
    return f"{max(0, at_ms):012x}"


def page(session: Session, wanted: CallbackFilter, limit: int, cursor: str | None) -> CallbackPage:
    """Return callbacks that fit, oldest first, from behind the cursor on."""
    rows = _select(session, "*", wanted, "ORDER BY id LIMIT :limit", after=cursor, limit=limit + 1)
    callbacks = tuple(map(callback_of, rows[:limit]))
    return CallbackPage(callbacks=callbacks, next_cursor=callbacks[-1].id if len(rows) > limit else None)


def count(session: Session, wanted: CallbackFilter) -> int:
    """Return how many callbacks fit."""
    ((number,),) = _select(session, "COUNT(*)", wanted)
    return msgspec.convert(number, int)


def settled_ids(session: Session, wanted: CallbackFilter, settled_by_ms: int, limit: int) -> tuple[str, ...]:
    """Return the ids of callbacks that fit and were settled by a time, oldest first."""
    rows = _select(session, "id", wanted, "ORDER BY id LIMIT :limit", settled_by_ms=settled_by_ms, limit=limit)
    return tuple(str(row[0]) for row in rows)


def _select(session: Session, columns: str, wanted: CallbackFilter, tail: str = "", **further: Value) -> Sequence[Row]:
    clauses, values = conditions(wanted, **further)
    sql = f"SELECT {columns} FROM callback WHERE {clauses} {tail}"  # noqa: S608 - our own words; values are bound
    return session.connection.execute(sql, values).fetchall()


def conditions(wanted: CallbackFilter, **further: Value) -> tuple[str, dict[str, Value]]:
    """Put together the clauses of what is asked for, and the values that they name."""
    asked = {**msgspec.structs.asdict(wanted), **further}
    if wanted.ids is not None:
        asked["ids"] = msgspec.json.encode(wanted.ids).decode()
    values: dict[str, Value] = {name: value for name, value in asked.items() if value is not None}
    clauses = [_CLAUSES[name] for name in values if name in _CLAUSES]
    if wanted.state is not None:
        clauses.append(_STATE_CLAUSES[wanted.state])
    if wanted.kind is not None:
        clauses.append(_KIND_CLAUSES[wanted.kind])
    if wanted.since_ms is not None:
        values["since_id"] = first_id_of(wanted.since_ms)
    return " AND ".join(clauses) or "TRUE", values
