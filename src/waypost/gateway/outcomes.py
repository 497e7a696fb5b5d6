"""Writes down what an attempt came to: done, wait and try again, or failed; and learns from it for those that follow.

What a crash leaves behind: until the commit here a message in `sending`, which becomes `unknown` at the next start.
"""

from typing import NamedTuple

import msgspec
import structlog

from waypost.clock import Clock
from waypost.gateway import attempt
from waypost.gateway.brakes import Hold
from waypost.gateway.outbox import Outbox
from waypost.gateway.pace_keeper import PaceKeeper
from waypost.gateway.pauses import Pauses
from waypost.gateway.retry_policy import THROTTLED, Decision, WiderHold, decide
from waypost.meta.answer import AcceptedByMeta, MetaAnswer, NeverLeft, RefusedByMeta, Uncertain
from waypost.model import CallbackDraft, Message, Noun
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import PausedBy, QueueEntry

log = structlog.get_logger("waypost.outcomes")

EXHAUSTED_TITLE = "retries exhausted"
UNREACHABLE = "Meta does not answer"
PAIR_THROTTLED = 131_056
_TROUBLE_S = 1.0


class Attempted(Noun, frozen=True, kw_only=True):
    """An attempt with its answer: how the message would wait for another, and whether its customer has an answer."""

    message: Message
    answer: MetaAnswer
    entry: QueueEntry
    answered: bool
    began_ms: int


class Verdict(NamedTuple):
    """What follows from an attempt: the message waits `again`, or this was its last; and by which rule."""

    again: QueueEntry | None
    decision: Decision | None


class Outcomes:
    """Where inline sending and the queue agree on what an answer of Meta's means."""

    def __init__(self, store: Store, outbox: Outbox, pauses: Pauses, pace: PaceKeeper, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._pauses = pauses
        self._pace = pace
        self._clock = clock

    def verdict(self, attempted: Attempted) -> Verdict:
        """Let pace and breaker learn from Meta's answer, and say what follows for the message."""
        message, answer, entry = attempted.message, attempted.answer, attempted.entry
        self._learn(message, answer)
        match answer:
            case AcceptedByMeta() | Uncertain():
                return Verdict(None, None)
            case NeverLeft():
                return Verdict(_again(entry, entry.due_at_ms, UNREACHABLE, entry.tries), None)
            case RefusedByMeta():
                error, tries, now = answer.meta_error, entry.tries + 1, self._clock.now_ms()
                waited_ms = now - message.created_at_ms
                decision = decide(
                    error,
                    tries=tries,
                    waited_ms=waited_ms,
                    chance=self._clock.chance(),
                    regain_s=answer.regain_s,
                )
                if decision.fate == "fail":
                    return Verdict(None, decision)
                wait_ms = decision.wait_ms
                if error.code == PAIR_THROTTLED:
                    wait_ms = self._pace.pair_throttled(message)
                due_ms = entry.due_at_ms if decision.keeps_place else now + wait_ms
                again = _again(entry, due_ms, f"{error.code}: {error.title}", tries, aside=decision.aside)
                return Verdict(again, decision)

    async def write(self, attempted: Attempted, verdict: Verdict) -> Message:
        """Journal what an attempt came to and return the row as it is then; raises `StoreUnavailable`."""
        message, answer, now = attempted.message, attempted.answer, self._clock.now_ms()
        decision = verdict.decision
        if decision is not None and decision.hold is not None:
            await self._hold(attempted, decision.hold, now)
        if verdict.again is not None:
            return await self._store.requeue(message.id, message.attempt, verdict.again, now_ms=now)
        exhausted = decision is not None and decision.code is not None
        if not attempted.answered and not exhausted:
            return await self._store.record_outcome(attempt.outcome_of(message, answer, now))
        callback = None
        if isinstance(answer, RefusedByMeta):
            callback = self._failure(message, answer, decision.code if decision is not None else None, now)
        return await self._store.record_outcome(attempt.late_outcome_of(message, answer, now), callback)

    async def write_at_last(self, attempted: Attempted, verdict: Verdict) -> Message:
        """Do so however long the journal is away: only this process knows of it."""
        while True:
            try:
                return await self.write(attempted, verdict)
            except StoreUnavailable as error:
                log.warning("outcome_delayed", message_id=attempted.message.id, reason=str(error))
                await self._clock.sleep(_TROUBLE_S)

    def _learn(self, message: Message, answer: MetaAnswer) -> None:
        breaker = self._pauses.brakes.breaker(message.waba_id)
        closed = False
        match answer:
            case AcceptedByMeta():
                self._pace.accepted(message)
                closed = breaker.answered()
            case RefusedByMeta():
                closed = breaker.answered()
                if answer.meta_error.code == THROTTLED:
                    per_s = self._pace.number_throttled(message.phone_number_id)
                    if per_s is not None:
                        log.warning("number_slowed", phone_number_id=message.phone_number_id, per_s=round(per_s, 2))
            case NeverLeft() | Uncertain():
                if isinstance(answer, NeverLeft):
                    self._pace.returned(message)
                lack = isinstance(answer, NeverLeft) and answer.ours
                if not lack and breaker.failed(self._clock.now_ms()):
                    log.error("meta_silent", waba_id=message.waba_id, reason=answer.reason, advice="messages wait")
        if closed:
            log.info("meta_answers", waba_id=message.waba_id)

    async def _hold(self, attempted: Attempted, hold: WiderHold, now: int) -> None:
        if hold.kind == "pair":
            return  # the pair's own pace knows
        message = attempted.message
        keys = {"phone": message.phone_number_id, "waba": message.waba_id}
        key = keys.get(hold.kind) or self._pauses.app_of(message.waba_id)
        until_ms = None if hold.wait_ms is None else now + hold.wait_ms
        words = Hold(reason=hold.reason, until_ms=until_ms)
        by: PausedBy = "meta" if hold.restricted else "gateway"
        await self._pauses.hold(hold.kind, key, words, began_ms=attempted.began_ms, by=by)

    def _failure(self, message: Message, refusal: RefusedByMeta, code: int | None, now: int) -> CallbackDraft | None:
        if code is None:
            return self._outbox.draft_refusal(message, refusal, at_ms=now)
        meta_code = refusal.meta_error.code
        return self._outbox.draft_failure(
            message, code, EXHAUSTED_TITLE, at_ms=now, meta_code=meta_code, details=refusal.details
        )


def _again(entry: QueueEntry, due_ms: int, reason: str, tries: int, *, aside: bool = False) -> QueueEntry:
    return msgspec.structs.replace(entry, due_at_ms=due_ms, reason=reason, tries=tries, aside=aside)
