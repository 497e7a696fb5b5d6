"""Meta's rules for the `template` object of a send that hold whatever the template looks like."""

import re

from waypost.simulator.attachment_checks import check_coordinates, check_media
from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Fields

COMPONENTS = frozenset(
    {"header", "body", "button", "carousel", "limited_time_offer", "tap_target_configuration", "footer"}
    | {"order_status", "order_details"}
)
BUTTON_PARAMETERS = {
    "quick_reply": frozenset({"payload"}),
    "url": frozenset({"text"}),
    "copy_code": frozenset({"coupon_code"}),
    "flow": frozenset({"action"}),
    "catalog": frozenset({"action"}),
    "mpm": frozenset({"action"}),
    "spm": frozenset({"action"}),
    "voice_call": frozenset({"ttl_minutes", "payload"}),
    "order_details": frozenset({"action"}),
}
NEED_PARAMETERS = frozenset({"url", "copy_code"})
HEADER_PARAMETERS = frozenset({"text", "image", "video", "document", "gif", "location", "product"})
BODY_PARAMETERS = frozenset({"text", "currency", "date_time"})
MEDIA_PARAMETERS = frozenset({"image", "video", "document", "gif"})
MOST_PARAMETERS, LONGEST_PARAMETER = 100, 32768
LONGEST_COUPON = 20
FORBIDDEN_IN_TEXT = re.compile(r"[\n\r\t]| {5}")


def _check_component(component: Fields) -> None:
    """Checks one component; the type's letter case does not matter."""
    kind = component.text("type", 64).lower()
    if kind not in COMPONENTS:
        raise component.wrong("type", f"must be one of {{{', '.join(sorted(COMPONENTS))}}}.")
    if kind == "header":
        _check_parameters(component, HEADER_PARAMETERS, most=1)
    elif kind == "body":
        _check_parameters(component, BODY_PARAMETERS, most=MOST_PARAMETERS)
    elif kind == "button":
        _check_button(component)
    elif kind == "carousel":
        _check_carousel(component)
    elif kind == "limited_time_offer":
        offer = component.children("parameters", 1, 1)[0]
        offer.choice("type", {"limited_time_offer"})
        offer.child("limited_time_offer").number("expiration_time_ms", 0, 2**53)
    elif kind == "tap_target_configuration":
        target = component.children("parameters", 1, 1)[0].children("tap_target_configuration", 1, 1)[0]
        target.text("url", 2000)
        target.text("title", LONGEST_PARAMETER)


def _check_carousel(component: Fields) -> None:
    for position, card in enumerate(component.children("cards", 2, 10)):
        if card.number("card_index", 0, 9) != position:
            raise card.wrong("card_index", f"must be {position}: cards are numbered in their order.")
        for inner in card.children("components", 0, MOST_PARAMETERS):
            if inner.text("type", 64).lower() not in ("header", "body", "button"):
                raise inner.wrong("type", "must be one of {body, button, header} within a card.")
            _check_component(inner)


def _check_button(component: Fields) -> None:
    sub_type = component.text("sub_type", 64).lower()
    if sub_type not in BUTTON_PARAMETERS:
        raise component.wrong("sub_type", f"must be one of {{{', '.join(sorted(BUTTON_PARAMETERS))}}}.")
    button_index(component)
    if sub_type in NEED_PARAMETERS or component.has("parameters"):
        _check_parameters(component, BUTTON_PARAMETERS[sub_type], most=2, least=sub_type in NEED_PARAMETERS)


def _check_parameters(component: Fields, allowed: frozenset[str], *, most: int, least: int = 0) -> None:
    if not component.has("parameters") and not least:
        return
    parameters = component.children("parameters", least, MOST_PARAMETERS)
    if len(parameters) > most:
        raise GraphError(132000, f"{component.path}: {len(parameters)} parameters where {most} is the most.")
    for parameter in parameters:
        _check_parameter(parameter, allowed)


def _check_parameter(parameter: Fields, allowed: frozenset[str]) -> None:
    kind = parameter.text("type", 64).lower()
    if kind not in allowed:
        wanted = ", ".join(sorted(allowed)).upper()
        raise GraphError(132012, f"{parameter.path}: Format mismatch, expected {wanted}, received {kind.upper()}")
    if kind == "text":
        _check_text(parameter)
    elif kind in MEDIA_PARAMETERS:
        check_media(parameter.child(kind))
    elif kind == "location":
        location = parameter.child("location")
        check_coordinates(location)
        location.text("name", 1000)
        location.text("address", 1000)
    elif kind == "product":
        parameter.child("product").text("product_retailer_id", 256)
    elif kind == "currency":
        currency = parameter.child("currency")
        currency.text("fallback_value", LONGEST_PARAMETER)
        currency.text("code", 3, shortest=3)
        currency.number("amount_1000", -(2**53), 2**53)
    elif kind == "date_time":
        parameter.child("date_time").text("fallback_value", LONGEST_PARAMETER)
    elif kind == "coupon_code":
        if not re.fullmatch(r"[A-Za-z0-9]+", parameter.text("coupon_code", LONGEST_COUPON)):
            raise GraphError(131009, f"Param {parameter.named('coupon_code')} must be alphanumeric.")
    elif kind == "payload":
        parameter.text("payload", LONGEST_PARAMETER, shortest=0)
    elif kind == "action":
        parameter.child("action")


def _check_text(parameter: Fields) -> None:
    text = parameter.text("text", LONGEST_PARAMETER)
    parameter.optional_text("parameter_name", 512)
    if FORBIDDEN_IN_TEXT.search(text):
        rule = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
        raise GraphError(132018, f"{parameter.named('text')}: {rule}")


def button_index(component: Fields) -> int:
    """The zero-based position of a button, which clients send as a string or as an integer."""
    value = component.values.get("index")
    if value is None:
        raise component.missing("index")
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch("[0-9]", text):
        raise component.wrong("index", "must be the button's position, 0 to 9.")
    return int(text)


def check_template_shape(template: Fields) -> None:
    """Raises `GraphError` for a template object that can't fit any template."""
    if not re.fullmatch(r"[a-z0-9_]+", template.text("name", 512)):
        raise GraphError(132001, f"template name ({template.values['name']}) may have a-z, 0-9 and _ only")
    language = template.child("language")
    language.text("code", 16)
    if language.has("policy"):
        language.choice("policy", {"deterministic"})
    if template.has("components"):
        for component in template.children("components", 0, MOST_PARAMETERS):
            _check_component(component)
