"""The admin API's operations about callbacks, described for the OpenAPI document."""

from waypost.model import CallbackKind, CallbackState
from waypost.web.answers import MAX_PAGE
from waypost.web.openapi_pieces import Json, admin_call, content, parameter, ref, whole_object

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Json = {"type": ["integer", "null"]}
_STATES: Json = {"enum": [str(state) for state in CallbackState]}
_SELECTION: dict[str, tuple[Json, str]] = {
    "state": (_STATES, "Only callbacks in this state."),
    "account": (_TEXT, "Only those of an account."),
    "appkey": (_TEXT, "Only those of an application."),
    "message_id": (_TEXT, "Only those of a message, by the gateway's own id."),
    "since_ms": (
        _NUMBER,
        "Only those made at this time or later, in milliseconds since 1970; with `state` `abandoned`, given up then.",
    ),
    "until_ms": (_NUMBER, "Only those made before this time; with `state` `abandoned`, given up before it."),
}
_ATTEMPT: Json = {
    "number": _NUMBER,
    "at_ms": _NUMBER_OR_NULL,
    "http_status": _NUMBER_OR_NULL,
    "duration_ms": _NUMBER,
    "error": _TEXT_OR_NULL,
    "excerpt": _TEXT_OR_NULL | {"description": "Of the receiver's answer."},
}
_AUDIT_ENTRY: Json = {
    "id": _TEXT,
    "at_ms": _NUMBER,
    "who": _TEXT | {"description": "`admin`: whoever has the admin token."},
    "action": _TEXT | {"description": "`replay`, `cancel`, `pause` or `resume`."},
    "selection": {"type": "object", "description": "To what: the members that were given."},
    "affected": _NUMBER | {"description": "How many callbacks or messages so far; it is counted as the work goes on."},
}
_REPLAYED: Json = {
    "unknown_ids": {"type": "array", "items": _TEXT, "description": "Which of the `ids` no callback has."},
    "replayed": _NUMBER | {"description": "How many are pushed again."},
    "count": _NUMBER | {"description": "How many would be: the answer to `dry_run`."},
}


def paths() -> Json:
    """Return the operations about callbacks, by path."""
    selection = [parameter(name, "query", schema, words) for name, (schema, words) in _SELECTION.items()]
    page = [
        parameter("limit", "query", _NUMBER | {"minimum": 1, "maximum": MAX_PAGE, "default": 50}, "How many at most."),
        parameter("cursor", "query", _TEXT, "`next_cursor` of the page before."),
    ]
    events = [
        parameter("since", "query", _NUMBER, "The same as `since_ms`."),
        parameter(
            "delivered",
            "query",
            {"enum": ["true", "false"], "default": "true"},
            "`false` leaves out what was accepted; of what was given up, the times are then those when it was.",
        ),
    ]
    callback_id = parameter("callback_id", "path", _TEXT, "The callback's id, as in the header `webhook-id`.")
    return {
        "/admin/v1/callbacks": {
            "get": admin_call("List callbacks, oldest first", "CallbackPage", 400, parameters=selection + page)
        },
        "/admin/v1/callbacks/{callback_id}": {
            "get": admin_call(
                "Show one callback: its payload and the attempts to push it",
                "CallbackWithAttempts",
                404,
                parameters=[callback_id],
            )
        },
        "/admin/v1/callbacks/replay": {"post": _replay()},
        "/admin/v1/events": {
            "get": admin_call(
                "List what customers were or are to be told, with its payload, oldest first",
                "EventPage",
                400,
                parameters=events + selection + page,
            )
        },
        "/admin/v1/audit": {
            "get": admin_call("List what operators had done, newest first", "AuditTrail", 400, parameters=page[:1])
        },
    }


def _replay() -> Json:
    members: Json = {name: schema | {"description": words} for name, (schema, words) in _SELECTION.items()}
    members["state"] |= {"description": "Only those in this state; left out: `done` and `abandoned`, and `ids` in any."}
    members["ids"] = {"type": "array", "items": _TEXT, "maxItems": MAX_PAGE, "description": "Only these."}
    members["dry_run"] = {"type": "boolean", "default": False, "description": "Only count."}
    selection: Json = {
        "type": "object",
        "description": "Which; every member that is given must fit, and one at least is.",
        "properties": members,
    }
    return admin_call(
        "Push callbacks again with the same id and payload, or now what waits for its next try",
        "Replay",
        400,
        413,
        requestBody={"required": True, **content(selection)},
    )


def schemas() -> Json:
    """Return the schemas that these operations refer to."""
    told = {
        "id": _TEXT,
        "kind": {"enum": [str(kind) for kind in CallbackKind]},
        "status": _TEXT_OR_NULL | {"description": "Of a message; null for other kinds."},
        "state": _STATES,
        "url": _TEXT,
        "message_id": _TEXT_OR_NULL,
        "created_at_ms": _NUMBER,
    }
    last = {
        **dict.fromkeys(("account", "appkey"), _TEXT),
        "attempts": _NUMBER,
        "settled_at_ms": _NUMBER_OR_NULL,
        "http_status": _NUMBER_OR_NULL | {"description": "Of the last attempt."},
        "error": _TEXT_OR_NULL | {"description": "Of the last attempt."},
        "endpoint_down": {"type": "boolean", "description": "Its endpoint is only probed."},
    }
    payload = {"payload": {"type": "object", "description": "What the receiver gets."}}
    of_message = {name: told[name] for name in ("id", "status", "state", "url")}
    return {
        "CallbackSummary": whole_object("One line of the list of callbacks.", told | last),
        "CallbackPage": _page("callbacks", "CallbackSummary"),
        "CallbackWithAttempts": whole_object(
            "One callback with its payload and the last 20 attempts; none if the first one was accepted.",
            told
            | payload
            | {"attempts": _attempts("number", "at_ms", "http_status", "duration_ms", "error", "excerpt")},
        ),
        "Event": whole_object("One callback with its payload.", told | payload),
        "EventPage": _page("events", "Event"),
        "MessageCallback": whole_object(
            "One callback of a message.",
            of_message | {"attempts": _attempts("at_ms", "http_status", "duration_ms", "error")},
        ),
        "AuditTrail": whole_object(
            "What was done through the admin API, of which the last 500 times are kept.",
            {"entries": {"type": "array", "items": whole_object("", _AUDIT_ENTRY)}},
        ),
        "Replay": {"type": "object", "description": "How many callbacks it concerns.", "properties": _REPLAYED},
    }


def _attempts(*members: str) -> Json:
    return {"type": "array", "items": whole_object("", {name: _ATTEMPT[name] for name in members})}


def _page(name: str, item: str) -> Json:
    return whole_object("One page.", {name: {"type": "array", "items": ref(item)}, "next_cursor": _TEXT_OR_NULL})
