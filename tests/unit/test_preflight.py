"""Values of a template message against the template's definition: what is refused, where it points, what passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.preflight import check
from waypost.protocol.messages import TemplateMessage, decode
from waypost.protocol.templates import Template

Json = dict[str, Any]
SEED = Path(__file__).parents[1] / "seed" / "requests"


def sent(*components: Json) -> Template:
    body = {
        **{"appkey": "a", "business_phone": "8615800001795", "messaging_product": "whatsapp"},
        **{"recipient_type": "individual", "to": "8615800001234", "type": "template"},
        "template": {"name": "t", "language": {"code": "en", "policy": "deterministic"}, "components": components},
    }
    message = decode(json.dumps(body).encode())
    assert isinstance(message, TemplateMessage)
    return message.template


def problems(definition: list[Json], *components: Json) -> list[tuple[str, str]]:
    found = check(tuple(definition), sent(*components))
    assert all(problem.severity == "refuse" for problem in found)
    return [(problem.path, problem.details) for problem in found]


def text(*values: str) -> list[Json]:
    return [{"type": "text", "text": value} for value in values]


def body(*values: str) -> Json:
    return {"type": "body", "parameters": text(*values)}


def header(*parameters: Json) -> Json:
    return {"type": "header", "parameters": list(parameters)}


def button(sub_type: str, index: int, *parameters: Json) -> Json:
    return {"type": "button", "sub_type": sub_type, "index": index, "parameters": list(parameters)}


def buttons(*definitions: Json) -> Json:
    return {"type": "BUTTONS", "buttons": list(definitions)}


IMAGE: Json = {"type": "image", "image": {"id": "1"}}
VIDEO: Json = {"type": "video", "video": {"id": "1"}}
BODY_OF_TWO: Json = {"type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way, {{1}}."}
BODY_NAMED: Json = {"type": "BODY", "text": "Hello {{first_name}}, your order {{order}} is here."}
FIXED_BODY: Json = {"type": "BODY", "text": "Hello."}
IMAGE_HEADER: Json = {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["x"]}}
DYNAMIC_URL: Json = {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"}
STATIC_URL: Json = {"type": "URL", "text": "Shop", "url": "https://x.example/"}
OTP: Json = {"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy"}


# --- body and header -------------------------------------------------------------------------------------------------


def test_a_message_that_mirrors_its_template_has_no_problems() -> None:
    definition = [IMAGE_HEADER, BODY_OF_TWO, {"type": "FOOTER", "text": "Bye"}, buttons(STATIC_URL, DYNAMIC_URL)]
    assert problems(definition, header(IMAGE), body("Ann", "7"), button("url", 1, *text("7"))) == []


@pytest.mark.parametrize(
    ("values", "got"), [((), "got 0"), (("Ann",), "got 1"), (("Ann", "7", "8"), "got 3")], ids=["0", "1", "3"]
)
def test_a_wrong_number_of_body_parameters_points_at_them(values: tuple[str, ...], got: str) -> None:
    expected = [("$.template.components[0].parameters", f"the template's body takes 2 parameters, {got}")]
    assert problems([BODY_OF_TWO], body(*values)) == expected


def test_a_missing_body_points_at_the_components() -> None:
    expected = [("$.template.components", "the template's body needs 2 parameters")]
    assert problems([BODY_OF_TWO]) == expected
    message = sent()
    message.components = None
    assert [(problem.path, problem.details) for problem in check((BODY_OF_TWO,), message)] == expected


@pytest.mark.parametrize("definition", [[], [FIXED_BODY]], ids=["no components", "fixed body"])
def test_a_template_without_variables_takes_no_values(definition: list[Json]) -> None:
    assert problems(definition) == []
    assert problems(definition, body()) == []
    assert problems(definition, body("Ann")) == [
        ("$.template.components[0].parameters", "the template's body takes no parameters, got 1")
    ]
    assert problems(definition, header(IMAGE)) == [
        ("$.template.components[0].parameters", "the template's header takes no parameters, got 1")
    ]


def test_a_parameter_of_another_kind_points_at_its_type() -> None:
    payload = {"type": "payload", "payload": "x"}
    assert problems([BODY_OF_TWO], {"type": "body", "parameters": [*text("Ann"), payload]}) == [
        (
            "$.template.components[0].parameters[1].type",
            "the template's body takes currency or date_time or text, got payload",
        )
    ]


def test_currency_and_kinds_that_nobody_knows_yet_stand_in_for_a_variable() -> None:
    currency = {"type": "currency", "currency": {"fallback_value": "1 €", "code": "EUR", "amount_1000": 1000}}
    future = {"type": "emotion", "emotion": "joy"}
    assert problems([BODY_OF_TWO], {"type": "body", "parameters": [currency, future]}) == []


def test_media_of_the_header_must_be_there_and_of_its_kind() -> None:
    assert problems([IMAGE_HEADER, FIXED_BODY]) == [
        ("$.template.components", "the template's header (image) needs 1 parameter")
    ]
    assert problems([IMAGE_HEADER, FIXED_BODY], header()) == [
        ("$.template.components[0].parameters", "the template's header (image) takes 1 parameter, got 0")
    ]
    assert problems([IMAGE_HEADER, FIXED_BODY], body(), header(VIDEO)) == [
        ("$.template.components[1].parameters[0].type", "the template's header (image) takes image, got video")
    ]


@pytest.mark.parametrize("form", ["VIDEO", "DOCUMENT", "LOCATION", "PRODUCT", "GIF"])
def test_every_media_form_of_a_header_needs_its_own_kind(form: str) -> None:
    definition: list[Json] = [{"type": "HEADER", "format": form}]
    kind = form.lower()
    value: Json = {"id": "1"}
    assert problems(definition, header({"type": kind, kind: value})) == []
    assert [path for path, _ in problems(definition, header(IMAGE))] == ["$.template.components[0].parameters[0].type"]
    assert [path for path, _ in problems(definition)] == ["$.template.components"]


def test_a_text_header_takes_as_many_values_as_it_has_variables() -> None:
    assert problems([{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}], header(*text("Ann"))) == []
    assert problems([{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}], header(IMAGE)) == [
        (
            "$.template.components[0].parameters[0].type",
            "the template's header takes currency or date_time or text, got image",
        )
    ]
    assert len(problems([{"type": "HEADER", "format": "TEXT", "text": "Hi"}], header(*text("Ann")))) == 1


def test_named_variables_are_matched_by_name_in_any_order() -> None:
    def named(*names: str) -> Json:
        parameters = [{"type": "text", "text": "x", "parameter_name": name} for name in names]
        return {"type": "body", "parameters": parameters}

    assert problems([BODY_NAMED], named("order", "first_name")) == []
    assert problems([BODY_NAMED], named("order", "name")) == [
        (
            "$.template.components[0].parameters[1].parameter_name",
            "the template's body has the variables first_name, order",
        )
    ]
    assert problems([BODY_NAMED], named("order", "order")) == [
        ("$.template.components[0].parameters[1].parameter_name", "the message has order twice")
    ]
    assert [path for path, _ in problems([BODY_NAMED], body("Ann", "7"))] == [
        "$.template.components[0].parameters[0].parameter_name",
        "$.template.components[0].parameters[1].parameter_name",
    ]


def test_a_component_that_stands_there_twice_is_refused_once() -> None:
    assert problems([BODY_OF_TWO], body("a", "b"), body("a", "b")) == [
        ("$.template.components[1]", "the message has this body twice")
    ]


# --- buttons ---------------------------------------------------------------------------------------------------------


def test_a_dynamic_button_must_be_there_with_its_one_value() -> None:
    definition = [FIXED_BODY, buttons({"type": "QUICK_REPLY", "text": "Stop"}, DYNAMIC_URL)]
    assert problems(definition, button("URL", 1, *text("7"))) == []
    assert problems(definition) == [("$.template.components", "the template's button 1 needs 1 parameter")]
    assert problems(definition, button("url", 1)) == [
        ("$.template.components[0].parameters", "the template's button 1 takes 1 parameter, got 0")
    ]


def test_a_button_at_the_wrong_index_or_of_the_wrong_kind_points_there() -> None:
    definition = [FIXED_BODY, buttons(STATIC_URL, DYNAMIC_URL)]
    assert problems(definition, button("quick_reply", 1, {"type": "payload", "payload": "x"})) == [
        ("$.template.components[0].sub_type", "the template's button 1 is of sub_type url, got quick_reply")
    ]
    assert problems(definition, button("url", 1, *text("7")), button("url", 2, *text("7"))) == [
        ("$.template.components[1].index", "the template has no button 2")
    ]
    assert problems(definition, button("url", 1, *text("7")), button("url", 0, *text("7"))) == [
        ("$.template.components[1].parameters", "the template's button 0 takes no parameters, got 1")
    ]


def test_quick_replies_flows_and_catalogues_may_be_left_out() -> None:
    kinds = [{"type": "QUICK_REPLY"}, {"type": "FLOW"}, {"type": "CATALOG"}, {"type": "PHONE_NUMBER"}]
    definition = [FIXED_BODY, buttons(*kinds)]
    assert problems(definition) == []
    values: list[Json] = [
        button("quick_reply", 0, {"type": "payload", "payload": "x"}),
        button("flow", 1, {"type": "action", "action": {"flow_token": "unused"}}),
        button("CATALOG", 2, {"type": "action", "action": {}}),
    ]
    assert problems(definition, *values) == []
    assert [path for path, _ in problems(definition, button("quick_reply", 0, *text("x")))] == [
        "$.template.components[0].parameters[0].type"
    ]


def test_a_coupon_and_a_list_of_products_need_their_values() -> None:
    definition = [FIXED_BODY, buttons({"type": "COPY_CODE", "example": "X"}, {"type": "MPM"})]
    coupon = button("copy_code", 0, {"type": "coupon_code", "coupon_code": "25OFF"})
    products = button("mpm", 1, {"type": "action", "action": {"sections": []}})
    assert problems(definition, coupon, products) == []
    assert [details for _, details in problems(definition)] == [
        "the template's button 0 needs 1 parameter",
        "the template's button 1 needs 1 parameter",
    ]


def test_buttons_that_nobody_knows_yet_take_anything() -> None:
    definition = [FIXED_BODY, buttons({"type": "HOLOGRAM"}, {"type": "SPM"}, {"type": "VOICE_CALL"})]
    assert problems(definition) == []
    assert problems(definition, button("hologram", 0, *text("a", "b"))) == []


def test_an_authentication_template_needs_the_code_in_body_and_button() -> None:
    definition: list[Json] = [{"type": "BODY", "add_security_recommendation": True}, buttons(OTP)]
    assert problems(definition, body("123456"), button("url", 0, *text("123456"))) == []
    assert problems(definition, body("123456")) == [
        ("$.template.components", "the template's button 0 needs 1 parameter")
    ]
    as_listed_by_meta: list[Json] = [
        {"type": "BODY", "text": "*{{1}}* is your verification code."},
        buttons({"type": "URL", "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"}),
    ]
    assert problems(as_listed_by_meta, body("123456"), button("url", 0, *text("123456"))) == []
    assert len(problems(as_listed_by_meta)) == 2


# --- carousel and offer ----------------------------------------------------------------------------------------------


CARD: Json = {"components": [IMAGE_HEADER, BODY_OF_TWO, buttons(DYNAMIC_URL)]}
CAROUSEL: Json = {"type": "CAROUSEL", "cards": [CARD, CARD]}


def card(number: int, *components: Json) -> Json:
    return {"card_index": number, "components": list(components)}


def full_card(number: int) -> Json:
    return card(number, header(IMAGE), body("a", "b"), button("url", 0, *text("x")))


def carousel(*cards: Json) -> Json:
    return {"type": "carousel", "cards": list(cards)}


def test_a_carousel_has_the_cards_of_its_template() -> None:
    assert problems([FIXED_BODY, CAROUSEL], carousel(full_card(0), full_card(1))) == []
    assert problems([FIXED_BODY, CAROUSEL], carousel(full_card(0))) == [
        ("$.template.components[0].cards", "the template has 2 cards, got 1")
    ]
    assert problems([FIXED_BODY, CAROUSEL]) == [("$.template.components", "the template needs a carousel of 2 cards")]
    assert problems([FIXED_BODY], carousel(full_card(0))) == [
        ("$.template.components[0].cards", "the template has no carousel")
    ]


def test_what_is_wrong_with_a_card_points_into_it() -> None:
    broken = card(1, header(VIDEO), body("a"))
    assert [path for path, _ in problems([CAROUSEL], body(), carousel(full_card(0), broken))] == [
        "$.template.components[1].cards[1].components[0].parameters[0].type",
        "$.template.components[1].cards[1].components[1].parameters",
        "$.template.components[1].cards[1].components",
    ]


def test_cards_are_numbered_like_the_templates() -> None:
    assert problems([CAROUSEL], carousel(full_card(0), full_card(2))) == [
        ("$.template.components[0].cards[1].card_index", "the template has no card 2")
    ]
    assert problems([CAROUSEL], carousel(full_card(0), full_card(0))) == [
        ("$.template.components[0].cards[1].card_index", "the message has card 0 twice")
    ]


def test_an_offer_that_ends_needs_its_time() -> None:
    def offer(*, expires: bool) -> list[Json]:
        return [{"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Now!", "has_expiration": expires}}]

    parameter = {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1754694000000}}
    value: Json = {"type": "limited_time_offer", "parameters": [parameter]}
    assert problems(offer(expires=True), value) == []
    assert problems(offer(expires=True)) == [
        ("$.template.components", "the template's limited time offer needs 1 parameter")
    ]
    assert problems(offer(expires=False)) == []


# --- warnings, the unknown, the seed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\rb", "a     b"], ids=["new line", "tab", "return", "5 spaces"])
def test_white_space_that_meta_may_refuse_is_only_a_warning(value: str) -> None:
    (problem,) = check((BODY_OF_TWO,), sent(body("Ann", value)))
    assert (problem.path, problem.severity) == ("$.template.components[0].parameters[1].text", "warn")
    assert problem.details == "Meta may refuse a new line, a tab or more than four spaces in a row"


def test_four_spaces_are_not_even_a_warning() -> None:
    assert check((BODY_OF_TWO,), sent(body("Ann", "a    b"))) == []


@pytest.mark.parametrize(
    "definition",
    [
        [None],
        ["BODY"],
        [{}],
        [{"type": 5}],
        [{"type": "BODY", "text": 5}],
        [{"type": "BODY", "text": "{{1}} and {{name}}"}],
        [{"type": "HEADER"}],
        [{"type": "HEADER", "format": "TEXT"}],
        [{"type": "BUTTONS"}],
        [{"type": "BUTTONS", "buttons": [None]}],
        [{"type": "BUTTONS", "buttons": [{"type": "URL"}]}],
        [{"type": "CAROUSEL", "cards": {}}],
        [{"type": "CAROUSEL", "cards": [{"components": [5]}]}],
        [{"type": "LIMITED_TIME_OFFER", "limited_time_offer": "x"}],
    ],
    ids=repr,
)
def test_a_definition_that_can_not_be_read_refuses_nothing(definition: list[Any]) -> None:
    assert check(tuple(definition), sent(body("a", "b", "c"), header(IMAGE))) == []


def test_components_that_nobody_knows_yet_pass_on_both_sides() -> None:
    definition: list[Json] = [FIXED_BODY, {"type": "HOLOGRAM", "depth": 3}, {"type": "HEADER", "format": "SCENT"}]
    assert problems(definition, {"type": "tap_target_configuration", "parameters": []}, header(IMAGE)) == []


DEFINITIONS_OF_THE_SEED: dict[str, list[Json]] = {
    "template_otp": [{"type": "BODY", "add_security_recommendation": True}, buttons(OTP)],
    "template_carousel": [
        {"type": "BODY", "text": "{{1}} and {{2}} and {{3}}."},
        {
            "type": "CAROUSEL",
            "cards": [
                {
                    "components": [
                        IMAGE_HEADER,
                        FIXED_BODY,
                        buttons({"type": "QUICK_REPLY", "text": "More"}, DYNAMIC_URL),
                    ]
                }
            ]
            * 3,
        },
    ],
}


@pytest.mark.parametrize("name", DEFINITIONS_OF_THE_SEED)
def test_the_examples_of_the_send_message_page_fit_templates_as_meta_defines_them(name: str) -> None:
    example = json.loads((SEED / f"{name}.json").read_text())
    assert check(tuple(DEFINITIONS_OF_THE_SEED[name]), sent(*example["template"]["components"])) == []


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["BODY", "URL", "{{1}}", "{{a}}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "format", "buttons", "cards", "components", "url", "limited_time_offer"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(definition=st.lists(ANYTHING, max_size=4))
def test_no_definition_can_break_the_comparison(definition: list[Any]) -> None:
    message = sent(header(IMAGE), body("a"), button("url", 0, *text("x")), carousel(full_card(0)))
    for problem in check(tuple(definition), message):
        assert problem.path.startswith("$.template.components")
        assert problem.details
