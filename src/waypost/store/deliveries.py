"""What deliveries do to the outbox: claims, attempts, giving up and replay (decision D8)."""

from collections.abc import Iterable

from waypost.clock import first_id_of
from waypost.model import AttemptOutcome, Callback, CallbackState
from waypost.store import audit, exclusion
from waypost.store.base import CallbackFilter, DueEndpoint
from waypost.store.outbox_rows import callback_of
from waypost.store.rows import values_of
from waypost.store.session import Session

LOOK_AHEAD = 1_000  # callbacks that one claim looks at: a few tens of milliseconds in which other writers wait
KEPT_ATTEMPTS = 20

# `work.priority` of a callback: it goes by its due time, or it waits for another of its message.
_READY = 0
_WAITS_ITS_TURN = 1


def due_endpoints(session: Session) -> tuple[DueEndpoint, ...]:
    """Return the endpoints with callbacks that wait, in the order of their names."""
    return tuple(
        DueEndpoint(endpoint=str(endpoint), due_at_ms=due_at_ms)
        for endpoint, *dues in session.rows("due_endpoints")
        if (due_at_ms := _first(dues)) is not None
    )


def next_due(session: Session, endpoint: str) -> int | None:
    """Return when an endpoint's next callback is due, or None if none waits."""
    return _first(session.row("next_due", endpoint=endpoint) or ())


def _first(dues: Iterable[object]) -> int | None:
    return min((due for due in dues if isinstance(due, int)), default=None)


def claim(
    session: Session, endpoint: str, now_ms: int, lease_until_ms: int, limit: int, order_wait_ms: int
) -> tuple[Callback, ...]:
    """Lease due callbacks of an endpoint.

    One that has to wait for another of its message is set aside until that is settled or its wait ends; so it is
    looked at once and not by every claim. The wait begins with the first look: until then, nothing could have gone.
    """
    if lease_until_ms <= now_ms:
        raise ValueError("a lease has to end after it begins")
    session.exclusive(exclusion.claim(endpoint))
    claimed: list[Callback] = []
    looked_at = 0
    while len(claimed) < limit and looked_at < LOOK_AHEAD:
        wanted = limit - len(claimed)
        for (callback_id,) in session.rows("ended_waits", endpoint=endpoint, now_ms=now_ms, limit=wanted):
            session.run("end_wait", id=str(callback_id))
        rows = session.rows("due_callbacks", endpoint=endpoint, now_ms=now_ms, limit=wanted)
        messages = {callback_of(row).message_id for row in rows if row[-1] == 1} - {None}
        session.exclusive(*(exclusion.message(str(message_id)) for message_id in messages))
        for row in rows:
            callback, wait_ends_ms = callback_of(row), row[-2]
            follows_another = row[-1] == 1 and _follows_another(session, callback)
            if follows_another and wait_ends_ms is None:
                wait_ends_ms = now_ms + order_wait_ms
                session.run("begin_order_wait", id=callback.id, until_ms=wait_ends_ms)
            if follows_another and isinstance(wait_ends_ms, int) and now_ms < wait_ends_ms:
                session.run("set_due", id=callback.id, priority=_WAITS_ITS_TURN, due_ms=wait_ends_ms)
            else:
                session.run("set_due", id=callback.id, priority=_READY, due_ms=lease_until_ms)
                claimed.append(callback)
        if len(rows) < wanted:
            break
        looked_at += len(rows)
    return tuple(claimed)


def _follows_another(session: Session, callback: Callback) -> bool:
    """Tell for certain whether another callback of the same message goes first: it may have been settled meanwhile."""
    earlier = session.row("earlier_callback", message_id=callback.message_id, url=callback.url, rank=callback.rank)
    return earlier is not None


def record_attempts(session: Session, outcomes: Iterable[AttemptOutcome], now_ms: int) -> None:
    """Write what attempts came to, and let go ahead what waited for the settled ones."""
    for outcome in outcomes:
        _record_attempt(session, outcome, now_ms)


def _record_attempt(session: Session, outcome: AttemptOutcome, now_ms: int) -> None:
    settled = outcome.state != CallbackState.DUE
    if not settled and outcome.due_at_ms is None:
        raise ValueError("a callback that is due again needs a time")
    values = values_of(outcome.attempt)
    row = session.row("write_attempt", state=outcome.state, settled_at_ms=now_ms if settled else None, **values)
    if row is None:
        return
    number, message_id, url = row
    if not isinstance(number, int):
        raise TypeError(f"attempts of callback {outcome.attempt.callback_id}: {number!r}")
    if number > 1 or outcome.state != CallbackState.DONE:
        # Numbered here, because two workers whose leases overlapped can't know of each other's attempt.
        session.run("insert_attempt", **values | {"number": number})
    if number > KEPT_ATTEMPTS:
        session.run("trim_attempts", callback_id=outcome.attempt.callback_id, number=number - KEPT_ATTEMPTS)
    if settled:
        _leave(session, outcome.attempt.callback_id, message_id, url, now_ms)
    else:
        session.run("set_due", id=outcome.attempt.callback_id, priority=_READY, due_ms=outcome.due_at_ms)


def abandon(session: Session, endpoint: str, created_before_ms: int, now_ms: int, limit: int) -> int:
    """Give up callbacks of an endpoint that have waited too long, oldest first; return how many."""
    overdue = session.rows(
        "overdue_callbacks",
        endpoint=endpoint,
        before_id=first_id_of(created_before_ms),
        before_ms=created_before_ms,
        limit=limit,
    )
    for (callback_id,) in overdue:
        row = session.row("abandon_callback", id=str(callback_id), now_ms=now_ms)
        if row is not None:
            message_id, url = row
            _leave(session, str(callback_id), message_id, url, now_ms)
    return len(overdue)


def revive(
    session: Session, wanted: CallbackFilter, callback_ids: Iterable[str], now_ms: int, audit_id: str
) -> tuple[str, ...]:
    """Make callbacks due now that were found to fit, count them in an audit entry, and return the endpoint of each."""
    asked = {"state": wanted.state, "settled": int(wanted.settled), "now_ms": now_ms}
    endpoints: list[str] = []
    for callback_id in callback_ids:
        row = session.row("revive_callback", id=callback_id, **asked)
        if row is not None:
            endpoint = str(row[0])
            session.run("enter_work_again", endpoint=endpoint, now_ms=now_ms, id=callback_id)
            endpoints.append(endpoint)
    audit.count(session, audit_id, len(endpoints))
    return tuple(endpoints)


def _leave(session: Session, callback_id: str, message_id: object, url: object, now_ms: int) -> None:
    session.run("leave_outbox", id=callback_id)
    if message_id is not None:
        session.exclusive(exclusion.message(str(message_id)))
        for (follower_id,) in session.rows("followers", message_id=str(message_id), url=str(url)):
            session.run("release_follower", id=str(follower_id), now_ms=now_ms)
