"""Callbacks and attempts as nouns, and lists of callbacks by what is asked for."""

from collections.abc import Sequence

import msgspec

from waypost.clock import first_id_of
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
    "made_by_ms": "created_at_ms <= :made_by_ms",
    "settled": "state <> 'due'",
    "after": "id > :after",
}
# Somebody who asks for what was given up since yesterday doesn't mean what was made since then: that is days apart.
_GIVEN_UP_CLAUSES = {"since_ms": "settled_at_ms >= :since_ms", "until_ms": "settled_at_ms < :until_ms"}
# What waits is found by `work`, what was given up by an index: neither walks what was delivered.
_STATE_CLAUSES = {state: f"state = '{state}'" for state in CallbackState}
_WAITING = "(SELECT id AS waiting FROM work WHERE kind = 'callback') AS due CROSS JOIN callback ON id = waiting"

# In so many words, for the index of events, which are few beside the rest, serves nothing that is bound later.
_KIND_CLAUSES = {kind: f"kind = '{kind}'" for kind in CallbackKind}


def callback_of(row: Row) -> Callback:
    """Build a callback from a whole row of `callback`; columns behind the struct's fields are dropped."""
    return msgspec.convert(dict(zip(_CALLBACK_FIELDS, row, strict=False)), Callback, builtin_types=(bytes,))


def attempt_of(row: Row) -> Attempt:
    """Build an attempt from the columns of `attempts`."""
    return msgspec.convert(dict(zip(_ATTEMPT_FIELDS, row, strict=True)), Attempt)


def page(session: Session, wanted: CallbackFilter, limit: int, cursor: str | None) -> CallbackPage:
    """Return callbacks that fit, oldest first, from behind the cursor on."""
    rows = _select(session, "callback.*", wanted, "LIMIT :limit", after=cursor, limit=limit + 1)
    callbacks = tuple(map(callback_of, rows[:limit]))
    return CallbackPage(callbacks=callbacks, next_cursor=callbacks[-1].id if len(rows) > limit else None)


def page_of_any(session: Session, wanted: Sequence[CallbackFilter], limit: int, cursor: str | None) -> CallbackPage:
    """Return callbacks that fit one of the filters: a page of each, merged.

    All are to be read at one moment: one that is given up or replayed between two looks would be in neither.
    """
    pages = [page(session, one, limit, cursor) for one in wanted]
    found = {callback.id: callback for each in pages for callback in each.callbacks}
    callbacks = tuple(found[callback_id] for callback_id in sorted(found)[:limit])
    is_end = len(found) <= limit and not any(each.next_cursor for each in pages)
    return CallbackPage(callbacks=callbacks, next_cursor=None if is_end else callbacks[-1].id)


def count(session: Session, wanted: CallbackFilter) -> int:
    """Return how many callbacks fit."""
    ((number,),) = _select(session, "COUNT(*)", wanted)
    return msgspec.convert(number, int)


def ids(session: Session, wanted: CallbackFilter, made_by_ms: int, limit: int, after: str | None) -> tuple[str, ...]:
    """Return the ids of callbacks that fit and were made by a time, oldest first, from behind an id on."""
    rows = _select(session, "id", wanted, "LIMIT :limit", made_by_ms=made_by_ms, after=after, limit=limit)
    return tuple(str(row[0]) for row in rows)


def _select(session: Session, columns: str, wanted: CallbackFilter, tail: str = "", **further: Value) -> Sequence[Row]:
    sql, values = statement(columns, wanted, tail, **further)
    return session.select(sql, values)


def statement(columns: str, wanted: CallbackFilter, tail: str = "", **further: Value) -> tuple[str, dict[str, Value]]:
    """Put together a look for callbacks, and the values that it names; with a tail it goes from the oldest on."""
    asked = {**msgspec.structs.asdict(wanted), **further}
    if wanted.ids is not None:
        asked["ids"] = msgspec.json.encode(wanted.ids).decode()
    values: dict[str, Value] = {
        name: value for name, value in asked.items() if value is not None and value is not False
    }
    known = _CLAUSES | (_GIVEN_UP_CLAUSES if wanted.state == CallbackState.ABANDONED else {})
    clauses = [known[name] for name in values if name in known]
    if wanted.state is not None:
        clauses.append(_STATE_CLAUSES[wanted.state])
    if wanted.kind is not None:
        clauses.append(_KIND_CLAUSES[wanted.kind])
    if wanted.since_ms is not None:
        values["since_id"] = first_id_of(wanted.since_ms)
    source, order = "callback", "id"
    if wanted.state == CallbackState.DUE and wanted.ids is None and wanted.message_id is None:
        source, order = _WAITING, "waiting"
        clauses += ["waiting > :after"] if "after" in values else []
    where = " AND ".join(clauses) or "TRUE"
    ordered = f"ORDER BY {order} {tail}" if tail else ""
    return f"SELECT {columns} FROM {source} WHERE {where} {ordered}", values  # noqa: S608 - our own words; values are bound
