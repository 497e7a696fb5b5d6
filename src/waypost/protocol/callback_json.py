"""JSON that someone else wrote, taken into what customers receive: read whatever came, write only clean JSON.

Clean means: compact UTF-8 without a byte order mark, no null anywhere, every string whole, every number finite.
"""

import math
from typing import Any

import msgspec

from waypost.protocol.damaged_json import read_damaged

MAX_DEPTH = 50  # Meta nests six levels; what is deeper is left out, so that no document can exhaust the stack
MAX_NUMBER_BITS = 128  # what is larger is no number that a receiver could read
MAX_NUMBER_TEXT = 32  # characters of a number in a string, or of a string that is to be a number

_encoder = msgspec.json.Encoder()


def read(text: str | bytes) -> Any:
    """Return a JSON document, or None where the text is none.

    A part that is damaged is no reason to lose the rest: it is None, or text that `write` mends.
    """
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return read_damaged(text)
    except ValueError:
        return None


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object, or an empty one where the text is something else."""
    return as_object(read(text))


def write(document: dict[str, object]) -> bytes:
    """Return clean JSON; members that are None are left out, on every level. Never raises."""
    return _encoder.encode(_clean(document, MAX_DEPTH))


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON array, and an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a string, or a whole number as its digits: Meta has sent ids and times as both. None for the rest."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return value if isinstance(value, str) else _digits(value)


def as_number(value: object) -> float | None:
    """Return a number, or a string that holds one, as a number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value) if not isinstance(value, str) or len(value) <= MAX_NUMBER_TEXT else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_whole(value: object) -> int | None:
    """Return a whole number, or a string of its digits, as an integer; None for anything else."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(value) <= MAX_NUMBER_TEXT else None
    return value if isinstance(value, int) and not isinstance(value, bool) and _fits(value) else None


def _clean(value: object, depth: int) -> object:
    """Return what may be written, None for what is left out."""
    match value:
        case str():
            return _whole_text(value)
        case bool() | msgspec.Raw():
            return value
        case int():
            return value if _fits(value) else None
        case float():
            return value if math.isfinite(value) else None
        case dict() if depth > 0:
            members = ((_whole_text(name), _clean(member, depth - 1)) for name, member in value.items())
            return {name: member for name, member in members if member is not None}
        case list() | tuple() if depth > 0:
            return [item for item in (_clean(item, depth - 1) for item in value) if item is not None]
    return None


def _whole_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fits(number: int) -> bool:
    return number.bit_length() <= MAX_NUMBER_BITS


def _digits(number: int) -> str | None:
    return str(number) if _fits(number) else None
