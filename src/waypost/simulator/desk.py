"""What the control API can do to a simulated Meta, one method for each call."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec

from waypost.simulator.clock import DEVICE_TO_BUSINESS, user_id_of
from waypost.simulator.config import Phone, Waba, merged
from waypost.simulator.errors import GraphError, webhook_error
from waypost.simulator.faults import Fault, Faults, fault_from
from waypost.simulator.fields import Json, digits_of
from waypost.simulator.journal import Journal, Message
from waypost.simulator.simulation import Simulation
from waypost.simulator.webhooks import contact, messages_value, webhook_body

MASKED = "***"
OBJECT_KEYS = frozenset({"wabas", "mode", "check_objects", "check_templates"})
UNKNOWN_ERROR = 131000


Call = TypeVar("Call")


class Unknown(Exception):
    """Nothing of that name is here; the text says what to do."""


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /_simulator/clock."""

    advance_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)]  # 31 years


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /_simulator/status; the last three describe a message that this simulator never saw."""

    id: str
    status: Annotated[str, msgspec.Meta(min_length=1)]
    timestamp: str | int | None = None
    errors: list[dict[str, object]] | None = None
    phone_number_id: str | None = None
    recipient_id: str = ""
    biz_opaque_callback_data: str | None = None


class Desk:
    """`close_port` and `open_port` make the Graph side's port refuse connections and accept them again."""

    def __init__(
        self,
        simulation: Simulation,
        urls: Callable[[], dict[str, str]],
        close_port: Callable[[], Awaitable[None]],
        open_port: Callable[[], Awaitable[None]],
        open_port_at: Callable[[int], None],
    ) -> None:
        self._parts, self._urls = simulation, urls
        self._close_port, self._open_port, self._open_port_at = close_port, open_port, open_port_at
        self._reason = "no webhook_url is set"

    @property
    def journal(self) -> Journal:
        """What was accepted, called and sent."""
        return self._parts.journal

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._parts.faults

    async def configure(self, change: Json) -> Json:
        """Replaces the given keys; a new webhook URL or verify token is verified before this returns."""
        config = merged(self._parts.world.config, change)
        if OBJECT_KEYS & change.keys():
            self._parts.world.declare(config)
        else:
            self._parts.world.config = config
        if config.seed is not None and "seed" in change:
            self._parts.dice.reseed(config.seed)
        if "webhook_url" in change or "verify_token" in change:
            self._reason = await self._parts.transmitter.verify()
        return self.config_shown()

    def config_shown(self) -> Json:
        """The configuration with secrets masked, and where everything is."""
        shown: Json = msgspec.to_builtins(self._parts.world.config)
        shown |= {"app_secret": MASKED, "verify_token": MASKED, "seed": self._parts.dice.seed}
        wabas = [
            waba | ({"access_token": MASKED} if waba["access_token"] is not None else {})
            for waba in msgspec.convert(shown["wabas"], list[dict[str, object]])
        ]
        webhook = {"verified": self._parts.transmitter.verified, "reason": self._reason}
        return shown | {"wabas": wabas, "webhook": webhook, "now_ms": self._parts.clock.now_ms()} | self._urls()

    def message(self, message_id: str) -> Message:
        """The accepted message of that id, or the newest for `latest`; raises `Unknown`."""
        message = self._parts.journal.message(message_id)
        if message is None:
            raise Unknown(f"no accepted message has the id {message_id}; GET /_simulator/messages lists them")
        return message

    def inbound(self, body: Json) -> str:
        """A person writes to a business phone; gives the id of the message."""
        phone_number_id, sender = body.get("phone_number_id"), digits_of(body.get("from"))
        if not isinstance(phone_number_id, str) or not sender:
            raise ValueError("phone_number_id and from (the person's number with country code) are required")
        kind = body.get("type") or next((name for name in ("text", "image", "button") if name in body), None)
        if not isinstance(kind, str):
            raise ValueError('type is required, like {"type": "text", "text": {"body": "hello"}}')
        phone, waba = self._phone(phone_number_id)
        now_ms, user_id = self._parts.clock.now_ms(), user_id_of(sender)
        filled: Json = {"from": sender, "from_user_id": user_id}
        filled |= {"id": self._parts.dice.wamid(sender, DEVICE_TO_BUSINESS), "timestamp": str(now_ms // 1000)}
        message = filled | {name: value for name, value in body.items() if name not in ("phone_number_id", "from")}
        message_id = str(message["id"])
        self._parts.windows.open(phone_number_id, sender)
        if self._parts.world.config.checks("limits"):
            self._parts.limits.count_inbound(phone)
        self._parts.journal.add_inbound(message_id, sender)
        value = messages_value(phone, contacts=[contact(sender, user_id)], messages=[message | {"type": kind}])
        if self._parts.world.is_subscribed(waba):
            self._parts.transmitter.submit(message_id, webhook_body(waba, value))
        return message_id

    def report(self, body: Json) -> str:
        """A status is reported now, whatever was reported before; gives the id of the message it is about."""
        report = _converted(body, Report)
        message = self._parts.journal.message(report.id) or self._foreign(report)
        timestamp = report.timestamp if report.timestamp is not None else str(self._parts.clock.now_ms() // 1000)
        errors = [_filled_error(error) for error in report.errors] if report.errors is not None else None
        if report.status == "failed" and errors is None:
            errors = [webhook_error(UNKNOWN_ERROR)]
        self._parts.statuses.emit(message, self._parts.statuses.value(message, report.status, timestamp, errors))
        return message.id

    def _foreign(self, report: Report) -> Message:
        if report.phone_number_id is None:
            raise Unknown(
                f"no accepted message has the id {report.id}; to report one that this simulator never saw, give"
                " phone_number_id too"
            )
        self._phone(report.phone_number_id)
        opaque = report.biz_opaque_callback_data
        return Message(
            id=report.id,
            phone_number_id=report.phone_number_id,
            endpoint="messages",
            payload={} if opaque is None else {"biz_opaque_callback_data": opaque},
            received_at_ms=self._parts.clock.now_ms(),
            kind="text",
            number=digits_of(report.recipient_id),
            user_id=user_id_of(report.recipient_id),
        )

    async def add_fault(self, body: Json) -> Fault:
        """Puts a fault in force; `down` closes the port before this returns."""
        fault = self._parts.faults.add(fault_from(body))
        if fault.kind == "down":
            await self._close_port()
            if fault.for_s is not None:
                self._open_port_at(self._parts.clock.now_ms() + round(fault.for_s * 1000))
        return fault

    async def end_faults(self) -> None:
        """Ends all faults and opens the port."""
        self._parts.faults.clear()
        await self._open_port()

    async def reset(self) -> None:
        """Empties everything but the configuration, and ends all faults."""
        await self.end_faults()
        self._parts.empty()

    def advance(self, body: Json) -> int:
        """Moves the simulated time forward; what became due happens at once. Gives the new time in milliseconds."""
        self._parts.clock.advance(_converted(body, Advance).advance_s)
        self._parts.schedule.wake()
        return self._parts.clock.now_ms()

    def _phone(self, phone_number_id: str) -> tuple[Phone, Waba]:
        try:
            return self._parts.world.phone(phone_number_id, "POST")
        except GraphError:
            raise Unknown(
                f"no phone has the id {phone_number_id}; declare it with PUT /_simulator/config, or use open mode"
            ) from None


def _filled_error(error: Json) -> Json:
    code = error.get("code")
    return webhook_error(code) | error if isinstance(code, int) else error


def _converted(body: Json, kind: type[Call]) -> Call:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
