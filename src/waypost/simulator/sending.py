"""A send from body to answer: Meta's checks in Meta's order, the injected faults, acceptance."""

import msgspec

from waypost.simulator.calls import HTML_TYPE, Answer, GraphCall, json_answer
from waypost.simulator.clock import Clock, Dice, user_id_of
from waypost.simulator.config import Config, Phone, Template, Waba
from waypost.simulator.errors import GraphError
from waypost.simulator.faults import LOSING, REFUSING, Fault, Faults
from waypost.simulator.fields import Fields, Json, digits_of
from waypost.simulator.journal import Journal, Message
from waypost.simulator.limits import RateLimits
from waypost.simulator.magic import SLOW_ANSWER_MS, Magic, magic_of
from waypost.simulator.media import MediaStore
from waypost.simulator.message_checks import check_product, check_recipient, check_send, unexpected_fields
from waypost.simulator.statuses import Statuses, course_of
from waypost.simulator.template_match import check_components, check_state
from waypost.simulator.windows import Windows
from waypost.simulator.world import World, number_of

MARKETING_ENDPOINT = "marketing_messages"
BAD_GATEWAY = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
)
UNKNOWN_ERROR = 131000
OUTSIDE_WINDOW, BAD_VALUE = 131047, 131009
FIRST_VERSION_WITH_134100 = 23
HELD = frozenset({"held", "held_and_dropped"})
WIRES = {"accept_then_drop": "drop", "truncate": "half"}


class Books(msgspec.Struct, frozen=True):
    """What a send reads and writes."""

    world: World
    journal: Journal
    limits: RateLimits
    windows: Windows
    media: MediaStore


class Sender:
    """Answers POST to `messages` and `marketing_messages`."""

    def __init__(self, books: Books, clock: Clock, dice: Dice, faults: Faults, statuses: Statuses) -> None:
        self._books, self._clock, self._dice, self._faults, self._statuses = books, clock, dice, faults, statuses

    def answer(self, call: GraphCall, phone: Phone, waba: Waba) -> Answer:
        """The answer to one call, refusals included; path, object and token have been checked."""
        try:
            body: Json | None = call.json()
        except GraphError as error:
            body, unreadable = None, error
        to = (body or {}).get("to")
        late = self._faults.take(("latency",), to, phone.id, call.edge)
        fault = self._faults.take(REFUSING, to, phone.id, call.edge)
        if fault is not None:
            answer = self._refused_by(fault.kind, fault)
        else:
            try:
                self._check_account(phone, waba)
                if body is None:
                    raise unreadable
                answer = self._checked(call, Fields(body), phone, waba)
            except GraphError as error:
                answer = json_answer(error.body(self._dice.trace_id()), error.http_status)
        if late is not None:
            answer.delay_ms += late.latency_ms or 0
            answer.fault = answer.fault or late.id
        return answer

    def _check_account(self, phone: Phone, waba: Waba) -> None:
        code = phone.send_error if phone.send_error is not None else waba.send_error
        if code is not None:
            raise GraphError(code)
        if self._books.world.config.checks("limits"):
            self._books.limits.take_throughput(phone)

    def _checked(self, call: GraphCall, body: Fields, phone: Phone, waba: Waba) -> Answer:
        check_product(body)
        marketing = call.edge == MARKETING_ENDPOINT
        if not marketing and "status" in body.values:
            answer = self._mark_read(body)
            answer.unknown_fields = unexpected_fields(body, None, marketing=False)
            return answer
        kind = check_send(body, marketing=marketing)
        number = check_recipient(body, number_of(phone))
        self._check_person(phone, number)
        template = self._check_template(call, body, waba) if kind == "template" else None
        self._books.media.check_use(body, kind, phone)
        magic = magic_of(number)
        if magic is not None and magic.kind in REFUSING:
            answer = self._refused_by(magic.kind, None, magic)
        else:
            answer = self._accept(self._message(call, body, kind, number, self._pricing(call, waba, template)), magic)
        answer.unknown_fields = unexpected_fields(body, kind, marketing=marketing)
        return answer

    def _mark_read(self, body: Fields) -> Answer:
        body.choice("status", {"read"})
        message_id = body.text("message_id", 512)
        typing = body.optional_child("typing_indicator")
        if typing is not None:
            typing.choice("type", {"text"})
        if self._books.world.config.checks("objects") and not self._books.journal.is_inbound(message_id):
            raise GraphError(BAD_VALUE, "Param message_id is not the id of a message that a person wrote.")
        return json_answer({"success": True})

    def _check_person(self, phone: Phone, number: str) -> None:
        allowed = phone.allowed_recipients
        if allowed is not None and number not in map(digits_of, allowed):
            raise GraphError(131030, "Recipient phone number not in allowed list: add it to the list and try again.")
        if number in map(digits_of, phone.blocked_recipients):
            raise GraphError(130403)
        if self._books.world.config.checks("limits"):
            self._books.limits.take_pair(phone, number, self._books.world.config.limits)

    def _check_template(self, call: GraphCall, body: Fields, waba: Waba) -> Template:
        sent = body.child("template")
        name, language = sent.text("name", 512), sent.child("language").text("code", 16)
        template = check_state(self._books.world.template(waba, name, language), name, language)
        check_components(template, sent)
        marketing = template.category == "MARKETING"
        if call.edge == MARKETING_ENDPOINT:
            if not marketing:
                raise GraphError(134100 if call.version >= FIRST_VERSION_WITH_134100 else 131055)
            onboarded = waba.marketing_messages_onboarding_status == "ONBOARDED"
            if not onboarded and body.values.get("product_policy") == "STRICT":
                raise GraphError(134102, "The account is not onboarded to the Marketing Messages API.")
        elif marketing and waba.disable_marketing_messages_on_cloud_api:
            raise GraphError(131063)
        if template.category == "AUTHENTICATION" and not body.has("to"):
            raise GraphError(131062)
        return template

    def _pricing(self, call: GraphCall, waba: Waba, template: Template | None) -> Json:
        category = template.category.lower() if template else "service"
        if call.edge == MARKETING_ENDPOINT and waba.marketing_messages_onboarding_status == "ONBOARDED":
            category = "marketing_lite"
        return {"billable": True, "pricing_model": "PMP", "type": "regular", "category": category}

    def _message(self, call: GraphCall, body: Fields, kind: str, number: str, pricing: Json) -> Message:
        user_id = user_id_of(number) if number else str(body.values["recipient"])
        open_window = self._books.windows.is_open(call.object_id, number)
        # per-message pricing: what is not a template is free, a utility template is free inside an open window
        if pricing["category"] == "service" or (pricing["category"] == "utility" and open_window):
            pricing = pricing | {"billable": False, "type": "free_customer_service"}
        return Message(
            id=self._dice.wamid(number or digits_of(user_id)[:15]),
            phone_number_id=call.object_id,
            endpoint=call.edge,
            payload=body.values,
            received_at_ms=self._clock.now_ms(),
            kind=kind,
            number=number,
            user_id=user_id,
            pricing=pricing,
            conversation={"id": self._dice.hex_id(), "origin": {"type": pricing["category"]}},
        )

    def _accept(self, message: Message, magic: Magic | None) -> Answer:
        self._books.journal.add(message)
        course = magic.kind if magic else None
        failure = magic.code if magic and magic.kind == "failed" else self._late_failure(message)
        self._statuses.plan(message, course_of(message, course, failure), course)
        fault = self._faults.take(LOSING, message.number, message.phone_number_id, message.endpoint)
        losing = fault.kind if fault else course
        answer = json_answer(_acceptance(message, held=course in HELD, id_known=losing != "no_id"))
        answer.wire = WIRES.get(losing or "", "whole")
        answer.delay_ms = SLOW_ANSWER_MS if course == "latency" else 0
        answer.fault = fault.id if fault else None
        return answer

    def _late_failure(self, message: Message) -> int | None:
        """What Meta finds out only after its 200, and reports by webhook."""
        config: Config = self._books.world.config
        free_form = message.kind != "template" and message.number != ""
        window_open = self._books.windows.is_open(message.phone_number_id, message.number)
        if free_form and config.checks("window") and not window_open:
            return OUTSIDE_WINDOW
        reaction = message.payload.get("reaction") if message.kind == "reaction" else None
        if isinstance(reaction, dict) and config.checks("objects"):
            known = self._books.journal.in_chat(str(reaction["message_id"]), message.number)
            return None if known else BAD_VALUE
        return None

    def _refused_by(self, kind: str, fault: Fault | None, magic: Magic | None = None) -> Answer:
        status = fault.http_status if fault else None
        if kind == "html_502":
            answer = Answer(status or 502, BAD_GATEWAY, HTML_TYPE)
        elif kind == "reset":
            answer = Answer(0, b"", wire="reset")
        else:
            code = (fault.code if fault else magic.code if magic else None) or 0
            if kind == "http_500" and not code:
                code = UNKNOWN_ERROR
            error = GraphError(
                code,
                fault.details if fault else None,
                http_status=status or (500 if kind == "http_500" else None),
                subcode=fault.subcode if fault else None,
            )
            answer = json_answer(error.body(self._dice.trace_id()), error.http_status)
        answer.fault = fault.id if fault else "magic"
        return answer


def _acceptance(message: Message, *, held: bool, id_known: bool) -> Json:
    contact: Json = {"input": message.payload.get("to") or message.user_id}
    if message.number:
        contact["wa_id"] = message.number
    contact["user_id"] = message.user_id
    accepted: Json = {"id": message.id}
    if message.kind == "template" or held:
        accepted["message_status"] = "held_for_quality_assessment" if held else "accepted"
    answer: Json = {"messaging_product": "whatsapp", "contacts": [contact]}
    return answer | ({"messages": [accepted]} if id_known else {})
