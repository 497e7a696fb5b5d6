"""What the golden files don't show: choices between members, odd values of Meta's, and our own failures."""

import json
from typing import Any

import pytest

from tests.conformance.journal_rows import message
from waypost.clock import Clock
from waypost.model import Message, StatusEvent
from waypost.protocol.callbacks import (
    call_body,
    ended_calls,
    event_body,
    event_field,
    inbound_body,
    origin_of,
    own_failure_body,
    read_inbound,
    status_body,
    subscription_of,
)

CLOCK = Clock()
META_ID = "wamid.META1"
PHONE = "8615800001795"


def status(raw: object, *, name: str = "sent", **changes: Any) -> dict[str, Any]:
    event = StatusEvent(
        phone_number_id="106540352242922",
        meta_message_id=META_ID,
        status=name,
        timestamp_ms=1_750_030_073_999,
        raw=raw if isinstance(raw, str) else json.dumps(raw),
    )
    return only_status(
        status_body(row(**changes), event, waba_id="2000", app_id=277, display_number="+86 158 0000 1795")
    )


def row(**changes: Any) -> Message:
    return message(CLOCK, recipient="8613900000002", **changes)


def only_status(body: bytes) -> dict[str, Any]:
    (told,) = json.loads(body)["statuses"]
    assert isinstance(told, dict)
    return told


def inbound(message: object, *, contacts: object = None, **options: Any) -> dict[str, Any]:
    read = read_inbound(
        json.dumps(message), contacts=json.dumps(contacts), metadata={}, received_at_ms=1_750_030_073_999
    )
    document: dict[str, Any] = json.loads(
        inbound_body(read, waba_id="2000", app_id=277, business_phone=PHONE, **options)
    )
    return document


def event(field: str, value: str, business_phone: str | None = PHONE) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        event_body(field, value, business_phone=business_phone, waba_id="2000", time_s=1761291192)
    )
    return document


# --- statuses ----------------------------------------------------------------------------------------------------


def test_the_envelope_names_the_phone_as_the_customer_does_and_as_meta_does() -> None:
    found = StatusEvent(phone_number_id="1", meta_message_id=META_ID, status="read", timestamp_ms=0)
    body = status_body(row(), found, waba_id="2000", app_id=277, display_number="+86 158 0000 1795")
    document = json.loads(body)
    assert document["business_phone"] == document["merchant_phone"] == PHONE
    assert document["metadata"] == {"display_phone_number": "+86 158 0000 1795", "phone_number_id": "106540352242922"}
    assert (document["app_id"], document["channel"], document["wabaId"]) == (277, 2, "2000")
    assert "contacts" not in document


def test_contacts_are_told_where_meta_sent_them() -> None:
    def told(contacts: str) -> Any:
        raw = f'{{"contacts":{contacts},"id":"x"}}'
        found = StatusEvent(phone_number_id="1", meta_message_id=META_ID, status="read", timestamp_ms=0, raw=raw)
        document = json.loads(status_body(row(), found, waba_id="2000", app_id=277, display_number=PHONE))
        assert "contacts" not in document["statuses"][0]
        return document.get("contacts")

    assert told('[{"wa_id":8613900000002,"user_id":"CN.1","profile":null},7]') == [
        {"wa_id": "8613900000002", "user_id": "CN.1"}
    ]
    assert told('[{"user_id":"CN.1","parent_user_id":"CN.ENT.1"}]') == [
        {"wa_id": "", "user_id": "CN.1", "parent_user_id": "CN.ENT.1"}
    ]
    for nothing in ("{}", "[]", "[7]", "null", '"x"'):
        assert told(nothing) is None


@pytest.mark.parametrize("raw", ["", "{", "null", "[1]", '"x"', "NaN", "[" * 5000, '{"a":' * 60 + "1" + "}" * 60])
def test_a_status_that_says_nothing_readable_is_told_all_the_same(raw: str) -> None:
    told = status(raw)
    told.pop("a", None)
    assert told == {
        "id": told["id"],
        "meta_message_id": META_ID,
        "status": "sent",
        "timestamp": "1750030073",
        "recipient_id": "8613900000002",
    }


@pytest.mark.parametrize("damage", ["9" * 60, "9" * 5000, "1e999", "NaN", "-Infinity", "[" * 3000 + "]" * 3000])
def test_what_nobody_can_use_costs_no_other_member(damage: str) -> None:
    for text in ('"whole"', '"\\ud83d"'):
        told = status(f'{{"recipient_id":"8613900000002","pricing":{{"category":{text}}},"odd":{damage}}}')
        assert told["pricing"] == {"category": "whole" if "whole" in text else "\ufffd"}
        assert told["recipient_id"] == "8613900000002"
        assert not json.dumps(told.get("odd", "")).strip('[]"')


def test_nothing_is_ever_null() -> None:
    body = json.dumps({"conversation": {"id": "c", "origin": None}, "pricing": None, "x": [None, {"y": None}]})
    told = status(body)
    assert told["conversation"] == {"id": "c"}
    assert told["x"] == [{}]
    assert "pricing" not in told


def test_metas_opaque_data_are_never_told_only_the_customers() -> None:
    assert "biz_opaque_callback_data" not in status({"biz_opaque_callback_data": "wp1.token"})
    assert status({"biz_opaque_callback_data": "wp1.token"}, opaque="mine")["biz_opaque_callback_data"] == "mine"


def test_meta_can_neither_name_the_message_nor_its_status_otherwise() -> None:
    told = status({"id": "x", "meta_message_id": "y", "status": "failed", "costs": [1]}, cus_message_id="order-1")
    assert (told["id"], told["meta_message_id"], told["status"]) == ("order-1", META_ID, "sent")
    assert "costs" not in told


@pytest.mark.parametrize(
    ("price", "number"),
    [
        ("0.05", "0.05"),
        ("0.0000004", "0"),
        ("0.0000005", "0.000001"),
        ("0.000001", "0.000001"),
        ("0.1234565", "0.123457"),
        ("100", "100"),
        ("1E+2", "100"),
        ("12345678.123456", "12345678.123456"),
        ("1.500000", "1.5"),
    ],
)
def test_prices_are_json_numbers_with_six_decimals_at_most_and_no_exponent(price: str, number: str) -> None:
    found = StatusEvent(phone_number_id="1", meta_message_id=META_ID, status="sent", timestamp_ms=0)
    sent = row(price=price, currency="EUR")
    body = status_body(sent, found, waba_id="2000", app_id=277, display_number=PHONE)
    assert f'"currency":"EUR","price":{number},"foreign_price":{number},"cdr_type":7'.encode() in body


@pytest.mark.parametrize("price", [None, "", "free", "NaN", "Infinity", "1E+400"])
def test_what_is_no_amount_is_no_cost(price: str | None) -> None:
    assert "costs" not in status({}, price=price, currency="USD")


def test_costs_stand_on_sent_alone_and_need_a_currency() -> None:
    assert "costs" not in status({}, price="0.05")
    for name in ("delivered", "read", "failed", "played", "deleted"):
        assert "costs" not in status({}, name=name, price="0.05", currency="USD")


@pytest.mark.parametrize(
    ("category", "endpoint", "meta_category", "cdr_type"),
    [
        ("marketing", "messages", "marketing", 4),
        ("utility", "messages", None, 5),
        ("authentication", "messages", "authentication", 6),
        ("service", "messages", "service", 7),
        ("service", "messages", "referral_conversion", 8),
        ("authentication", "messages", "authentication-international", 9),
        ("marketing", "marketing_messages", "marketing_lite", 10),
        ("else", "messages", {"odd": 1}, 1),
    ],
)
def test_the_cdr_type_says_what_is_paid_for(category: str, endpoint: str, meta_category: object, cdr_type: int) -> None:
    told = status(
        {"pricing": {"category": meta_category}}, price="1", currency="USD", category=category, endpoint=endpoint
    )
    (item,) = told["costs"]
    assert item["cdr_type"] == cdr_type
    assert (item["message_id"], item["direction"]) == (told["id"], 1)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (None, [{"code": -1, "title": "No reason was given"}]),
        ([], [{"code": -1, "title": "No reason was given"}]),
        (["x", {"code": "131047", "title": "t"}], [{"code": 131047, "meta_code": 131047, "title": "t"}]),
        ([{"code": "x", "title": 5}], [{"code": -1, "title": "5"}]),
        ([{"code": True}], [{"code": -1, "title": "No reason was given"}]),
        ([{"code": 1}, {"code": 2}], [{"code": n, "meta_code": n, "title": "No reason was given"} for n in (1, 2)]),
    ],
)
def test_a_failure_always_has_errors_with_code_and_title(errors: object, expected: list[dict[str, object]]) -> None:
    assert status({"errors": errors}, name="failed")["errors"] == expected


def test_our_own_failure_has_our_code_and_metas_last_one_if_there_was_one() -> None:
    own: dict[str, Any] = {"waba_id": "2000", "app_id": 277, "display_number": PHONE}
    failed = row(cus_message_id="order-1", opaque="mine", price="0.05", currency="USD")
    body = own_failure_body(
        failed, code=910001, title="Outcome unknown, may have been delivered", at_ms=1_750_030_073_999, **own
    )
    assert only_status(body) == {
        "id": "order-1",
        "status": "failed",
        "timestamp": "1750030073",
        "recipient_id": "8613900000002",
        "biz_opaque_callback_data": "mine",
        "errors": [{"code": 910001, "title": "Outcome unknown, may have been delivered"}],
    }
    told = only_status(
        own_failure_body(
            row(meta_message_id=META_ID), code=910004, title="Retries exhausted", at_ms=0, meta_code=130429,
            details="13 attempts", **own,
        )
    )  # fmt: skip
    assert told["meta_message_id"] == META_ID
    assert told["errors"] == [
        {"code": 910004, "meta_code": 130429, "title": "Retries exhausted", "error_data": {"details": "13 attempts"}}
    ]
    assert json.loads(body).keys() == {
        "app_id", "business_phone", "channel", "merchant_phone", "messaging_product", "metadata", "wabaId", "statuses",
    }  # fmt: skip


# --- inbound messages --------------------------------------------------------------------------------------------

ANN = {"wa_id": "1", "profile": {"name": "Ann"}}


def text(sender: str, number: int = 1) -> dict[str, Any]:
    return {"from": sender, "id": f"wamid.IN{number}", "timestamp": "1663053831", "type": "text", "text": {"body": "x"}}


def test_the_contacts_of_the_sender_are_told() -> None:
    assert inbound(text("1"), contacts=[ANN])["contacts"] == [ANN]


@pytest.mark.parametrize("contacts", [None, [], "x", [3], {}])
def test_contacts_are_never_empty(contacts: object) -> None:
    assert inbound(text("3"), contacts=contacts)["contacts"] == [{"wa_id": "3"}]
    anonymous = {"from_user_id": "US.1", "id": "i", "type": "text"}
    assert inbound(anonymous, contacts=contacts)["contacts"] == [{"wa_id": "", "user_id": "US.1"}]
    nested = anonymous | {"from_parent_user_id": "US.ENT.1"}
    assert inbound(nested, contacts=contacts)["contacts"][0]["parent_user_id"] == "US.ENT.1"


@pytest.mark.parametrize("odd", [7, None, [], "x"])
def test_what_is_no_message_is_an_unknown_one(odd: object) -> None:
    assert inbound(odd)["messages"] == [{"from": "", "id": "", "timestamp": "1750030073", "type": "unknown"}]


def test_one_member_that_nobody_can_use_costs_no_message() -> None:
    for damage in ("9" * 5000, "[" * 3000 + "]" * 3000, "NaN"):
        raw = json.dumps(text("3") | {"odd": "PUT"}).replace('"PUT"', damage)
        read = read_inbound(raw, contacts="", metadata={}, received_at_ms=0)
        (told,) = json.loads(inbound_body(read, waba_id="1", app_id=2, business_phone=PHONE))["messages"]
        assert told["text"] == {"body": "x"}


def test_without_a_currency_there_is_no_cost() -> None:
    assert "cost" not in inbound(text("3") | {"cost": {"price": 9}})["messages"][0]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (1663053831999, "1663053831"),
        ("0", "0"),
        ("-1", "1750030073"),
        ("soon", "1750030073"),
        ("9" * 50, "1750030073"),
        (None, "1750030073"),
        ({}, "1750030073"),
    ],
)
def test_the_time_is_in_seconds_and_without_one_that_of_the_receipt(timestamp: object, expected: str) -> None:
    (told,) = inbound(text("3") | {"timestamp": timestamp})["messages"]
    assert told["timestamp"] == expected


def test_what_a_message_answers_is_named_as_the_customer_knows_it() -> None:
    reply = text("3") | {"context": {"from": PHONE, "id": META_ID}}
    reaction = {"from": "3", "id": "r", "type": "reaction", "reaction": {"message_id": "wamid.META2", "emoji": "x"}}
    odd: dict[str, Any] = text("3") | {"context": {"id": "\ud83d"}, "reaction": {"message_id": "x" * 513}}
    for given, expected in ((reply, {META_ID}), (reaction, {"wamid.META2"}), (text("4"), set()), (odd, set())):
        read = read_inbound(json.dumps(given), contacts="", metadata={}, received_at_ms=0)
        assert read.references == expected
    wire_ids = {META_ID: "order-1", "wamid.META2": "order-2"}
    (told,) = inbound(reply, wire_ids=wire_ids)["messages"]
    assert told["context"] == {"from": PHONE, "id": "order-1", "meta_message_id": META_ID}
    (told,) = inbound(reaction, wire_ids=wire_ids)["messages"]
    assert told["reaction"] == {"message_id": "order-2", "emoji": "x", "meta_message_id": "wamid.META2"}
    (told,) = inbound(reply, wire_ids={"wamid.other": "order-1"})["messages"]
    assert told["context"] == {"from": PHONE, "id": META_ID}


@pytest.mark.parametrize("odd", [None, 3, "x", [], [{}]])
@pytest.mark.parametrize("kind", ["audio", "location", "reaction", "image"])
def test_a_member_of_an_odd_shape_is_carried(kind: str, odd: object) -> None:
    (told,) = inbound(text("3") | {"type": kind, kind: odd})["messages"]
    assert told["type"] == kind
    assert told.get(kind) == odd


@pytest.mark.parametrize("odd", [None, 3, "x", [], [{}], {}, {"id": None}])
def test_a_context_that_is_none_is_left_out(odd: object) -> None:
    (told,) = inbound(text("3") | {"context": odd})["messages"]
    assert not told.get("context")


def test_coordinates_without_a_number_are_left_out() -> None:
    place = {"latitude": "north", "longitude": "NaN", "name": "Pole"}
    (told,) = inbound(text("3") | {"type": "location", "location": place})["messages"]
    assert told["location"] == {"name": "Pole"}


# --- calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"calls": 3},
        {"calls": [3]},
        {"calls": [{"id": "wacid.1", "event": "connect"}]},
        {"calls": [{"id": "wacid.1", "event": "terminate"}, {"id": "wacid.2", "event": "connect"}]},
        {"calls": [{"event": "terminate"}]},
        {"calls": [{"id": "wacid.1", "event": "terminate"}], "statuses": [{"id": "wacid.2", "status": "RINGING"}]},
    ],
)
def test_only_calls_that_have_all_ended_are_told_as_calls(value: dict[str, Any]) -> None:
    assert ended_calls(value) == ()


def test_a_call_of_odd_members_is_told_all_the_same() -> None:
    call = {"id": 7, "event": "terminate", "start_time": {}, "duration": "12", "to": None, "new": [1]}
    (found,) = ended_calls({"calls": [call], "statuses": []})
    body = call_body(found, waba_id="2000", app_id=277, business_phone=PHONE, phone_number_id="1")
    assert json.loads(body)["calls"] == [
        {"call_id": "7", "call_duration": 12, "end_direction": 3, "event": "terminate", "new": [1]}
    ]


# --- events ------------------------------------------------------------------------------------------------------


def test_an_event_without_a_phone_does_not_name_one() -> None:
    document = event("account_review_update", '{"decision":"APPROVED","business_phone":"x","time":1}', None)
    assert document["value"] == {"decision": "APPROVED", "time": 1761291192, "wabaId": "2000"}


@pytest.mark.parametrize("value", ["", "null", "[]", "3"])
def test_an_event_that_says_nothing_readable_is_told_all_the_same(value: str) -> None:
    assert event("account_update", value) == {
        "field": "account_update",
        "value": {"business_phone": PHONE, "time": 1761291192, "wabaId": "2000"},
    }


def test_a_template_id_is_a_string_whatever_it_was() -> None:
    value = event("message_template_status_update", '{"message_template_id":1240000000000001}')["value"]
    assert value["message_template_id"] == "1240000000000001"
    assert "message_template_id" not in event("account_update", '{"message_template_id":{}}')["value"]


def test_a_quality_score_gives_its_event_away() -> None:
    status_field, quality_field = "message_template_status_update", "message_template_quality_update"
    assert event_field(status_field, '{"new_quality_score":"RED"}') == quality_field
    assert event_field(status_field, '{"new_quality_score":"RED","event":"PAUSED"}') == status_field
    assert event_field("account_update", '{"new_quality_score":"RED"}') == "account_update"


@pytest.mark.parametrize(
    ("name", "subscription"),
    [
        ("mesages", "messages"),
        ("messages", "messages"),
        (" Messages ", "messages"),
        ("inbound", "messages"),
        ("status", "message_status_update"),
        ("message_status_update", "message_status_update"),
        ("user_preferences", "user_preferences"),
        ("business_capability_update", "business_capability_update"),
    ],
)
def test_event_names_in_all_their_spellings(name: str, subscription: str) -> None:
    assert subscription_of(name) == subscription


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example/wa?x=1#y", "https://shop.example:443"),
        ("HTTPS://Ann:Secret@Shop.Example:443", "https://shop.example:443"),
        ("http://shop.example", "http://shop.example:80"),
        ("http://shop.example:8080/", "http://shop.example:8080"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]:80"),
        ("https://例え.example/", "https://例え.example:443"),
        ("https://shop.example:99999/", ""),
        ("https://[::1/", ""),
        ("ftp://shop.example/", ""),
        ("shop.example/wa", ""),
        ("https:///wa", ""),
        ("", ""),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str) -> None:
    assert origin_of(url) == origin
