"""Makes the attempts of messages that wait: claimed, posted, written down; and tells a request that still listens.

What a crash leaves behind: before the claim's commit a message that waits as before; from then on one in flight, which
becomes `unknown` at the next start, as with a first attempt.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import NamedTuple

import msgspec
import structlog

from waypost.clock import Clock
from waypost.gateway import attempt
from waypost.gateway.attempt import Attempts
from waypost.gateway.backlog import Backlog, Sort
from waypost.gateway.outcomes import Attempted, Outcomes
from waypost.gateway.registry import Registry
from waypost.model import Message, State
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import QueueEntry, Standing, Waiting

log = structlog.get_logger("waypost.queue")

_TROUBLE_S = 1.0
# It was back in the queue already, though its commit was reported as failed; and whoever ended it there has counted it.
_ENDED_WAITING = (State.CANCELLED, State.EXPIRED)


async def _never() -> None:
    await asyncio.Event().wait()


# Waits until whoever sent the request at hand has hung up; set by whoever reads requests.
hung_up: ContextVar[Callable[[], Coroutine[None, None, None]]] = ContextVar("hung_up", default=_never)


class Made(NamedTuple):
    """What became of an attempt: whether it got as far as being posted, and whether its lane waits for it as before."""

    posted: bool
    waits: bool


class _Listener(NamedTuple):
    """A request that waits for the outcome of its message, and until when it does."""

    message: Message
    until_ms: int
    heard: asyncio.Future[Message]


class FurtherAttempts:
    """One for all phones of this process."""

    def __init__(self, store: Store, attempts: Attempts, outcomes: Outcomes, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._attempts = attempts
        self._outcomes = outcomes
        self._registry = registry
        self._clock = clock
        self.backlog = Backlog()
        self.attempted: Counter[str] = Counter()  # attempts so far, by outcome
        self.ended: Counter[str] = Counter()  # messages that ended without another attempt, by state
        self.too_late = asyncio.Event()  # something is in the way of others that has to be ended
        self._listeners: dict[str, _Listener] = {}  # by message id

    @property
    def longest_s(self) -> float:
        """How long an attempt may take."""
        return self._attempts.limits.post_ms / 1000

    async def outcome_of(self, message: Message, within_s: float) -> Message:
        """Wait that long for the outcome of a message that waits; return the row as it is then.

        A message whose attempt has ended while somebody listened gets its outcome in the answer, also if writing it
        down takes a moment longer. If the request hangs up, nobody is there for it: a refusal then is a callback.
        """
        heard: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._listeners[message.id] = _Listener(message, self._clock.now_ms() + int(within_s * 1000), heard)
        timeout = asyncio.ensure_future(self._clock.sleep(within_s))
        gone = asyncio.ensure_future(hung_up.get()())
        try:
            await asyncio.wait((heard, timeout, gone), return_when=asyncio.FIRST_COMPLETED)
            if self._listeners.pop(message.id, None) is not None:
                return message  # not sent yet: answered 0, and from now on a refusal is a callback
            return await heard
        finally:
            timeout.cancel()
            gone.cancel()
            self._listeners.pop(message.id, None)

    def let_go(self, phone_number_id: str, not_before_ms: int | None) -> None:
        """Have those requests answered at once that listen in vain: nothing leaves through the phone before that time.

        None: nobody knows when something will.
        """
        for name, listener in tuple(self._listeners.items()):
            in_vain = not_before_ms is None or listener.until_ms < not_before_ms
            if in_vain and listener.message.phone_number_id == phone_number_id and not listener.heard.done():
                del self._listeners[name]
                listener.heard.set_result(listener.message)

    async def make(self, waiting: Waiting, begun: Callable[[], None]) -> Made:
        """Make one attempt of a message that waits; say when the journal knows that it has begun."""
        tenants = self._registry.tenants
        phone = tenants.phones_by_id.get(waiting.phone_number_id)
        waba = None if phone is None else tenants.waba_of(phone)
        if waba is None:
            return Made(posted=False, waits=True)
        try:
            message = await self._store.begin_attempt(
                waiting.message_id,
                owner=self._attempts.owner,
                lease_until_ms=self._attempts.lease_until_ms(),
                token=self._attempts.token(waiting.message_id, waiting.tries + 1),
            )
        except StoreUnavailable as error:  # it waits as before
            log.warning("queue_delayed", message_id=waiting.message_id, reason=str(error))
            await self._clock.sleep(_TROUBLE_S)
            return Made(posted=False, waits=True)
        begun()
        if message is None:  # it was ended, and whoever did that has counted it; or it still waits behind another one
            return Made(posted=False, waits=False)
        # whatever the phone belonged to when the message came: Meta's answer is about the WABA whose token it sees
        return await self._send(waiting, msgspec.structs.replace(message, waba_id=waba.waba_id), waba.access_token)

    async def _send(self, waiting: Waiting, message: Message, access_token: str) -> Made:
        began_ms = self._clock.now_ms()
        answer = await self._attempts.post(message, access_token)
        self.attempted[attempt.name_of(answer)] += 1
        listener = self._listeners.pop(waiting.message_id, None)
        row = message
        try:
            attempted = Attempted(
                message=message, answer=answer, entry=_entry_of(waiting), answered=listener is None, began_ms=began_ms
            )
            verdict = self._outcomes.verdict(attempted)
            row = await self._outcomes.write_at_last(attempted, verdict)
        finally:
            if listener is not None and not listener.heard.done():
                listener.heard.set_result(row)
        log.info("attempt", message_id=message.id, attempt=message.attempt, state=row.state, **attempt.evidence(answer))
        return Made(posted=True, waits=self._stays(waiting, row, verdict.again))

    def _stays(self, waiting: Waiting, row: Message, again: QueueEntry | None) -> bool:
        """Count where a message is after its attempt; return whether it is in its lane as before."""
        waits = row.state == State.QUEUED
        aside = waits and again is not None and again.aside
        if aside:
            self.backlog.add(Sort.of(waiting, waiting.priority, aside=True))
        if aside or not (waits or row.state in _ENDED_WAITING):
            self.left(waiting)
        return waits and not aside

    def heard(self, message: Message) -> None:
        """Tell a request that still listens what has become of its message."""
        listener = self._listeners.pop(message.id, None)
        if listener is not None and not listener.heard.done():
            listener.heard.set_result(message)

    def left(self, waiting: Waiting) -> None:
        """Count a message that waits no more where it did."""
        self.backlog.leave(Sort.of(waiting, waiting.priority, aside=waiting.standing == Standing.ASIDE))


def _entry_of(waiting: Waiting) -> QueueEntry:
    """Say how a message waits that is being sent, for the case that it has to wait again."""
    return QueueEntry(
        priority=waiting.priority,
        template=waiting.template,
        due_at_ms=waiting.due_at_ms,
        expires_at_ms=waiting.expires_at_ms,
        tries=waiting.tries,
    )
