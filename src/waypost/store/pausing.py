"""Slots of a phone, given out in turn, and what stands still by somebody's word (decision D3)."""

import msgspec

from waypost.store.base_queue import Pause, PausedBy, PauseKind
from waypost.store.rows import values_of
from waypost.store.session import Row, Session

# Whoever sends takes slots for a fraction of a second, so not even many processes are a minute ahead together.
AHEAD_US = 60_000_000


def lease_slots(session: Session, phone_number_id: str, interval_us: int, count: int, now_us: int) -> int:
    """Give out the next free slots of a phone, and return when the first is."""
    if count < 1 or interval_us < 1:
        raise ValueError("a lease takes at least one slot, and a slot at least one microsecond")
    taken_us = count * interval_us
    row = session.row(
        "lease_slots", phone_number_id=phone_number_id, now_us=now_us, taken_us=taken_us, ahead_us=AHEAD_US
    )
    if row is None:
        raise LookupError(f"no pace of phone {phone_number_id}")
    return msgspec.convert(row[0], int) - taken_us


def pause_of(row: Row) -> Pause:
    """Build a pause from the columns of `pauses`."""
    return msgspec.convert(dict(zip(Pause.__struct_fields__, row, strict=True)), Pause)


def pauses(session: Session) -> tuple[Pause, ...]:
    """Return every pause, by kind and key."""
    return tuple(map(pause_of, session.rows("pauses")))


def save(session: Session, pause: Pause) -> None:
    """Pause something, or change its pause, unless an operator's word holds."""
    session.run("save_pause", **values_of(pause))


def lift(session: Session, kind: PauseKind, key: str, by: PausedBy | None) -> bool:
    """Lift a pause, and tell whether there was one."""
    return session.row("lift_pause", kind=kind, key=key, by=by) is not None
