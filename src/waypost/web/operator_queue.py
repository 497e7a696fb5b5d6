"""The admin API's operations about the queue, described for the OpenAPI document."""

from typing import get_args

import msgspec

from waypost.gateway.queue_view import QueuedPage, QueuePicture
from waypost.store.base_queue import Pause, PausedBy, PauseKind
from waypost.web.answers import MAX_PAGE
from waypost.web.openapi_pieces import SCHEMA_PATH, Json, admin_call, content, parameter, ref, whole_object

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}
_SELECTION = {
    "phone": "Only messages of a business phone, by its number or its phone number id.",
    "appkey": "Only those of an application.",
    "account": "Only those of an account.",
    "template": "Only those of a template, by its name, in all its languages.",
}
_HOLD: Json = {
    "kind": {"enum": list(get_args(PauseKind)), "description": "Of what kind it is."},
    "key": _TEXT | {"description": "Which: a number or phone number id, an appkey, a WABA's id."},
    "reason": _TEXT | {"default": "", "maxLength": 200, "description": "Why, for people; not needed to resume."},
}
_BY: Json = {
    "enum": sorted(get_args(PausedBy)),
    "description": "Who: `operator`; `gateway`, by itself, until the tenants change or somebody resumes it; "
    "`meta`, which restricts somebody, until somebody resumes it.",
}
_CANCELLED: Json = {
    "cancelled": _NUMBER | {"description": "How many will not be sent any more."},
    "count": _NUMBER | {"description": "How many would not: the answer to `dry_run`."},
}


def paths() -> Json:
    """Return the operations about the queue, by path."""
    selection = [parameter(name, "query", _TEXT, words) for name, words in _SELECTION.items()]
    page = [
        parameter("limit", "query", _NUMBER | {"minimum": 1, "maximum": MAX_PAGE, "default": 50}, "How many at most."),
        parameter("cursor", "query", _TEXT, "`next_cursor` of the page before."),
    ]
    return {
        "/admin/v1/queue": {
            "get": admin_call("Show how much waits where and why, and when it will have left", "QueuePicture")
        },
        "/admin/v1/queue/messages": {
            "get": admin_call(
                "List the messages that wait, oldest first, each with its reason",
                "QueuedPage",
                400,
                parameters=selection + page,
            )
        },
        "/admin/v1/queue/pause": {
            "post": admin_call(
                "Pause a phone, an application or a WABA until it is resumed", "Paused", 400, 404, 413, **_body(_hold())
            )
        },
        "/admin/v1/queue/resume": {
            "post": admin_call(
                "Let a phone, an application or a WABA go on, whoever paused it: operator, gateway or Meta",
                "Resumed",
                400,
                404,
                413,
                **_body(_hold()),
            )
        },
        "/admin/v1/queue/cancel": {"post": _cancel()},
    }


def _hold() -> Json:
    return {"type": "object", "properties": _HOLD, "required": ["kind", "key"]}


def _cancel() -> Json:
    members: Json = {name: _TEXT | {"description": words} for name, words in _SELECTION.items()}
    members["dry_run"] = {"type": "boolean", "default": False, "description": "Only count."}
    selection: Json = {
        "type": "object",
        "description": "Which; every member that is given must fit, and one at least is.",
        "properties": members,
    }
    return admin_call(
        "Cancel messages that wait, each with a `failed` callback, code 910003",
        "Cancelled",
        400,
        404,
        413,
        **_body(selection),
    )


def _body(schema: Json) -> Json:
    return {"requestBody": {"required": True, **content(schema)}}


def schemas() -> Json:
    """Return the schemas that these operations refer to."""
    _, items = msgspec.json.schema_components((QueuePicture, QueuedPage, Pause), ref_template=SCHEMA_PATH)
    for name in ("Held", "Pause"):
        items[name]["properties"]["by"] = _BY
    return {
        **items,
        "Paused": whole_object("What is paused now.", {"paused": ref("Pause")}),
        "Resumed": whole_object("Whether anything was held.", {"resumed": {"type": "boolean"}}),
        "Cancelled": {"type": "object", "description": "How many messages it concerns.", "properties": _CANCELLED},
    }
