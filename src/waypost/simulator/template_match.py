"""A template as sent against the template as declared: Meta wants it mirrored component for component."""

import re
from collections.abc import Iterable, Mapping

from waypost.simulator.config import Template
from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Fields
from waypost.simulator.template_checks import button_index

VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
LONGEST_HEADER, LONGEST_BODY, LONGEST_OFFER_BODY, LONGEST_CARD_BODY, LONGEST_URL = 60, 1024, 600, 160, 2000
MEDIA_HEADERS = frozenset({"IMAGE", "VIDEO", "DOCUMENT", "GIF", "LOCATION", "PRODUCT"})
NEEDS_PARAMETER = frozenset({"COPY_CODE", "OTP"})
# which sub_type a defined button takes when it is sent
SENT_AS = {"OTP": "url", "VOICE_CALL": "voice_call", "PHONE_NUMBER": ""}

Definition = Mapping[str, object]


def check_state(template: Template | None, name: str, language: str) -> Template:
    """The template itself, if it may be sent: 132001 missing or not approved, 132015 paused, 132016 disabled."""
    status = template.status.upper() if template else "MISSING"
    if template is None or status not in ("APPROVED", "PAUSED", "DISABLED"):
        raise GraphError(132001, f"template name ({name}) does not exist in {language}")
    if status == "PAUSED":
        raise GraphError(132015, f"template ({name}) in {language} is paused because of low quality")
    if status == "DISABLED":
        raise GraphError(132016, f"template ({name}) in {language} was paused too often and is disabled")
    return template


def check_components(template: Template, sent: Fields) -> None:
    """Raises `GraphError` where the parameters of a send don't fit the declared components."""
    if template.components is None:
        return
    sent_components = sent.children("components", 0, 100) if sent.has("components") else []
    offers = any(_kind(defined) == "LIMITED_TIME_OFFER" for defined in template.components)
    longest = LONGEST_OFFER_BODY if offers else LONGEST_BODY
    _Match(template, "", longest).check(template.components, sent_components)


def _kind(defined: Definition) -> str:
    return str(defined.get("type", "")).upper()


def _objects(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _variables(text: object) -> list[str]:
    return list(dict.fromkeys(VARIABLE.findall(text))) if isinstance(text, str) else []


class _Match:
    """One list of declared components beside one list of sent ones: a whole template's, or one card's."""

    def __init__(self, template: Template, where: str, longest_body: int) -> None:
        self._template, self._where, self._longest_body = template, where, longest_body

    def check(self, defined: Iterable[Definition], sent: list[Fields]) -> None:
        by_kind = {_kind(component): component for component in defined}
        sent_by_kind: dict[str, Fields] = {}
        for component in sent:
            kind = str(component.values["type"]).upper()
            if kind != "BUTTON":
                sent_by_kind[kind] = component
                if kind not in by_kind and component.values.get("parameters"):
                    raise GraphError(132012, f"{self._where}{kind.lower()}: the template has no such component")
        self._header(by_kind.get("HEADER", {}), sent_by_kind.get("HEADER"))
        self._body(by_kind.get("BODY", {}), sent_by_kind.get("BODY"))
        buttons = {button_index(c): c for c in sent if str(c.values["type"]).upper() == "BUTTON"}
        self._buttons(_objects(by_kind.get("BUTTONS", {}).get("buttons")), buttons)
        if "CAROUSEL" in by_kind:
            self._carousel(_objects(by_kind["CAROUSEL"].get("cards")), sent_by_kind.get("CAROUSEL"))
        offer = by_kind.get("LIMITED_TIME_OFFER", {}).get("limited_time_offer")
        if isinstance(offer, dict) and offer.get("has_expiration") and "LIMITED_TIME_OFFER" not in sent_by_kind:
            raise GraphError(131008, f"{self._where}limited_time_offer: expiration_time_ms is required")

    def _header(self, defined: Definition, sent: Fields | None) -> None:
        expected = str(defined.get("format", "TEXT")).upper() if defined else "NONE"
        parameters = _parameters(sent)
        received = str(parameters[0].values["type"]).upper() if parameters else "UNKNOWN"
        if expected in MEDIA_HEADERS or (expected == "TEXT" and received not in ("TEXT", "UNKNOWN")):
            if received != expected:
                raise GraphError(
                    132012, f"{self._where}header: Format mismatch, expected {expected}, received {received}"
                )
        elif expected == "TEXT":
            self._fill("header", defined.get("text"), parameters, LONGEST_HEADER)

    def _body(self, defined: Definition, sent: Fields | None) -> None:
        text = defined.get("text")
        if text is None and defined and self._template.category == "AUTHENTICATION":
            text = "{{1}}"  # the text of an authentication template is Meta's own, with the code as its one variable
        self._fill("body", text, _parameters(sent), self._longest_body)

    def _fill(self, part: str, text: object, parameters: list[Fields], longest: int) -> None:
        names = _variables(text)
        if len(parameters) != len(names):
            raise GraphError(
                132000,
                f"{self._where}{part}: number of localizable_params ({len(parameters)}) does not match the expected"
                f" number of params ({len(names)})",
            )
        if self._template.parameter_format == "NAMED":
            given = [str(parameter.values.get("parameter_name", "")) for parameter in parameters]
            if sorted(given) != sorted(names):
                raise GraphError(132012, f"{self._where}{part}: parameter_name must be each of {', '.join(names)} once")
        values = {str(position): _shown(parameter) for position, parameter in enumerate(parameters, 1)}
        values |= {str(p.values["parameter_name"]): _shown(p) for p in parameters if p.has("parameter_name")}
        length = len(VARIABLE.sub(lambda variable: values.get(variable[1], ""), text)) if isinstance(text, str) else 0
        if length > longest:
            raise GraphError(132005, f"{self._where}{part}: {length} characters after translation, {longest} allowed")

    def _buttons(self, defined: list[dict[str, object]], sent: dict[int, Fields]) -> None:
        for index, component in sent.items():
            if index >= len(defined):
                raise GraphError(131009, f"{self._where}buttons: the template has no button at index {index}")
            kind = _kind(defined[index])
            expected = SENT_AS.get(kind, kind.lower())
            received = str(component.values["sub_type"]).lower()
            if received != expected and not (kind == "OTP" and received == "copy_code"):
                raise GraphError(
                    132012,
                    f"{self._where}buttons: Button at index {index} is of type {kind.title()}, received {received}",
                )
        for index, button in enumerate(defined):
            self._button(index, button, _parameters(sent.get(index)))

    def _button(self, index: int, defined: Definition, parameters: list[Fields]) -> None:
        kind, url = _kind(defined), str(defined.get("url", ""))
        dynamic = kind == "URL" and bool(_variables(url))
        if (dynamic or kind in NEEDS_PARAMETER) and not parameters:
            raise GraphError(
                131008, f"{self._where}buttons: Button at index {index} of type {kind.title()} requires a parameter"
            )
        if kind == "URL" and not dynamic and parameters:
            raise GraphError(
                132000,
                f"{self._where}buttons: Button at index {index} of type Url takes no parameter, its URL is fixed",
            )
        if dynamic:
            length = len(VARIABLE.sub("", url)) + len(_shown(parameters[0]))
            if length > LONGEST_URL:
                raise GraphError(132005, f"{self._where}buttons: URL at index {index} has {length} characters")

    def _carousel(self, defined: list[dict[str, object]], sent: Fields | None) -> None:
        cards = sent.children("cards", 0, 10) if sent is not None else []
        if len(cards) != len(defined):
            raise GraphError(
                132012,
                f"carousel: number of cards ({len(cards)}) does not match the expected number of cards"
                f" ({len(defined)})",
            )
        for position, (card, approved) in enumerate(zip(cards, defined, strict=True)):
            inner = _Match(self._template, f"cards[{position}] ", LONGEST_CARD_BODY)
            inner.check(_objects(approved.get("components")), card.children("components", 0, 100))


def _parameters(component: Fields | None) -> list[Fields]:
    if component is None or not component.has("parameters"):
        return []
    return component.children("parameters", 0, 100)


def _shown(parameter: Fields) -> str:
    kind = str(parameter.values["type"]).lower()
    value = parameter.values.get(kind)
    if isinstance(value, dict):
        value = value.get("fallback_value", "")
    return value if isinstance(value, str) else ""
