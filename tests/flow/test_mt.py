"""One message from a customer's program through the gateway to Meta, and its statuses back."""

import json

import pytest

from tests.harness import ACCESS_KEY, APPKEY, PHONE, PHONE_ID, Control, Customer, Gateway, text_message
from tests.seed import EXAMPLES, RESPONSES


def as_ours(example: bytes) -> dict[str, object]:
    """An example of the seed with the appkey and number of the test's tenants."""
    return {**json.loads(example), "appkey": APPKEY, "business_phone": PHONE}


async def test_a_text_message_is_accepted_sent_and_read(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    message = text_message()
    answer = await customer.send(message)

    assert (answer["code"], answer["message"]) == (0, "Request successful")
    message_id = answer["data"]["messages"][0]["id"]
    assert message_id.startswith("wamid.")
    assert len(message_id) == len("wamid.") + 32
    timeline = await gateway.until(message_id, "read")
    assert [item["status"] for item in timeline["statuses"]] == ["sent", "delivered", "read"]
    (at_meta,) = await simulator.messages()
    assert timeline["meta_message_id"] == at_meta["id"]
    assert at_meta["phone_number_id"] == PHONE_ID
    assert at_meta["payload"]["to"] == f"+{message['to']}"
    assert at_meta["payload"]["text"] == {"body": "hello", "preview_url": False}


async def test_the_answer_has_the_shape_of_the_seeds_successful_example(customer: Customer) -> None:
    expected = json.loads(RESPONSES["success"])
    answer = await customer.send(text_message())

    assert {**answer, "traceId": None} == {
        **expected,
        "data": {**expected["data"], "messages": answer["data"]["messages"]},
        "traceId": None,
    }
    assert len(answer["traceId"]) == 32


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_every_request_example_of_the_seed_is_accepted_and_forwarded(
    name: str, customer: Customer, simulator: Control
) -> None:
    message = as_ours(EXAMPLES[name])
    answer = await customer.send(message)

    assert answer["code"] == 0, answer
    (at_meta,) = await simulator.messages()
    payload = at_meta["payload"]
    assert payload["messaging_product"] == "whatsapp"
    assert payload["type"] == message["type"]
    (request,) = [item for item in await simulator.call("GET", "requests") if "messages" in item["path"]]
    assert not request["unknown_fields"]


@pytest.mark.parametrize("kind", ["text", "image", "video", "audio", "document", "location", "sticker", "template"])
async def test_each_of_the_eight_types_reaches_read(kind: str, customer: Customer, gateway: Gateway) -> None:
    content = {
        "text": {"body": "b"},
        "location": {"latitude": "22.5", "longitude": 113.9},
        "template": {"name": "greet", "language": {"code": "en_US", "policy": "deterministic"}},
    }.get(kind, {"id": "653936870328698"})
    answer = await customer.send(text_message(type=kind, **{kind: content}))

    assert answer["code"] == 0, answer
    await gateway.until(answer["data"]["messages"][0]["id"], "read")


async def test_cus_message_id_takes_the_place_of_our_id_everywhere(customer: Customer, gateway: Gateway) -> None:
    answer = await customer.send(text_message(cus_message_id="order-4711"))

    assert answer["data"]["messages"][0]["id"] == "order-4711"
    timeline = await gateway.until("order-4711", "read")
    assert timeline["cus_message_id"] == "order-4711"
    assert timeline["id"].startswith("wamid.")
    for other in (timeline["id"], timeline["meta_message_id"]):
        assert (await gateway.message(other))["id"] == timeline["id"]


async def test_the_customers_opaque_string_reaches_meta_untouched(customer: Customer, simulator: Control) -> None:
    await customer.send(text_message(biz_opaque_callback_data="campaign 7 ☕"))

    (at_meta,) = await simulator.messages()
    assert at_meta["payload"]["biz_opaque_callback_data"] == "campaign 7 ☕"


async def test_our_token_stands_where_the_customer_left_it_empty_and_is_never_shown(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    answer = await customer.send(text_message())
    timeline = await gateway.until(answer["data"]["messages"][0]["id"], "read")

    (at_meta,) = await simulator.messages()
    token = at_meta["payload"]["biz_opaque_callback_data"]
    assert token.startswith("wp1.")
    assert token not in json.dumps(timeline)
    assert token not in gateway.log.text


async def test_a_reply_may_name_the_earlier_message_by_any_of_its_ids(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    first = await customer.send(text_message(cus_message_id="first"))
    timeline = await gateway.until(first["data"]["messages"][0]["id"], "read")
    meta_id = timeline["meta_message_id"]

    for given in ("first", timeline["id"], meta_id):
        await customer.send(text_message(context={"message_id": given}))
        assert (await simulator.messages())[-1]["payload"]["context"] == {"message_id": meta_id}


async def test_a_reply_to_an_id_that_nobody_knows_is_forwarded_as_it_is(customer: Customer, simulator: Control) -> None:
    await customer.send(text_message(context={"message_id": "wamid.FROM-THE-RECIPIENT"}))

    (at_meta,) = await simulator.messages()
    assert at_meta["payload"]["context"] == {"message_id": "wamid.FROM-THE-RECIPIENT"}


async def test_api_type_1_goes_to_metas_marketing_endpoint(customer: Customer, simulator: Control) -> None:
    template = {"name": "sale", "language": {"code": "en_US", "policy": "deterministic"}}
    answer = await customer.send(text_message(type="template", template=template, api_type=1))

    assert answer["code"] == 0
    (at_meta,) = await simulator.messages()
    assert at_meta["endpoint"] == "marketing_messages"


async def test_sha256_signatures_are_accepted(customer: Customer) -> None:
    body = json.dumps(text_message()).encode()
    answer = await customer.post(body, customer.signed(body, algorithm="SHA256"))
    assert answer["code"] == 0


async def test_metas_refusal_comes_back_in_the_answer(customer: Customer, gateway: Gateway, simulator: Control) -> None:
    await simulator.fault("error", code=131026, details="no such person", times=1)
    answer = await customer.send(text_message(cus_message_id="refused"))

    assert (answer["code"], answer["message"]) == (9099, "WhatsApp error")
    error = answer["data"]["error"]
    assert error["code"] == 131026
    assert error["error_data"] == {"messaging_product": "whatsapp", "details": "no such person"}
    assert set(error) >= {"message", "type", "fbtrace_id"}
    timeline = await gateway.message("refused")
    assert timeline["state"] == "rejected"
    assert timeline["meta_answer"]["error"] == error
    assert await simulator.count() == 0


async def test_one_wide_line_tells_the_story_of_a_request(customer: Customer, gateway: Gateway) -> None:
    message = text_message()
    answer = await customer.send(message)

    (line,) = gateway.log.lines("request")
    assert line["trace_id"] == answer["traceId"]
    assert line["code"] == 0
    assert line["account"] == "acme"
    assert line["message_id"] == answer["data"]["messages"][0]["id"]
    assert line["to"] == "*" * 9 + message["to"][-4:]
    assert message["to"] not in gateway.log.text
    assert {"check_ms", "journal_ms", "meta_ms", "outcome_ms", "duration_ms"} <= set(line)
    assert ACCESS_KEY not in line.values()
