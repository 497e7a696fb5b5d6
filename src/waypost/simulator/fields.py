"""Reading one JSON object of a request the way Meta does: each complaint has Meta's code and names the field."""

import re
from collections.abc import Collection, Iterator

from waypost.simulator.errors import GraphError

_NO_DIGITS = re.compile("[^0-9]+")

Json = dict[str, object]


class Fields:
    """One JSON object and the path under which Meta's error texts would name it, like `text['body']`.

    `limit_code` is the code for values that break a rule: 100 in general, 131009 within interactive messages.
    """

    __slots__ = ("limit_code", "path", "values")

    def __init__(self, values: Json, path: str = "", limit_code: int = 100) -> None:
        self.values, self.path, self.limit_code = values, path, limit_code

    def named(self, key: str) -> str:
        """The full name of a member."""
        return f"{self.path}['{key}']" if self.path else key

    def has(self, key: str) -> bool:
        """Whether the member is there; null counts as absent."""
        return self.values.get(key) is not None

    def missing(self, key: str) -> GraphError:
        """The complaint that a member is absent: 100 at the top of the body, 131008 below it."""
        return GraphError(131008 if self.path else 100, f"The parameter {self.named(key)} is required.")

    def wrong(self, key: str, rule: str) -> GraphError:
        """The complaint that a member breaks a rule."""
        return GraphError(self.limit_code, f"Param {self.named(key)} {rule}")

    def text(self, key: str, longest: int, shortest: int = 1) -> str:
        """A required string of `shortest` to `longest` characters."""
        value = self.values.get(key)
        if value is None:
            raise self.missing(key)
        if not isinstance(value, str):
            raise GraphError(100, f"Param {self.named(key)} must be a string.")
        if not shortest <= len(value) <= longest:
            raise self.wrong(key, f"length invalid. Min length: {shortest}, Max length: {longest}.")
        return value

    def optional_text(self, key: str, longest: int, shortest: int = 0) -> str | None:
        """A string that may be absent."""
        return self.text(key, longest, shortest) if self.has(key) else None

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """A required string out of a closed set."""
        value = self.text(key, 256)
        if value not in allowed:
            raise self.wrong(key, f"must be one of {{{', '.join(sorted(allowed))}}}.")
        return value

    def flag(self, key: str) -> None:
        """A boolean that may be absent."""
        if self.has(key) and not isinstance(self.values[key], bool):
            raise GraphError(100, f"Param {self.named(key)} must be a boolean.")

    def child(self, key: str) -> "Fields":
        """A required object."""
        value = self.values.get(key)
        if value is None:
            raise self.missing(key)
        if not isinstance(value, dict):
            raise GraphError(100, f"Param {self.named(key)} must be a JSON object.")
        return Fields(value, self.named(key), self.limit_code)

    def optional_child(self, key: str) -> "Fields | None":
        """An object that may be absent."""
        return self.child(key) if self.has(key) else None

    def children(self, key: str, least: int, most: int) -> list["Fields"]:
        """A required array of `least` to `most` objects."""
        value = self.values.get(key)
        if value is None:
            raise self.missing(key)
        if not isinstance(value, list):
            raise GraphError(100, f"Param {self.named(key)} must be an array.")
        if not least <= len(value) <= most:
            raise self.wrong(key, f"count invalid. Min allowed {key}: {least}, Max allowed {key}: {most}.")
        return list(self._elements(key, value))

    def _elements(self, key: str, values: list[object]) -> Iterator["Fields"]:
        for index, value in enumerate(values):
            name = f"{self.named(key)}[{index}]"
            if not isinstance(value, dict):
                raise GraphError(100, f"Param {name} must be a JSON object.")
            yield Fields(value, name, self.limit_code)

    def number(self, key: str, least: float, most: float) -> float:
        """A required number, or a string that holds one, as Meta takes coordinates either way."""
        value = self.values.get(key)
        if value is None:
            raise self.missing(key)
        try:
            found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            found = None
        if found is None or not least <= found <= most:
            raise self.wrong(key, f"must be a number from {least:g} to {most:g}.")
        return found


def digits_of(number: object) -> str:
    """The decimal digits of a phone number, whatever stands between them."""
    return _NO_DIGITS.sub("", number) if isinstance(number, str) else ""
