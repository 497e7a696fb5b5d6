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


def admin_call(summary: str, schema: str, *refusals: int, **rest: object) -> Json:
    """Return an operation of the admin API that answers a schema; `refusals` are its HTTP statuses but 401 and 503."""
    refused = whole_object("A refusal.", {"error": {"type": "string"}})
    failures = {
        **dict.fromkeys(refusals, "Refused; `error` says why."),
        401: "The admin token is missing or wrong.",
        503: "No journal.",
    }
    return {
        "tags": ["admin"],
        "summary": summary,
        "security": [{"adminToken": []}],
        **rest,
        "responses": {
            "200": {"description": "Done.", **content(ref(schema))},
            **{str(status): {"description": words, **content(refused)} for status, words in failures.items()},
        },
    }
