"""One attempt to send a journalled message: its token, its lease, the POST, and what that came to.

Pure but for the POST. Who journals and who answers the customer is decided by the callers: `send` for the first attempt
inside a request, `resend` for another one of a message whose request was answered long ago.
"""

import msgspec

from waypost.clock import MESSAGE_ID_PREFIX, Clock
from waypost.gateway import repeats
from waypost.meta.answer import AcceptedByMeta, MetaAnswer, NeverLeft, RefusedByMeta, Uncertain
from waypost.meta.client import MetaClient
from waypost.model import (
    RANK_ACCEPTED,
    RANK_FAILED_HERE,
    RANK_REJECTED,
    RANK_UNKNOWN,
    Message,
    Noun,
    Outcome,
    Reuse,
    State,
)

_COMMIT_MARGIN_S = 15  # how long journalling may take on top of Meta's time before a lease ends


class SendLimits(Noun, frozen=True, kw_only=True):
    """How long one attempt may take, and how many may be under way at once."""

    connect_s: float
    read_s: float
    in_flight: int

    @property
    def post_ms(self) -> int:
        """The longest time from starting a POST to having its answer or giving up."""
        return int((self.connect_s + self.read_s) * 1000)


class Attempts:
    """Makes the attempts of this process: names them, leases them, posts them."""

    def __init__(self, meta: MetaClient, clock: Clock, limits: SendLimits) -> None:
        self._meta = meta
        self._clock = clock
        self.limits = limits
        self.owner = clock.uuid7_hex()  # names this process in leases

    def now_ms(self) -> int:
        """Return the time by which leases run and outcomes are dated."""
        return self._clock.now_ms()

    def lease_until_ms(self) -> int:
        """Return when the lease of an attempt that begins now ends: no POST may outlast it (decision D6)."""
        return self._clock.now_ms() + self.limits.post_ms + _COMMIT_MARGIN_S * 1000

    def token(self, message_id: str, number: int) -> str:
        """Return what travels in Meta's opaque field where the customer left it empty; it leads back to the row."""
        return f"wp1.{message_id.removeprefix(MESSAGE_ID_PREFIX)}.{number}.{self._clock.token()}"

    async def post(self, message: Message, access_token: str) -> MetaAnswer:
        """Post a message that is journalled as `sending`, unless its lease could end before Meta's answer."""
        if self._clock.now_ms() + self.limits.post_ms > message.lease_until_ms:
            return NeverLeft(reason="journalling took so long that the lease would end before Meta's answer")
        assert message.body is not None
        return await self._meta.post_message(message.phone_number_id, message.endpoint, access_token, message.body)


def outcome_of(message: Message, answer: MetaAnswer, now_ms: int) -> Outcome:
    """Turn Meta's answer to the first attempt, whose request still waits, into what the journal keeps."""
    match answer:
        case AcceptedByMeta():
            return _accepted(message, answer, now_ms)
        case RefusedByMeta():
            state, rank, reuse, code = State.REJECTED, RANK_REJECTED, Reuse.NEW_SIGNATURE, repeats.REFUSED
        case Uncertain():
            state, rank, reuse, code = State.UNKNOWN, RANK_UNKNOWN, Reuse.NEVER, 0
        case NeverLeft():
            state, rank, reuse, code = State.FAILED, RANK_FAILED_HERE, Reuse.ANY, repeats.NEVER_LEFT
    return _outcome(message, state, rank, reuse, code, now_ms, meta_answer=_kept(answer))


def late_outcome_of(message: Message, answer: MetaAnswer, now_ms: int) -> Outcome:
    """Turn Meta's answer to an attempt whose request was answered 0 before into what the journal keeps.

    A refusal then is `failed`, and a repeat is still answered 0 (decision D5).
    """
    match answer:
        case AcceptedByMeta():
            return _accepted(message, answer, now_ms)
        case RefusedByMeta():
            state, rank = State.FAILED, RANK_FAILED_HERE
        case Uncertain() | NeverLeft():
            state, rank = State.UNKNOWN, RANK_UNKNOWN
    return _outcome(message, state, rank, Reuse.NEVER, 0, now_ms, meta_answer=_kept(answer))


def evidence(answer: MetaAnswer) -> dict[str, object]:
    """Return what the log should hold of Meta's answer."""
    match answer:
        case AcceptedByMeta():
            return {"meta_message_id": answer.meta_message_id}
        case RefusedByMeta():
            return {"meta_code": answer.error.get("code"), "fbtrace_id": answer.error.get("fbtrace_id")}
        case Uncertain() | NeverLeft():
            return {"meta_reason": answer.reason}


def name_of(answer: MetaAnswer) -> str:
    """Return the word for what an attempt came to."""
    match answer:
        case AcceptedByMeta():
            return "accepted"
        case RefusedByMeta():
            return "refused"
        case Uncertain():
            return "uncertain"
        case NeverLeft():
            return "never_left"


def _accepted(message: Message, answer: AcceptedByMeta, now_ms: int) -> Outcome:
    return _outcome(
        message,
        State.ACCEPTED,
        RANK_ACCEPTED,
        Reuse.NEVER,
        0,
        now_ms,
        meta_message_id=answer.meta_message_id,
        meta_answer=answer.body,
    )


def _kept(answer: RefusedByMeta | Uncertain | NeverLeft) -> str | None:
    match answer:
        case RefusedByMeta():  # what a repeat will be answered
            return msgspec.json.encode({"error": answer.error}).decode()
        case Uncertain():
            return answer.body
        case NeverLeft():
            return None


def _outcome(
    message: Message,
    state: State,
    rank: int,
    reuse: Reuse,
    answer_code: int,
    now_ms: int,
    *,
    meta_message_id: str | None = None,
    meta_answer: str | None = None,
) -> Outcome:
    return Outcome(
        message_id=message.id,
        account=message.account,
        phone_number_id=message.phone_number_id,
        key=message.key,
        attempt=message.attempt,
        state=state,
        rank=rank,
        reuse=reuse,
        at_ms=now_ms,
        answer_code=answer_code,
        meta_message_id=meta_message_id,
        meta_answer=meta_answer,
    )
