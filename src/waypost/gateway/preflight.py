"""Compare the values of a template message with the template's definition, before Meta would refuse it.

Only what is certain is refused: a definition that can't be read, and whatever Meta may add to either side, counts as
fitting. Meta's rule behind all of it: the components of a message mirror those of the approved template one by one,
and Meta fills nothing in.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from waypost.model import Noun
from waypost.protocol.templates import Card, Component, Parameter, Template

ROOT = "$.template.components"

_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_UNWELCOME = re.compile(r"[\n\r\t]| {5}")  # Meta answers 132018 for these in the value of a text parameter
_TEXT_KINDS = frozenset({"text", "currency", "date_time"})  # all three stand in for a variable of a text
_KNOWN_KINDS = _TEXT_KINDS | {
    *("image", "video", "document", "gif", "location", "product"),
    *("payload", "coupon_code", "action", "limited_time_offer"),
}

# Kind of button in the definition → sub_type when sending, kind of its one parameter, whether it must be there.
_BUTTONS = {
    "otp": ("url", "text", True),  # the code goes into the URL of the button, whatever the button is called
    "copy_code": ("copy_code", "coupon_code", True),
    "mpm": ("mpm", "action", True),
    "flow": ("flow", "action", False),
    "catalog": ("catalog", "action", False),
    "quick_reply": ("quick_reply", "payload", False),
}


class Problem(Noun, frozen=True, kw_only=True):
    """One way in which a message does not fit its template: where, what, and whether Meta is sure to refuse it."""

    path: str
    details: str
    severity: Literal["refuse", "warn"]


def check(components: tuple[dict[str, Any], ...], template: Template) -> list[Problem]:
    """Return what is wrong with the components of a message, given those of the template's definition in Meta's form.

    No components in the definition mean a template without variables. A definition that can't be read yields nothing.
    """
    try:
        shape = _read_shape(components)
    except _Unreadable:
        return []
    return _compare(shape, template.components or [], ROOT)


# --- what the template expects ---------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """The definition is not in Meta's form."""


class _Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What one place of a template takes: which kinds, at least and at most how many, and under which names."""

    what: str
    kinds: frozenset[str] | None = None  # None: any
    least: int = 0
    most: int | None = None  # None: any number
    names: frozenset[str] | None = None
    sub_type: str | None = None


_Place = tuple[str, str | None]  # component type, and the index of a button


class _Shape(msgspec.Struct, frozen=True):
    """The places of a template or of one of its cards, and the shapes of its cards (None: no carousel)."""

    slots: dict[_Place, _Slot]
    cards: tuple["_Shape", ...] | None = None


def _read_shape(components: Sequence[object], *, in_card: bool = False) -> _Shape:
    slots: dict[_Place, _Slot] = {
        ("header", None): _Slot(what="header", most=0),
        ("body", None): _Slot(what="body", most=0),
    }
    cards: tuple[_Shape, ...] | None = None
    for component in components:
        kind = _word(component, "type")
        if kind == "header":
            slots["header", None] = _read_header(component)
        elif kind == "body":
            slots["body", None] = _read_body(component)
        elif kind == "buttons":
            for index, button in enumerate(_list(component, "buttons")):
                slots["button", str(index)] = _read_button(index, button)
        elif kind == "limited_time_offer":
            slots["limited_time_offer", None] = _read_offer(component)
        elif kind == "carousel" and not in_card:
            cards = tuple(_read_shape(_list(card, "components"), in_card=True) for card in _list(component, "cards"))
    return _Shape(slots=slots, cards=cards)


def _read_header(header: object) -> _Slot:
    form = _word(header, "format")
    if form == "text":
        return _variables("header", _member(header, "text"))
    if form in _KNOWN_KINDS:
        return _Slot(what=f"header ({form})", kinds=frozenset({form}), least=1, most=1)
    return _Slot(what="header")


def _read_body(body: object) -> _Slot:
    if _member(body, "text") is None:
        return _Slot(what="body")  # Meta writes the text of authentication templates itself
    return _variables("body", _member(body, "text"))


def _read_button(index: int, button: object) -> _Slot:
    kind, what = _word(button, "type"), f"button {index}"
    if kind == "url":
        count = len(_variable_names(_member(button, "url")))
        return _Slot(what=what, kinds=frozenset({"text"}), least=count, most=count, sub_type="url")
    if kind == "phone_number":
        return _Slot(what=what, most=0)
    if kind not in _BUTTONS:
        return _Slot(what=what)
    sub_type, parameter, is_required = _BUTTONS[kind]
    return _Slot(what=what, kinds=frozenset({parameter}), least=int(is_required), most=1, sub_type=sub_type)


def _read_offer(offer: object) -> _Slot:
    expires = _member(_member(offer, "limited_time_offer") or {}, "has_expiration") is True
    kinds = frozenset({"limited_time_offer"})
    return _Slot(what="limited time offer", kinds=kinds, least=int(expires), most=1)


def _variables(what: str, text: object) -> _Slot:
    names = _variable_names(text)
    are_named = {not name.isdigit() for name in names}
    if len(are_named) > 1:
        raise _Unreadable
    by_name = names if True in are_named else None
    return _Slot(what=what, kinds=_TEXT_KINDS, least=len(names), most=len(names), names=by_name)


def _variable_names(text: object) -> frozenset[str]:
    if not isinstance(text, str):
        raise _Unreadable
    return frozenset(_VARIABLE.findall(text))


def _member(holder: object, name: str) -> object:
    if not isinstance(holder, dict):
        raise _Unreadable
    return holder.get(name)


def _word(holder: object, name: str) -> str:
    """Return a member that is one of Meta's words; definitions have them in upper case, messages in lower."""
    value = _member(holder, name)
    if not isinstance(value, str):
        raise _Unreadable
    return value.lower()


def _list(holder: object, name: str) -> list[object]:
    value = _member(holder, name)
    if not isinstance(value, list | tuple):
        raise _Unreadable
    return list(value)


# --- what the message brings -----------------------------------------------------------------------------------------


def _compare(shape: _Shape, sent: list[Component], path: str) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[_Place] = set()
    for position, component in enumerate(sent):
        at = f"{path}[{position}]"
        place = (component.type, None if component.index is None else str(component.index))
        if place in seen:
            problems.append(_refuse(at, f"the message has this {component.type} twice"))
        elif component.type == "carousel":
            problems += _compare_cards(shape, component.cards or [], f"{at}.cards")
        else:
            problems += _compare_component(shape.slots.get(place), component, at)
        problems += _warnings(component, at)
        seen.add(place)
    for place, slot in shape.slots.items():
        if slot.least and place not in seen:
            problems.append(_refuse(path, f"the template's {slot.what} needs {_amount(slot)}"))
    if shape.cards is not None and ("carousel", None) not in seen:
        problems.append(_refuse(path, f"the template needs a carousel of {len(shape.cards)} cards"))
    return problems


def _compare_cards(shape: _Shape, cards: list[Card], path: str) -> list[Problem]:
    if shape.cards is None:
        return [_refuse(path, "the template has no carousel")]
    if len(cards) != len(shape.cards):
        return [_refuse(path, f"the template has {len(shape.cards)} cards, got {len(cards)}")]
    problems: list[Problem] = []
    for position, card in enumerate(cards):
        at = f"{path}[{position}]"
        if any(card.card_index == other.card_index for other in cards[:position]):
            problems.append(_refuse(f"{at}.card_index", f"the message has card {card.card_index} twice"))
        elif card.card_index >= len(shape.cards):
            problems.append(_refuse(f"{at}.card_index", f"the template has no card {card.card_index}"))
        else:
            problems += _compare(shape.cards[card.card_index], card.components, f"{at}.components")
    return problems


def _compare_component(slot: _Slot | None, component: Component, at: str) -> list[Problem]:
    if slot is None:
        is_button = component.type == "button"
        return [_refuse(f"{at}.index", f"the template has no button {component.index}")] if is_button else []
    if slot.sub_type is not None and component.sub_type != slot.sub_type:
        details = f"the template's {slot.what} is of sub_type {slot.sub_type}, got {component.sub_type}"
        return [_refuse(f"{at}.sub_type", details)]
    given = component.parameters or []
    if len(given) < slot.least or (slot.most is not None and len(given) > slot.most):
        details = f"the template's {slot.what} takes {_amount(slot)}, got {len(given)}"
        return [_refuse(f"{at}.parameters", details)]
    return _compare_parameters(slot, given, f"{at}.parameters")


def _compare_parameters(slot: _Slot, given: list[Parameter], path: str) -> list[Problem]:
    problems: list[Problem] = []
    names: set[str] = set()
    for position, parameter in enumerate(given):
        at = f"{path}[{position}]"
        if slot.kinds is not None and parameter.type in _KNOWN_KINDS - slot.kinds:
            expected = " or ".join(sorted(slot.kinds))
            problems.append(_refuse(f"{at}.type", f"the template's {slot.what} takes {expected}, got {parameter.type}"))
        elif slot.names is None:
            continue
        elif parameter.name not in slot.names:
            expected = ", ".join(sorted(slot.names))
            problems.append(_refuse(f"{at}.parameter_name", f"the template's {slot.what} has the variables {expected}"))
        elif parameter.name in names:
            problems.append(_refuse(f"{at}.parameter_name", f"the message has {parameter.name} twice"))
        else:
            names.add(parameter.name)
    return problems


def _warnings(component: Component, at: str) -> list[Problem]:
    details = "Meta may refuse a new line, a tab or more than four spaces in a row"
    return [
        Problem(path=f"{at}.parameters[{position}].text", details=details, severity="warn")
        for position, parameter in enumerate(component.parameters or [])
        if parameter.type == "text" and parameter.text is not None and _UNWELCOME.search(parameter.text)
    ]


def _amount(slot: _Slot) -> str:
    if slot.most == 0:
        return "no parameters"
    count = slot.least or slot.most or 0
    range_words = f"{count}" if slot.least else f"at most {count}"
    return f"{range_words} parameter" + ("" if count == 1 else "s")


def _refuse(path: str, details: str) -> Problem:
    return Problem(path=path, details=details, severity="refuse")
