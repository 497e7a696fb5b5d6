"""The OpenAPI 3.1 document of everything that the gateway serves, made from the types that decode the requests."""

from importlib.metadata import version

import msgspec

from waypost.protocol import replies
from waypost.protocol.errors import FAILURES, Failure, MetaRefused, ParameterInvalid
from waypost.protocol.messages import MtRequest
from waypost.protocol.templates import Parameter
from waypost.web import api_words, openapi_query, operator_api
from waypost.web.openapi_pieces import SCHEMA_PATH, Json, ref, whole_object


def build() -> Json:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Waypost",
            "version": version("waypost"),
            "summary": "A self-hosted WhatsApp message gateway with NxCloud's HTTP API.",
            "description": api_words.SIGNING,
        },
        "tags": [
            {"name": "messages", "description": "What customers' programs call."},
            {"name": "callbacks", "description": "What else customers' programs call, signed like a message."},
            {"name": "admin", "description": "What operators and the command line call, with the admin token."},
            {"name": "meta", "description": "What Meta calls."},
            {"name": "health", "description": "For load balancers and Prometheus; no token needed."},
        ],
        "paths": {
            "/api/wa/mt": {"post": _send()},
            "/api/wa/callback": {"post": openapi_query.operation(_headers())},
            **operator_api.paths(),
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"adminToken": {"type": "http", "scheme": "bearer"}},
        },
        "x-codes": codes(),
    }


def codes() -> list[Json]:
    """Return every answer code of the customers' API with its text, what it means and what to do."""
    success = {"code": 0, "text": replies.SUCCESS_TEXT, "meaning": "The message was taken.", "advice": "Nothing to do."}
    return [success, *(_code(failure) for failure in sorted(FAILURES, key=lambda failure: failure.code))]


def _code(failure: type[Failure]) -> Json:
    return {"code": failure.code, "text": failure.text, "meaning": failure.meaning, "advice": failure.advice}


def _send() -> Json:
    """Describe `POST /api/wa/mt`; its example answers are made by what makes the real ones."""
    request, _ = _request_schemas()
    return {
        "tags": ["messages"],
        "operationId": "sendMessage",
        "summary": "Send one WhatsApp message",
        "parameters": _headers(),
        "requestBody": {
            "required": True,
            "description": "At most 1 MB of JSON in UTF-8. Members that nobody knows are ignored.",
            "content": {"application/json": {"schema": request, "examples": _request_examples()}},
        },
        "responses": {
            "200": {
                "description": "Every answer, also every refusal.",
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [ref("SendSuccess"), ref("SendFailure")]},
                        "examples": _answer_examples(),
                    }
                },
            }
        },
    }


def _headers() -> list[Json]:
    return [
        {
            "name": name,
            "in": "header",
            "required": required,
            "description": words,
            "schema": {"type": "string"},
            "example": sample,
        }
        for name, required, words, sample in api_words.HEADERS
    ]


def _request_examples() -> Json:
    return {name: {"value": api_words.example(name)} for name in api_words.EXAMPLE_TYPES}


def _answer_examples() -> Json:
    answers = {"0": replies.success(api_words.MESSAGE_ID, api_words.TRACE_ID)}
    for failure in FAILURES:
        answers[str(failure.code)] = replies.failure(_sample(failure), api_words.TRACE_ID)
    return {code: {"value": msgspec.json.decode(answer)} for code, answer in answers.items()}


def _sample(failure: type[Failure]) -> Failure:
    if issubclass(failure, MetaRefused):
        return failure(api_words.META_ERROR)
    if issubclass(failure, ParameterInvalid):
        return failure("either link or id is required", path="$.image")
    return failure()


def _request_schemas() -> tuple[Json, Json]:
    (request,), components = msgspec.json.schema_components((MtRequest,), schema_hook=_custom, ref_template=SCHEMA_PATH)
    return request, components


def _custom(kind: type) -> Json:
    assert kind is Parameter  # the only type within a message that msgspec does not know
    return ref("Parameter")


def _schemas() -> Json:
    """Return every schema: the requests with the words added that their types can't say, and the answers."""
    _, components = _request_schemas()
    components["Parameter"] = {**api_words.PARAMETER}
    for name, schema in components.items():
        schema["description"] = api_words.SCHEMAS[name]
        words = dict(api_words.MEMBERS.get(name, {}))
        if name.endswith("Message"):
            words |= api_words.ENVELOPE
        for member, said in words.items():
            schema["properties"][member] |= said
        if name in api_words.MEDIA_SCHEMAS:
            schema["anyOf"] = [{"required": ["id"]}, {"required": ["link"]}]
    return components | _answer_schemas() | operator_api.schemas()


def _answer_schemas() -> Json:
    trace = {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Names the request in the gateway's log."}
    reply_members = {"message": {"type": "string"}, "traceId": trace}
    failures = [failure.code for failure in FAILURES]
    return {
        "SendSuccess": whole_object(
            "The message was taken.",
            {"code": {"const": 0}, "data": ref("SendResult"), **reply_members},
        ),
        "SendResult": whole_object(
            "The id under which callbacks will name the message.",
            {
                "messaging_product": {"const": "whatsapp"},
                "messages": {"type": "array", "items": whole_object("One message.", {"id": {"type": "string"}})},
            },
        ),
        "SendFailure": whole_object(
            "The message was not taken; `data.error` says more for 9000 (`path`, `details`) and 9099 (Meta's object).",
            {
                "code": {"enum": failures},
                "data": {"anyOf": [whole_object("", {"error": {"type": "object"}}), {"type": "null"}]},
                **reply_members,
            },
        ),
        **openapi_query.schemas(reply_members),
    }
