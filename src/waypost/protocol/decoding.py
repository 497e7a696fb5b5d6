"""Raw bytes into a typed body, or one clear 9000: path and reason for whatever is wrong with them."""

import codecs
import re
from typing import TypeVar

import msgspec

from waypost.protocol.errors import ParameterInvalid

Body = TypeVar("Body")

DETAILS_MAX_LENGTH = 200  # an answer must not grow with the input it complains about
PATH_MAX_LENGTH = 200
MAX_PLACES = 4  # in one message; what a customer wrote must not be taken apart without end

_AT = " - at `$"  # how msgspec says where, with a closing backtick
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?")
_UNEXPECTED_VALUE = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])"
)
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NAMES = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


def decode_body(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body:
    """Return a typed body; raise ParameterInvalid with path and details, and never anything else.

    Of a member that stands there twice the last one counts, save for the member that selects the type: two different
    ones are refused.
    """
    try:
        raw.decode()  # members that nobody reads are skipped, not checked: this check covers all
        return decoder.decode(raw)
    except msgspec.ValidationError as problem:
        raise _invalid(str(problem)) from None
    except UnicodeDecodeError as problem:
        raise _malformed(raw, f"the body is not UTF-8 (byte {problem.start})") from None
    except RecursionError:
        raise ParameterInvalid("the body is nested too deeply", path="$") from None
    except ValueError as problem:
        raise _malformed(raw, f"the body is not JSON: {_syntax(str(problem))}") from None


def _malformed(raw: bytes, details: str) -> ParameterInvalid:
    if not raw.strip():
        details = "the body is empty"
    elif raw.startswith(_BYTE_ORDER_MARKS):
        details = "the body starts with a byte order mark; send plain UTF-8 without one"
    elif _LONE_SURROGATE.search(raw):
        details = "the body is not JSON: half of a surrogate pair in a string"
    return ParameterInvalid(_shortened(details, DETAILS_MAX_LENGTH), path="$")


def _syntax(problem: str) -> str:
    return problem.removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")


def _invalid(problem: str) -> ParameterInvalid:
    """Translate a message of msgspec, or one of `rules.wrong`: the innermost place stands first, the outermost last."""
    path = "$"
    for _ in range(MAX_PLACES):
        words, found, place = problem.rpartition(_AT)
        if not found or place.find("`") != len(place) - 1:
            break
        problem = words
        path += place[:-1]
    details, member = _explained(problem)
    return ParameterInvalid(_shortened(details, DETAILS_MAX_LENGTH), path=_shortened(path + member, PATH_MAX_LENGTH))


def _explained(problem: str) -> tuple[str, str]:
    if missing := _MISSING.fullmatch(problem):
        return "is required", f".{missing[1]}"
    if expected := _EXPECTED.fullmatch(problem):
        wanted = " or ".join(dict.fromkeys(_NAMES.get(name, name) for name in _named(expected[1])))
        got = f", got {_NAMES.get(expected[2], expected[2])}".replace("whole ", "") if expected[2] else ""
        return f"expected {wanted}{got}", ""
    if unexpected := _UNEXPECTED_VALUE.fullmatch(problem):
        return f"unknown value {unexpected[1]}", ""
    return problem[:1].lower() + problem[1:], ""


def _named(union: str) -> list[str]:
    return [name for name in union.split(" | ") if name != "null"]


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
