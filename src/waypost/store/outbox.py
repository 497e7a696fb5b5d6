"""Callbacks enter the outbox in the transaction of the event behind them (decisions D1, D7 and D8)."""

from collections.abc import Callable

from waypost.clock import Clock
from waypost.model import PREDECESSOR, CallbackDraft, Message, StatusEvent
from waypost.store.rows import values_of
from waypost.store.session import Session

Draft = Callable[[Message, StatusEvent], CallbackDraft | None]

AFTER_OUTCOME_MS = 500  # decision D8: the answer to the request should be there before the first callback
HOLD_MS = 2_000  # decision D7: how long a status waits for the one that Meta normally reports before it

_FOLLOWER = {before: status for status, before in PREDECESSOR.items()}


class Outbox:
    """Decides which callback a recorded status leads to, and when it is due.

    `draft` is called inside the writer's transaction, with the message as it is once the status has moved it. It must
    be pure, quick and never raise: an error of its own fails the operation that records the status, and undoes it.
    """

    def __init__(self, clock: Clock, draft: Draft | None) -> None:
        self._clock = clock
        self._draft = draft

    def status_recorded(self, session: Session, message: Message, event: StatusEvent) -> None:
        """Enter the callback of a status that has just been recorded, and release the one that waited for it."""
        if self._draft is None:
            return
        now_ms = self._clock.now_ms()
        outcome_at_ms = now_ms if message.outcome_at_ms is None else message.outcome_at_ms
        # bounded, for a clock that jumped back since then must not hold the callback until it is there again
        earliest_ms = min(max(now_ms, outcome_at_ms + AFTER_OUTCOME_MS), now_ms + 2 * AFTER_OUTCOME_MS)
        draft = self._draft(message, event)
        if draft is not None:
            held = _lacks_predecessor(session, message.id, event.status)
            self._enter(session, draft, max(earliest_ms, now_ms + HOLD_MS) if held else earliest_ms)
        follower = _FOLLOWER.get(event.status)
        if follower is not None:
            _release_held(session, message.id, follower, earliest_ms)

    def enter(self, session: Session, drafts: tuple[CallbackDraft, ...]) -> None:
        """Enter callbacks that are due at once, except those whose `once` has been seen."""
        for draft in drafts:
            self._enter(session, draft, self._clock.now_ms())

    def _enter(self, session: Session, draft: CallbackDraft, due_ms: int) -> None:
        now_ms = self._clock.now_ms()
        if draft.once is not None and session.row("take_once_key", once=draft.once, now_ms=now_ms) is None:
            return
        callback_id = self._clock.uuid7_hex()
        session.run("insert_callback", id=callback_id, now_ms=now_ms, **values_of(draft))
        session.run("enter_work", kind="callback", scope=draft.endpoint, due_ms=due_ms, id=callback_id)
        session.entered(draft.endpoint)


def _release_held(session: Session, message_id: str, status: str, due_ms: int) -> None:
    """Make held callbacks of a status due: found by their message and then by their ids, however many others wait."""
    for callback_id, created_at_ms in session.rows("waiting_callbacks", message_id=message_id, status=status):
        if isinstance(created_at_ms, int):
            held_until_ms = created_at_ms + HOLD_MS
            session.run("release_held", id=str(callback_id), due_ms=due_ms, held_until_ms=held_until_ms)


def _lacks_predecessor(session: Session, message_id: str, status: str) -> bool:
    before = PREDECESSOR.get(status)
    return before is not None and session.row("status_recorded", message_id=message_id, status=before) is None
