"""Forgetting what has been kept long enough (decision D15), a bounded step at a time."""

from waypost.model import Noun
from waypost.store.session import Session

PURGE_LIMIT = 1_000  # rows of each sort a call: a few tens of milliseconds in which other writers wait
PARKED_MS = 24 * 3_600_000  # decision D7: by then a report that found no message concerns another system's
ONCE_MS = 8 * 24 * 3_600_000  # Meta repeats a POST for up to seven days

_WIPED_TO = "bodies_wiped_to"
_PURGED_TO = "messages_purged_to"
_PIECES_PURGED_TO = "pieces_purged_to"

# What hangs on the messages of a stretch.
_HANGING = ("purge_meta_ids", "purge_work", "purge_tokens", "purge_keys_of_messages")


class Bounds(Noun, frozen=True, kw_only=True):
    """Before which times bodies, raw webhooks, and messages with their callbacks, have been kept long enough."""

    bodies_ms: int
    webhooks_ms: int
    messages_ms: int
    pieces_ms: int | None = None  # where messages and statuses go by whole pieces: before which time such a piece lies


def purge(session: Session, bounds: Bounds, now_ms: int) -> int:
    """Wipe one step of everything and return how many rows were touched or looked at."""
    return (
        _wipe_bodies(session, bounds.bodies_ms)
        + session.changed("purge_webhooks", before_ms=bounds.webhooks_ms, limit=PURGE_LIMIT)
        + _purge_messages(session, bounds)
        + session.changed("purge_keys", now_ms=now_ms, limit=PURGE_LIMIT)
        + session.changed("purge_parked", before_ms=now_ms - PARKED_MS, limit=PURGE_LIMIT)
        + _purge_callbacks(session, bounds.messages_ms)
        + session.changed("purge_once_keys", before_ms=now_ms - ONCE_MS, limit=PURGE_LIMIT)
    )


def pieces_purged_to(session: Session) -> str:
    """Return the id up to which nothing hangs on messages any more that go by whole pieces."""
    return _mark(session, _PIECES_PURGED_TO)


def _mark(session: Session, name: str) -> str:
    row = session.row("read_mark", name=name)
    return str(row[0]) if row else ""


def _wipe_bodies(session: Session, before_ms: int) -> int:
    """Wipe from where the last call stopped: rows wiped long ago are not walked again."""
    mark = _mark(session, _WIPED_TO)
    old = _oldest(session, mark, before_ms)
    if not old:
        return 0
    session.run("wipe_bodies", mark=mark, last=old[-1])
    session.run("write_mark", name=_WIPED_TO, value=old[-1])
    return len(old)


def _purge_messages(session: Session, bounds: Bounds) -> int:
    """Delete the oldest messages with all that hangs on them, in rounds: what waits is passed over until the next.

    Where they go by whole pieces there is but one round, which takes what hangs on them.
    """
    in_pieces = bounds.pieces_ms is not None
    name = _PIECES_PURGED_TO if in_pieces else _PURGED_TO
    mark = _mark(session, name)
    old = _oldest(session, mark, bounds.messages_ms if bounds.pieces_ms is None else bounds.pieces_ms)
    if old:
        for query in _HANGING if in_pieces else ("purge_statuses", *_HANGING, "purge_messages"):
            session.run(query, mark=mark, last=old[-1])
    last = old[-1] if old else mark if in_pieces else ""
    if last != mark:
        session.run("write_mark", name=name, value=last)
    return len(old)


def _purge_callbacks(session: Session, before_ms: int) -> int:
    """Delete the callbacks that were settled first, with their attempts."""
    session.run("purge_attempts", before_ms=before_ms, limit=PURGE_LIMIT)
    return session.changed("purge_callbacks", before_ms=before_ms, limit=PURGE_LIMIT)


def _oldest(session: Session, mark: str, before_ms: int) -> list[str]:
    """Return the ids after a mark, oldest first, up to the first message that is young."""
    ids: list[str] = []
    for message_id, created_at_ms in session.rows("oldest", mark=mark, limit=PURGE_LIMIT):
        if not isinstance(created_at_ms, int) or created_at_ms >= before_ms:
            break
        ids.append(str(message_id))
    return ids
