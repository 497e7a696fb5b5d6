"""JSON with a damaged part: everything else in it can still be read."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 64  # Meta nests a dozen levels; what is deeper would exhaust the stack of whoever reads it
MAX_DIGITS = 40  # what is longer is no number that anybody could use

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def read_damaged(text: str | bytes) -> Any:
    """Return a JSON document in which values that nobody can use are None; raise `ValueError` where it is no JSON.

    Those are: what is nested deeper than 64 levels, numbers too large, NaN and the like. Broken UTF-8 becomes U+FFFD;
    half a surrogate pair stays as it is. Slower than a reader that refuses the whole: for what that has refused.
    """
    whole = text if isinstance(text, str) else text.decode("utf-8-sig", errors="replace")
    try:
        return json.loads(
            _without_depths(whole),
            parse_constant=_nothing,
            parse_int=_integer,
            parse_float=_finite,
            strict=False,  # control characters in a string are no reason to lose it
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _without_depths(text: str) -> str:
    """Put null in place of each array and object that is nested too deeply."""
    kept: list[str] = []
    depth = begin = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        match text[found.start()]:
            case "[" | "{":
                depth += 1
                if depth == MAX_DEPTH + 1:
                    kept += (text[begin : found.start()], "null")
            case "]" | "}":
                if depth == MAX_DEPTH + 1:
                    begin = found.end()
                depth -= 1
    return "".join((*kept, text[begin:]))


def _nothing(_: str) -> None:
    return None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
