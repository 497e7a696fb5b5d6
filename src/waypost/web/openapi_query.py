"""`POST /api/wa/callback`, described for the OpenAPI document."""

from waypost.web.openapi_pieces import Json, content, ref, whole_object

_TIME: Json = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$", "example": "2026-01-31 23:59:59"}
_START = "The first second, in UTC+8; within the last 7 days. `start_time` is understood as well."


def operation(headers: list[Json]) -> Json:
    """Return the operation; `headers` are those of every signed request."""
    return {
        "tags": ["callbacks"],
        "operationId": "queryCallbacks",
        "summary": "Get stored template, account and phone events again",
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
        "Which events; all of an application, a number and a field within a time.",
        {
            "appkey": text | {"description": "The application that was told."},
            "messaging_product": {"const": "whatsapp", "description": "Always `whatsapp`."},
            "business_phone": text | {"description": "The number that they are about, with country code."},
            "field": text | {"description": "As it stands in the callback, such as `account_update`."},
            "start_ime": _TIME | {"description": _START},
            "end_time": _TIME | {"description": "The last second, in UTC+8."},
        },
    )
    events: Json = {"type": "array", "items": text, "description": "Each the JSON text of one callback, oldest first."}
    return {
        "CallbackQuery": query,
        "CallbackQuerySuccess": whole_object(
            "The stored callbacks.", {"code": {"const": 0}, "data": events, **reply_members}
        ),
    }
