"""What this Meta has seen: accepted messages, calls on the Graph side, webhooks sent; each with a bound on memory."""

from collections import deque

import msgspec

from waypost.simulator.fields import Json, digits_of

MOST_MESSAGES = 100_000
MOST_ENTRIES = 20_000
MOST_INBOUND = 100_000


class Message(msgspec.Struct, kw_only=True):
    """An accepted message; the first five fields are what the control API shows, as they are.

    `number` is the recipient's digits ("" if only the user id is known); `pricing` is None for what is never priced;
    `held_back` collects webhooks that shall go out in reverse order.
    """

    id: str
    phone_number_id: str
    endpoint: str
    payload: Json
    received_at_ms: int
    kind: str
    number: str
    user_id: str
    pricing: Json | None = None
    conversation: Json | None = None
    receipt_priced: bool = False
    held_back: list[Json] | None = None

    @property
    def opaque(self) -> str | None:
        """The client's own string, which every status echoes."""
        value = self.payload.get("biz_opaque_callback_data")
        return value if isinstance(value, str) else None


class Call(msgspec.Struct, kw_only=True):
    """One call on the Graph side and its answer; a part of `wire` other than "whole" was not delivered."""

    at_ms: int
    method: str
    path: str
    query: str
    body: object
    http_status: int
    answer: object
    wire: str = "whole"
    fault: str | None = None
    unknown_fields: list[str] = []


class Push(msgspec.Struct, kw_only=True):
    """One attempt to deliver a webhook; `http_status` is None if there was no answer, and `error` says why."""

    at_ms: int
    attempt: int
    body: object
    http_status: int | None
    error: str | None


class Journal:
    """Keeps the newest of each kind; `accepted` counts all messages, also those no longer kept."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.accepted = 0
        self.calls: deque[Call] = deque(maxlen=MOST_ENTRIES)
        self.pushes: deque[Push] = deque(maxlen=MOST_ENTRIES)
        self._messages: dict[str, Message] = {}
        self._by_number: dict[str, deque[Message]] = {}
        self._by_opaque: dict[str, deque[Message]] = {}
        self._inbound: dict[str, str] = {}
        self._latest: Message | None = None

    def add(self, message: Message) -> None:
        """Takes an accepted message into the books, and the oldest one out of them when they are full."""
        if len(self._messages) >= MOST_MESSAGES:
            oldest = self._messages.pop(next(iter(self._messages)))
            _drop_first(self._by_number, oldest.number)
            _drop_first(self._by_opaque, oldest.opaque)
        self.accepted += 1
        self._messages[message.id] = self._latest = message
        self._by_number.setdefault(message.number, deque()).append(message)
        if message.opaque is not None:
            self._by_opaque.setdefault(message.opaque, deque()).append(message)

    def message(self, message_id: str) -> Message | None:
        """The message of that id; `latest` is the id of the newest one."""
        return self._latest if message_id == "latest" else self._messages.get(message_id)

    def messages(self, to: str | None = None, opaque: str | None = None) -> list[Message]:
        """Accepted messages, oldest first, to that number (digits count) and with that opaque string."""
        if opaque is not None:
            found = self._by_opaque.get(opaque, ())
            return [m for m in found if to is None or m.number == digits_of(to)]
        if to is not None:
            return list(self._by_number.get(digits_of(to), ()))
        return list(self._messages.values())

    def add_inbound(self, message_id: str, sender: str) -> None:
        """Remembers that a person wrote this message."""
        if len(self._inbound) >= MOST_INBOUND:
            self._inbound.pop(next(iter(self._inbound)))
        self._inbound[message_id] = sender

    def is_inbound(self, message_id: str) -> bool:
        """Whether a person wrote the message of that id."""
        return message_id in self._inbound

    def in_chat(self, message_id: str, number: str) -> bool:
        """Whether that message was written to or by that person."""
        sent = self._messages.get(message_id)
        return (sent is not None and sent.number == number) or self._inbound.get(message_id) == number


def _drop_first(index: dict[str, deque[Message]], key: str | None) -> None:
    if key is not None and key in index:
        index[key].popleft()
        if not index[key]:
            del index[key]
