"""Meta's rules for interactive messages: which parts each sub-type has, and the limit of each part."""

from collections.abc import Callable
from typing import NamedTuple

from waypost.simulator.attachment_checks import check_media
from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Fields

MEDIA_HEADERS = frozenset({"text", "image", "video", "document"})
LONGEST_SHORT, LONGEST_BODY = 60, 1024
MOST_ROWS, MOST_SECTIONS, MOST_PRODUCTS = 10, 10, 30


class Parts(NamedTuple):
    """What surrounds the action of one sub-type."""

    headers: frozenset[str]
    action: Callable[[Fields], None]
    body_required: bool = True
    longest_body: int = LONGEST_BODY
    header_required: bool = False
    footer: bool = True


def check_interactive(interactive: Fields) -> None:
    """Raises `GraphError` 131008 for a part that is absent and 131009 for one that breaks a limit."""
    parts = SUBTYPES[interactive.choice("type", SUBTYPES)]
    _header(interactive, parts)
    if parts.body_required or interactive.has("body"):
        interactive.child("body").text("text", parts.longest_body)
    footer = interactive.optional_child("footer")
    if footer is not None:
        if not parts.footer:
            raise interactive.wrong("footer", "is not supported for this type of interactive message.")
        footer.text("text", LONGEST_SHORT)
    action = interactive.child("action")
    parts.action(action)
    if interactive.values["type"] == "carousel":
        _carousel(action)


def _header(interactive: Fields, parts: Parts) -> None:
    header = interactive.optional_child("header")
    if header is None:
        if parts.header_required:
            raise interactive.missing("header")
        return
    if not parts.headers:
        raise interactive.wrong("header", "is not supported for this type of interactive message.")
    kind = header.choice("type", parts.headers)
    if kind == "text":
        header.text("text", LONGEST_SHORT)
    else:
        check_media(header.child(kind))


def _buttons(action: Fields) -> None:
    replies = []
    for button in action.children("buttons", 1, 3):
        button.choice("type", {"reply"})
        reply = button.child("reply")
        replies.append((reply.text("id", 256), reply.text("title", 20)))
    for position, name in enumerate(("id", "title")):
        values = [reply[position] for reply in replies]
        if len(set(values)) != len(values):
            raise action.wrong("buttons", f"must have a different {name} each.")


def _list(action: Fields) -> None:
    action.text("button", 20)
    sections = action.children("sections", 1, MOST_SECTIONS)
    ids: list[str] = []
    for section in sections:
        if len(sections) > 1 or section.has("title"):
            section.text("title", 24)
        for row in section.children("rows", 1, MOST_ROWS):
            ids.append(row.text("id", 200))
            row.text("title", 24)
            row.optional_text("description", 72)
    if len(ids) > MOST_ROWS:
        raise GraphError(131009, f"Total row count exceed max allowed count: {MOST_ROWS}")
    if len(set(ids)) != len(ids):
        raise action.wrong("sections", "must have a different id in each row.")


def _named(name: str, *, parameters: Callable[[Fields], None] | None = None) -> Callable[[Fields], None]:
    def check(action: Fields) -> None:
        action.choice("name", {name})
        if parameters is not None:
            parameters(action.child("parameters"))

    return check


def _cta(parameters: Fields) -> None:
    parameters.text("display_text", 20)
    if not parameters.text("url", 2000).lower().startswith(("http://", "https://")):
        raise parameters.wrong("url", "is not a valid URL.")


def _flow(parameters: Fields) -> None:
    parameters.choice("flow_message_version", {"3"})
    if parameters.has("flow_id") == parameters.has("flow_name"):
        raise parameters.wrong("flow_id", "or flow_name is required, and not both.")
    parameters.text("flow_cta", 30)
    if parameters.has("mode"):
        parameters.choice("mode", {"draft", "published"})
    moves = parameters.choice("flow_action", {"navigate", "data_exchange"}) if parameters.has("flow_action") else None
    if parameters.has("flow_action_payload"):
        if moves == "data_exchange":
            raise parameters.wrong("flow_action_payload", "is only supported with the action navigate.")
        parameters.child("flow_action_payload").text("screen", 256)


def _country(parameters: Fields) -> None:
    parameters.text("country", 2)


def _order(parameters: Fields) -> None:
    parameters.text("reference_id", 35)
    parameters.child("order").text("status", 64)


def _payment(parameters: Fields) -> None:
    parameters.text("reference_id", 35)


def _product(action: Fields) -> None:
    action.text("catalog_id", 64)
    action.text("product_retailer_id", 256)


def _products(action: Fields) -> None:
    action.text("catalog_id", 64)
    sections = action.children("sections", 1, MOST_SECTIONS)
    count = 0
    for section in sections:
        if len(sections) > 1 or section.has("title"):
            section.text("title", 24)
        for item in section.children("product_items", 1, MOST_PRODUCTS):
            item.text("product_retailer_id", 256)
            count += 1
    if count > MOST_PRODUCTS:
        raise GraphError(131009, f"Total product count exceed max allowed count: {MOST_PRODUCTS}")


def _cards(action: Fields) -> None:
    cards = action.children("cards", 2, 10)
    kinds = {card.choice("type", {"cta_url", "product"}) for card in cards}
    if len(kinds) > 1:
        raise action.wrong("cards", "must all be of the same type.")
    for position, card in enumerate(cards):
        if card.number("card_index", 0, 9) != position:
            raise card.wrong("card_index", f"must be {position}: cards are numbered in their order.")


def _carousel(action: Fields) -> None:
    for card in action.children("cards", 2, 10):
        if card.values["type"] == "product":
            _product(card.child("action"))
            continue
        header = card.child("header")
        check_media(header.child(header.choice("type", {"image", "video"})))
        if card.has("body") and card.child("body").text("text", 160).count("\n") > 2:
            raise card.wrong("body", "must not have more than 2 line breaks.")
        inner = card.child("action")
        if inner.has("buttons"):
            for button in inner.children("buttons", 1, 3):
                button.choice("type", {"quick_reply"})
                button.child("quick_reply").text("title", 20)
        else:
            _named("cta_url", parameters=_cta)(inner)


NO_HEADER: frozenset[str] = frozenset()

SUBTYPES: dict[str, Parts] = {
    "button": Parts(MEDIA_HEADERS, _buttons),
    "list": Parts(frozenset({"text"}), _list, longest_body=4096),
    "cta_url": Parts(MEDIA_HEADERS, _named("cta_url", parameters=_cta)),
    "flow": Parts(MEDIA_HEADERS, _named("flow", parameters=_flow)),
    "product": Parts(NO_HEADER, _product, body_required=False),
    "product_list": Parts(frozenset({"text"}), _products, header_required=True),
    "catalog_message": Parts(NO_HEADER, _named("catalog_message")),
    "location_request_message": Parts(NO_HEADER, _named("send_location")),
    "address_message": Parts(MEDIA_HEADERS, _named("address_message", parameters=_country)),
    "call_permission_request": Parts(NO_HEADER, _named("call_permission_request"), body_required=False),
    "voice_call": Parts(NO_HEADER, _named("voice_call")),
    "request_contact_info": Parts(NO_HEADER, _named("request_contact_info")),
    "order_details": Parts(frozenset({"image"}), _named("review_and_pay", parameters=_payment)),
    "order_status": Parts(NO_HEADER, _named("review_order", parameters=_order)),
    "carousel": Parts(NO_HEADER, _cards, footer=False),
}
