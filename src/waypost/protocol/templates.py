"""The `template` object: name, language, and the values for the variables of its components.

Component and parameter kinds that the seed names are typed and checked. Parameter kinds that only Meta knows (currency,
coupon_code, limited_time_offer, next year's) are carried as given (decision D14).
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from waypost.protocol.media import Document, Image, Media, Video
from waypost.protocol.rules import carried, json_name, text, wrong

MAX_BUTTONS = 10  # Meta's limit; the seed's table says three, and customers use more

_MEDIA: dict[str, type[Media]] = {"image": Image, "video": Video, "document": Document}


class Parameter:
    """One value for one variable of a template.

    `type` is the kind (`text`, `payload`, `image`, …), `text` the value of a text parameter, `name` its
    `parameter_name` in templates with named variables, and `wire` the object that Meta gets.
    """

    __slots__ = ("name", "text", "type", "wire")

    def __init__(self, wire: dict[str, object]) -> None:
        kind, name, value = wire["type"], wire.get("parameter_name"), wire.get("text")
        self.type = str(kind)
        self.name = name if isinstance(name, str) else None
        self.text = value if isinstance(value, str) else None
        self.wire = wire


class Language(msgspec.Struct):
    """Which language of the template: Meta's code, and the policy, for which there is one value."""

    code: str
    policy: Literal["deterministic"]

    def __post_init__(self) -> None:
        """Refuse a code that could not be looked up."""
        text(self.code, ".code")


class Component(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Values for the header, the body, one button or the cards of a template.

    `type` and `sub_type` are lower case and `index` is a string of one digit once decoded, as Meta wants them.
    `sub_type` and `index` exist on buttons only, `cards` on carousels only; elsewhere they are dropped.
    """

    type: str
    sub_type: str | None = None
    index: int | str | None = None
    parameters: list[Parameter] | None = None
    cards: list["Card"] | None = None

    def __post_init__(self) -> None:
        """Bring to Meta's spelling, and require what the seed requires for this type."""
        self.type = kind = text(self.type, ".type").lower()
        if kind == "button":
            if not self.sub_type:
                raise wrong("is required for a button", ".sub_type")
            self.sub_type = self.sub_type.lower()
            self.index = _button_index(self.index)
        else:
            self.sub_type = self.index = None
        if kind != "carousel":
            self.cards = None
        elif not self.cards:
            raise wrong("is required for a carousel", ".cards")


class Card(msgspec.Struct):
    """One card of a carousel: its number from 0, and components of its own."""

    card_index: int
    components: list[Component]

    def __post_init__(self) -> None:
        """Refuse a negative number, and a carousel within a card."""
        if self.card_index < 0:
            raise wrong("expected a number from 0", ".card_index")
        for position, component in enumerate(self.components):
            if component.type == "carousel":
                raise wrong("a card takes no carousel", f".components[{position}].type")


class Template(msgspec.Struct, omit_defaults=True):
    """The content of a template message."""

    name: str
    language: Language
    components: list[Component] | None = None

    def __post_init__(self) -> None:
        """Refuse a name that could not be looked up."""
        text(self.name, ".name")


def parameter_from(given: object) -> Parameter:
    """Return a parameter from its decoded JSON; the kinds of the seed are checked, others carried as they are.

    Raises ValueError with the way to the culprit.
    """
    if not isinstance(given, dict):
        raise wrong(f"expected an object, got {json_name(given)}")
    kind = _string(given, "type")
    read = _READERS.get(kind)
    if read is None:
        carried(given, "")
        return Parameter(given)
    wire: dict[str, object] = {"type": kind, kind: read(given, kind)}
    name = given.get("parameter_name")
    if name is not None:
        wire["parameter_name"] = _string(given, "parameter_name")
    return Parameter(wire)


def wire_parameter(parameter: object) -> object:
    """Return what an encoder writes for a parameter (for `enc_hook`)."""
    if isinstance(parameter, Parameter):
        return parameter.wire
    raise TypeError(f"no JSON form for {type(parameter).__name__}")


def _string(given: dict[str, object], key: str) -> str:
    value = given.get(key)
    if isinstance(value, str):
        return value
    raise wrong("is required" if value is None else f"expected a string, got {json_name(value)}", f".{key}")


def _media(given: dict[str, object], kind: str) -> Media:
    value = given.get(kind)
    if value is None:
        raise wrong("is required", f".{kind}")
    try:
        return msgspec.convert(value, _MEDIA[kind])
    except msgspec.ValidationError as problem:
        raise wrong(str(problem), f".{kind}") from None


_READERS: dict[str, Callable[[dict[str, object], str], object]] = {
    "text": _string,
    "payload": _string,
    **dict.fromkeys(_MEDIA, _media),
}


def _button_index(index: int | str | None) -> str:
    if index is None:
        raise wrong("is required for a button", ".index")
    digit = str(index)
    if len(digit) == 1 and digit.isascii() and digit.isdigit():
        return digit
    raise wrong(f"expected a number from 0 to {MAX_BUTTONS - 1}", ".index")
