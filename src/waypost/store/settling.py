"""Which message a status belongs to, and what it does to that message (decisions D6 and D7)."""

import re

import msgspec

from waypost.clock import MESSAGE_ID_PREFIX
from waypost.model import RANK_ACCEPTED, STATUS_RANK, Message, Reuse, State, StatusEvent
from waypost.store import exclusion, lanes
from waypost.store.outbox import Outbox
from waypost.store.rows import message_of, parked_of, values_of
from waypost.store.session import Session

# `wp1.<hex of the message id>.<attempt>.<random hex>`: what the gateway puts in place of missing opaque data.
_TOKEN = re.compile(r"wp1\.([0-9a-f]{32})\.\d{1,9}\.[0-9a-f]{32}")

AUTHENTICATION = "authentication"  # the category of templates that carry one-time passwords
EARLIER = "earlier"  # a kind of work
CLOCK_TOLERANCE_MS = 1_000  # Meta's clock may be this much behind ours


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A message that a report may belong to: in flight (`lease`), unknown (`unsettled`), given up by us (`judged`), or
    sent a second time (`earlier`: its first attempt may still be reported on).
    """

    message_id: str
    kind: str
    created_at_ms: int
    account: str


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A Meta id that has no message yet, and the earliest time that Meta gave for it."""

    meta_message_id: str
    first_ms: int


def pair_scope(phone_number_id: str, recipient: str) -> str:
    """Name the scope of `work` that holds what is in flight or unknown from one phone to one recipient.

    Narrower than the phone, so that a status is matched against a handful of messages even while Meta is down and
    thousands are unknown.
    """
    return f"{phone_number_id}/{recipient}"


def scopes_of_phone(phone_number_id: str) -> tuple[str, str]:
    """Return the bounds (first inclusive, second exclusive) of all `pair_scope`s of a phone."""
    return f"{phone_number_id}/", f"{phone_number_id}0"  # "0" follows "/"


def names_of(event: StatusEvent) -> list[str]:
    """Name what a status is about (see `Session.exclusive`), as far as it says so itself."""
    names = [exclusion.meta_id(event.phone_number_id, event.meta_message_id)]
    if token := _TOKEN.fullmatch(event.opaque or ""):
        names.append(exclusion.message(MESSAGE_ID_PREFIX + token[1]))
    elif event.opaque:
        names.append(exclusion.pair(event.phone_number_id, event.recipient))
    return names


def owner_of(session: Session, outbox: Outbox, event: StatusEvent) -> str | None:
    """Find the message of a status by its Meta id, else by our token; a token also binds the Meta id."""
    row = session.row("owner_of_meta_id", meta_message_id=event.meta_message_id, phone_number_id=event.phone_number_id)
    if row is not None:
        return str(row[0])
    token = _TOKEN.fullmatch(event.opaque or "")
    if token is None:
        return None
    row = session.row(
        "owner_of_token",
        id=MESSAGE_ID_PREFIX + token[1],
        token=event.opaque,
        phone_number_id=event.phone_number_id,
    )
    if row is None:
        return None
    message_id, account = str(row[0]), str(row[1])
    bind(session, outbox, message_id, account, event.phone_number_id, event.meta_message_id)
    return message_id


def settle_pair(session: Session, outbox: Outbox, phone_number_id: str, recipient: str, opaque: str) -> None:
    """Bind parked reports of a pair to unknown messages with this opaque data, as long as exactly one fits."""
    session.exclusive(exclusion.pair(phone_number_id, recipient))
    alone_with: tuple[Candidate, Report] | None = None
    while (match := _match(session, phone_number_id, recipient, opaque)) is not None:
        candidate, report = match
        if match != alone_with:  # looked up once more, now that nobody else can work on either
            session.exclusive(
                exclusion.meta_id(phone_number_id, report.meta_message_id), exclusion.message(candidate.message_id)
            )
            alone_with = match
            continue
        if candidate.kind == EARLIER:
            session.run("leave_earlier", id=candidate.message_id)
        bind(session, outbox, candidate.message_id, candidate.account, phone_number_id, report.meta_message_id)


def _match(session: Session, phone_number_id: str, recipient: str, opaque: str) -> tuple[Candidate, Report] | None:
    reports = session.rows("settling_reports", phone_number_id=phone_number_id, recipient=recipient, opaque=opaque)
    if not reports:
        return None
    scope = pair_scope(phone_number_id, recipient)
    candidates = session.rows("settling_candidates", scope=scope, opaque=opaque)
    return only_match(_each_once(msgspec.convert(candidates, list[Candidate])), msgspec.convert(reports, list[Report]))


def _each_once(candidates: list[Candidate]) -> list[Candidate]:
    """Leave one entry of each message; that of its newest attempt, for it says whether the message is in flight."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.kind != EARLIER or candidate.message_id not in found:
            found[candidate.message_id] = candidate
    return list(found.values())


def only_match(candidates: list[Candidate], reports: list[Report]) -> tuple[Candidate, Report] | None:
    """Return the message and the Meta id that can only belong to each other, or None where that would be a guess.

    A message fits a report if it was created no later (Meta gives whole seconds). Two messages that fit one report,
    or two reports that fit one message alone, are left undecided; so is a message that is still in flight, because
    its own answer will say.
    """
    sole: list[tuple[Candidate, Report]] = []
    for report in reports:
        created_before_ms = report.first_ms // 1000 * 1000 + 1000 + CLOCK_TOLERANCE_MS
        fitting = [candidate for candidate in candidates if candidate.created_at_ms < created_before_ms]
        if len(fitting) == 1:
            sole.append((fitting[0], report))
    if len(sole) != 1 or sole[0][0].kind == "lease":
        return None
    return sole[0]


def bind(
    session: Session, outbox: Outbox, message_id: str, account: str, phone_number_id: str, meta_message_id: str
) -> None:
    """Enter a Meta id for a message, and attach what was parked under it."""
    session.exclusive(exclusion.message(message_id))
    session.run(
        "enter_meta_id",
        meta_message_id=meta_message_id,
        phone_number_id=phone_number_id,
        account=account,
        message_id=message_id,
    )
    session.run("keep_meta_id", meta_message_id=meta_message_id, message_id=message_id)
    attach_parked(session, outbox, message_id, phone_number_id, meta_message_id)


def attach_parked(
    session: Session, outbox: Outbox, message_id: str, phone_number_id: str, meta_message_id: str
) -> bool:
    """Move the statuses parked under a Meta id to its message, in Meta's order; tell whether there were any."""
    rows = session.rows("fetch_parked", phone_number_id=phone_number_id, meta_message_id=meta_message_id)
    for event, received_at_ms in sorted(map(parked_of, rows), key=_in_order):
        attach(session, outbox, message_id, event, received_at_ms)
    return bool(rows)


def _in_order(parked: tuple[StatusEvent, int]) -> tuple[int, int, int]:
    """Order statuses by Meta's time, within its whole seconds by how far they have come."""
    event, received_at_ms = parked
    return event.timestamp_ms, _reached_by(event.status)[1], received_at_ms


def _reached_by(status: str) -> tuple[State, int]:
    """Return how far a status moves its message: any proves that Meta took it."""
    return STATUS_RANK.get(status, (State.ACCEPTED, RANK_ACCEPTED))


def attach(session: Session, outbox: Outbox, message_id: str, event: StatusEvent, received_at_ms: int) -> bool:
    """Record a status with its message and move the headline; return False where it had been recorded before.

    Any status proves that Meta took the message: it ends doubt, keeps the key from being used again, and lifts the
    message to `accepted` at least. How far it moves beyond that is the lattice's business.
    """
    session.exclusive(exclusion.message(message_id))
    values = values_of(event)
    if session.row("insert_status", message_id=message_id, received_at_ms=received_at_ms, **values) is None:
        return False
    state, rank = _reached_by(event.status)
    row = session.row("advance", id=message_id, state=state, rank=rank)
    session.note("note_reported", phone_number_id=event.phone_number_id, message_id=message_id)
    session.run("leave_work", id=message_id)
    if row is not None:
        message, in_queue = message_of(row[:-1]), row[-1]
        if in_queue:
            lanes.leave(session, message.id)
        session.run("set_reuse", reuse=Reuse.NEVER, key=message.key, account=message.account, message_id=message_id)
        if message.category == AUTHENTICATION:
            session.run("wipe_secret_body", id=message_id)
        outbox.status_recorded(session, message, event)
    return True


def leave_in_doubt(session: Session, message: Message, since_ms: int) -> None:
    """Note that nobody knows what became of a message, until a status or a policy says."""
    scope = pair_scope(message.phone_number_id, message.recipient)
    session.run("enter_work", kind="unsettled", scope=scope, due_ms=since_ms, id=message.id)
