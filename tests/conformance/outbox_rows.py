"""Drafts for tests of the outbox, and an outlet that claims and settles callbacks as whoever delivers them does."""

from typing import Any

import msgspec

from tests.conformance.journal_rows import ACCOUNT, SteppedClock, accepted, message, receipt, status
from waypost.model import (
    STATUS_RANK,
    Attempt,
    AttemptOutcome,
    Callback,
    CallbackDraft,
    CallbackKind,
    CallbackState,
    Message,
    StatusEvent,
)
from waypost.store.base import CallbackFilter, Store, WebhookReceipt

WEBHOOK = "https://crm.example/hook"
ENDPOINT = f"{ACCOUNT} https://crm.example"
ORDER_WAIT_MS = 120_000
LEASE_MS = 60_000
RETRY_MS = 5_000

WITHOUT_SENT = "without-sent"  # the appkey of an application that doesn't want to hear of `sent`
PATH_PER_STATUS = "path-per-status"  # and of one that has a URL for each status


def draft(row: Message, event: StatusEvent) -> CallbackDraft | None:
    """Draft the callback of a status; nobody wants to hear of a `warning`."""
    if event.status == "warning" or (row.appkey == WITHOUT_SENT and event.status == "sent"):
        return None
    url = row.dr_webhook or WEBHOOK
    return CallbackDraft(
        account=row.account,
        appkey=row.appkey,
        url=f"{url}/{event.status}" if row.appkey == PATH_PER_STATUS else url,
        endpoint=endpoint_of(url),
        kind=CallbackKind.STATUS,
        body=f'{{"status":"{event.status}","headline":"{row.state}"}}'.encode(),
        access_key=row.access_key,
        message_id=row.id,
        status=event.status,
        rank=STATUS_RANK[event.status][1],
    )


def endpoint_of(url: str) -> str:
    """Name the endpoint of a URL."""
    return f"{ACCOUNT} {'/'.join(url.split('/')[:3])}"


def inbound(once: str | None = None, url: str = WEBHOOK, **changes: Any) -> CallbackDraft:
    """Draft the callback of something that a recipient wrote."""
    made = CallbackDraft(
        account=ACCOUNT,
        appkey="f543ertg",
        url=url,
        endpoint=endpoint_of(url),
        kind=CallbackKind.INBOUND,
        body=b'{"text":"hi"}',
        once=once,
    )
    return msgspec.structs.replace(made, **changes)


def post(clock: SteppedClock, *drafts: CallbackDraft) -> WebhookReceipt:
    """One POST of Meta's that is about no status."""
    return WebhookReceipt(id=clock.uuid7_hex(), received_at_ms=clock.now_ms(), raw=b"{}", callbacks=drafts)


async def taken(store: Store, clock: SteppedClock, meta_id: str = "wamid.META1", **changes: Any) -> Message:
    """Journal a message that Meta took so long ago that its callbacks don't wait for the answer any more."""
    row = message(clock, **changes)
    await store.accept(row)
    after = await store.record_outcome(accepted(row, meta_id))
    clock.wall_ms += 1_000
    return after


EVERY = CallbackFilter()


async def stored(store: Store, callback: Callback) -> Callback:
    """Read a callback again."""
    (found,) = (await store.callbacks(CallbackFilter(ids=(callback.id,)), limit=1, cursor=None)).callbacks
    return found


async def entered(store: Store, clock: SteppedClock, *drafts: CallbackDraft) -> tuple[Callback, ...]:
    """Let Meta post events that lead to these callbacks, and read them."""
    await store.record_webhook(post(clock, *drafts))
    listed = await store.callbacks(EVERY, limit=1_000, cursor=None)
    return listed.callbacks[-len(drafts) :]


async def purge(store: Store, before_ms: int) -> int:
    """Erase what was settled before a time."""
    return await store.purge(bodies_before_ms=0, webhooks_before_ms=0, messages_before_ms=before_ms, now_ms=before_ms)


async def report(store: Store, clock: SteppedClock, row: Message, *values: str, meta_id: str = "wamid.META1") -> None:
    """Let Meta report statuses of a message in one POST."""
    await store.record_webhook(receipt(clock, *(status(row, value, meta_id) for value in values)))


class Outlet:
    """Claims the callbacks of one endpoint and tells what came of them."""

    def __init__(self, store: Store, clock: SteppedClock, endpoint: str = ENDPOINT) -> None:
        self.store = store
        self.clock = clock
        self.endpoint = endpoint

    async def claim(self, limit: int = 100) -> tuple[Callback, ...]:
        """Claim what is due now."""
        now = self.clock.now_ms()
        return await self.store.claim_callbacks(
            self.endpoint, now_ms=now, lease_until_ms=now + LEASE_MS, limit=limit, order_wait_ms=ORDER_WAIT_MS
        )

    async def one(self) -> Callback:
        """Claim the only callback that is due."""
        (callback,) = await self.claim()
        return callback

    async def statuses(self) -> list[str | None]:
        """Claim what is due and tell of which statuses it is."""
        return [callback.status for callback in await self.claim()]

    async def accept(self, *callbacks: Callback) -> None:
        """The receiver answers 200."""
        await self.store.record_attempts(tuple(self.outcome(callback) for callback in callbacks))

    async def refuse(self, *callbacks: Callback) -> None:
        """The receiver answers 500; the callbacks are tried again a little later."""
        due = self.clock.now_ms() + RETRY_MS
        await self.store.record_attempts(
            tuple(self.outcome(callback, CallbackState.DUE, 500, due) for callback in callbacks)
        )

    async def give_up(self, *callbacks: Callback) -> None:
        """The receiver answers 500, for the last time."""
        await self.store.record_attempts(
            tuple(self.outcome(callback, CallbackState.ABANDONED, 500) for callback in callbacks)
        )

    def outcome(
        self,
        callback: Callback,
        state: CallbackState = CallbackState.DONE,
        http_status: int = 200,
        due_at_ms: int | None = None,
    ) -> AttemptOutcome:
        """What an attempt comes to that begins and ends now."""
        failed = http_status != 200
        attempt = Attempt(
            callback_id=callback.id,
            number=callback.attempts + 1,
            at_ms=self.clock.now_ms(),
            duration_ms=12,
            http_status=http_status,
            error=f"HTTP {http_status}" if failed else None,
            excerpt="sorry" if failed else None,
        )
        return AttemptOutcome(attempt=attempt, state=state, due_at_ms=due_at_ms)

    async def drain(self) -> list[str | None]:
        """Deliver everything that may go, one by one, and tell in which order."""
        told = []
        while claimed := await self.claim(limit=1):
            told.append(claimed[0].status)
            await self.accept(claimed[0])
        return told
