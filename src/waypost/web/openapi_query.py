"""`POST /api/wa/callback`, described for the OpenAPI document."""

from waypost.protocol.callback_query import DEFAULT_LIMIT, MAX_LIMIT, WINDOW_DAYS
from waypost.web.openapi_pieces import Json, content, ref, whole_object

_TIME: Json = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$", "example": "2026-01-31 23:59:59"}
_START = f"The first second, in UTC+8; within the last {WINDOW_DAYS} days. `start_time` is understood as well."
_FIELD = (
    "The event's field as it stands in the callback, such as `account_update`; `message_status_update` for statuses, "
    "`messages` for inbound messages, `calls` for calls."
)


def operation(headers: list[Json]) -> Json:
    """Return the operation; `headers` are those of every signed request."""
    return {
        "tags": ["callbacks"],
        "operationId": "queryCallbacks",
        "summary": "Get stored callbacks again: events, statuses, inbound messages",
        "parameters": headers,
        "requestBody": {"required": True, **content(ref("CallbackQuery"))},
        "responses": {
            "200": {
                "description": "Every answer, also every refusal.",
                **content({"anyOf": [ref("CallbackQuerySuccess"), ref("SendFailure")]}),
            }
        },
    }


def schemas(reply_members: Json) -> Json:
    """Return the schemas that it refers to; `reply_members` are those of every answer."""
    text: Json = {"type": "string"}
    query = whole_object(
        "Which callbacks; all of an application, a number and a field within a time.",
        {
            "appkey": text | {"description": "The application that was told."},
            "messaging_product": {"const": "whatsapp", "description": "Always `whatsapp`."},
            "business_phone": text | {"description": "The number that they are about, with country code."},
            "field": text | {"description": _FIELD},
            "start_ime": _TIME | {"description": _START},
            "end_time": _TIME | {"description": "The last second, in UTC+8."},
        },
    )
    size: Json = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
    query["properties"] |= {
        "limit": size | {"description": "How many at most: asks for a page, and not for everything at once."},
        "cursor": text | {"description": f"`next_cursor` of the page before; without `limit` {DEFAULT_LIMIT} follow."},
    }
    item = whole_object(
        "One stored callback.",
        {
            "id": text | {"description": "The same as in its header `webhook-id`."},
            "payload": text | {"description": "Its body as it was pushed, byte by byte."},
        },
    )
    page = whole_object(
        "One page, where `limit` or `cursor` was given.",
        {
            "callbacks": {"type": "array", "items": item, "description": "Oldest first; may be empty before the end."},
            "next_cursor": {"type": ["string", "null"], "description": "Where the next page begins; null at the end."},
        },
    )
    events: Json = {"type": "array", "items": text, "description": "Each the JSON text of one callback, oldest first."}
    return {
        "CallbackQuery": query,
        "CallbackQuerySuccess": whole_object(
            "The stored callbacks.", {"code": {"const": 0}, "data": {"anyOf": [events, page]}, **reply_members}
        ),
    }
