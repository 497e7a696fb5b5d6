"""What operators, Meta and load balancers call, described for the OpenAPI document."""

import msgspec

from waypost.gateway.checkup import Finding
from waypost.gateway.registry import Change
from waypost.model import State
from waypost.web import operator_callbacks, operator_queue
from waypost.web.openapi_pieces import SCHEMA_PATH, Json, admin_call, content, parameter, ref, whole_object


def paths() -> Json:
    """Return the operations outside of the customers' API, by path."""
    return {**_admin(), **operator_callbacks.paths(), **operator_queue.paths(), **_meta(), **_health()}


def _admin() -> Json:
    query = [
        parameter("state", "query", {"enum": [str(state) for state in State]}, "Only messages in this state."),
        parameter(
            "limit", "query", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}, "How many at most."
        ),
        parameter("cursor", "query", {"type": "string"}, "`next_cursor` of the page before."),
    ]
    any_id = parameter("any_id", "path", {"type": "string"}, "The message id, a `cus_message_id` or Meta's id.")
    tables: Json = {"type": "object", "description": "The tables of a tenant file as JSON, `env:` names replaced."}
    return {
        "/admin/v1/messages": {"get": admin_call("List messages, newest first", "MessagePage", 400, parameters=query)},
        "/admin/v1/messages/{any_id}": {
            "get": admin_call("Show one message and what became of it", "MessageTimeline", 404, parameters=[any_id])
        },
        "/admin/v1/checkup": {"get": admin_call("Look over tenants, tokens and numbers, with Meta's help", "Findings")},
        "/admin/v1/apply": {
            "post": admin_call(
                "Make the tenants what a tenant file says",
                "Changes",
                400,
                413,
                requestBody={"required": True, **content(tables)},
            )
        },
    }


def schemas() -> Json:
    """Return the schemas that these operations refer to."""
    text: Json = {"type": ["string", "null"]}
    number: Json = {"type": ["integer", "null"]}
    names = ("account", "appkey", "business_phone", "category", "endpoint", "id", "to", "trace_id", "type")
    summary: Json = {
        **{name: {"type": "string"} for name in names},
        **dict.fromkeys(("cus_message_id", "currency", "meta_message_id", "price"), text),
        **dict.fromkeys(("answer_code", "outcome_at_ms"), number),
        "state": {"enum": [str(state) for state in State]},
        "attempt": {"type": "integer"},
        "created_at_ms": {"type": "integer"},
    }
    times = {"status": {"type": "string"}, "timestamp_ms": {"type": "integer"}, "received_at_ms": {"type": "integer"}}
    status = whole_object("One status of Meta's.", times)
    status["properties"] = times | {"errors": {"type": "array", "description": "Meta's errors, where there are any."}}
    (changes, findings), items = msgspec.json.schema_components((list[Change], list[Finding]), ref_template=SCHEMA_PATH)
    return {
        **items,
        **operator_callbacks.schemas(),
        **operator_queue.schemas(),
        "Changes": whole_object("What was changed.", {"changes": changes}),
        "Findings": whole_object("What was looked at.", {"findings": findings}),
        "MessageSummary": whole_object("One line of the list of messages; times are milliseconds since 1970.", summary),
        "MessagePage": whole_object(
            "One page of messages.",
            {"messages": {"type": "array", "items": ref("MessageSummary")}, "next_cursor": text},
        ),
        "MessageTimeline": whole_object(
            "One message and everything that was reported about it.",
            {
                **summary,
                "biz_opaque_callback_data": text,
                "dr_webhook": text,
                "statuses": {"type": "array", "items": status},
                "callbacks": {"type": "array", "items": ref("MessageCallback")},
                "meta_answer": {"description": "Meta's answer as it came."},
            },
        ),
    }


def _meta() -> Json:
    challenge = [
        parameter(f"hub.{name}", "query", {"type": "string"}, words)
        for name, words in (
            ("mode", "`subscribe`"),
            ("verify_token", "The token in the settings."),
            ("challenge", "Echoed."),
        )
    ]
    signature = parameter(
        "X-Hub-Signature-256", "header", {"type": "string"}, "`sha256=` and the HMAC of the raw body."
    )
    body = {"required": True, **content({"type": "object"})}
    verify = {"200": "The challenge.", "403": "Another token."}
    report = {
        "200": "Everything in it is journalled.",
        "400": "Not a webhook.",
        "401": "The signature fits no known app secret.",
        "413": "Too large or too slow.",
        "503": "No journal; Meta repeats it.",
    }
    return {
        "/meta/webhook": {
            "get": _plain("meta", "Meta verifies the address", verify, parameters=challenge),
            "post": _plain(
                "meta", "Meta reports what became of messages", report, parameters=[signature], requestBody=body
            ),
        }
    }


def _health() -> Json:
    return {
        "/healthz": {"get": _plain("health", "Is the process alive", {"200": "Yes."})},
        "/readyz": {
            "get": _plain("health", "Can it take a message now", {"200": "Yes.", "503": "No; the text says why."})
        },
        "/metrics": {"get": _plain("health", "Metrics in Prometheus' text format", {"200": "The metrics."})},
    }


def _plain(tag: str, summary: str, answers: dict[str, str], **rest: object) -> Json:
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    responses = {status: {"description": words, **text} for status, words in answers.items()}
    return {"tags": [tag], "summary": summary, **rest, "responses": responses}
