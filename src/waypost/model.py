"""The nouns of the gateway as frozen structs: who sends, through what, and what became of each message."""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import msgspec


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all nouns: immutable, built by name, nothing undeclared."""


# --- tenants -----------------------------------------------------------------------------------------------------


class KeyPair(Noun, frozen=True, kw_only=True):
    """One `accessKey` with its secret; an account may own several, two during a rotation."""

    access_key: str
    access_secret: str


class Account(Noun, frozen=True, kw_only=True):
    """A customer of the gateway."""

    name: str
    keys: tuple[KeyPair, ...] = ()
    requests_per_second: int | None = None  # None: no limit but the gateway's
    max_waiting: int | None = None  # messages


class CategoryPrices(Noun, frozen=True, kw_only=True):
    """What one message costs in one country, by category; decimals, never binary floats."""

    marketing: Decimal | None = None
    utility: Decimal | None = None
    authentication: Decimal | None = None
    service: Decimal | None = None


class Application(Noun, frozen=True, kw_only=True):
    """What an `appkey` names: it belongs to one account, is bound to phones and has a webhook."""

    appkey: str
    account: str
    name: str = ""
    webhook: str | None = None
    phones: tuple[str, ...] = ()
    callback_signing: Literal["md5", "sha256"] | None = None
    callback_secret: tuple[str, ...] = ()
    settle_policy: Literal["fail", "resend"] = "fail"
    enabled: bool = True
    events: tuple[str, ...] | None = None
    preflight: Literal["refuse", "warn", "off"] = "refuse"
    ttl: dict[str, int] = {}
    currency: str = "USD"
    prices: dict[str, CategoryPrices] | None = None  # by ISO country or "*"; None: billing is off


class Waba(Noun, frozen=True, kw_only=True):
    """A WhatsApp Business Account at Meta: holds phones and templates, and the token that sends for them."""

    waba_id: str
    account: str | None = None
    access_token: str
    app_secret: str | None = None
    sync_templates: bool = False
    shared: bool = False
    inbound_application: str | None = None


class BusinessPhone(Noun, frozen=True, kw_only=True):
    """A sending number, under Meta's id for it."""

    number: str
    phone_number_id: str
    waba_id: str
    messages_per_second: int = 80


class Template(Noun, frozen=True, kw_only=True):
    """One language of one template of a WABA, as far as the gateway knows it."""

    waba_id: str
    name: str
    language: str
    category: str | None = None
    status: str = "APPROVED"
    components: tuple[dict[str, Any], ...] | None = None  # None: unknown, no preflight; (): no variables


# --- messages ----------------------------------------------------------------------------------------------------


class State(StrEnum):
    """Where a message stands: `queued → sending → accepted → sent → delivered → read`, and the exits."""

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"


class Reuse(StrEnum):
    """When the key of a message may be used again for another attempt of the customer (decision D5)."""

    NEVER = "never"  # accepted, in flight or unknown: a repeat gets the first answer
    NEW_SIGNATURE = "new_signature"  # Meta refused: the identical request gets the same refusal, a new one is tried
    ANY = "any"  # nothing left the gateway: every repeat is tried again


class Message(Noun, frozen=True, kw_only=True):
    """A row of the journal: what we intended with one message and what became of it. Times are epoch milliseconds."""

    id: str
    account: str
    appkey: str
    access_key: str
    business_phone: str
    phone_number_id: str
    waba_id: str
    recipient: str  # digits with country code
    type: str
    category: str
    endpoint: str  # Meta's: "messages" or "marketing_messages"
    body: bytes | None  # Meta's JSON, as posted; None once wiped
    trace_id: str
    key: str  # what makes a repeat a repeat: "cus:<cus_message_id>" or "sign:<sign>"
    key_expires_ms: int
    sign: str
    fingerprint: str  # digest of the normalised message without dr_webhook
    state: State
    rank: int
    attempt: int
    owner: str
    lease_until_ms: int
    created_at_ms: int
    cus_message_id: str | None = None
    dr_webhook: str | None = None
    opaque: str | None = None  # the customer's biz_opaque_callback_data
    token: str | None = None  # ours, in its place when the customer left it empty
    price: str | None = None  # decimal text
    currency: str | None = None
    outcome_at_ms: int | None = None
    answer_code: int | None = None
    meta_message_id: str | None = None
    meta_answer: str | None = None  # Meta's answer body as JSON text

    @property
    def wire_id(self) -> str:
        """The id that the customer sees: `cus_message_id` where one was given, else ours (decision D4)."""
        return self.cus_message_id or self.id


class Outcome(Noun, frozen=True, kw_only=True):
    """What one attempt to send came to; `rank` and `state` only ever move a message forward."""

    message_id: str
    account: str
    phone_number_id: str
    key: str
    attempt: int
    state: State
    rank: int
    reuse: Reuse
    at_ms: int
    answer_code: int
    meta_message_id: str | None = None
    meta_answer: str | None = None


class StatusEvent(Noun, frozen=True, kw_only=True):
    """One thing that Meta said about one message."""

    phone_number_id: str
    meta_message_id: str
    status: str
    timestamp_ms: int
    recipient: str = ""
    participant: str = ""  # group sends: one status per participant
    opaque: str | None = None
    raw: str = "{}"  # Meta's status object as JSON text, with the `contacts` that stood beside it


class StatusRecord(Noun, frozen=True, kw_only=True):
    """A status event of a known message as the journal keeps it."""

    status: str
    timestamp_ms: int
    received_at_ms: int
    raw: str = "{}"


# --- callbacks ---------------------------------------------------------------------------------------------------


class CallbackKind(StrEnum):
    """What a callback tells: a status of a message, something a recipient wrote, an event (a call, too)."""

    STATUS = "status"
    INBOUND = "inbound"
    EVENT = "event"


class CallbackState(StrEnum):
    """Where a callback stands; a claim is a lease on its due time, so there is no state for it."""

    DUE = "due"
    DONE = "done"
    ABANDONED = "abandoned"


class CallbackDraft(Noun, frozen=True, kw_only=True):
    """A callback as the gateway wants it when the event behind it is journalled."""

    account: str
    appkey: str
    url: str
    endpoint: str  # "<account> <origin of the URL>": what fails together
    kind: CallbackKind
    body: bytes
    access_key: str | None = None  # the key pair that sent the message; None: the account's first
    message_id: str | None = None
    status: str | None = None
    rank: int = 0  # orders the callbacks of one message; 0 for everything else
    once: str | None = None  # a key that may be journalled only once: what drops Meta's repeats of inbound messages


class Callback(Noun, frozen=True, kw_only=True):
    """A row of the outbox. Times are epoch milliseconds."""

    id: str
    account: str
    appkey: str
    url: str
    endpoint: str
    kind: CallbackKind
    body: bytes
    access_key: str | None
    message_id: str | None
    status: str | None
    rank: int
    state: CallbackState
    created_at_ms: int
    attempts: int
    first_attempt_at_ms: int | None = None
    settled_at_ms: int | None = None  # when it became done or abandoned
    http_status: int | None = None  # of the last attempt
    error: str | None = None  # of the last attempt


class Attempt(Noun, frozen=True, kw_only=True):
    """One try to push a callback, counted from 1; `http_status` is None where there was no complete answer."""

    callback_id: str
    number: int
    at_ms: int
    duration_ms: int
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None  # of the receiver's answer


class AttemptOutcome(Noun, frozen=True, kw_only=True):
    """What one attempt leads to: the callback is done, due again at a time, or abandoned."""

    attempt: Attempt
    state: CallbackState
    due_at_ms: int | None = None


class AuditEntry(Noun, frozen=True, kw_only=True):
    """What an operator did: who, when, to what, and how many rows that has affected so far."""

    id: str  # ours, time-ordered
    at_ms: int
    who: str
    action: str
    selection: str  # JSON text
    affected: int = 0


# --- the lattice (decision D7) -----------------------------------------------------------------------------------

# The headline of a message is the state with the highest rank seen, whatever the order in which reports arrive.
# What we concluded ourselves (unknown, failed, rejected) ranks below anything that Meta reports; Meta's `failed`
# ranks above `sent` and below `delivered`, because in multi-device cases both are reported and the message is there.
RANK_QUEUED = 0
RANK_SENDING = 10
RANK_UNKNOWN = 20
RANK_FAILED_HERE = 25
RANK_REJECTED = 28
RANK_ACCEPTED = 30
STATUS_RANK: dict[str, tuple[State, int]] = {
    "sent": (State.SENT, 40),
    "failed": (State.FAILED, 50),
    "delivered": (State.DELIVERED, 60),
    "read": (State.READ, 70),
    "played": (State.READ, 75),  # no further than read, but it follows it: its callback waits for that of `read`
}

# Which status Meta normally reports before another; a callback whose predecessor has not been seen is held a moment.
PREDECESSOR: dict[str, str] = {"delivered": "sent", "read": "delivered", "played": "read"}
