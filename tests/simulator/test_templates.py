"""Templates: the shape of every component kind, and the send against the declared template."""

from typing import Any

import pytest

from tests.simulator.conftest import PHONE, TO, WABA, Meta

Json = dict[str, Any]


def text(*values: str, name: str | None = None) -> list[Json]:
    return [{"type": "text", "text": value} | ({"parameter_name": name} if name else {}) for value in values]


def body(*values: str) -> Json:
    return {"type": "body", "parameters": text(*values)}


def header(kind: str, content: object = None) -> Json:
    return {"type": "header", "parameters": [{"type": kind, kind: content or {"link": "https://example.com/x"}}]}


def button(sub_type: str, index: object = "0", *parameters: Json) -> Json:
    return {"type": "button", "sub_type": sub_type, "index": index, "parameters": list(parameters)}


def card(index: int, *components: Json) -> Json:
    return {"card_index": index, "components": [header("image"), *components]}


def sent(name: str, *components: Json, language: str = "en_US") -> Json:
    template = {"name": name, "language": {"code": language, "policy": "deterministic"}, "components": list(components)}
    return {"messaging_product": "whatsapp", "to": TO, "type": "template", "template": template}


PAYLOAD = {"type": "payload", "payload": "yes"}
SUFFIX = {"type": "text", "text": "x7"}
COUPON = {"type": "coupon_code", "coupon_code": "SAVE10"}
PLACE = {"latitude": "1", "longitude": 2, "name": "HQ", "address": "1 Road"}
OFFER = {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1754694000000}}
TARGET = {"type": "tap_target_configuration", "tap_target_configuration": [{"url": "https://a.b", "title": "t"}]}
PRODUCTS = {"sections": [{"title": "a", "product_items": [{"product_retailer_id": "1"}]}]}

SHAPES: dict[str, Json] = {
    "no components": sent("t"),
    "header text": sent("t", {"type": "HEADER", "parameters": text("Ada", name="who")}),
    "header image": sent("t", header("image", {"id": "12"})),
    "header video": sent("t", header("video")),
    "header document": sent("t", header("document", {"link": "https://a/b", "filename": "a.pdf"})),
    "header gif": sent("t", header("gif")),
    "header location": sent("t", header("location", PLACE)),
    "header product": sent("t", header("product", {"product_retailer_id": "1", "catalog_id": "2"})),
    "body": sent("t", body("a" * 1000, "b    b")),
    "body currency": sent(
        "t",
        {
            "type": "body",
            "parameters": [
                {"type": "currency", "currency": {"fallback_value": "$1", "code": "USD", "amount_1000": 1000}},
                {"type": "date_time", "date_time": {"fallback_value": "today"}},
            ],
        },
    ),
    "quick reply": sent("t", button("quick_reply", 9, PAYLOAD), button("QUICK_REPLY", "1", PAYLOAD)),
    "url": sent("t", button("url", 1, SUFFIX)),
    "copy code": sent("t", button("copy_code", "0", COUPON)),
    "flow": sent("t", {"type": "button", "sub_type": "flow", "index": "0"}),
    "catalog": sent("t", button("CATALOG", 0, {"type": "action", "action": {"thumbnail_product_retailer_id": "1"}})),
    "mpm": sent("t", button("mpm", 0, {"type": "action", "action": PRODUCTS})),
    "voice call": sent("t", button("voice_call", "0", {"type": "ttl_minutes", "ttl_minutes": 5}, PAYLOAD)),
    "carousel": sent("t", body("a"), {"type": "carousel", "cards": [card(0), card(1, button("url", 0, SUFFIX))]}),
    "offer": sent("t", {"type": "limited_time_offer", "parameters": [OFFER]}),
    "tap target": sent("t", {"type": "tap_target_configuration", "parameters": [TARGET]}),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_component_kind_is_accepted(shape: str, sim_meta: Meta) -> None:
    await sim_meta.accepted(SHAPES[shape])


def with_template(**changes: object) -> Json:
    whole = sent("t")
    return whole | {"template": whole["template"] | changes}


MISSHAPEN: list[tuple[Json, int, str]] = [
    (with_template(name=None), 131008, "The parameter template['name'] is required."),
    (with_template(name="Big"), 132001, "template name (Big) may have a-z, 0-9 and _ only"),
    (with_template(language=None), 131008, "The parameter template['language'] is required."),
    (with_template(language={}), 131008, "The parameter template['language']['code'] is required."),
    (with_template(language={"code": "en", "policy": "fallback"}), 100, "must be one of {deterministic}"),
    (with_template(components={}), 100, "Param template['components'] must be an array."),
    (sent("t", {"type": "buttons"}), 100, "Param template['components'][0]['type'] must be one of"),
    (sent("t", header("sticker")), 132012, "Format mismatch, expected DOCUMENT, GIF"),
    (sent("t", header("image", {"caption": "x"})), 131008, "['image'] requires either id or link."),
    (sent("t", header("location", {"latitude": 1, "longitude": 1, "name": "x"})), 131008, "['address'] is required."),
    (sent("t", {"type": "header", "parameters": text("a", "b")}), 132000, "2 parameters where 1 is the most"),
    (sent("t", body("a\nb")), 132018, "new-line/tab characters or more than 4 consecutive spaces"),
    (sent("t", body("a\tb")), 132018, "parameters'][0]['text']: Param text cannot have"),
    (sent("t", body("a     b")), 132018, "more than 4 consecutive spaces"),
    (sent("t", {"type": "body", "parameters": [PAYLOAD]}), 132012, "expected CURRENCY, DATE_TIME, TEXT, received PAYL"),
    (sent("t", {"type": "button", "index": "0"}), 131008, "['sub_type'] is required."),
    (sent("t", button("jump", "0", PAYLOAD)), 100, "must be one of {catalog, copy_code"),
    (sent("t", button("url", "10", SUFFIX)), 100, "must be the button's position, 0 to 9."),
    (sent("t", button("url", True, SUFFIX)), 100, "must be the button's position, 0 to 9."),
    (sent("t", {"type": "button", "sub_type": "url", "parameters": [SUFFIX]}), 131008, "['index'] is required."),
    (sent("t", {"type": "button", "sub_type": "url", "index": 0}), 131008, "['parameters'] is required."),
    (sent("t", button("copy_code", 0, COUPON | {"coupon_code": "a b"})), 131009, "must be alphanumeric"),
    (sent("t", button("copy_code", 0, COUPON | {"coupon_code": "a" * 21})), 100, "Max length: 20"),
    (sent("t", {"type": "carousel", "cards": [card(0)]}), 100, "Min allowed cards: 2, Max allowed cards: 10"),
    (sent("t", {"type": "carousel", "cards": [card(0), card(2)]}), 100, "must be 1: cards are numbered"),
    (sent("t", {"type": "carousel", "cards": [card(0), card(1, {"type": "carousel"})]}), 100, "within a card"),
    (sent("t", {"type": "limited_time_offer", "parameters": []}), 100, "Min allowed parameters: 1"),
]


@pytest.mark.parametrize(("wrong", "code", "details"), MISSHAPEN, ids=[f"{c} {d[:40]}" for _, c, d in MISSHAPEN])
async def test_a_misshapen_template_is_refused(wrong: Json, code: int, details: str, sim_meta: Meta) -> None:
    found_code, found_details = await sim_meta.refused(wrong)
    assert (found_code, details in found_details) == (code, True), found_details


def defined(name: str, *components: Json, **more: object) -> Json:
    return {"name": name, "language": "en_US", "components": list(components)} | more


BODY2 = {"type": "BODY", "text": "Hello {{1}}, order {{2}} and {{1}} again"}
URL = {"type": "URL", "text": "Open", "url": "https://example.com/{{1}}"}
FIXED_URL = {"type": "URL", "text": "Open", "url": "https://example.com/"}
REPLY = {"type": "QUICK_REPLY", "text": "Yes"}
CARD = {
    "components": [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "{{1}}"},
        {"type": "BUTTONS", "buttons": [REPLY, URL]},
    ]
}
TEMPLATES = [
    defined("plain", {"type": "BODY", "text": "Hello"}),
    defined("two", BODY2),
    defined("named", {"type": "BODY", "text": "Hi {{who}}, {{what}}"}, parameter_format="NAMED"),
    defined("headed", {"type": "HEADER", "format": "TEXT", "text": "For {{1}}"}, {"type": "BODY", "text": "Hello"}),
    defined("picture", {"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello"}),
    defined("buttons", {"type": "BODY", "text": "x"}, {"type": "BUTTONS", "buttons": [REPLY, URL, FIXED_URL]}),
    defined("coupon", {"type": "BODY", "text": "x"}, {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE"}]}),
    defined("cards", {"type": "BODY", "text": "x"}, {"type": "CAROUSEL", "cards": [CARD, CARD]}),
    defined(
        "offer",
        {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Soon", "has_expiration": True}},
        {"type": "BODY", "text": "{{1}}"},
    ),
    defined(
        "otp",
        {"type": "BODY", "add_security_recommendation": True},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]},
        category="AUTHENTICATION",
    ),
    defined("empty", components=[]),
    defined("paused", status="PAUSED"),
    defined("disabled", status="DISABLED"),
    defined("pending", status="PENDING"),
    {"name": "unknown_contents", "language": "en_US"},
]


async def declare(meta: Meta, **waba: object) -> None:
    await meta.config(wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}], "templates": TEMPLATES} | waba])


GOOD_CARD = (body("a"), button("url", 1, SUFFIX))

MATCHING = {
    "plain": sent("plain"),
    "two": sent("two", body("Ada", "7")),
    "named": sent("named", {"type": "body", "parameters": text("a", name="what") + text("b", name="who")}),
    "headed": sent("headed", {"type": "header", "parameters": text("Ada")}),
    "picture": sent("picture", header("image")),
    "buttons": sent("buttons", button("url", "1", SUFFIX), button("quick_reply", 0, PAYLOAD)),
    "coupon": sent("coupon", button("copy_code", 0, COUPON)),
    "cards": sent("cards", {"type": "carousel", "cards": [card(0, *GOOD_CARD), card(1, *GOOD_CARD)]}),
    "offer": sent("offer", body("a"), {"type": "limited_time_offer", "parameters": [OFFER]}),
    "otp": sent("otp", body("123456"), button("url", "0", {"type": "text", "text": "123456"})),
    "empty": sent("empty"),
    "unknown contents": sent("unknown_contents", body("what", "ever"), header("video")),
}


@pytest.mark.parametrize("name", MATCHING)
async def test_what_mirrors_the_declared_template_is_accepted(name: str, sim_meta: Meta) -> None:
    await declare(sim_meta)
    await sim_meta.accepted(MATCHING[name])


MISMATCHES: list[tuple[Json, int, str]] = [
    (sent("plain", body("x")), 132000, "body: number of localizable_params (1) does not match the expected number of"),
    (sent("two", body("Ada")), 132000, "body: number of localizable_params (1) does not match the expected number"),
    (sent("two"), 132000, "(0) does not match the expected number of params (2)"),
    (sent("two", body("a" * 1000, "b" * 100)), 132005, "body: 2125 characters after translation, 1024 allowed"),
    (sent("named", body("a", "b")), 132012, "body: parameter_name must be each of who, what once"),
    (sent("headed"), 132000, "header: number of localizable_params (0)"),
    (sent("headed", header("image")), 132012, "header: Format mismatch, expected TEXT, received IMAGE"),
    (sent("headed", {"type": "header", "parameters": text("x" * 60)}), 132005, "header: 64 characters"),
    (sent("picture"), 132012, "header: Format mismatch, expected IMAGE, received UNKNOWN"),
    (sent("picture", header("video")), 132012, "header: Format mismatch, expected IMAGE, received VIDEO"),
    (sent("plain", header("image")), 132012, "header: the template has no such component"),
    (sent("buttons"), 131008, "buttons: Button at index 1 of type Url requires a parameter"),
    (sent("buttons", button("url", 1, SUFFIX), button("url", 2, SUFFIX)), 132000, "index 2 of type Url takes no param"),
    (sent("buttons", button("url", 0, SUFFIX)), 132012, "Button at index 0 is of type Quick_Reply, received url"),
    (sent("buttons", button("url", 5, SUFFIX)), 131009, "buttons: the template has no button at index 5"),
    (sent("buttons", button("url", 1, {"type": "text", "text": "x" * 2000})), 132005, "URL at index 1 has 2020"),
    (sent("coupon"), 131008, "buttons: Button at index 0 of type Copy_Code requires a parameter"),
    (sent("otp", body("1")), 131008, "buttons: Button at index 0 of type Otp requires a parameter"),
    (sent("otp", button("url", 0, SUFFIX)), 132000, "body: number of localizable_params (0)"),
    (sent("cards"), 132012, "carousel: number of cards (0) does not match the expected number of cards (2)"),
    (
        sent("cards", {"type": "carousel", "cards": [card(index, *GOOD_CARD) for index in range(3)]}),
        132012,
        "number of cards (3) does not match the expected number of cards (2)",
    ),
    (
        sent("cards", {"type": "carousel", "cards": [card(0, *GOOD_CARD), card(1, body("a"))]}),
        131008,
        "cards[1] buttons: Button at index 1 of type Url requires a parameter",
    ),
    (
        sent("cards", {"type": "carousel", "cards": [card(0, body("a" * 161), GOOD_CARD[1]), card(1, *GOOD_CARD)]}),
        132005,
        "cards[0] body: 161 characters after translation, 160 allowed",
    ),
    (sent("offer", body("a")), 131008, "limited_time_offer: expiration_time_ms is required"),
    (
        sent("offer", body("a" * 601), {"type": "limited_time_offer", "parameters": [OFFER]}),
        132005,
        "body: 601 characters after translation, 600 allowed",
    ),
    (sent("empty", body("x")), 132012, "body: the template has no such component"),
    (sent("paused"), 132015, "template (paused) in en_US is paused"),
    (sent("disabled"), 132016, "template (disabled) in en_US was paused too often"),
    (sent("pending"), 132001, "template name (pending) does not exist in en_US"),
]


@pytest.mark.parametrize(("wrong", "code", "details"), MISMATCHES, ids=[f"{c} {d[:40]}" for _, c, d in MISMATCHES])
async def test_what_does_not_fit_the_declared_template_is_refused(
    wrong: Json, code: int, details: str, sim_meta: Meta
) -> None:
    await declare(sim_meta)
    found_code, found_details = await sim_meta.refused(wrong)
    assert (found_code, details in found_details) == (code, True), found_details


async def test_only_marketing_templates_go_through_marketing_messages(sim_meta: Meta) -> None:
    await declare(sim_meta)
    await sim_meta.accepted(sent("plain"), endpoint="marketing_messages")
    otp = MATCHING["otp"]
    assert (await sim_meta.refused(otp, endpoint="marketing_messages"))[0] == 134100
    assert (await sim_meta.refused(otp, endpoint="marketing_messages", version="v22.0"))[0] == 131055
    text_message = {"messaging_product": "whatsapp", "to": TO, "text": {"body": "x"}}
    assert await sim_meta.refused(text_message, endpoint="marketing_messages") == (
        100,
        "Message must be a template message.",
    )


async def test_the_accounts_settings_decide_where_marketing_may_go(sim_meta: Meta) -> None:
    await declare(sim_meta, disable_marketing_messages_on_cloud_api=True)
    assert (await sim_meta.refused(sent("plain")))[0] == 131063
    await sim_meta.accepted(MATCHING["otp"])
    await declare(sim_meta, marketing_messages_onboarding_status="ELIGIBLE")
    strict = sent("plain") | {"product_policy": "STRICT"}
    status, answer = await sim_meta.send(strict, endpoint="marketing_messages")
    assert (status, answer["error"]["code"]) == (500, 134102)
    await sim_meta.accepted(sent("plain"), endpoint="marketing_messages")


async def test_an_authentication_template_needs_a_phone_number(sim_meta: Meta) -> None:
    await declare(sim_meta)
    to_user = MATCHING["otp"] | {"recipient": "US.13491208655302741918", "to": None}
    assert (await sim_meta.refused(to_user))[0] == 131062
