"""Our message as Meta's JSON: the seed's examples and every tolerance in Meta's own form."""

import json
from typing import Any

import pytest

from tests.bodies import CONTENTS, body
from tests.seed import EXAMPLES
from waypost.meta.graph import endpoint, send_body
from waypost.protocol.messages import decode


def sent(raw: bytes, context: str | None = None, opaque: str | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(send_body(decode(raw), context_meta_id=context, opaque=opaque))
    return whole


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in {"location", "template_carousel"}])
def test_every_example_of_the_seed_goes_out_in_metas_form(name: str) -> None:
    given = json.loads(EXAMPLES[name])
    assert sent(EXAMPLES[name]) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+8613600009759",
        "type": given["type"],
        given["type"]: given[given["type"]],
    }


def test_the_coordinates_of_the_seeds_example_go_out_as_numbers() -> None:
    assert sent(EXAMPLES["location"])["location"] == {
        "latitude": 22.550802897696343,
        "longitude": 113.93844723701477,
        "name": "Guangdong, Shenzhen",
        "address": "Kexing Science Park",
    }


def test_the_seeds_carousel_goes_out_with_its_indices_as_strings() -> None:
    expected = json.loads(EXAMPLES["template_carousel"])["template"]
    for card in expected["components"][1]["cards"]:
        for component in card["components"]:
            if "index" in component:
                component["index"] = str(component["index"])
    assert sent(EXAMPLES["template_carousel"])["template"] == expected


@pytest.mark.parametrize("type_", CONTENTS)
def test_every_type_goes_out_under_its_name_with_its_content_as_given(type_: str) -> None:
    whole = sent(body(type_))
    assert list(whole) == ["messaging_product", "recipient_type", "to", "type", type_]
    assert whole[type_] == CONTENTS[type_]


@pytest.mark.parametrize(
    ("type_", "given", "known"),
    [
        ("text", {"body": "x", "preview_url": "true", "z": 1}, {"body": "x", "preview_url": True}),
        ("image", {"id": "1", "link": "https://a.example/", "filename": "f"}, {"id": "1"}),
        ("image", {"link": "https://a.example/", "caption": "c"}, {"link": "https://a.example/", "caption": "c"}),
        ("video", {"id": "1", "caption": None}, {"id": "1"}),
        ("audio", {"id": "1", "voice": True, "caption": "c"}, {"id": "1", "voice": True}),
        ("document", {"id": "1", "caption": "c", "filename": "f"}, {"id": "1", "caption": "c", "filename": "f"}),
        ("sticker", {"id": "1", "caption": "c"}, {"id": "1"}),
        ("location", {"latitude": "1", "longitude": 2, "name": None}, {"latitude": 1.0, "longitude": 2.0}),
    ],
)
def test_what_is_tolerated_goes_out_in_metas_form(type_: str, given: object, known: object) -> None:
    assert sent(body(type_, **{type_: given}))[type_] == known


def test_parameters_go_out_as_meta_wants_them() -> None:
    parameters = [
        {"type": "text", "text": "Ann", "parameter_name": "n", "z": 1},
        {"type": "image", "image": {"link": "https://a.example/", "id": ""}},
        {"type": "currency", "currency": {"fallback_value": "1", "code": "EUR", "amount_1000": 10**30}},
    ]
    components = [{"type": "BUTTON", "sub_type": "URL", "index": 2, "parameters": parameters, "cards": []}]
    template = {"name": "n", "language": {"policy": "deterministic", "code": "en"}, "components": components}
    assert sent(body("template", template=template))["template"]["components"] == [
        {
            "type": "button",
            "sub_type": "url",
            "index": "2",
            "parameters": [
                {"type": "text", "text": "Ann", "parameter_name": "n"},
                {"type": "image", "image": {"link": "https://a.example/"}},
                parameters[2],
            ],
        }
    ]


def test_a_misspelled_reaction_goes_out_spelled_right() -> None:
    given = json.loads(body("reaction"))
    raw = json.dumps(given | {"type": "reacticon", "reacticon": given.pop("reaction")}).encode()
    assert sent(raw)["type"] == "reaction"
    assert sent(raw)["reaction"] == CONTENTS["reaction"]


@pytest.mark.parametrize("type_", CONTENTS)
def test_a_reply_names_metas_id_and_not_the_customers(type_: str) -> None:
    raw = body(type_, context={"message_id": "ours"})
    assert sent(raw, context="wamid.META")["context"] == {"message_id": "wamid.META"}
    assert "context" not in sent(raw)


def test_opaque_data_is_what_the_caller_decides() -> None:
    raw = body(biz_opaque_callback_data="customer's")
    assert sent(raw, opaque="token")["biz_opaque_callback_data"] == "token"
    assert "biz_opaque_callback_data" not in sent(raw)


def test_nothing_of_the_envelope_that_is_ours_goes_out() -> None:
    raw = body(cus_message_id="mine", dr_webhook="https://a.example/", api_type=0)
    assert sent(raw) == sent(body())


@pytest.mark.parametrize(("api_type", "expected"), [(0, "messages"), ("1", "marketing_messages"), (None, "messages")])
def test_api_type_selects_metas_endpoint(api_type: object, expected: str) -> None:
    assert endpoint(decode(body("template", api_type=api_type))) == expected
