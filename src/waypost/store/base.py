"""The contract of the journal: what the gateway may ask of a store, whichever engine it runs on."""

from typing import Protocol

from waypost.model import (
    Attempt,
    AttemptOutcome,
    AuditEntry,
    Callback,
    CallbackDraft,
    CallbackKind,
    CallbackState,
    Message,
    Noun,
    Outcome,
    StatusEvent,
    StatusRecord,
)
from waypost.store.base_queue import QueueEntry, QueueStore


class StoreUnavailable(Exception):
    """The journal can't be written or read right now (disk full, locked, read-only, gone).

    Nothing was changed as far as anybody can tell: where the flush of a commit fails, a crash may still bring it back.
    """


class Accepted(Noun, frozen=True):
    """What became of an attempt to journal a message: the new row, or the earlier one that holds the same key."""

    message: Message
    is_new: bool


class WebhookReceipt(Noun, frozen=True):
    """One POST of Meta's, verified and taken apart, to be journalled in one transaction."""

    id: str  # ours, time-ordered
    received_at_ms: int
    raw: bytes
    statuses: tuple[StatusEvent, ...] = ()
    callbacks: tuple[CallbackDraft, ...] = ()  # for what is no status: inbound messages and events
    phones: tuple[str, ...] = ()  # the phone number ids of ours that it speaks of, each once


class WebhookEffect(Noun, frozen=True):
    """How many status events of one POST were new, seen before, or not yet known to belong to a message."""

    recorded: int = 0
    repeated: int = 0
    parked: int = 0


class Judgement(Noun, frozen=True, kw_only=True):
    """That an unknown message is to be called failed, and the callback that tells it, if anybody wants to know."""

    message_id: str
    callback: CallbackDraft | None = None


class TenantRow(Noun, frozen=True):
    """One tenant object as stored: its kind, its key, who created it, and its JSON text with secrets sealed."""

    kind: str  # "account", "application", "waba", "phone", "template"
    key: str
    origin: str  # "file" or "admin"
    enabled: bool
    spec: str


class DueEndpoint(Noun, frozen=True, kw_only=True):
    """An endpoint with callbacks that wait, and when the first of them is due."""

    endpoint: str
    due_at_ms: int


class CallbackFilter(Noun, frozen=True, kw_only=True):
    """Which callbacks are meant; every member that is given must fit.

    `since_ms` (inclusive) and `until_ms` (exclusive) are about the creation; with the state `abandoned`, about when it
    was given up.
    """

    ids: tuple[str, ...] | None = None
    state: CallbackState | None = None
    settled: bool = False  # only those that are done or abandoned
    kind: CallbackKind | None = None
    account: str | None = None
    appkey: str | None = None
    message_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class CallbackPage(Noun, frozen=True, kw_only=True):
    """One page of callbacks, oldest first, and the cursor of the next one (None at the end)."""

    callbacks: tuple[Callback, ...]
    next_cursor: str | None


class Replayed(Noun, frozen=True, kw_only=True):
    """One portion of a replay: the endpoint of each callback, and where the next one begins (None: nothing is left)."""

    endpoints: tuple[str, ...]
    next_cursor: str | None


class Page(Noun, frozen=True):
    """One page of a list, and the cursor of the next one (None at the end)."""

    messages: tuple[Message, ...]
    next_cursor: str | None


class Store(QueueStore, Protocol):
    """The journal, queue included.

    Every write is durable when its call returns; every call may raise `StoreUnavailable`.

    A call whose values can't be stored (text that isn't Unicode, an integer beyond 64 bits, an id that exists) raises
    an error of its own and changes nothing, neither for itself nor for others that share its commit.
    """

    async def accept(
        self, message: Message, entry: QueueEntry | None = None, *, behind: QueueEntry | None = None
    ) -> Accepted:
        """Journal a message before it is sent, unless its key is held by an earlier one (decision D5).

        One transaction: the key is taken (or taken over, where it has expired or its `Reuse` allows it), the row, and
        a `lease` entry in `work` due at `lease_until_ms` are written; or the earlier row is returned untouched. With an
        entry the message waits (state `queued`): its place in the queue is written instead of the lease. A message that
        is to be sent at once waits all the same, as `behind` says, if its lane stands in the queue: another process may
        have put an earlier message there. Raises
        `ValueError` for an entry of a message in another state, and for a message in that state without one.
        """

    async def record_outcome(self, outcome: Outcome, callback: CallbackDraft | None = None) -> Message:
        """Write what an attempt came to and return the row as it is now.

        One transaction: state and rank move forward only (statuses may have come first), answer and Meta id are kept,
        the Meta id is entered in `meta_id`, the lease entry goes (state unknown: becomes an `unsettled` entry), and so
        does a row in the queue, the key's `Reuse` is set (a message that has a Meta id has left, so its key is never
        free), and statuses that were parked under this Meta id are attached. The callback is entered if all this has
        moved the message into the outcome's state; so a call that is repeated tells nobody twice. An outcome of another
        attempt than the row's changes nothing but the Meta id. Raises `LookupError` if there is no such message.
        """

    async def expire_leases(self, now_ms: int, *, all_owners: bool) -> tuple[Message, ...]:
        """Turn messages whose lease has ended into `unknown`, try to settle them, and return them as they are then.

        Their rows in the queue go: what stands behind them needn't wait for what nobody knows.

        With `all_owners` leases that have not ended count too: at the start of the one process that owns the data
        directory every message in flight is a dead process's.
        """

    async def record_webhook(self, receipt: WebhookReceipt) -> WebhookEffect:
        """Journal one POST of Meta's in one transaction: the raw body, and each status with its message.

        A status finds its message by (phone number id, Meta id), else by our token in `opaque` (only if the row of that
        phone number id carries, or carried in an earlier attempt, exactly this token), else by (phone number id,
        recipient, the customer's opaque data) if exactly one unknown or in-flight message fits and it was created no
        later than the status (the status has whole seconds; one that is still in flight makes the answer wait, so the
        status is parked, and so is one beside which another unexplained Meta id fits the same message); then the Meta
        id is bound to the message. A status that fits nothing is parked. Any status proves that Meta took the message:
        it is `accepted` at least, and its key is never free again. The minute counts as one in which webhooks were
        received for each of the receipt's phones.
        """

    async def judgeable(self, *, minutes: int, given_up_before_ms: int, limit: int) -> tuple[Message, ...]:
        """Return unknown messages whose time is up (decision D6), at most `limit`, in no order.

        Those are: messages since whose becoming unknown webhooks of their phone came in during `minutes` (1 or more)
        later minutes of the clock, if a status of a later message of that phone is recorded; and all that became
        unknown before `given_up_before_ms`.
        """

    async def fail_unknown(self, judgements: tuple[Judgement, ...], *, now_ms: int) -> tuple[Message, ...]:
        """Call messages failed and enter their callbacks, in one transaction; return them as they are then.

        One that is not unknown any more is left as it is, without a callback. The rest are provisional: a later status
        finds them as before, and overrides. Their keys stay taken.
        """

    # --- the outbox ---
    #
    # Whoever builds a store gives it a function `draft(message, event) -> CallbackDraft | None`. Wherever a status
    # event is recorded for the first time (record_webhook, record_outcome, expire_leases: also when it was parked), the
    # draft's callback is entered in the same transaction: state `due`, and a `callback` entry in `work` (scope: the
    # endpoint) due at the latest of: now; the outcome (now, while there is none) + 500 ms; now + 2 s if the status has
    # a PREDECESSOR that is not recorded. When that one is recorded meanwhile, the 2 s are over. The function runs in
    # the transaction with the message as the status left it; it must be pure and never raise: an error of its own
    # fails the operation, which then changes nothing (Meta repeats its POST).

    async def due_endpoints(self) -> tuple[DueEndpoint, ...]:
        """Return every endpoint with callbacks that wait; the cost grows with the endpoints, not with the callbacks."""

    async def next_due(self, endpoint: str) -> int | None:
        """Return when the next callback of an endpoint is due (a claimed one: when its lease ends), or None."""

    async def claim_callbacks(
        self, endpoint: str, *, now_ms: int, lease_until_ms: int, limit: int, order_wait_ms: int
    ) -> tuple[Callback, ...]:
        """Lease due callbacks of one endpoint, earliest due first; their due time becomes the lease's end.

        A callback of a message is passed over while another of the same message and URL with a lower rank is still due,
        for `order_wait_ms` from the first claim that did so (since its last replay); it becomes due again when that one
        is settled, or at the end of its wait. Callbacks of one message that are equally ranked (group participants)
        don't wait for each other. One claim passes over no more than 1,000: then it may return fewer than are due, and
        `next_due` says so.
        Raises `ValueError` for a lease that ends before it begins.
        """

    async def record_attempts(self, outcomes: tuple[AttemptOutcome, ...]) -> None:
        """Write what attempts came to, in one transaction; callbacks that waited for a settled one become due at once.

        A first attempt that succeeds writes no attempt row: the callback's own row tells it. Otherwise the last 20
        attempts are kept, numbered by the journal's own count. An outcome for a callback that is settled already, or
        is gone, changes nothing. Raises `ValueError` for one that is due again at no time.
        """

    async def abandon_callbacks(self, endpoint: str, *, created_before_ms: int, now_ms: int, limit: int) -> int:
        """Abandon due callbacks of an endpoint that are older than the horizon; return how many.

        A callback that was replayed is as old as its replay.
        """

    async def callbacks(self, *wanted: CallbackFilter, limit: int, cursor: str | None) -> CallbackPage:
        """Return callbacks that fit one of the filters, oldest first, as they all are at one moment."""

    async def count_callbacks(self, wanted: CallbackFilter) -> int:
        """Return how many callbacks fit: the preview of a replay."""

    async def count_due_callbacks(self) -> int:
        """Return how many callbacks wait; the cost grows with them, but nobody else waits for it."""

    async def replay_callbacks(
        self, wanted: CallbackFilter, *, now_ms: int, limit: int, cursor: str | None, audit_id: str
    ) -> Replayed:
        """Make callbacks that fit due now, their attempts counted on, and count them in an audit entry.

        Oldest first from the cursor on, and only what was created by `now_ms`. What waits is taken too, also in a pause
        or under a lease; so whoever pushes has to know what is under way.
        """

    async def begin_audit(self, *, who: str, action: str, selection: str) -> str:
        """Write an audit entry, before what it tells of is done, and return its id; the last 500 are kept."""

    async def audit(self, *, limit: int) -> tuple[AuditEntry, ...]:
        """Return audit entries, newest first."""

    async def attempts(self, callback_id: str) -> tuple[Attempt, ...]:
        """Return the kept attempts of a callback, oldest first."""

    async def callbacks_of(self, message_id: str) -> tuple[Callback, ...]:
        """Return the callbacks of a message, oldest first."""

    async def find_by_key(self, account: str, key: str, now_ms: int) -> Message | None:
        """Return the message that holds a key now, or None (also where the key has expired)."""

    async def find(self, any_id: str) -> Message | None:
        """Return a message by our id, by `cus_message_id` or by Meta's id; of several the newest."""

    async def resolve_meta_id(self, account: str, phone_number_id: str, any_id: str) -> str | None:
        """Return Meta's id for any of a message's three ids within an account and phone, or None if unknown."""

    async def wire_ids(self, account: str, phone_number_id: str, meta_ids: tuple[str, ...]) -> dict[str, str]:
        """Return, by Meta's id, the id under which the customer knows a message (`Message.wire_id`).

        Only within an account and phone: what is unknown there, or another account's, is left out.
        """

    async def statuses(self, message_id: str) -> tuple[StatusRecord, ...]:
        """Return the status events of a message, oldest first."""

    async def list(self, *, state: str | None, limit: int, cursor: str | None) -> Page:
        """Return messages newest first, optionally of one state."""

    async def count_by_state(self) -> dict[str, int]:
        """Return how many messages are in flight (`lease`), unknown (`unsettled`) and waiting (`queued`)."""

    async def count_unsettled(self) -> int:
        """Return how many messages are unknown, whatever else is being counted or listed."""

    async def tenants_version(self) -> str:
        """Return what every change of the tenants changes, whichever process makes it."""

    async def tenants(self) -> tuple[TenantRow, ...]:
        """Return every stored tenant object."""

    async def save_tenants(self, rows: tuple[TenantRow, ...]) -> None:
        """Insert or replace tenant objects in one transaction."""

    async def purge(
        self, *, bodies_before_ms: int, webhooks_before_ms: int, messages_before_ms: int, now_ms: int
    ) -> int:
        """Wipe what has been kept long enough (decision D15) and return how many rows were touched.

        Bodies of messages created before the first bound, raw webhooks before the second, messages with all that hangs
        on them (their keys too) before the third, and callbacks settled before it with their attempts; expired keys;
        statuses parked for more than 24 h; the `once` of callbacks after 8 days. What waits is never erased: a callback
        that is due, a message in the queue (nor its body: that is wiped when its row goes). Bounded: at most 1,000 rows
        of each a call, so that no writer waits long; 0 means that nothing is left to do.
        """

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless a write could be committed right now."""
