"""Templates: components, parameters, cards; the kinds of the seed checked, the kinds of Meta carried."""

import json

import pytest

from tests.bodies import Json, body, refusal
from tests.seed import EXAMPLES
from waypost.protocol.messages import decode
from waypost.protocol.templates import Component, Parameter, Template, wire_parameter

LANGUAGE = {"code": "en_US", "policy": "deterministic"}
BUTTON = {"type": "button", "sub_type": "url", "index": 0}
TEXT = {"type": "text", "text": "Ann"}


def of(*components: object) -> bytes:
    """A template message with these components."""
    return body("template", template={"name": "n", "language": LANGUAGE, "components": list(components)})


def template(raw: bytes) -> Template:
    content = decode(raw).content
    assert isinstance(content, Template)
    return content


def component(given: Json) -> Component:
    components = template(of(given)).components
    assert components is not None
    return components[0]


def parameter(given: object, kind: str = "body") -> Parameter:
    parameters = component({"type": kind, "parameters": [given]}).parameters
    assert parameters is not None
    return parameters[0]


# --- the seed's own examples --------------------------------------------------------------------------------------


def test_the_example_with_parameters_arrives_member_by_member() -> None:
    content = template(EXAMPLES["template_parameters"])
    assert (content.name, content.language.code, content.language.policy) == (
        "text_template",
        "en_US",
        "deterministic",
    )
    assert content.components is not None
    (only,) = content.components
    assert only.type == "body"
    assert [(p.type, p.text) for p in only.parameters or []] == [("text", "David"), ("text", "B520")]


def test_the_one_time_password_example_has_its_code_in_body_and_button() -> None:
    _, button = template(EXAMPLES["template_otp"]).components or []
    assert (button.type, button.sub_type, button.index) == ("button", "url", "0")
    assert [p.text for p in button.parameters or []] == ["123456"]


def test_the_carousel_example_has_three_cards_of_three_components() -> None:
    _, carousel = template(EXAMPLES["template_carousel"]).components or []
    cards = carousel.cards or []
    assert [card.card_index for card in cards] == [0, 1, 2]
    assert [[part.type for part in card.components] for card in cards] == [["header", "button", "button"]] * 3
    assert [part.index for part in cards[2].components] == [None, "0", "1"]
    assert [part.sub_type for part in cards[2].components] == [None, "quick_reply", "url"]


# --- what is tolerated --------------------------------------------------------------------------------------------


def test_a_template_without_variables_needs_no_components() -> None:
    assert template(body("template")).components is None
    assert template(of()).components == []


@pytest.mark.parametrize("index", [*range(10), *"0123456789"])
def test_a_button_index_is_a_number_or_its_digit(index: object) -> None:
    assert component(BUTTON | {"index": index}).index == str(index)


@pytest.mark.parametrize(
    ("written", "known"), [("URL", "url"), ("QUICK_REPLY", "quick_reply"), ("Copy_Code", "copy_code"), ("mpm", "mpm")]
)
def test_the_case_of_a_sub_type_does_not_matter(written: str, known: str) -> None:
    assert component(BUTTON | {"sub_type": written}).sub_type == known


@pytest.mark.parametrize("kind", ["HEADER", "Body", "BUTTON", "Limited_Time_Offer"])
def test_the_case_of_a_component_type_does_not_matter(kind: str) -> None:
    assert component(BUTTON | {"type": kind}).type == kind.lower()


def test_members_of_buttons_and_carousels_are_dropped_elsewhere() -> None:
    card = {"card_index": 0, "components": []}
    part = component({"type": "body", "sub_type": "url", "index": "0", "cards": [card], "parameters": [TEXT]})
    assert (part.sub_type, part.index, part.cards) == (None, None, None)
    assert component(BUTTON | {"cards": [card]}).cards is None


@pytest.mark.parametrize("kind", ["image", "video", "document"])
def test_media_in_a_header_follow_the_rules_of_media(kind: str) -> None:
    given = {"type": kind, kind: {"id": "5", "link": "https://a.example/", "filename": "f", "colour": "red"}}
    wire = json.loads(json.dumps(parameter(given, "header").wire, default=lambda media: media.id))
    assert wire == {"type": kind, kind: "5"}


def test_a_named_parameter_keeps_its_name() -> None:
    known = parameter(TEXT | {"parameter_name": "first_name", "colour": "red"})
    assert (known.name, known.text) == ("first_name", "Ann")
    assert known.wire == TEXT | {"parameter_name": "first_name"}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "currency", "currency": {"fallback_value": "1 EUR", "code": "EUR", "amount_1000": 1000}},
        {"type": "date_time", "date_time": {"fallback_value": "today"}},
        {"type": "location", "location": {"latitude": "1", "longitude": "2", "name": "n", "address": "a"}},
        {"type": "coupon_code", "coupon_code": "SAVE"},
        {"type": "action", "action": {"flow_token": "t", "flow_action_data": {"a": [1, 2.5, None, True]}}},
        {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1754694000000}},
        {"type": "product", "product": {"product_retailer_id": "1", "catalog_id": "2"}},
        {"type": "gif", "gif": {"link": "https://a.example/x.mp4"}},
        {"type": "ttl_minutes", "ttl_minutes": 100},
        {"type": "next_years_kind", "next_years_kind": 10**40, "parameter_name": "x"},
    ],
    ids=lambda given: given["type"],
)
def test_kinds_that_only_meta_knows_are_carried_as_given(given: Json) -> None:
    known = parameter(given)
    assert known.wire == given
    assert known.type == given["type"]


def test_an_encoder_is_given_nothing_but_parameters() -> None:
    with pytest.raises(TypeError, match="no JSON form for object"):
        wire_parameter(object())


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path", "details"),
    [
        ({"name": ""}, "$.template.name", "must not be empty"),
        ({"name": "a\0"}, "$.template.name", "must not contain the NUL character"),
        ({"language": None}, "$.template.language", "expected an object, got null"),
        ({"language": {"policy": "deterministic"}}, "$.template.language.code", "is required"),
        ({"language": {"code": "en_US"}}, "$.template.language.policy", "is required"),
        ({"language": LANGUAGE | {"policy": "fallback"}}, "$.template.language.policy", "unknown value 'fallback'"),
        ({"language": LANGUAGE | {"code": ""}}, "$.template.language.code", "must not be empty"),
        ({"language": LANGUAGE | {"code": "\0"}}, "$.template.language.code", "must not contain the NUL character"),
        ({"components": {}}, "$.template.components", "expected a list, got an object"),
        ({"components": [1]}, "$.template.components[0]", "expected an object, got a number"),
    ],
)
def test_name_and_language_are_required(change: Json, path: str, details: str) -> None:
    assert refusal(body("template", template={"name": "n", "language": LANGUAGE} | change)) == (path, details)


@pytest.mark.parametrize(
    ("given", "path", "details"),
    [
        ({}, ".type", "is required"),
        ({"type": ""}, ".type", "must not be empty"),
        ({"type": "button", "index": 0}, ".sub_type", "is required for a button"),
        ({"type": "button", "sub_type": "url"}, ".index", "is required for a button"),
        (BUTTON | {"index": 10}, ".index", "expected a number from 0 to 9"),
        (BUTTON | {"index": -1}, ".index", "expected a number from 0 to 9"),
        (BUTTON | {"index": "00"}, ".index", "expected a number from 0 to 9"),
        (BUTTON | {"index": "１"}, ".index", "expected a number from 0 to 9"),
        (BUTTON | {"index": True}, ".index", "expected a whole number or a string, got true or false"),
        ({"type": "carousel"}, ".cards", "is required for a carousel"),
        ({"type": "carousel", "cards": []}, ".cards", "is required for a carousel"),
        ({"type": "carousel", "cards": [{"components": []}]}, ".cards[0].card_index", "is required"),
        ({"type": "carousel", "cards": [{"card_index": 0}]}, ".cards[0].components", "is required"),
        (
            {"type": "carousel", "cards": [{"card_index": -1, "components": []}]},
            ".cards[0].card_index",
            "expected a number from 0",
        ),
        ({"type": "body", "parameters": [5]}, ".parameters[0]", "expected an object, got a number"),
        ({"type": "body", "parameters": [TEXT, {}]}, ".parameters[1].type", "is required"),
        ({"type": "body", "parameters": [{"type": 5}]}, ".parameters[0].type", "expected a string, got a number"),
        ({"type": "body", "parameters": [{"type": "text"}]}, ".parameters[0].text", "is required"),
        (
            {"type": "body", "parameters": [{"type": "text", "text": 5}]},
            ".parameters[0].text",
            "expected a string, got a number",
        ),
        (
            {"type": "body", "parameters": [TEXT | {"parameter_name": []}]},
            ".parameters[0].parameter_name",
            "expected a string, got a list",
        ),
        (
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": 0,
                "parameters": [{"type": "payload", "payload": {}}],
            },
            ".parameters[0].payload",
            "expected a string, got an object",
        ),
        ({"type": "header", "parameters": [{"type": "image"}]}, ".parameters[0].image", "is required"),
        (
            {"type": "header", "parameters": [{"type": "image", "image": {}}]},
            ".parameters[0].image",
            "either link or id is required",
        ),
        (
            {"type": "header", "parameters": [{"type": "video", "video": {"link": "x"}}]},
            ".parameters[0].video.link",
            "expected an http or https URL",
        ),
        (
            {"type": "header", "parameters": [{"type": "document", "document": {"id": 5}}]},
            ".parameters[0].document.id",
            "expected a string, got a number",
        ),
    ],
)
def test_a_refusal_points_into_the_component(given: Json, path: str, details: str) -> None:
    assert refusal(of({"type": "body"}, given)) == (f"$.template.components[1]{path}", details)


def test_a_refusal_points_into_a_card() -> None:
    cards = [
        {"card_index": 0, "components": [{"type": "header", "parameters": [{"type": "image", "image": {"id": 1}}]}]}
    ]
    assert refusal(of({"type": "carousel", "cards": cards})) == (
        "$.template.components[0].cards[0].components[0].parameters[0].image.id",
        "expected a string, got a number",
    )


def test_a_card_takes_no_carousel() -> None:
    inner = {"type": "carousel", "cards": [{"card_index": 0, "components": []}]}
    assert refusal(of({"type": "carousel", "cards": [{"card_index": 0, "components": [inner]}]})) == (
        "$.template.components[0].cards[0].components[0].type",
        "a card takes no carousel",
    )


def test_a_carried_parameter_has_a_depth_that_anyone_can_walk() -> None:
    deep: object = "x"
    for _ in range(70):
        deep = {"a": deep}
    assert refusal(of({"type": "body", "parameters": [{"type": "action", "action": deep}]})) == (
        "$.template.components[0].parameters[0]",
        "must not nest deeper than 64 levels",
    )
