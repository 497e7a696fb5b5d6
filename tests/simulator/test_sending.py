"""A send that Meta accepts: the answer, its headers, the id, and what the control API then shows."""

import base64
import re
from urllib.parse import quote

from tests.simulator.conftest import PHONE, TO, Meta, text_to
from waypost.simulator import Simulator
from waypost.simulator.clock import Dice


async def test_the_answer_names_the_recipient_and_gives_one_message_id(sim_meta: Meta) -> None:
    status, answer = await sim_meta.send(text_to("+86 138-0000-0001"))
    assert status == 200
    assert answer["messaging_product"] == "whatsapp"
    (contact,) = answer["contacts"]
    assert (contact["input"], contact["wa_id"]) == ("+86 138-0000-0001", "8613800000001")
    assert re.fullmatch(r"US\.[0-9]{17}", contact["user_id"])
    (message,) = answer["messages"]
    assert set(message) == {"id"}


async def test_an_id_has_the_anatomy_of_metas_ids(sim_meta: Meta) -> None:
    message_id = await sim_meta.accepted(text_to())
    packed = base64.b64decode(message_id.removeprefix("wamid."), validate=True)
    number = b"8613800000001"
    assert packed.startswith(b"\x1c\x18" + bytes([len(number)]) + number + b"\x15\x02\x00\x11\x18\x14")
    assert re.fullmatch(rb"[0-9A-F]{20}\x00", packed[-21:])


async def test_headers_are_those_of_the_graph_api(sim_meta: Meta) -> None:
    _, _, headers = await sim_meta.graph("POST", f"/v24.0/{PHONE}/messages", text_to())
    assert headers["Content-Type"] == "application/json; charset=UTF-8"
    assert headers["facebook-api-version"] == "v24.0"
    assert headers["x-fb-trace-id"] != headers["x-fb-request-id"]
    assert headers["x-app-usage"].startswith('{"call_count":0')
    assert '"type":"whatsapp"' in headers["x-business-use-case-usage"]


async def test_accepted_messages_are_found_by_digits_by_opaque_data_and_by_id(sim_meta: Meta) -> None:
    first = await sim_meta.accepted(text_to("+8613800000001", biz_opaque_callback_data="a/1"))
    second = await sim_meta.accepted(text_to("8613800000002", biz_opaque_callback_data="a/1"), phone="5550001")
    listed = await sim_meta.control("GET", "messages")
    assert [item["id"] for item in listed] == [first, second]
    assert set(listed[0]) == {"id", "phone_number_id", "endpoint", "payload", "received_at_ms"}
    assert listed[0]["payload"] == text_to("+8613800000001", biz_opaque_callback_data="a/1")
    assert listed[1]["phone_number_id"] == "5550001"
    by_number = await sim_meta.control("GET", "messages?to=%2B86%20138-0000-0002")
    assert [item["id"] for item in by_number] == [second]
    assert len(await sim_meta.control("GET", "messages?opaque=a/1")) == 2
    assert [m["id"] for m in await sim_meta.control("GET", "messages?opaque=a/1&to=8613800000001")] == [first]
    assert (await sim_meta.control("GET", "messages/latest"))["id"] == second
    assert (await sim_meta.control("GET", f"messages/{quote(first, safe='')}"))["id"] == first
    assert await sim_meta.control("GET", "count") == {"messages": 2}
    assert "messages lists them" in (await sim_meta.control("GET", "messages/nobody", status=404))["error"]


async def test_unknown_fields_are_accepted_but_shown_in_the_log_of_requests(sim_meta: Meta) -> None:
    await sim_meta.accepted(text_to(textt={"body": "x"}, image={"id": "1"}))
    (entry,) = await sim_meta.control("GET", "requests")
    assert entry["unknown_fields"] == ["image", "textt"]
    assert (entry["method"], entry["path"]) == ("POST", f"/v23.0/{PHONE}/messages")
    assert entry["body"]["text"] == {"body": "hello"}
    assert entry["answer"]["messages"][0]["id"] == (await sim_meta.control("GET", "messages/latest"))["id"]


async def test_refused_calls_and_odd_bodies_are_in_the_log_and_tokens_are_not(sim_meta: Meta) -> None:
    await sim_meta.graph("GET", f"/v23.0/{PHONE}?access_token=hidden-one", token="hidden-two")
    async with sim_meta.http.post(
        f"{sim_meta.simulator.url}/v23.0/{PHONE}/messages", data=b"\xff{", headers={"Authorization": "Bearer x"}
    ) as answer:
        assert (await answer.json())["error"]["error_data"]["details"] == "The request body is not valid JSON."
    async with sim_meta.http.get(f"{sim_meta.simulator.control_url}/_simulator/requests") as answer:
        shown = await answer.text()
        first, second = await answer.json()
    assert "hidden" not in shown
    assert first["query"] == "access_token=***"
    assert (second["http_status"], second["body"]) == (400, "�{")


async def test_marking_as_read_and_typing_answer_success_and_are_no_message(sim_meta: Meta) -> None:
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.abc"}
    assert await sim_meta.send(body) == (200, {"success": True})
    assert await sim_meta.send(body | {"typing_indicator": {"type": "text"}}) == (200, {"success": True})
    assert await sim_meta.refused(body | {"typing_indicator": {"type": "voice"}}) == (
        100,
        "Param typing_indicator['type'] must be one of {text}.",
    )
    assert await sim_meta.refused({"messaging_product": "whatsapp", "status": "read"}) == (
        100,
        "The parameter message_id is required.",
    )
    assert await sim_meta.control("GET", "count") == {"messages": 0}


async def test_a_template_is_answered_with_a_message_status(sim_meta: Meta) -> None:
    template = {"name": "order_update", "language": {"code": "en_US"}}
    body = {"messaging_product": "whatsapp", "to": TO, "type": "template", "template": template}
    _, answer = await sim_meta.send(body)
    assert answer["messages"][0]["message_status"] == "accepted"
    _, answer = await sim_meta.send(body | {"product_policy": "STRICT"}, endpoint="marketing_messages")
    assert answer["messages"][0]["message_status"] == "accepted"
    assert (await sim_meta.control("GET", "messages/latest"))["endpoint"] == "marketing_messages"


async def test_a_message_to_a_user_id_alone_has_no_number(sim_meta: Meta) -> None:
    body = text_to() | {"recipient": "US.13491208655302741918"}
    del body["to"]
    _, answer = await sim_meta.send(body)
    assert answer["contacts"] == [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}]


async def test_the_same_seed_gives_the_same_ids(sim_meta: Meta) -> None:
    ids = [await sim_meta.accepted(text_to()) for _ in range(3)]
    other = Simulator(seed=7)
    await other.start()
    try:
        assert [await Meta(other, sim_meta.http).accepted(text_to()) for _ in range(3)] == ids
    finally:
        await other.stop()
    assert len(set(ids)) == 3


def test_a_fresh_seed_is_chosen_and_can_be_read() -> None:
    first, second = Simulator(), Simulator()
    assert first.seed != second.seed
    assert Dice(first.seed).hex_id() == Dice(first.seed).hex_id()
