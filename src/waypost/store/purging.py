"""Forgetting what has been kept long enough (decision D15), a bounded step at a time."""

from waypost.store.session import Session

PURGE_LIMIT = 1_000  # rows of each sort a call: a few tens of milliseconds in which other writers wait
PARKED_MS = 24 * 3_600_000  # decision D7: by then a report that found no message concerns another system's
ONCE_MS = 8 * 24 * 3_600_000  # Meta repeats a POST for up to seven days

_WIPED_TO = "bodies_wiped_to"
_PURGED_TO = "messages_purged_to"


def purge(
    session: Session, bodies_before_ms: int, webhooks_before_ms: int, messages_before_ms: int, now_ms: int
) -> int:
    """Wipe one step of everything and return how many rows were touched or looked at."""
    return (
        _wipe_bodies(session, bodies_before_ms)
        + session.run("purge_webhooks", before=webhooks_before_ms, limit=PURGE_LIMIT)
        + _purge_messages(session, messages_before_ms)
        + session.run("purge_keys", now_ms=now_ms, limit=PURGE_LIMIT)
        + session.run("purge_parked", before=now_ms - PARKED_MS, limit=PURGE_LIMIT)
        + _purge_callbacks(session, messages_before_ms)
        + session.run("purge_once_keys", before=now_ms - ONCE_MS, limit=PURGE_LIMIT)
    )


def _wipe_bodies(session: Session, before_ms: int) -> int:
    """Wipe from where the last call stopped: rows wiped long ago are not walked again."""
    row = session.row("read_mark", name=_WIPED_TO)
    mark = str(row[0]) if row else ""
    old = _oldest(session, mark, before_ms)
    if not old:
        return 0
    session.run("wipe_bodies", mark=mark, last=old[-1])
    session.run("write_mark", name=_WIPED_TO, value=old[-1])
    return len(old)


def _purge_messages(session: Session, before_ms: int) -> int:
    """Delete the oldest messages with all that hangs on them, in rounds: what waits is passed over until the next."""
    row = session.row("read_mark", name=_PURGED_TO)
    mark = str(row[0]) if row else ""
    old = _oldest(session, mark, before_ms)
    if old:
        for query in (
            "purge_statuses",
            "purge_meta_ids",
            "purge_work",
            "purge_tokens",
            "purge_keys_of_messages",
            "purge_messages",
        ):
            session.run(query, mark=mark, last=old[-1])
    last = old[-1] if old else ""
    if last != mark:
        session.run("write_mark", name=_PURGED_TO, value=last)
    return len(old)


def _purge_callbacks(session: Session, before_ms: int) -> int:
    """Delete the callbacks that were settled first, with their attempts."""
    session.run("purge_attempts", before=before_ms, limit=PURGE_LIMIT)
    return session.run("purge_callbacks", before=before_ms, limit=PURGE_LIMIT)


def _oldest(session: Session, mark: str, before_ms: int) -> list[str]:
    """Return the ids after a mark, oldest first, up to the first message that is young."""
    ids: list[str] = []
    for message_id, created_at_ms in session.rows("oldest", mark=mark, limit=PURGE_LIMIT):
        if not isinstance(created_at_ms, int) or created_at_ms >= before_ms:
            break
        ids.append(str(message_id))
    return ids
