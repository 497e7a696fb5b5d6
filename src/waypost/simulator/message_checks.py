"""Meta's rules for the body of a send, type by type, as Meta's reference for each message type gives them."""

import re
from collections.abc import Callable

from waypost.simulator.attachment_checks import LONGEST_FREE_TEXT, check_coordinates, check_media
from waypost.simulator.errors import GraphError
from waypost.simulator.fields import Fields, digits_of
from waypost.simulator.interactive_checks import check_interactive
from waypost.simulator.template_checks import check_template_shape

COMMON_FIELDS = frozenset(
    {"messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"}
    | {"recipient_identity_key_hash"}
)
READ_FIELDS = frozenset({"messaging_product", "status", "message_id", "typing_indicator"})
MARKETING_FIELDS = frozenset({"product_policy", "message_activity_sharing"})
LONGEST_BODY, LONGEST_CAPTION, LONGEST_OPAQUE, MOST_CONTACTS = 4096, 1024, 512, 257
GROUP = re.compile(r"[A-Za-z0-9@._=\-]+")
NUMBER = re.compile(r"[0-9+() .\-]+")


def check_product(body: Fields) -> None:
    """The field that every call must carry."""
    body.choice("messaging_product", {"whatsapp"})


def check_send(body: Fields, *, marketing: bool) -> str:
    """Checks all of a send but its recipient and its template's definition; gives the message type."""
    if body.optional_text("recipient_type", 20) not in (None, "individual", "group"):
        raise body.wrong("recipient_type", "must be one of {group, individual}.")
    kind = body.text("type", 64) if body.has("type") else "text"
    if kind not in TYPES:
        raise body.wrong("type", f"must be one of {{{', '.join(sorted(TYPES))}}}.")
    if marketing and kind != "template":
        raise GraphError(100, "Message must be a template message.")
    if not body.has(kind):
        raise GraphError(131008, f"The parameter {kind} is required for messages of type {kind}.")
    body.optional_text("biz_opaque_callback_data", LONGEST_OPAQUE)
    context = body.optional_child("context")
    if context is not None:
        context.text("message_id", 512)
        if kind == "reaction":
            raise body.wrong("context", "can't be used with a reaction.")
    if marketing:
        body.flag("message_activity_sharing")
        if body.has("product_policy"):
            body.choice("product_policy", {"CLOUD_API_FALLBACK", "STRICT"})
    TYPES[kind](body)
    return kind


def check_recipient(body: Fields, business_number: str) -> str:
    """The recipient's digits, or "" if the message goes to a business-scoped user id alone."""
    if not body.has("to"):
        if not body.has("recipient"):
            raise body.missing("to")
        if not re.fullmatch(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}", body.text("recipient", 140)):
            raise GraphError(131009, "Param recipient is not a business-scoped user id.")
        return ""
    to = body.text("to", 64)
    if body.values.get("recipient_type") == "group":
        if not GROUP.fullmatch(to):
            raise GraphError(131020, "Param to is not a group id.")
        return to
    number = digits_of(to)
    if not NUMBER.fullmatch(to) or not 5 <= len(number) <= 20:
        raise GraphError(131009, "Param to is not a valid phone number.")
    if number == business_number:
        raise GraphError(131021, "Param to is the number that sends.")
    return number


def unexpected_fields(body: Fields, kind: str | None, *, marketing: bool) -> list[str]:
    """Top-level fields that Meta does not know for this call, or that belong to another message type.

    Whether Meta refuses or ignores them has changed over the years, so the message goes through; the list goes into
    the log of requests, because a client that sends such fields has a mistake worth seeing.
    """
    known = READ_FIELDS if kind is None else COMMON_FIELDS | {kind} | (MARKETING_FIELDS if marketing else frozenset())
    return sorted(set(body.values) - known)


def _text(body: Fields) -> None:
    text = body.child("text")
    text.text("body", LONGEST_BODY)
    text.flag("preview_url")


def _media(kind: str, *texts: tuple[str, int]) -> Callable[[Fields], None]:
    def check(body: Fields) -> None:
        media = body.child(kind)
        check_media(media)
        for name, longest in texts:
            media.optional_text(name, longest)
        if kind == "audio":
            media.flag("voice")
        if "caption" not in dict(texts) and media.has("caption"):
            raise media.wrong("caption", f"is not supported for messages of type {kind}.")

    return check


def _location(body: Fields) -> None:
    location = body.child("location")
    check_coordinates(location)
    location.optional_text("name", 1000)
    location.optional_text("address", 1000)


def _contacts(body: Fields) -> None:
    for contact in body.children("contacts", 1, MOST_CONTACTS):
        name = contact.child("name")
        name.text("formatted_name", LONGEST_FREE_TEXT)
        parts = ("first_name", "last_name", "middle_name", "prefix", "suffix")
        if not any(name.has(part) for part in parts):
            raise GraphError(131008, f"The parameter {name.path} requires one of {', '.join(parts)}.")
        for part in parts:
            name.optional_text(part, LONGEST_FREE_TEXT)
        for key in ("phones", "emails", "urls", "addresses"):
            if contact.has(key):
                contact.children(key, 0, LONGEST_FREE_TEXT)
        contact.optional_child("org")
        birthday = contact.optional_text("birthday", 10)
        if birthday and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", birthday, re.ASCII):
            raise contact.wrong("birthday", "must be a date as YYYY-MM-DD.")


def _reaction(body: Fields) -> None:
    reaction = body.child("reaction")
    reaction.text("message_id", 512)
    if "emoji" not in reaction.values:
        raise reaction.missing("emoji")
    reaction.text("emoji", 32, shortest=0)


def _interactive(body: Fields) -> None:
    interactive = body.child("interactive")
    interactive.limit_code = 131009
    check_interactive(interactive)


def _template(body: Fields) -> None:
    check_template_shape(body.child("template"))


TYPES: dict[str, Callable[[Fields], None]] = {
    "text": _text,
    "image": _media("image", ("caption", LONGEST_CAPTION)),
    "video": _media("video", ("caption", LONGEST_CAPTION)),
    "audio": _media("audio"),
    "document": _media("document", ("caption", LONGEST_CAPTION), ("filename", LONGEST_FREE_TEXT)),
    "sticker": _media("sticker"),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _template,
}
