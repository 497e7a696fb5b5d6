"""Interactive messages: each sub-type at its limits, and each limit broken."""

from typing import Any

import pytest

from tests.simulator.conftest import TO, Meta

Json = dict[str, Any]
CTA = {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://example.com"}}


def reply(identifier: str = "1", title: str = "Yes") -> Json:
    return {"type": "reply", "reply": {"id": identifier, "title": title}}


def row(identifier: object, title: str = "Row", **more: object) -> Json:
    return {"id": str(identifier), "title": title, **more}


def message(kind: str, action: Json, **parts: object) -> Json:
    interactive = {"type": kind, "body": {"text": "body"}, "action": action} | parts
    interactive = {name: part for name, part in interactive.items() if part is not None}
    return {"messaging_product": "whatsapp", "to": TO, "type": "interactive", "interactive": interactive}


def buttons(*made: Json, **parts: object) -> Json:
    return message("button", {"buttons": list(made)}, **parts)


def sections(*made: Json, **parts: object) -> Json:
    return message("list", {"button": "Open", "sections": list(made)}, **parts)


def cards(*made: Json, **parts: object) -> Json:
    return message("carousel", {"cards": list(made)}, **parts)


def media_card(index: int, **parts: object) -> Json:
    header = {"type": "image", "image": {"link": "https://example.com/a.png"}}
    return {"card_index": index, "type": "cta_url", "header": header, "action": CTA} | parts


def product_card(index: int) -> Json:
    return {"card_index": index, "type": "product", "action": {"product_retailer_id": "1", "catalog_id": "2"}}


def products(count: int) -> Json:
    return {"title": "t", "product_items": [{"product_retailer_id": str(number)} for number in range(count)]}


def flow(**parameters: object) -> Json:
    usual = {"flow_message_version": "3", "flow_id": "1", "flow_cta": "Go", "mode": "draft", "flow_action": "navigate"}
    return message("flow", {"name": "flow", "parameters": usual | parameters})


PICTURE = {"type": "image", "image": {"id": "1"}}

ACCEPTED = {
    "buttons": buttons(
        reply("a", "x" * 20), reply("b" * 256, "y"), reply("c", "z"), header=PICTURE, footer={"text": "f" * 60}
    ),
    "list": sections(
        {"title": "x" * 24, "rows": [row(number, description="d" * 72) for number in range(5)]},
        {"title": "two", "rows": [row(number) for number in range(5, 10)]},
        header={"type": "text", "text": "h" * 60},
        body={"text": "b" * 4096},
    ),
    "cta_url": message("cta_url", CTA),
    "flow": flow(flow_action_payload={"screen": "FIRST", "data": {"a": 1}}),
    "product": message("product", {"catalog_id": "1", "product_retailer_id": "2"}, body=None),
    "product_list": message(
        "product_list", {"catalog_id": "1", "sections": [products(30)]}, header={"type": "text", "text": "h"}
    ),
    "catalog_message": message("catalog_message", {"name": "catalog_message"}),
    "location_request": message("location_request_message", {"name": "send_location"}),
    "address": message("address_message", {"name": "address_message", "parameters": {"country": "IN"}}),
    "call permission": message("call_permission_request", {"name": "call_permission_request"}, body=None),
    "voice call": message("voice_call", {"name": "voice_call", "parameters": {"display_text": "Call"}}),
    "contact info": message("request_contact_info", {"name": "request_contact_info"}),
    "order details": message(
        "order_details", {"name": "review_and_pay", "parameters": {"reference_id": "r"}}, header=PICTURE
    ),
    "order status": message(
        "order_status",
        {"name": "review_order", "parameters": {"reference_id": "r", "order": {"status": "shipped"}}},
    ),
    "media carousel": cards(media_card(0, body={"text": "a\nb\nc"}), media_card(1)),
    "reply carousel": cards(
        *(
            media_card(
                index,
                action={"buttons": [{"type": "quick_reply", "quick_reply": {"id": "1", "title": "Yes"}}]},
            )
            for index in range(10)
        )
    ),
    "product carousel": cards(product_card(0), product_card(1)),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_each_sub_type_is_accepted_at_its_limits(name: str, sim_meta: Meta) -> None:
    await sim_meta.accepted(ACCEPTED[name])


FOUR = [reply(str(number), str(number)) for number in range(4)]
ELEVEN = [{"title": str(part), "rows": [row(f"{part}-{n}") for n in range(6)]} for part in range(2)]

REFUSED: list[tuple[Json, int, str]] = [
    (message("poll", {}), 131009, "Param interactive['type'] must be one of {address_message, button,"),
    (buttons(), 131009, "count invalid. Min allowed buttons: 1, Max allowed buttons: 3"),
    (buttons(*FOUR), 131009, "count invalid. Min allowed buttons: 1, Max allowed buttons: 3"),
    (buttons(reply(title="x" * 21)), 131009, "['title'] length invalid. Min length: 1, Max length: 20"),
    (buttons(reply(title="")), 131009, "['title'] length invalid. Min length: 1, Max length: 20"),
    (buttons(reply("x" * 257)), 131009, "['id'] length invalid. Min length: 1, Max length: 256"),
    (buttons(reply("1", "a"), reply("1", "b")), 131009, "must have a different id each"),
    (buttons(reply("1", "a"), reply("2", "a")), 131009, "must have a different title each"),
    (buttons(reply(), body=None), 131008, "The parameter interactive['body'] is required."),
    (buttons(reply(), body={"text": "x" * 1025}), 131009, "interactive['body']['text'] length invalid"),
    (buttons(reply(), footer={"text": "x" * 61}), 131009, "interactive['footer']['text'] length invalid"),
    (buttons(reply(), header={"type": "text", "text": "x" * 61}), 131009, "interactive['header']['text'] length"),
    (buttons(reply(), header={"type": "audio"}), 131009, "['type'] must be one of {document, image, text, video}"),
    (buttons(reply(), header={"type": "image"}), 131008, "The parameter interactive['header']['image'] is required."),
    (sections(), 131009, "Min allowed sections: 1, Max allowed sections: 10"),
    (sections({"rows": []}), 131009, "Min allowed rows: 1, Max allowed rows: 10"),
    (sections({"rows": [row(1, "x" * 25)]}), 131009, "['title'] length invalid. Min length: 1, Max length: 24"),
    (sections({"rows": [row("x" * 201)]}), 131009, "['id'] length invalid. Min length: 1, Max length: 200"),
    (sections({"rows": [row(1, description="x" * 73)]}), 131009, "['description'] length invalid"),
    (sections({"rows": [row(1)]}, {"rows": [row(2)]}), 131008, "sections'][0]['title'] is required"),
    (sections(*ELEVEN), 131009, "Total row count exceed max allowed count: 10"),
    (sections({"rows": [row(1), row(1)]}), 131009, "must have a different id in each row"),
    (sections({"rows": [row(1)]}, header=PICTURE), 131009, "interactive['header']['type'] must be one of {text}"),
    (message("list", {"button": "x" * 21, "sections": []}), 131009, "['button'] length invalid"),
    (message("cta_url", {"name": "cta_url"}), 131008, "['parameters'] is required"),
    (message("cta_url", {"name": "call"}), 131009, "must be one of {cta_url}"),
    (message("cta_url", CTA | {"parameters": {"display_text": "x", "url": "x"}}), 131009, "is not a valid URL"),
    (flow(flow_name="both"), 131009, "or flow_name is required, and not both"),
    (flow(flow_cta="x" * 31), 131009, "['flow_cta'] length invalid"),
    (flow(flow_action="data_exchange", flow_action_payload={"screen": "x"}), 131009, "only supported with the action"),
    (flow(flow_message_version="2"), 131009, "must be one of {3}"),
    (message("product", {"catalog_id": "1"}), 131008, "['product_retailer_id'] is required"),
    (message("product_list", {"catalog_id": "1", "sections": [products(1)]}), 131008, "interactive['header'] is"),
    (
        message(
            "product_list",
            {"catalog_id": "1", "sections": [products(16), products(15)]},
            header={"type": "text", "text": "h"},
        ),
        131009,
        "Total product count exceed max allowed count: 30",
    ),
    (message("catalog_message", {"name": "catalog_message"}, header=PICTURE), 131009, "interactive['header'] is not"),
    (cards(media_card(0)), 131009, "Min allowed cards: 2, Max allowed cards: 10"),
    (cards(media_card(0), product_card(1)), 131009, "must all be of the same type"),
    (cards(media_card(0), media_card(0)), 131009, "must be 1: cards are numbered in their order"),
    (cards(media_card(0, body={"text": "a\nb\nc\nd"}), media_card(1)), 131009, "more than 2 line breaks"),
    (cards(media_card(0, header=None), media_card(1)), 131008, "cards'][0]['header'] is required"),
    (cards(media_card(0), media_card(1), footer={"text": "x"}), 131009, "interactive['footer'] is not supported"),
]


@pytest.mark.parametrize(("wrong", "code", "details"), REFUSED, ids=[f"{c} {d[:40]}" for _, c, d in REFUSED])
async def test_each_broken_limit_is_refused(wrong: Json, code: int, details: str, sim_meta: Meta) -> None:
    found_code, found_details = await sim_meta.refused(wrong)
    assert (found_code, details in found_details) == (code, True), found_details
