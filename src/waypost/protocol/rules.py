"""What a single member of a request body may hold: numbers, links, texts, coordinates, JSON that is carried along.

Each function takes a value as decoded and returns it normalised, or raises what `wrong` makes; the decoder adds the
path of the place where it stood.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

PHONE_MIN_DIGITS = 6
PHONE_MAX_DIGITS = 15  # ITU-T E.164
CUS_MESSAGE_ID_MAX_LENGTH = 128
CARRIED_MAX_DEPTH = 64  # far beyond what Meta defines; keeps every later walk and encoding safe

_PHONE_ORNAMENTS = str.maketrans("", "", "+-(). ")
_HTTP = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_JSON_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}


def wrong(details: str, at: str = "") -> ValueError:
    """Return the error to raise for a wrong value; `at` is the way down to it, such as `.link`.

    The form is that of msgspec's own messages, so that its path and ours read as one.
    """
    return ValueError(f"{details} - at `${at}`" if at else details)


def json_name(value: object) -> str:
    """Return what a decoded JSON value is called in an error text."""
    if value is None:
        return "null"
    return _JSON_NAMES.get(type(value), "an object")


def text(value: str, at: str) -> str:
    """Return a required text that we keep: not empty, and without the NUL character that databases refuse."""
    if not value:
        raise wrong("must not be empty", at)
    return without_nul(value, at)


def optional_text(value: str | None, at: str) -> str | None:
    """Return an optional text that we keep; an empty one is none at all, as Java programs send it."""
    return without_nul(value, at) if value else None


def without_nul(value: str, at: str) -> str:
    """Return a text that holds no NUL character."""
    if "\0" in value:
        raise wrong("must not contain the NUL character", at)
    return value


def phone_digits(value: str, at: str) -> str:
    """Return the digits of a phone number written with or without `+ - ( ) .` and spaces; 6 to 15 of them."""
    digits = value if value.isdigit() else value.translate(_PHONE_ORNAMENTS)
    if not (digits.isascii() and digits.isdigit() and PHONE_MIN_DIGITS <= len(digits) <= PHONE_MAX_DIGITS):
        raise wrong("expected a phone number of 6 to 15 digits with country code", at)
    return digits


def customer_message_id(value: str | None) -> str | None:
    """Return a `cus_message_id`: 1 to 128 printable characters without whitespace; an empty one is none."""
    if not value:
        return None
    if len(value) > CUS_MESSAGE_ID_MAX_LENGTH or " " in value or not value.isprintable():
        raise wrong("expected 1 to 128 printable characters without spaces", ".cus_message_id")
    return value


def webhook_url(value: str | None) -> str | None:
    """Return a `dr_webhook`: an absolute http or https URL with a host; an empty one is none (decision D10)."""
    if not value:
        return None
    problem = wrong("expected an absolute http or https URL", ".dr_webhook")
    if not _HTTP.match(value) or " " in value or not value.isprintable():
        raise problem
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0  # reading the port checks that it is a number
    except ValueError:
        raise problem from None
    if not named:
        raise problem
    return value


def link(value: str) -> str:
    """Return a media link; the seed wants an HTTP/HTTPS URL, and Meta fetches it, not we."""
    if not _HTTP.match(value):
        raise wrong("expected an http or https URL", ".link")
    return value


def coordinate(value: float | str, limit: float, at: str) -> float:
    """Return a latitude or longitude in degrees; the seed's table says number, its example says string."""
    if isinstance(value, str):
        if not _NUMERIC.fullmatch(value):
            raise wrong("expected a number", at)
        value = float(value)
    if not -limit <= value <= limit:
        raise wrong(f"expected a number from -{limit:g} to {limit:g}", at)
    return value


def member_text(given: Mapping[str, object], key: str, at: str) -> str:
    """Return a required text of an object that is otherwise carried as given."""
    value = given.get(key)
    if isinstance(value, str) and value:
        return value
    if value is None:
        raise wrong("is required", f"{at}.{key}")
    raise wrong("must not be empty" if value == "" else f"expected a string, got {json_name(value)}", f"{at}.{key}")


def carried(value: object, at: str) -> None:
    """Check JSON that is passed on to Meta as given: only its depth matters to us (decision D14)."""
    level = [value]
    for _ in range(CARRIED_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise wrong(f"must not nest deeper than {CARRIED_MAX_DEPTH} levels", at)


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
