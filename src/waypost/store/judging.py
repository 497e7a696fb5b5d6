"""Which unknown messages have waited long enough, and what a judgement writes (decision D6)."""

from waypost.model import RANK_FAILED_HERE, Message
from waypost.store import exclusion
from waypost.store.base import Judgement
from waypost.store.outbox import Outbox
from waypost.store.rows import message_of, messages_of
from waypost.store.session import Session
from waypost.store.settling import AUTHENTICATION, pair_scope, scopes_of_phone

_MINUTE_MS = 60_000
_MINUTES_KEPT = 24 * 60  # a message is judged after a day whatever was received


def note_receiving(session: Session, phones: tuple[str, ...], at_ms: int) -> None:
    """Count the minute for each phone that a POST of Meta's speaks of: one write a phone and minute."""
    minute = at_ms // _MINUTE_MS
    for phone_number_id in phones:
        if session.row("webhook_minute", phone_number_id=phone_number_id, minute=minute) is None:
            session.note("enter_webhook_minute", phone_number_id=phone_number_id, minute=minute)
            before = minute - _MINUTES_KEPT
            session.note("forget_webhook_minutes", phone_number_id=phone_number_id, before_minute=before)


def judgeable(session: Session, minutes: int, given_up_before_ms: int, limit: int) -> tuple[Message, ...]:
    """Return unknown messages whose time is up, at most `limit`."""
    found = {
        message.id: message
        for message in messages_of(
            session.rows("judgeable_by_age", since_before_ms=given_up_before_ms, limit=limit),
        )
    }
    for phone_number_id, newest in session.rows("reported_phones"):
        if len(found) >= limit:
            break
        for message in _judgeable_of_phone(session, str(phone_number_id), str(newest), minutes, limit):
            found.setdefault(message.id, message)
    return tuple(found.values())[:limit]


def _judgeable_of_phone(
    session: Session, phone_number_id: str, newest_reported: str, minutes: int, limit: int
) -> tuple[Message, ...]:
    """Return a phone's unknown messages that a reported one follows, with so many counted minutes since.

    The minute in which a message became unknown doesn't count: that many came after it exactly if it lies before the
    last-but-(n-1)th counted minute.
    """
    row = session.row("minute_from_the_end", phone_number_id=phone_number_id, later=minutes - 1)
    if row is None or not isinstance(row[0], int):
        return ()
    scope_from, scope_to = scopes_of_phone(phone_number_id)
    return messages_of(
        session.rows(
            "judgeable_of_phone",
            scope_from=scope_from,
            scope_to=scope_to,
            since_before_ms=row[0] * _MINUTE_MS,
            before_id=newest_reported,
            limit=limit,
        )
    )


def fail_unknown(
    session: Session, outbox: Outbox, judgements: tuple[Judgement, ...], now_ms: int
) -> tuple[Message, ...]:
    """Call messages failed that are still unknown, enter the callback of each, and return them as they are then."""
    failed = []
    session.exclusive(*(exclusion.message(judgement.message_id) for judgement in judgements))
    for judgement in judgements:
        row = session.row("fail_unknown", id=judgement.message_id, rank=RANK_FAILED_HERE)
        if row is None:
            continue
        message = message_of(row)
        session.run("leave_work", id=message.id)
        if message.opaque:  # no token of ours travelled: only by standing here is it found by a late report
            scope = pair_scope(message.phone_number_id, message.recipient)
            session.run("enter_work", kind="judged", scope=scope, due_ms=now_ms, id=message.id)
        if message.category == AUTHENTICATION:
            session.run("wipe_secret_body", id=message.id)
        if judgement.callback is not None:
            outbox.enter(session, (judgement.callback,))
        failed.append(message)
    return tuple(failed)
