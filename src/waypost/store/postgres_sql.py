"""The named statements as PostgreSQL takes them: `:name` becomes a numbered, typed parameter."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from waypost.store.named_sql import parse, queries
from waypost.store.session import Value

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_RETURNING = re.compile(r"\bRETURNING\b")
_VALUES = re.compile(r"VALUES\s*\((.*?)\)(?=\s*ON CONFLICT|\Z)", re.DOTALL)

# PostgreSQL has to know what a parameter is. A name means the same in every statement: times are whole numbers, and so
# are these; `body` is bytes; everything else is text.
_WHOLE_NUMBERS = frozenset(
    {
        "affected",
        "aside",
        "answer_code",
        "attempt",
        "before_minute",
        "enabled",
        "http_status",
        "kept",
        "later",
        "limit",
        "minute",
        "number",
        "priority",
        "rank",
        "settled",
        "tries",
    }
)


_LISTS = frozenset({"ids", "meta_ids"})  # of texts, as JSON
_STAND_IN = "\ufffd"


class Statement:
    """One statement: its text, the names of its parameters in their order, and whether it gives rows."""

    def __init__(self, name: str, sql: str) -> None:
        self.name = name
        self.parameters = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
        numbers = {parameter: number for number, parameter in enumerate(self.parameters, 1)}
        self.text = _PARAMETER.sub(lambda found: f"${numbers[found[1]]}::{_type_of(found[1])}", sql.rstrip("; \n"))
        is_query = self.text.startswith(("SELECT", "WITH"))
        self.gives_rows = is_query or _RETURNING.search(self.text) is not None
        tag = f"${len(self.parameters) + 1}::bigint"
        self.many = _for_many(sql.rstrip("; \n"), self.parameters) if name in _FOR_MANY else None
        # For running it with several sets of values at once: behind each row stands whose it is.
        self.tagged = f"SELECT asked.*, {tag} FROM ({self.text}) AS asked" if is_query else f"{self.text}, {tag}"  # noqa: S608 - our own words

    def arguments(self, values: Mapping[str, Value]) -> tuple[Value, ...]:
        """Return the values in the order of the parameters; what the statement doesn't name is left out.

        U+FFFD stands in place of NUL, which this engine's texts can't hold: in what is looked for as in what is kept.
        """
        return tuple([_without_nul(parameter, values[parameter]) for parameter in self.parameters])


def _for_many(sql: str, parameters: tuple[str, ...]) -> str:
    """Return an INSERT that enters a row for each element of the lists which are given, one for each parameter."""
    lists = ", ".join(f"${number}::{_type_of(name)}[]" for number, name in enumerate(parameters, 1))
    names = ", ".join(f"given_{name}" for name in parameters)
    text = _PARAMETER.sub(r"given_\1", sql)
    rows = rf"SELECT \1 FROM unnest({lists}) AS given ({names})"  # noqa: S608 - our own words
    return _VALUES.sub(rows, text)


# Inserts of which a busy group holds many; no two of them are about the same row. Only inserts: what has to be found
# first is found by its key however old the statistics are, but in a join with a list only if they are good.
_FOR_MANY = frozenset({"insert_message", "insert_webhook", "insert_callback", "enter_work", "enter_meta_id"})


@cache
def statements() -> dict[str, Statement]:
    """Return every statement by its name; where PostgreSQL needs a text of its own, that one."""
    own = parse(files("waypost.store").joinpath("queries_postgres.sql").read_text("utf-8"))
    return {name: Statement(name, sql) for name, sql in (queries() | own).items()}


@cache
def put_together(sql: str) -> Statement:
    """Return a query that was put together; there are only as many as there are sorts of questions."""
    for words, own in _OWN_WORDS:
        sql = sql.replace(words, own)
    return Statement("select", sql)


# What queries that are put together say in the other engine's words: the order of a join is only asked for there.
_OWN_WORDS = (
    ("(SELECT value FROM json_each(:ids))", "(SELECT json_array_elements_text(:ids::json))"),
    ("CROSS JOIN callback ON", "JOIN callback ON"),
)


def _without_nul(parameter: str, value: Value) -> Value:
    if not isinstance(value, str):
        return value
    if parameter in _LISTS and "\\u0000" in value:
        texts = msgspec.json.decode(value, type=list[str])
        return msgspec.json.encode([text.replace("\0", _STAND_IN) for text in texts]).decode()
    return value.replace("\0", _STAND_IN) if "\0" in value else value


def _type_of(parameter: str) -> str:
    if parameter.endswith(("_ms", "_us")) or parameter in _WHOLE_NUMBERS:
        return "bigint"
    return "bytea" if parameter == "body" else "text"
