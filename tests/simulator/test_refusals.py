"""What Meta refuses: code, HTTP status, text and the field named, for each kind of mistake; and which comes first."""

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulator.conftest import PHONE, TO, Meta, text_to
from waypost.simulator.errors import KNOWN, GraphError
from waypost.simulator.fields import Fields
from waypost.simulator.message_checks import TYPES, check_send


def of(kind: str, content: object, **more: object) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": TO, "type": kind, kind: content, **more}


WRONG: list[tuple[object, int, str]] = [
    ([], 100, "The request body must be a JSON object."),
    ({}, 100, "The parameter messaging_product is required."),
    (text_to() | {"messaging_product": "sms"}, 100, "Param messaging_product must be one of {whatsapp}."),
    ({"messaging_product": "whatsapp", "text": {"body": "x"}}, 100, "The parameter to is required."),
    (text_to(recipient_type="everyone"), 100, "Param recipient_type must be one of {group, individual}."),
    (of("fax", {}), 100, "Param type must be one of {audio, contacts,"),
    ({"messaging_product": "whatsapp", "to": TO}, 131008, "The parameter text is required for messages of type text."),
    (of("text", "hello"), 100, "Param text must be a JSON object."),
    (of("text", {}), 131008, "The parameter text['body'] is required."),
    (of("text", {"body": 5}), 100, "Param text['body'] must be a string."),
    (of("text", {"body": ""}), 100, "Param text['body'] length invalid. Min length: 1, Max length: 4096."),
    (of("text", {"body": "x" * 4097}), 100, "Max length: 4096"),
    (of("text", {"body": "x", "preview_url": "yes"}), 100, "Param text['preview_url'] must be a boolean."),
    (of("image", {}), 131008, "The parameter image requires either id or link."),
    (of("image", {"id": "1", "link": "https://a/b"}), 100, "Param image must have either id or link, not both."),
    (of("image", {"link": "ftp://a/b"}), 100, "Param image['link'] is not a valid URL."),
    (of("video", {"id": "1", "caption": "x" * 1025}), 100, "Param video['caption'] length invalid."),
    (of("audio", {"id": "1", "caption": "x"}), 100, "Param audio['caption'] is not supported"),
    (of("audio", {"id": "1", "voice": 1}), 100, "Param audio['voice'] must be a boolean."),
    (of("sticker", {"id": "1", "caption": "x"}), 100, "Param sticker['caption'] is not supported"),
    (of("document", {"id": "1", "filename": 3}), 100, "Param document['filename'] must be a string."),
    (of("location", {"latitude": 1}), 131008, "The parameter location['longitude'] is required."),
    (of("location", {"latitude": 91, "longitude": 0}), 100, "location['latitude'] must be a number from -90 to 90."),
    (of("location", {"latitude": "x", "longitude": 0}), 100, "location['latitude'] must be a number"),
    (of("location", {"latitude": True, "longitude": 0}), 100, "location['latitude'] must be a number"),
    (of("contacts", {}), 100, "Param contacts must be an array."),
    (of("contacts", []), 100, "Param contacts count invalid. Min allowed contacts: 1, Max allowed contacts: 257."),
    (of("contacts", ["x"]), 100, "Param contacts[0] must be a JSON object."),
    (of("contacts", [{"name": {"formatted_name": "A"}}]), 131008, "contacts[0]['name'] requires one of first_name"),
    (
        of("contacts", [{"name": {"formatted_name": "A", "first_name": "A"}, "birthday": "1.2.1990"}]),
        100,
        "Param contacts[0]['birthday'] must be a date as YYYY-MM-DD.",
    ),
    (of("reaction", {"message_id": "wamid.x"}), 131008, "The parameter reaction['emoji'] is required."),
    (
        of("reaction", {"message_id": "w", "emoji": "x"}, context={"message_id": "w"}),
        100,
        "Param context can't be used",
    ),
    (text_to(context={}), 131008, "The parameter context['message_id'] is required."),
    (text_to(biz_opaque_callback_data="x" * 513), 100, "Param biz_opaque_callback_data length invalid."),
    (text_to("hello"), 131009, "Param to is not a valid phone number."),
    (text_to("+12"), 131009, "Param to is not a valid phone number."),
    (text_to("+15550001111x"), 131009, "Param to is not a valid phone number."),
    ({"messaging_product": "whatsapp", "recipient": "x", "text": {"body": "x"}}, 131009, "Param recipient is not"),
    (text_to("15552242922"), 131021, "Param to is the number that sends."),
]


@pytest.mark.parametrize(("body", "code", "details"), WRONG, ids=[f"{code} {text[:48]}" for _, code, text in WRONG])
async def test_a_wrong_body_is_refused_with_the_field_named(
    body: object, code: int, details: str, sim_meta: Meta
) -> None:
    found_code, found_details = await sim_meta.refused(body)
    assert (found_code, details in found_details) == (code, True), found_details
    assert await sim_meta.control("GET", "count") == {"messages": 0}


RIGHT = [
    text_to(context={"message_id": "wamid.unknown"}),
    {"messaging_product": "whatsapp", "to": TO, "text": {"body": "type left out"}},
    of("text", {"body": "x" * 4096, "preview_url": True}),
    of("image", {"link": "http://example.com/a.png", "caption": ""}),
    of("audio", {"id": "1", "voice": True}),
    of("document", {"id": "1", "filename": "发票.pdf", "caption": "x" * 1024}),
    of("location", {"latitude": "37.44", "longitude": -122, "name": "n", "address": "a"}),
    of("contacts", [{"name": {"formatted_name": "A B", "last_name": "B"}, "birthday": "1990-02-01"}] * 257),
    of("reaction", {"message_id": "wamid.x", "emoji": ""}),
    text_to("120363-group-id", recipient_type="group"),
]


@pytest.mark.parametrize("body", RIGHT, ids=lambda body: str(body.get("type")))
async def test_bodies_at_the_edge_of_the_rules_are_accepted(body: dict[str, Any], sim_meta: Meta) -> None:
    await sim_meta.accepted(body)


async def test_a_refusal_has_metas_shape(sim_meta: Meta) -> None:
    status, answer = await sim_meta.send(text_to("hello"))
    error = answer["error"]
    assert (status, error["code"], error["type"]) == (400, 131009, "OAuthException")
    assert error["message"] == "(#131009) Parameter value is not valid"
    assert error["error_data"]["messaging_product"] == "whatsapp"
    assert len(error["fbtrace_id"]) == 23


@pytest.mark.parametrize("path", ["/", "/v23.0", "/23.0/1/messages", "/v23.0/abc/messages", "/v23.0/1/x/y"])
async def test_a_path_of_no_edge_is_2500(path: str, sim_meta: Meta) -> None:
    status, answer, _ = await sim_meta.graph("POST", path, text_to())
    assert (status, answer["error"]["code"]) == (400, 2500)
    assert answer["error"]["message"] == f"Unknown path components: {path}"


async def test_an_edge_that_does_not_exist_is_2500_and_a_wrong_method_is_an_unsupported_request(sim_meta: Meta) -> None:
    _, answer, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/faxes", text_to())
    assert answer["error"]["code"] == 2500
    status, answer, _ = await sim_meta.graph("DELETE", f"/v23.0/{PHONE}/phone_numbers")
    assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (400, 100, 33)
    assert answer["error"]["type"] == "GraphMethodException"


async def test_a_missing_token_is_refused_before_the_body_is_looked_at(sim_meta: Meta) -> None:
    status, answer, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/messages", [], token=None)
    assert (status, answer["error"]["code"]) == (401, 104)
    status, _, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/messages?access_token=t", text_to(), token=None)
    assert status == 200
    await sim_meta.config(check_tokens=False)
    status, _, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/messages", text_to(), token=None)
    assert status == 200


async def test_a_body_of_more_than_a_megabyte_is_refused(sim_meta: Meta) -> None:
    large = io.BytesIO(json.dumps(text_to(biz_opaque_callback_data="x" * (1 << 20))).encode())
    url = f"{sim_meta.simulator.url}/v23.0/{PHONE}/messages"
    async with sim_meta.http.post(url, data=large, headers={"Authorization": "Bearer t"}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, 100)


def test_http_status_and_extras_are_those_of_metas_table() -> None:
    assert GraphError(132001).http_status == 404
    assert GraphError(131056).http_status == 400
    assert GraphError(999999).http_status == 400
    body = GraphError(4).body("A")["error"]
    assert body == {
        "message": "(#4) Application request limit reached",
        "type": "OAuthException",
        "code": 4,
        "is_transient": True,
        "error_subcode": 2446079,
        "fbtrace_id": "A",
    }
    assert {known.http_status for known in KNOWN.values()} == {400, 401, 403, 404, 429, 500, 503}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("type", "body", "id", "name", "parameters", "index")), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(TYPES)), content=anything, marketing=st.booleans())
def test_whatever_the_body_it_is_accepted_or_refused_by_a_code_of_metas(
    kind: str, content: object, marketing: bool
) -> None:
    refusal = None
    try:
        found = check_send(Fields({"type": kind, kind: content}), marketing=marketing)
    except GraphError as error:
        refusal = error
    if refusal is None:
        assert found == kind
    else:
        assert refusal.code in KNOWN
        assert refusal.details
