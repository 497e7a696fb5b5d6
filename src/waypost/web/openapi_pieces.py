"""The pieces that an OpenAPI document is put together from."""

from typing import Any

Json = dict[str, Any]
SCHEMA_PATH = "#/components/schemas/{name}"


def ref(name: str) -> Json:
    """Return a reference to one of the document's schemas."""
    return {"$ref": SCHEMA_PATH.format(name=name)}


def parameter(name: str, where: str, schema: Json, words: str) -> Json:
    """Return a parameter; `where` is "path", "query" or "header"."""
    return {"name": name, "in": where, "required": where == "path", "description": words, "schema": schema}


def content(schema: Json) -> Json:
    """Return the content of a JSON body."""
    return {"content": {"application/json": {"schema": schema}}}


def whole_object(words: str, members: Json) -> Json:
    """Return the schema of an object all of whose members are always there."""
    described = {"description": words} if words else {}
    return {"type": "object", **described, "properties": members, "required": list(members)}
