"""Receive callbacks in Python: check the signature over the raw body, then parse it into a typed event.

`verify_nxcloud` and `verify_standard` check, `parse` reads. A receiver answers exactly HTTP 200 once it has stored what
it got, and takes a callback that comes twice for the same one: delivery is at least once.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from waypost.protocol.callback_signing import nxcloud_fits, standard_fits

TOLERANCE_S = 300  # what the libraries of Standard Webhooks allow between the sender's clock and the receiver's


class CallbackInvalid(ValueError):
    """A body is no callback of a gateway; the words say what is wrong, and where."""


class Lenient(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of a callback: what we don't know is ignored, for gateways and Meta add members."""


class Metadata(Lenient, frozen=True, kw_only=True):
    """Which business phone a callback is about, in Meta's words."""

    display_phone_number: str | None = None
    phone_number_id: str | None = None


class Contact(Lenient, frozen=True, kw_only=True):
    """A person: `wa_id` is the number, empty for one who is only known by `user_id`."""

    wa_id: str | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    profile: dict[str, Any] = {}

    @property
    def name(self) -> str | None:
        """The name that the person shows, where there is one."""
        name = self.profile.get("name")
        return name if isinstance(name, str) else None


class Cost(Lenient, frozen=True, kw_only=True):
    """What one message cost, in exact decimals; `direction` is 1 for what you sent and 2 for what you got."""

    currency: str
    foreign_price: Decimal
    price: Decimal | None = None
    cdr_type: int | None = None
    message_id: str | None = None
    direction: int | None = None


class StatusError(Lenient, frozen=True, kw_only=True):
    """Why a message failed; `meta_code` is Meta's, absent where the gateway concluded the failure itself."""

    code: int
    title: str = ""
    meta_code: int | None = None
    error_data: dict[str, Any] = {}


class Status(Lenient, frozen=True, kw_only=True):
    """What became of one message; `id` is what the send call returned, or your `cus_message_id`."""

    id: str
    status: str
    timestamp: str
    recipient_id: str = ""
    meta_message_id: str | None = None
    biz_opaque_callback_data: str | None = None
    conversation: dict[str, Any] | None = None
    pricing: dict[str, Any] | None = None
    costs: tuple[Cost, ...] = ()
    errors: tuple[StatusError, ...] = ()


class MessageFrame(Lenient, frozen=True, kw_only=True, rename={"sender": "from"}):
    """What every inbound message has, whatever its type."""

    id: str
    type: str
    sender: str = ""
    timestamp: str | None = None
    context: dict[str, Any] | None = None
    cost: Cost | None = None


class InboundMessage(MessageFrame, frozen=True, kw_only=True):
    """One message that a person wrote; `members` is all of it as it came."""

    members: dict[str, Any]

    @property
    def content(self) -> Any:
        """The object that `type` names, None where there is none (`unsupported` may have only `errors`)."""
        return self.members.get(self.type)


class Envelope(Lenient, frozen=True, kw_only=True, rename={"waba_id": "wabaId"}):
    """What stands beside statuses and inbound messages."""

    business_phone: str
    app_id: int | str | None = None
    merchant_phone: str | None = None
    waba_id: str | None = None
    metadata: Metadata = Metadata()
    contacts: tuple[Contact, ...] = ()


class StatusCallback(Envelope, frozen=True, kw_only=True):
    """Statuses of messages that you sent; a gateway puts one in each callback."""

    statuses: tuple[Status, ...]


class InboundCallback(Envelope, frozen=True, kw_only=True):
    """Messages that people wrote to you; a gateway puts one in each callback."""

    messages: tuple[InboundMessage, ...]


class Call(Lenient, frozen=True, kw_only=True, rename={"caller": "from"}):
    """One call that has ended; its times are strings of seconds since 1970."""

    call_id: str
    caller: str = ""
    to: str = ""
    start_time: str | None = None
    end_time: str | None = None
    call_duration: int | None = None
    end_direction: int | None = None
    end_reason: str | None = None


class CallsCallback(Envelope, frozen=True, kw_only=True):
    """Calls that have ended; a gateway puts one in each callback."""

    calls: tuple[Call, ...]


class EventCallback(Lenient, frozen=True, kw_only=True):
    """Something about a template, the account or a phone: `field` names it, `value` says it."""

    field: str
    value: dict[str, Any]

    @property
    def business_phone(self) -> str | None:
        """The business phone that the event is about, where it is about one."""
        number = self.value.get("business_phone")
        return number if isinstance(number, str) else None


Parsed = StatusCallback | InboundCallback | CallsCallback | EventCallback


def verify_nxcloud(headers: Mapping[str, str], body: bytes, secrets: str | Mapping[str, str]) -> bool:
    """Tell whether NxCloud's signature fits a callback; never raises.

    `headers` in any letter case, `body` the raw bytes as received. `secrets` is the secret, or the secrets by
    accessKey. The scheme has no expiry: a callback that is pushed again later is signed anew, and so differs.
    """
    plain = _lower(headers)
    secret = secrets if isinstance(secrets, str) else secrets.get(plain.get("accesskey", ""), "")
    return nxcloud_fits(plain, body, secret)


def verify_standard(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now_s: int,
    tolerance_s: int = TOLERANCE_S,
) -> bool:
    """Tell whether a Standard Webhooks signature fits a callback; never raises.

    `headers` in any letter case, `body` the raw bytes as received. `secrets` is one secret or, during a rotation,
    several: `whsec_` and base64, or any string. `now_s` is the current time in seconds since 1970.
    """
    live = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    return standard_fits(_lower(headers), body, live, now_s=now_s, tolerance_s=tolerance_s)


def parse(body: bytes | str) -> Parsed:
    """Return the typed event of a callback; raise `CallbackInvalid` where it is none, and nothing else.

    As in NxCloud's callbacks the array that is there and not empty decides: `statuses`, `messages` or `calls`; an event
    has `field` and `value` instead.
    """
    try:
        shape = _SHAPE.decode(body)
        if shape.statuses:
            return _STATUS.decode(body)
        if shape.messages:
            return _with_members(_INBOUND.decode(body), shape.messages)
        if shape.calls:
            return _CALLS.decode(body)
        if shape.field is not None:
            return _EVENT.decode(body)
    except RecursionError:
        raise CallbackInvalid("the body is nested too deeply") from None
    except ValueError as problem:
        raise CallbackInvalid(str(problem)) from None
    raise CallbackInvalid("the body has none of statuses, messages, calls and field")


class _Shape(Lenient, frozen=True, kw_only=True):
    statuses: tuple[Any, ...] | None = None
    messages: tuple[Any, ...] | None = None
    calls: tuple[Any, ...] | None = None
    field: str | None = None


class _Framed(Envelope, frozen=True, kw_only=True):
    messages: tuple[MessageFrame, ...]


_SHAPE = msgspec.json.Decoder(_Shape)
_STATUS = msgspec.json.Decoder(StatusCallback)
_INBOUND = msgspec.json.Decoder(_Framed)
_CALLS = msgspec.json.Decoder(CallsCallback)
_EVENT = msgspec.json.Decoder(EventCallback)


def _with_members(framed: _Framed, given: tuple[Any, ...]) -> InboundCallback:
    messages = tuple(
        InboundMessage(**msgspec.structs.asdict(frame), members=members)
        for frame, members in zip(framed.messages, given, strict=True)
    )
    return InboundCallback(**{**msgspec.structs.asdict(framed), "messages": messages})


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
