"""Submits one message: write down, call Meta, write down, answer; whatever is not certain is called unknown.

What a crash leaves behind, step by step (decisions D2, D5, D6):

* before the accept commit: nothing; the customer has no answer and sends again.
* between accept commit and POST, or before Meta's answer was read: a row in `sending`; at the next start it becomes
  `unknown`, is never sent again by itself, and a status of Meta's settles it.
* between Meta's answer and the outcome commit: the same.
* after the outcome commit, before the answer: the customer repeats and gets the first answer.
"""

import asyncio
from collections import Counter

import msgspec

from waypost.clock import Clock
from waypost.gateway import attempt, repeats, routing
from waypost.gateway.attempt import Attempts
from waypost.gateway.auth import Caller
from waypost.gateway.gate import Gate
from waypost.gateway.outcomes import Attempted, Outcomes, Verdict
from waypost.gateway.tenants import Tenants
from waypost.meta import graph
from waypost.model import RANK_SENDING, Message, State
from waypost.protocol.errors import Failure, SystemBusy
from waypost.protocol.messages import MtRequest, fingerprint
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import QueueEntry, as_waiting
from waypost.telemetry import WideLine

_POLL_S = 0.05  # how often a message that another process is sending is looked at
_FIRST_ATTEMPT = 1


class Sender:
    """Sends messages, each at most once, and answers repeats with the first answer."""

    def __init__(self, store: Store, attempts: Attempts, outcomes: Outcomes, gate: Gate, clock: Clock) -> None:
        self._store = store
        self._attempts = attempts
        self._outcomes = outcomes
        self._gate = gate
        self._clock = clock
        self._in_flight: dict[tuple[str, str], asyncio.Future[Message]] = {}  # by account and key
        self._of_account: Counter[str] = Counter()  # the same

    @property
    def in_flight(self) -> int:
        """How many requests are between their check and their answer."""
        return len(self._in_flight)

    def _has_share(self, account: str) -> bool:
        """Tell whether a request may take its time: an account leaves as many places as it takes (decision D5).

        Beyond that its messages wait in the queue, and their requests do not: however slow Meta is with the numbers of
        one account, another's are taken.
        """
        free = self._attempts.limits.in_flight - self.in_flight
        return self._of_account[account] <= max(1, free)

    async def submit(self, tenants: Tenants, caller: Caller, request: MtRequest, line: WideLine) -> str:
        """Send one authenticated, decoded request and return the message id that the customer sees.

        Requests with the same key go one after the other, and who waited gets the first answer. Raises the `Failure`
        to answer.
        """
        name = caller.account.name, repeats.key_of(request.cus_message_id, caller.sign)
        while (twin := self._in_flight.get(name)) is not None:
            await asyncio.wait((twin,))
            if not twin.cancelled():
                line.note(repeat=True, message_id=twin.result().id)
                repeats.check_same(twin.result(), request)
                return repeats.answer_of(twin.result())
        done = asyncio.get_running_loop().create_future()
        self._in_flight[name] = done  # before the first await, so that no repeat can miss it
        self._of_account[name[0]] += 1
        try:
            row = await self._submit(tenants, caller, request, line)
            done.set_result(row)
            return repeats.answer_of(row)
        finally:
            del self._in_flight[name]
            self._of_account[name[0]] -= 1
            done.cancel()  # nothing was journalled: who waited tries for himself

    async def _submit(self, tenants: Tenants, caller: Caller, request: MtRequest, line: WideLine) -> Message:
        """Return the row of the message, sent now or earlier.

        No refusal is raised before the request was looked up among earlier ones, because a repeat gets the first
        answer, whatever has changed meanwhile (decision D5).
        """
        try:
            if self.in_flight > self._attempts.limits.in_flight:
                raise SystemBusy("too many messages under way; try again in a moment")
            self._gate.admit(caller.account)
            route = routing.choose(tenants, caller.account, request)
            self._gate.check(caller.account, request, route)
        except Failure as refusal:
            earlier = await self._held(caller.account.name, repeats.key_of(request.cus_message_id, caller.sign))
            if earlier is None or repeats.may_try_again(earlier, caller.sign):
                raise
            line.note(repeat=True, refusal_overruled=refusal.code)
            return await self._earlier(earlier, request)
        message = await self._prepare(caller, request, route, line)
        return await self._send_once(message, request, route, line)

    async def _held(self, account: str, key: str) -> Message | None:
        try:
            return await self._store.find_by_key(account, key, self._clock.now_ms())
        except StoreUnavailable as error:
            raise SystemBusy(f"journal unavailable: {error}") from None

    async def _prepare(self, caller: Caller, request: MtRequest, route: routing.Route, line: WideLine) -> Message:
        """Build the row to be journalled, Meta's body included."""
        message_id = self._clock.message_id()
        context = await self._meta_id_of_context(caller, request, route)
        opaque = request.biz_opaque_callback_data
        token = None if opaque else self._attempts.token(message_id, _FIRST_ATTEMPT)
        now = self._clock.now_ms()
        line.note(message_id=message_id, category=route.category)
        return Message(
            id=message_id,
            account=caller.account.name,
            appkey=request.appkey,
            access_key=caller.pair.access_key,
            business_phone=request.business_phone,
            phone_number_id=route.phone.phone_number_id,
            waba_id=route.waba.waba_id,
            recipient=request.to,
            type=request.type,
            category=route.category,
            endpoint=graph.endpoint(request),
            body=graph.send_body(request, context_meta_id=context, opaque=opaque or token),
            trace_id=line.trace_id,
            key=repeats.key_of(request.cus_message_id, caller.sign),
            key_expires_ms=now + repeats.keep_ms(request.cus_message_id),
            sign=caller.sign,
            fingerprint=fingerprint(request),
            state=State.SENDING,
            rank=RANK_SENDING,
            attempt=_FIRST_ATTEMPT,
            owner=self._attempts.owner,
            lease_until_ms=self._attempts.lease_until_ms(),
            created_at_ms=now,
            cus_message_id=request.cus_message_id,
            dr_webhook=request.dr_webhook,
            opaque=opaque,
            token=token,
            price=route.price,
            currency=route.application.currency if route.price is not None else None,
        )

    async def _meta_id_of_context(self, caller: Caller, request: MtRequest, route: routing.Route) -> str | None:
        """Translate the id that is replied to into Meta's; one that nobody knows is forwarded as it is (D4)."""
        if request.context is None:
            return None
        given = request.context.message_id
        try:
            known = await self._store.resolve_meta_id(caller.account.name, route.phone.phone_number_id, given)
        except StoreUnavailable as error:
            raise SystemBusy(f"journal unavailable: {error}") from None
        return known or given

    async def _send_once(self, message: Message, request: MtRequest, route: routing.Route, line: WideLine) -> Message:
        """Send a message now, or let it wait its turn where something is before it or against it (decision D3)."""
        entry = self._gate.entry_of(message, request, route.application)
        if not (self._has_share(message.account) and self._gate.is_open(request, route)):
            return await self._let_wait(message, entry, request, line)
        async with self._gate.passage(message) as passage:
            row, is_new = await self._accept(message, None, line, behind=self._gate.behind(entry))
            if not is_new:
                return await self._earlier(row, request)
            if row.state == State.QUEUED:
                self._gate.ring(row)
                return row
            passage.posted, began_ms = True, self._clock.now_ms()
            answer = await self._attempts.post(message, route.waba.access_token)
        line.lap("meta_ms")
        attempted = Attempted(message=message, answer=answer, entry=entry, answered=False, began_ms=began_ms)
        row = await self._record(attempted, line)
        line.lap("outcome_ms")
        return row

    async def _let_wait(self, message: Message, entry: QueueEntry, request: MtRequest, line: WideLine) -> Message:
        """Journal a message that waits, and return its outcome if that comes in time, else the row as it is."""
        waiting = as_waiting(message)
        line.note(queued=True)
        with self._gate.entering(waiting, entry) as entered:
            row, is_new = await self._accept(waiting, entry, line)
            entered.stays = is_new
            if not is_new:
                return await self._earlier(row, request)
        if not self._has_share(message.account):
            self._gate.ring(waiting)
            return row
        row = await self._gate.outcome_of(waiting, entered.ahead)
        line.lap("outcome_ms")
        line.note(outcome=row.state)
        return row

    async def _accept(
        self, message: Message, entry: QueueEntry | None, line: WideLine, behind: QueueEntry | None = None
    ) -> tuple[Message, bool]:
        try:
            accepted = await self._store.accept(message, entry, behind=behind)
        except StoreUnavailable as error:
            raise SystemBusy(f"journal unavailable: {error}") from None
        line.lap("journal_ms")
        if not accepted.is_new:
            line.note(repeat=True, message_id=accepted.message.id)
        return accepted.message, accepted.is_new

    async def _record(self, attempted: Attempted, line: WideLine) -> Message:
        """Commit what the attempt came to; if that fails the answer is 0 and the row stays unknown (decision D2).

        Whatever it fails with: Meta has been called, and any other answer would make the customer send again.
        """
        message = attempted.message
        line.note(**attempt.evidence(attempted.answer))
        verdict = self._outcomes.verdict(attempted)
        with self._gate.entering(message, verdict.again) as entered:
            try:
                row = await self._outcomes.write(attempted, verdict)
            except Exception as error:
                line.note(outcome_not_journalled=f"{type(error).__name__}: {error}")
                self._gate.see_to(self._record_later(attempted, verdict))
                return message
            entered.stays = row.state == State.QUEUED
        line.note(outcome=row.state)
        if row.state == State.QUEUED:
            self._gate.ring(row)
        return row

    async def _record_later(self, attempted: Attempted, verdict: Verdict) -> None:
        """Commit what the attempt came to when the journal is back; its request was answered 0 meanwhile."""
        row = await self._outcomes.write_at_last(msgspec.structs.replace(attempted, answered=True), verdict)
        self._gate.ring(row)  # it may wait; and whether it does has not been counted yet

    async def _earlier(self, earlier: Message, request: MtRequest) -> Message:
        """Return the row that a repeat is answered from, waiting while another process is still sending it.

        One of ours that says `sending` is not under way any more, or this request would have waited for it: its outcome
        could not be journalled.
        """
        repeats.check_same(earlier, request)
        while (
            earlier.state == State.SENDING
            and earlier.owner != self._attempts.owner
            and self._clock.now_ms() < earlier.lease_until_ms
        ):
            await self._clock.sleep(_POLL_S)
            earlier = await self._held(earlier.account, earlier.key) or earlier
        return earlier
