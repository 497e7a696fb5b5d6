"""Just enough of JSON Schema to hold examples against the description of the API: no library does it here."""

import re
from typing import Any

Json = dict[str, Any]
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_KNOWN = {
    "title", "description", "default", "format", "discriminator",
    "$ref", "anyOf", "const", "enum", "type", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "items", "minItems", "properties", "required", "additionalProperties",
}  # fmt: skip


def resolve(document: Json, reference: str) -> Json:
    """What a `$ref` within the document points at."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    assert isinstance(found, dict)
    return found


def problems(document: Json, schema: Json, value: object, at: str = "$") -> list[str]:
    """Everything that is wrong with a value; empty if it fits the schema."""
    assert schema.keys() <= _KNOWN, f"keyword unknown to this checker: {schema.keys() - _KNOWN}"
    found = []
    if "$ref" in schema:
        found += problems(document, resolve(document, schema["$ref"]), value, at)
    if "anyOf" in schema and not any(not problems(document, option, value, at) for option in schema["anyOf"]):
        found.append(f"{at}: fits none of the alternatives")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: is none of {schema['enum']!r}")
    if "type" in schema and not _is_kind(schema["type"], value):
        found.append(f"{at}: is no {schema['type']}")
    return found + _limits(schema, value, at) + _inside(document, schema, value, at)


def _is_kind(kinds: str | list[str], value: object) -> bool:
    names = [kinds] if isinstance(kinds, str) else kinds
    return any(isinstance(value, _KINDS[name]) and (name == "boolean" or not isinstance(value, bool)) for name in names)


def _limits(schema: Json, value: object, at: str) -> list[str]:
    wrong: list[object] = []
    if isinstance(value, str):
        wrong = [
            "pattern" in schema and not re.search(schema["pattern"], value) and "pattern",
            len(value) < schema.get("minLength", 0) and "minLength",
            len(value) > schema.get("maxLength", len(value)) and "maxLength",
        ]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        wrong = [
            value < schema.get("minimum", value) and "minimum",
            value > schema.get("maximum", value) and "maximum",
        ]
    elif isinstance(value, list):
        wrong = [len(value) < schema.get("minItems", 0) and "minItems"]
    return [f"{at}: {limit}" for limit in wrong if limit]


def _inside(document: Json, schema: Json, value: object, at: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += problems(document, schema["items"], item, f"{at}[{index}]")
    if isinstance(value, dict):
        found += [f"{at}.{name}: is required" for name in schema.get("required", ()) if name not in value]
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                found += problems(document, inner, value[name], f"{at}.{name}")
    return found
