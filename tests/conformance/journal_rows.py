"""Rows for tests of the journal, and a clock that only moves when told to."""

from typing import Any

import msgspec

from waypost.clock import MESSAGE_ID_PREFIX, Clock
from waypost.model import (
    RANK_ACCEPTED,
    RANK_FAILED_HERE,
    RANK_REJECTED,
    RANK_SENDING,
    RANK_UNKNOWN,
    Message,
    Outcome,
    Reuse,
    State,
    StatusEvent,
)
from waypost.store.base import WebhookReceipt

ACCOUNT = "acme"
PHONE_ID = "106540352242922"
RECIPIENT = "8613812345678"
LEASE_MS = 40_000
DAY_MS = 86_400_000


class SteppedClock(Clock):
    """A clock whose wall time stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.wall_ms = 1_790_000_000_250

    def now_ms(self) -> int:
        return self.wall_ms


def message(clock: Clock, **changes: Any) -> Message:
    """A text message as it is journalled: in flight, with a token of ours, under a key of its own."""
    now = clock.now_ms()
    message_id = clock.message_id()
    sign = clock.token()
    row = Message(
        id=message_id,
        account=ACCOUNT,
        appkey="f543ertg",
        access_key="fme2na3kdi3ki",
        business_phone="8615800001795",
        phone_number_id=PHONE_ID,
        waba_id="102290129340398",
        recipient=RECIPIENT,
        type="text",
        category="service",
        endpoint="messages",
        body=b'{"type":"text"}',
        trace_id=clock.token(),
        key=f"sign:{sign}",
        key_expires_ms=now + DAY_MS,
        sign=sign,
        fingerprint="0" * 64,
        state=State.SENDING,
        rank=RANK_SENDING,
        attempt=1,
        owner="process-1",
        lease_until_ms=now + LEASE_MS,
        created_at_ms=now,
        token=f"wp1.{message_id.removeprefix(MESSAGE_ID_PREFIX)}.1.{clock.token()}",
    )
    return msgspec.structs.replace(row, **changes)


def with_opaque(clock: Clock, opaque: str, **changes: Any) -> Message:
    """A message whose opaque data is the customer's own, so that no token of ours travels."""
    return message(clock, opaque=opaque, token=None, **changes)


def accepted(row: Message, meta_id: str = "wamid.META1", **changes: Any) -> Outcome:
    """Meta took the message."""
    outcome = Outcome(
        message_id=row.id,
        account=row.account,
        phone_number_id=row.phone_number_id,
        key=row.key,
        attempt=row.attempt,
        state=State.ACCEPTED,
        rank=RANK_ACCEPTED,
        reuse=Reuse.NEVER,
        at_ms=row.created_at_ms + 120,
        answer_code=0,
        meta_message_id=meta_id,
        meta_answer='{"messages":[{"id":"' + meta_id + '"}]}',
    )
    return msgspec.structs.replace(outcome, **changes)


def _without_meta_id(row: Message, state: State, rank: int, reuse: Reuse, code: int) -> Outcome:
    return accepted(row, state=state, rank=rank, reuse=reuse, answer_code=code, meta_message_id=None, meta_answer=None)


def rejected(row: Message) -> Outcome:
    """Meta refused the message."""
    return _without_meta_id(row, State.REJECTED, RANK_REJECTED, Reuse.NEW_SIGNATURE, 9099)


def never_left(row: Message) -> Outcome:
    """Nothing was sent, for certain."""
    return _without_meta_id(row, State.FAILED, RANK_FAILED_HERE, Reuse.ANY, 9001)


def unknown(row: Message) -> Outcome:
    """Nobody knows whether Meta took it."""
    return _without_meta_id(row, State.UNKNOWN, RANK_UNKNOWN, Reuse.NEVER, 0)


def status(row: Message, value: str, meta_id: str = "wamid.META1", **changes: Any) -> StatusEvent:
    """What Meta says about a message: in whole seconds, with the opaque data that the message carried."""
    event = StatusEvent(
        phone_number_id=row.phone_number_id,
        meta_message_id=meta_id,
        status=value,
        timestamp_ms=row.created_at_ms // 1000 * 1000,
        recipient=row.recipient,
        opaque=row.opaque or row.token,
        raw='{"status":"' + value + '"}',
    )
    return msgspec.structs.replace(event, **changes)


def receipt(clock: Clock, *statuses: StatusEvent) -> WebhookReceipt:
    """One POST of Meta's."""
    return WebhookReceipt(id=clock.uuid7_hex(), received_at_ms=clock.now_ms(), raw=b"{}", statuses=statuses)
