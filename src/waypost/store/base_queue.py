"""The contract of the queue: messages that wait for their turn, and what every store does with them (decision D3)."""

from enum import IntEnum
from typing import Literal, Protocol

import msgspec

from waypost.model import RANK_QUEUED, CallbackDraft, Message, Noun, State

PRIORITY_PROMPT = 0  # authentication templates and replies in free form: somebody is waiting for them
PRIORITY_ORDINARY = 1  # everything else


class Standing(IntEnum):
    """Where a row stands in its lane: what has one phone, recipient, application and priority goes one by one."""

    READY = 0  # in front: goes when it is due
    BEHIND = 1  # an earlier one of its lane is here
    IN_FLIGHT = 2  # in front, and being sent
    ASIDE = 3  # comes back at its time: what it waits for is not the lane's trouble, so the lane goes on


class QueueEntry(Noun, frozen=True, kw_only=True):
    """How a message is to wait. Times are epoch milliseconds."""

    priority: int
    template: str | None  # its name
    due_at_ms: int
    expires_at_ms: int | None  # from then on it is too late to send it; None: never
    tries: int = 0
    reason: str | None = None  # why it waits, in a few words: rows are counted by it
    aside: bool = False  # whether later ones of its lane go first until it is due


def as_waiting(message: Message) -> Message:
    """Return a message that was to be sent at once as one that waits."""
    return msgspec.structs.replace(message, state=State.QUEUED, rank=RANK_QUEUED, attempt=0, lease_until_ms=0)


class Waiting(Noun, frozen=True, kw_only=True):
    """A row of the queue; `since_ms` is the creation of its message."""

    message_id: str
    phone_number_id: str
    waba_id: str
    account: str
    appkey: str
    recipient: str
    priority: int
    template: str | None
    since_ms: int
    due_at_ms: int
    expires_at_ms: int | None
    tries: int
    reason: str | None
    standing: Standing


class WaitingPage(Noun, frozen=True, kw_only=True):
    """One page of what waits, oldest first, and the cursor of the next one (None at the end)."""

    rows: tuple[Waiting, ...]
    next_cursor: str | None


class QueueFilter(Noun, frozen=True, kw_only=True):
    """Which of the messages that wait are meant; every member that is given must fit."""

    phone_number_id: str | None = None
    appkey: str | None = None
    account: str | None = None
    template: str | None = None

    def fits(self, row: Waiting) -> bool:
        """Tell whether a row is meant."""
        return all(value is None or getattr(row, name) == value for name, value in msgspec.structs.asdict(self).items())


class DuePhone(Noun, frozen=True, kw_only=True):
    """A phone with rows that are ready, and when the first of them is due."""

    phone_number_id: str
    due_at_ms: int


class QueueDepth(Noun, frozen=True, kw_only=True):
    """How many messages of one sort wait, and since when the oldest of them does."""

    phone_number_id: str
    account: str
    appkey: str
    priority: int
    reason: str | None
    count: int
    oldest_since_ms: int
    aside: bool = False


class Ending(Noun, frozen=True, kw_only=True):
    """That a message is not to be sent any more, and the callback that tells it, if anybody wants to know."""

    message_id: str
    state: Literal[State.CANCELLED, State.EXPIRED, State.FAILED]
    callback: CallbackDraft | None = None


PauseKind = Literal["phone", "application", "waba"]
# By an operator; by the gateway until the tenants change, such as a token that Meta refuses; or because Meta restricted
# somebody, which only a person lifts.
PausedBy = Literal["operator", "gateway", "meta"]


class Pause(Noun, frozen=True, kw_only=True):
    """That nothing leaves through a phone (by its id), for an application (by appkey) or for a WABA (by its id)."""

    kind: PauseKind
    key: str
    reason: str
    since_ms: int
    until_ms: int | None  # None: until it is lifted
    by: PausedBy


class QueueStore(Protocol):
    """The part of the journal's contract that is about the queue; see `waypost.store.base.Store`.

    A message has a row in the queue from `accept` with an entry, or `requeue`, until something is known about it:
    an outcome, the end of its lease, a status of Meta's, or `end_queued`. When a row goes, the next of its lane becomes
    ready in the same transaction. Within a lane the order is that of the message ids, so that of creation. What has
    a row is not erased: its body is wiped when the row goes if its time was up before, and the message is purged after
    that.
    """

    async def queue_heads(self, phone_number_id: str, *, now_ms: int, per_application: int) -> tuple[Waiting, ...]:
        """Return ready rows of a phone that are due: the first few of each priority and application.

        Ordered by priority, due time, message id. The cost grows with the applications, not with what waits.
        """

    async def queue_phones(self) -> tuple[DuePhone, ...]:
        """Return every phone with rows that are ready; the cost grows with phones and applications, not with rows."""

    async def next_queued(self, phone_number_id: str) -> int | None:
        """Return when the first ready row of a phone is due, or None if none is ready."""

    async def lanes_stand(self, phone_number_id: str) -> bool:
        """Return whether anything of a phone waits in a lane, ready, behind or in flight; what waits aside does not."""

    async def begin_attempt(self, message_id: str, *, owner: str, lease_until_ms: int, token: str) -> Message | None:
        """Take a ready row in front of its lane for an attempt, and return the message to be posted.

        One transaction: the message is `sending` under a new lease, its attempt is counted, and where it carries a
        token of ours the new one takes the place of the old one in row and body. None where the message doesn't wait
        any more, is being sent, or has come to stand behind an earlier one.
        """

    async def defer_queued(self, message_id: str, *, due_at_ms: int, reason: str | None) -> bool:
        """Say when a ready row is due and why it waits, and whether there was one; its lane waits behind it."""

    async def requeue(
        self, message_id: str, attempt: int, entry: QueueEntry, *, answer_code: int = 0, now_ms: int
    ) -> Message:
        """Let a message wait (again) whose attempt certainly sent nothing; return the row as it is then.

        Also one that was sent without waiting: it is older than what has come to wait in its lane meanwhile, which
        steps behind it, unless that is being sent. One that waits aside lets its lane go on, until `bring_back`.
        A row that is there keeps its priority, template and `since_ms`.
        The lease goes, `answer_code` and the time of the outcome are kept. If the message is not `sending` this attempt
        any more (a status came meanwhile, its lease ended) nothing changes. Raises `LookupError` if there is none.
        """

    async def bring_back(self, now_ms: int, limit: int) -> tuple[Waiting, ...]:
        """Put rows that waited aside, and whose time has come, into their lanes again; return them as they were."""

    async def resend(self, message_id: str, attempt: int, entry: QueueEntry, *, now_ms: int) -> Message | None:
        """Let an unknown message wait to be sent once more, whose last attempt was `attempt`; return it as it is then.

        Returns None, and changes nothing, where it is not unknown any more, that was not its last attempt, its body is
        wiped, or it was resent before: nothing is sent more than twice. Late reports of the earlier attempt still find
        it, and take it out of the queue.
        """

    async def own_queue(self, phone_number_id: str, owner: str, *, now_ms: int, until_ms: int) -> bool:
        """Take the queue of a phone for a process until a time, or keep it, and tell whether it has it now.

        So one process sends what waits for a phone, and another takes over when it is gone. `until_ms` in the past
        gives it up.
        """

    async def end_queued(
        self, endings: tuple[Ending, ...], *, now_ms: int, audit_id: str | None = None
    ) -> tuple[Message, ...]:
        """End messages that wait, and enter their callbacks, in one transaction; return them as they are then.

        One that is being sent, or doesn't wait any more, is left as it is, without a callback. Their keys stay taken,
        and a later status of Meta's (of an earlier attempt) overrides. With an audit entry, they are counted there.
        """

    async def queued_messages(self, message_ids: tuple[str, ...]) -> tuple[Message, ...]:
        """Return those of these messages, by our own ids, that wait and are not being sent."""

    async def waiting(self, wanted: QueueFilter, *, limit: int, cursor: str | None) -> WaitingPage:
        """Return rows that fit and are not in flight, oldest first."""

    async def count_waiting(self, wanted: QueueFilter) -> int:
        """Return how many rows fit and are not in flight: the preview of a cancellation."""

    async def expired_waiting(self, now_ms: int, limit: int) -> tuple[Waiting, ...]:
        """Return rows that it is too late to send and that are not in flight, longest overdue first."""

    async def queue_depths(self) -> tuple[QueueDepth, ...]:
        """Count what waits and is not in flight, by phone, account, application, priority, reason and aside or not.

        It walks the queue, some thousand rows at a time: what moves meanwhile may be counted as it was, or as it is.
        """

    async def lease_slots(self, phone_number_id: str, *, interval_us: int, count: int, now_us: int) -> int:
        """Give out the next free slots of a phone, one every `interval_us`; return when the first is, in microseconds.

        No slot is given out twice, whoever asks. Raises `ValueError` for less than one slot or microsecond.
        """

    async def pauses(self) -> tuple[Pause, ...]:
        """Return every pause, also those whose `until_ms` has passed, by kind and key."""

    async def save_pause(self, pause: Pause) -> None:
        """Pause something, or change its pause; the gateway's word does not replace an operator's while that holds."""

    async def lift_pause(self, kind: PauseKind, key: str, *, by: PausedBy | None = None) -> bool:
        """Lift a pause, with `by` only one that was set by that side; return whether there was one."""
