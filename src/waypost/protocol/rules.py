"""What a single member of a request body may hold: numbers, links, texts, coordinates, JSON that is carried along.

Each function takes a value as decoded and returns it normalised, or raises what `wrong` makes; the decoder adds the
path of the place where it stood.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from yarl import URL

PHONE_MIN_DIGITS = 6
PHONE_MAX_DIGITS = 15  # ITU-T E.164
CUS_MESSAGE_ID_MAX_LENGTH = 128
CARRIED_MAX_DEPTH = 64  # far beyond what Meta defines; keeps every later walk and encoding safe
URL_MAX_LENGTH = 8_192  # what common servers take as a request line

_PHONE_ORNAMENTS = str.maketrans("", "", "+-(). ")
_HTTP = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE | re.ASCII)
_NO_HOST = "must have a host, and a port from 1 to 65535 if any"
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
    """Return a `dr_webhook`: a URL that can be pushed to; an empty one is none (decision D10)."""
    if not value:
        return None
    if fault := url_fault(value):
        raise wrong(fault, ".dr_webhook")
    return value


def url_fault(url: str) -> str | None:
    """Say why no callback can ever be posted to a URL, as what it must be; None if only its address may be refused.

    It is asked where a URL comes in (`dr_webhook`, the tenant file) and again where it is posted to, so that what is
    taken is tried. It quotes nothing of the URL, which may hold a password.
    """
    if not _HTTP.match(url):
        return "must be an absolute http or https URL"
    if len(url) > URL_MAX_LENGTH:
        return f"must have at most {URL_MAX_LENGTH} characters"
    if not url.isprintable() or " " in url or "\\" in url:
        return "must be printable, without spaces and backslashes"
    try:
        parts = urlsplit(url)
        reachable = parts.port != 0 and _is_host(URL(url).raw_host or "")  # the second is who posts
    except ValueError:
        return _NO_HOST
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    return None if reachable else _NO_HOST


def _is_host(host: str) -> bool:
    if ":" in host or host.replace(".", "").isdigit():  # 127.1 and 2130706433 mean something else to everybody
        return bool(ip_address(host))
    return _HOST_NAME.fullmatch(host) is not None


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
