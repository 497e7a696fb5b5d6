"""The contract of the journal: what the gateway may ask of a store, whichever engine it runs on."""

from typing import Protocol

from waypost.model import Message, Noun, Outcome, StatusEvent, StatusRecord


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


class WebhookEffect(Noun, frozen=True):
    """How many status events of one POST were new, seen before, or not yet known to belong to a message."""

    recorded: int = 0
    repeated: int = 0
    parked: int = 0


class TenantRow(Noun, frozen=True):
    """One tenant object as stored: its kind, its key, who created it, and its JSON text with secrets sealed."""

    kind: str  # "account", "application", "waba", "phone", "template"
    key: str
    origin: str  # "file" or "admin"
    enabled: bool
    spec: str


class Page(Noun, frozen=True):
    """One page of a list, and the cursor of the next one (None at the end)."""

    messages: tuple[Message, ...]
    next_cursor: str | None


class Store(Protocol):
    """The journal. Every write is durable when its call returns; every call may raise `StoreUnavailable`.

    A call whose values can't be stored (text that isn't Unicode, an integer beyond 64 bits, an id that exists) raises
    an error of its own and changes nothing, neither for itself nor for others that share its commit.
    """

    async def accept(self, message: Message) -> Accepted:
        """Journal a message before it is sent, unless its key is held by an earlier one (decision D5).

        One transaction: the key is taken (or taken over, where it has expired or its `Reuse` allows it), the row, and
        a `lease` entry in `work` due at `lease_until_ms` are written; or the earlier row is returned untouched.
        """

    async def record_outcome(self, outcome: Outcome) -> Message:
        """Write what an attempt came to and return the row as it is now.

        One transaction: state and rank move forward only (statuses may have come first), answer and Meta id are kept,
        the Meta id is entered in `meta_id`, the lease entry goes (state unknown: becomes an `unsettled` entry), the
        key's `Reuse` is set (a message that has a Meta id has left, so its key is never free), and statuses that were
        parked under this Meta id are attached. An outcome of another attempt than the row's changes nothing but the
        Meta id. Raises `LookupError` if there is no such message.
        """

    async def expire_leases(self, now_ms: int, *, all_owners: bool) -> tuple[Message, ...]:
        """Turn messages whose lease has ended into `unknown`, try to settle them, and return them as they are then.

        With `all_owners` leases that have not ended count too: at the start of the one process that owns the data
        directory every message in flight is a dead process's.
        """

    async def record_webhook(self, receipt: WebhookReceipt) -> WebhookEffect:
        """Journal one POST of Meta's in one transaction: the raw body, and each status with its message.

        A status finds its message by (phone number id, Meta id), else by our token in `opaque` (only if the row of that
        phone number id carries exactly this token), else by (phone number id, recipient, the customer's opaque data) if
        exactly one unknown or in-flight message fits and it was created no later than the status (the status has whole
        seconds; one that is still in flight makes the answer wait, so the status is parked, and so is one beside which
        another unexplained Meta id fits the same message); then the Meta id is bound to the message. A status that fits
        nothing is parked. Any status proves that Meta took the message: it is `accepted` at least, and its key is never
        free again.
        """

    async def find_by_key(self, account: str, key: str, now_ms: int) -> Message | None:
        """Return the message that holds a key now, or None (also where the key has expired)."""

    async def find(self, any_id: str) -> Message | None:
        """Return a message by our id, by `cus_message_id` or by Meta's id; of several the newest."""

    async def resolve_meta_id(self, account: str, phone_number_id: str, any_id: str) -> str | None:
        """Return Meta's id for any of a message's three ids within an account and phone, or None if unknown."""

    async def statuses(self, message_id: str) -> tuple[StatusRecord, ...]:
        """Return the status events of a message, oldest first."""

    async def list(self, *, state: str | None, limit: int, cursor: str | None) -> Page:
        """Return messages newest first, optionally of one state."""

    async def count_by_state(self) -> dict[str, int]:
        """Return how many messages stand in `work` by kind (`lease`: in flight, `unsettled`: unknown)."""

    async def tenants(self) -> tuple[TenantRow, ...]:
        """Return every stored tenant object."""

    async def save_tenants(self, rows: tuple[TenantRow, ...]) -> None:
        """Insert or replace tenant objects in one transaction."""

    async def purge(
        self, *, bodies_before_ms: int, webhooks_before_ms: int, messages_before_ms: int, now_ms: int
    ) -> int:
        """Wipe what has been kept long enough (decision D15) and return how many rows were touched.

        Bodies of messages created before the first bound, raw webhooks before the second, messages with all that hangs
        on them (their keys too) before the third; expired keys; statuses parked for more than 24 h. Bounded: at most
        1,000 rows of each a call, so that no writer waits long; 0 means that nothing is left to do.
        """

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless a write could be committed right now."""
