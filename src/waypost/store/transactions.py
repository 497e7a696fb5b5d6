"""What each write of the journal does, inside a transaction that somebody else commits."""

from waypost.model import RANK_UNKNOWN, CallbackDraft, Message, Outcome, Reuse, State
from waypost.store import exclusion, judging, lanes, sharing
from waypost.store.base import Accepted, TenantRow, WebhookEffect, WebhookReceipt
from waypost.store.base_queue import QueueEntry, as_waiting
from waypost.store.outbox import Outbox
from waypost.store.rows import message_of, values_of
from waypost.store.session import Session
from waypost.store.settling import (
    AUTHENTICATION,
    attach,
    attach_parked,
    bind,
    leave_in_doubt,
    names_of,
    owner_of,
    pair_scope,
    settle_pair,
)


def accept(session: Session, message: Message, entry: QueueEntry | None, behind: QueueEntry | None) -> Accepted:
    """Journal a message and its lease, or its place in the queue; or return the earlier row that holds its key."""
    if behind is not None and entry is None and sharing.lane_stands(session, message, behind):
        message, entry = as_waiting(message), behind
    if (message.state == State.QUEUED) != (entry is not None):
        raise ValueError(f"message {message.id} is {message.state}: an entry in the queue is for one that waits")
    named = [exclusion.key(message.account, message.key)]
    if entry is not None:
        named.append(exclusion.lane(message.phone_number_id, message.recipient, message.appkey))
    session.exclusive(*named)
    values = values_of(message)
    if session.row("take_key", **values) is None:
        row = session.row("holder_of_key", key=message.key, account=message.account)
        if row is None:
            raise LookupError(f"the key of message {message.id} is held by a message that is gone")
        return Accepted(message=message_of(row), is_new=False)
    session.run("insert_message", **values)
    if entry is not None:
        lanes.enter(session, message, entry)
        return Accepted(message=message, is_new=True)
    scope = pair_scope(message.phone_number_id, message.recipient)
    session.run("enter_work", kind="lease", scope=scope, due_ms=message.lease_until_ms, id=message.id)
    return Accepted(message=message, is_new=True)


def record_outcome(session: Session, outbox: Outbox, outcome: Outcome, callback: CallbackDraft | None) -> Message:
    """Write what an attempt came to, enter its callback if that moved the message, and return the row as it is then."""
    named = [exclusion.message(outcome.message_id)]
    if outcome.meta_message_id is not None:
        named.append(exclusion.meta_id(outcome.phone_number_id, outcome.meta_message_id))
    session.exclusive(*named)
    if callback is None:
        return _record_outcome(session, outbox, outcome)
    before = _row(session, outcome.message_id)
    after = _record_outcome(session, outbox, outcome)
    if before.state != outcome.state == after.state:
        outbox.enter(session, (callback,))
    return after


def _record_outcome(session: Session, outbox: Outbox, outcome: Outcome) -> Message:
    row = session.row("write_outcome", **values_of(outcome))
    if row is None:
        return _record_late_outcome(session, outbox, outcome)
    message, in_queue = message_of(row[:-1]), row[-1]
    if outcome.meta_message_id is not None:
        session.run("enter_meta_id", **values_of(outcome))
    reuse = outcome.reuse if message.meta_message_id is None else Reuse.NEVER  # a Meta id proves that it left
    session.run("set_reuse", reuse=reuse, key=outcome.key, account=outcome.account, message_id=message.id)
    session.run("leave_work", id=message.id)
    if in_queue:
        lanes.leave(session, message.id)
    if message.category == AUTHENTICATION:
        session.run("wipe_secret_body", id=message.id)
    if message.state == State.UNKNOWN:
        leave_in_doubt(session, message, outcome.at_ms)
    attached = outcome.meta_message_id is not None and attach_parked(
        session, outbox, message.id, message.phone_number_id, outcome.meta_message_id
    )
    if message.opaque:  # reports may have waited for this message, or for this message to be out of the way
        settle_pair(session, outbox, message.phone_number_id, message.recipient, message.opaque)
    return _row(session, message.id) if attached or message.state == State.UNKNOWN else message


def _record_late_outcome(session: Session, outbox: Outbox, outcome: Outcome) -> Message:
    """An attempt that is not the row's any more can still tell a Meta id, and nothing else."""
    message = _row(session, outcome.message_id)
    if outcome.meta_message_id is None:
        return message
    bind(session, outbox, message.id, message.account, message.phone_number_id, outcome.meta_message_id)
    return _row(session, message.id)


def expire_lease(session: Session, outbox: Outbox, message_id: str, until_ms: int, now_ms: int) -> Message | None:
    """Turn a message whose lease ended by a time into an unknown one, settle it if that is possible, and return it.

    Of several that a report may belong to, the last one decides: only then does none of them count as in flight.
    """
    session.exclusive(exclusion.message(message_id))
    if session.row("lease_has_ended", id=message_id, until_ms=until_ms) is None:
        return None  # its outcome came meanwhile
    session.run("leave_work", id=message_id)
    lanes.leave(session, message_id)
    session.run("advance", id=message_id, state=State.UNKNOWN, rank=RANK_UNKNOWN)
    message = _row(session, message_id)
    if message.state == State.UNKNOWN:
        leave_in_doubt(session, message, now_ms)
    if message.opaque:
        settle_pair(session, outbox, message.phone_number_id, message.recipient, message.opaque)
    return _row(session, message_id)


def record_webhook(session: Session, outbox: Outbox, receipt: WebhookReceipt) -> WebhookEffect:
    """Journal one POST of Meta's, each of its statuses, and the callbacks for what else is in it."""
    session.exclusive(*(name for event in receipt.statuses for name in names_of(event)))
    session.run("insert_webhook", id=receipt.id, received_at_ms=receipt.received_at_ms, body=receipt.raw)
    judging.note_receiving(session, receipt.phones, receipt.received_at_ms)
    counts = {"recorded": 0, "repeated": 0, "parked": 0}
    for event in receipt.statuses:
        message_id = owner_of(session, outbox, event)
        if message_id is not None:
            is_new = attach(session, outbox, message_id, event, receipt.received_at_ms)
            counts["recorded" if is_new else "repeated"] += 1
            continue
        is_new = session.row("park_status", received_at_ms=receipt.received_at_ms, **values_of(event)) is not None
        if is_new and event.opaque:
            settle_pair(session, outbox, event.phone_number_id, event.recipient, event.opaque)
            if owner_of(session, outbox, event) is not None:
                counts["recorded"] += 1
                continue
        counts["parked" if is_new else "repeated"] += 1
    outbox.enter(session, receipt.callbacks)
    return WebhookEffect(**counts)


def save_tenants(session: Session, rows: tuple[TenantRow, ...]) -> None:
    """Insert or replace tenant objects."""
    for row in rows:
        session.run("save_tenant", **values_of(row))
    sharing.tenants_changed(session)


def _row(session: Session, message_id: str) -> Message:
    row = session.row("message", id=message_id)
    if row is None:
        raise LookupError(f"no message {message_id} in the journal")
    return message_of(row)
