"""What becomes of an accepted message: which statuses follow, when, and what each of them says."""

from functools import partial
from typing import NamedTuple

from waypost.simulator.errors import webhook_error
from waypost.simulator.faults import Faults
from waypost.simulator.fields import Json
from waypost.simulator.journal import Message
from waypost.simulator.schedule import Schedule
from waypost.simulator.transmitter import Transmitter
from waypost.simulator.webhooks import contact, messages_value, webhook_body
from waypost.simulator.world import World

SENT_S, DELIVERED_S, READ_S, PLAYED_S, FAILED_S = 0.1, 0.5, 2.0, 3.0, 0.2
HELD_S = 60.0  # how long a template is held for quality assessment; Meta aims at one hour at most
CONVERSATION_S = 24 * 3600
UNDELIVERABLE, TEMPLATE_PAUSED = 131026, 132015


class Step(NamedTuple):
    """One status that will come: seconds after acceptance, its name, and the code if it is `failed`."""

    after_s: float
    status: str
    code: int | None = None


_USUAL = (Step(SENT_S, "sent"), Step(DELIVERED_S, "delivered"), Step(READ_S, "read"))
COURSES: dict[str, tuple[Step, ...]] = {
    "offline": _USUAL[:1],
    "no_receipts": _USUAL[:2],
    "chat_open": (_USUAL[0], _USUAL[2]),
    "silent": (),
    "held": tuple(step._replace(after_s=step.after_s + HELD_S) for step in _USUAL),
    "held_and_dropped": (Step(HELD_S, "failed", TEMPLATE_PAUSED),),
    "delivered_then_failed": (*_USUAL[:2], Step(READ_S, "failed", UNDELIVERABLE)),
}


def course_of(message: Message, course: str | None, failure: int | None) -> tuple[Step, ...]:
    """The statuses of a message: a `course` by name, or the failure, or what usually happens to its type."""
    if failure is not None:
        return (Step(FAILED_S, "failed", failure),)
    if course in COURSES:
        return COURSES[course]
    if message.kind == "reaction":  # Meta reports nothing but sent for a reaction
        return _USUAL[:1]
    audio = message.payload.get("audio")
    if message.kind == "audio" and isinstance(audio, dict) and audio.get("voice") is True:
        return (*_USUAL, Step(PLAYED_S, "played"))
    return _USUAL


class Statuses:
    """Schedules the statuses of messages and hands their webhooks to the transmitter, through the webhook faults."""

    def __init__(self, world: World, schedule: Schedule, faults: Faults, transmitter: Transmitter) -> None:
        self._world, self._schedule, self._faults, self._transmitter = world, schedule, faults, transmitter

    def plan(self, message: Message, steps: tuple[Step, ...], magic: str | None = None) -> None:
        """Schedules `steps`, counted from the acceptance of the message."""
        config = self._world.config
        if not config.auto_statuses or not steps:
            return
        if magic == "webhook_reorder" or self._strikes("webhook_reorder", message):
            message.held_back = []
        for number, step in enumerate(steps, 1):
            due_ms = message.received_at_ms + round(step.after_s * 1000 * config.time_factor)
            errors = None if step.code is None else [webhook_error(step.code)]
            self._schedule.at(
                due_ms, partial(self._happen, message, step.status, due_ms, errors, magic, number == len(steps))
            )

    def _happen(
        self,
        message: Message,
        status: str,
        at_ms: int,
        errors: list[Json] | None,
        magic: str | None,
        last: bool,
    ) -> None:
        if not self._transmitter.verified:
            return
        value = self.value(message, status, str(at_ms // 1000), errors)
        if message.held_back is None:
            self.emit(message, value, twice=magic == "webhook_duplicate")
            return
        message.held_back.append(value)
        if last:
            for held in reversed(message.held_back):
                self.emit(message, held)
            message.held_back = None

    def emit(self, message: Message, value: Json, *, twice: bool = False) -> None:
        """Sends one webhook about a message, unless a fault drops, delays or doubles it."""
        _, waba = self._world.reporting(message.phone_number_id)
        if not self._world.is_subscribed(waba) or self._strikes("webhook_drop", message):
            return
        body = webhook_body(waba, value)
        lanes = [message.id]
        if twice or self._strikes("webhook_duplicate", message):
            lanes.append(message.id + "#duplicate")  # a lane of its own: Meta's duplicates come at the same moment
        delay = self._faults.take(("webhook_delay",), message.number, message.phone_number_id, message.endpoint)
        for lane in lanes:
            if delay is None:
                self._transmitter.submit(lane, body)
            else:
                due_ms = self._schedule.now_ms() + (delay.latency_ms or 0)
                self._schedule.at(due_ms, partial(self._transmitter.submit, lane, body))

    def _strikes(self, kind: str, message: Message) -> bool:
        return self._faults.take((kind,), message.number, message.phone_number_id, message.endpoint) is not None

    def value(self, message: Message, status: str, timestamp: object, errors: list[Json] | None = None) -> Json:
        """The `value` of the webhook that reports this status; marks the message as priced where it is."""
        phone, _ = self._world.reporting(message.phone_number_id)
        about: Json = {"id": message.id, "status": status, "timestamp": timestamp}
        if message.number:
            about["recipient_id"] = message.number
        about["recipient_user_id"] = message.user_id
        if message.opaque is not None:
            about["biz_opaque_callback_data"] = message.opaque
        if status == "sent" or (status in ("delivered", "read") and not message.receipt_priced):
            message.receipt_priced = message.receipt_priced or status != "sent"
            about |= self._price(message, status)
        if errors is not None:
            about["errors"] = errors
        return messages_value(phone, contacts=[contact(message.number, message.user_id)], statuses=[about])

    def _price(self, message: Message, status: str) -> Json:
        if message.pricing is None:
            return {}
        price: Json = {"pricing": message.pricing}
        # from version 24 of the webhooks on there is no conversation any more
        if message.conversation is not None and int(self._world.config.webhook_version[1:].split(".")[0]) < 24:
            conversation = dict(message.conversation)
            if status == "sent":
                conversation["expiration_timestamp"] = str(message.received_at_ms // 1000 + CONVERSATION_S)
            price = {"conversation": conversation} | price
        return price
