"""The control API itself: configuration, reading back, inbound messages, statuses on demand, clock, reset."""

import asyncio
from typing import Any

import pytest

from tests.simulator.conftest import PHONE, TO, WABA, Meta, Receiver, text_to


async def test_the_configuration_can_be_read_back_without_its_secrets(sim_meta: Meta) -> None:
    waba = {"waba_id": WABA, "access_token": "hidden-token", "phones": [{"id": PHONE}]}
    await sim_meta.config(app_secret="hidden-secret", verify_token="hidden-verify", wabas=[waba], time_factor=2)
    shown = await sim_meta.control("GET", "config")
    assert "hidden" not in str(shown)
    assert shown["wabas"][0]["access_token"] == shown["app_secret"] == "***"
    assert (shown["mode"], shown["time_factor"], shown["seed"]) == ("open", 2.0, 7)
    assert (shown["url"], shown["control_url"]) == (sim_meta.simulator.url, sim_meta.simulator.control_url)
    assert shown["webhook"] == {"verified": False, "reason": "no webhook_url is set"}


async def test_a_change_replaces_the_given_keys_and_keeps_the_others(sim_meta: Meta) -> None:
    await sim_meta.config(time_factor=0.5, mode="strict")
    shown = await sim_meta.config(check_window=False)
    assert (shown["time_factor"], shown["mode"], shown["check_window"]) == (0.5, "strict", False)


async def test_objects_made_on_first_use_stay_until_objects_are_declared_anew(sim_meta: Meta) -> None:
    await sim_meta.graph("DELETE", f"/v23.0/{WABA}/subscribed_apps")
    await sim_meta.accepted(text_to())
    await sim_meta.config(time_factor=2)
    listed = (await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers"))[1]["data"]
    assert [phone["id"] for phone in listed] == [PHONE]
    assert (await sim_meta.graph("GET", f"/v23.0/{WABA}/subscribed_apps"))[1]["data"] == []
    await sim_meta.config(mode="open")
    assert (await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers"))[1] == {"data": []}
    assert len((await sim_meta.graph("GET", f"/v23.0/{WABA}/subscribed_apps"))[1]["data"]) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ([], "send a JSON object"),
        ({"webhok_url": "http://x"}, "unknown field `webhok_url`; known keys: webhook_url, app_secret"),
        ({"mode": "lenient"}, "Invalid enum value 'lenient'"),
        ({"time_factor": "fast"}, "Expected `float`, got `str` - at `$.time_factor`"),
        ({"time_factor": -1}, "Expected `float` >= 0"),
        ({"check_tokens": 1}, "Expected `bool | null`, got `int`"),
        ({"webhook_url": "ftp://x"}, "webhook_url must begin with http:// or https://"),
        ({"wabas": [{"waba_id": "12", "phones": [{"id": "+1"}]}]}, "$.wabas[0].phones[0].id"),
        ({"wabas": [{"waba_id": "12", "phones": [{"id": "12"}]}]}, "declared twice: 12"),
        ({"wabas": [{"waba_id": "12", "numbers": []}]}, "unknown field `numbers`"),
        ({"wabas": [{"waba_id": "12", "templates": [{"language": "en"}]}]}, "missing required field `name`"),
    ],
)
async def test_a_wrong_configuration_is_refused_as_a_whole(change: object, text: str, sim_meta: Meta) -> None:
    before = await sim_meta.control("GET", "config")
    refusal = await sim_meta.control("PUT", "config", change, status=400)
    assert text in refusal["error"]
    after = await sim_meta.control("GET", "config")
    assert before | {"now_ms": 0} == after | {"now_ms": 0}


async def test_a_body_that_is_no_json_and_a_call_that_does_not_exist_are_told(sim_meta: Meta) -> None:
    url = f"{sim_meta.simulator.url}/_simulator"
    async with sim_meta.http.put(f"{url}/config", data=b"{") as answer:
        assert (answer.status, "not JSON" in (await answer.json())["error"]) == (400, True)
    async with sim_meta.http.get(f"{url}/nothing") as answer:
        assert (answer.status, "docs/simulator.md" in (await answer.json())["error"]) == (404, True)
    async with sim_meta.http.delete(f"{url}/config") as answer:
        assert answer.status == 405
    async with sim_meta.http.get(f"{sim_meta.simulator.control_url}/v23.0/1") as answer:
        assert answer.status == 404


async def test_a_seed_can_be_set(sim_meta: Meta) -> None:
    await sim_meta.config(seed=42)
    first = await sim_meta.accepted(text_to())
    shown = await sim_meta.config(seed=42)
    assert shown["seed"] == sim_meta.simulator.seed == 42
    assert await sim_meta.accepted(text_to()) == first


async def test_a_person_writes_and_the_message_arrives_as_meta_sends_it(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    sent = {"phone_number_id": PHONE, "from": "+86 138 0000 0001", "type": "text", "text": {"body": "你好/"}}
    answer = await sim_linked.control("POST", "inbound", sent)
    (hook,) = await sim_receiver.wait_for(1)
    (message,) = hook.value["messages"]
    assert message["id"] == answer["id"]
    assert (message["from"], message["type"], message["text"]) == ("8613800000001", "text", {"body": "你好/"})
    assert message["timestamp"].isdecimal()
    assert message["from_user_id"] == hook.value["contacts"][0]["user_id"]
    assert hook.value["metadata"]["phone_number_id"] == PHONE
    assert "statuses" not in hook.value
    again = await sim_linked.control("POST", "inbound", sent | {"id": "wamid.given", "timestamp": "1"})
    assert again == {"id": "wamid.given"}
    (message,) = (await sim_receiver.wait_for(2))[1].value["messages"]
    assert (message["id"], message["timestamp"]) == ("wamid.given", "1")


@pytest.mark.parametrize(
    "body",
    [{"from": TO, "text": {}}, {"phone_number_id": PHONE, "text": {}}, {"phone_number_id": PHONE, "from": TO}],
)
async def test_an_inbound_message_without_its_parts_is_refused(body: dict[str, Any], sim_meta: Meta) -> None:
    assert "required" in (await sim_meta.control("POST", "inbound", body, status=400))["error"]


async def test_an_inbound_message_to_an_undeclared_phone_is_refused_in_strict_mode(sim_meta: Meta) -> None:
    await sim_meta.config(mode="strict")
    body = {"phone_number_id": PHONE, "from": TO, "text": {"body": "x"}}
    assert "declare it" in (await sim_meta.control("POST", "inbound", body, status=404))["error"]


async def test_statuses_can_be_reported_in_any_order_and_as_wished(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(auto_statuses=False)
    message_id = await sim_linked.accepted(text_to(biz_opaque_callback_data="x"))
    for report in (
        {"id": message_id, "status": "read", "timestamp": 1700000000},
        {"id": "latest", "status": "delivered", "timestamp": "1700000001"},
        {"id": "latest", "status": "failed", "errors": [{"code": 131026}]},
        {"id": "latest", "status": "failed"},
        {"id": "latest", "status": "warning"},
    ):
        assert await sim_linked.control("POST", "status", report) == {"id": message_id}
    read, delivered, failed, unknown, warning = [hook.status for hook in await sim_receiver.wait_for(5)]
    assert (read["status"], read["timestamp"], "pricing" in read) == ("read", 1700000000, True)
    assert (delivered["status"], delivered["timestamp"], "pricing" in delivered) == ("delivered", "1700000001", False)
    assert (failed["errors"][0]["code"], failed["errors"][0]["title"]) == (131026, "Message undeliverable")
    assert unknown["errors"][0]["code"] == 131000
    assert (warning["status"], warning["biz_opaque_callback_data"]) == ("warning", "x")


async def test_a_status_of_a_foreign_message_can_be_reported(sim_linked: Meta, sim_receiver: Receiver) -> None:
    report = {"id": "wamid.foreign", "status": "sent"}
    assert "give phone_number_id too" in (await sim_linked.control("POST", "status", report, status=404))["error"]
    await sim_linked.control(
        "POST", "status", report | {"phone_number_id": PHONE, "recipient_id": TO, "biz_opaque_callback_data": "o"}
    )
    (hook,) = await sim_receiver.wait_for(1)
    assert (hook.status["id"], hook.status["recipient_id"]) == ("wamid.foreign", "8613800000001")
    assert hook.status["biz_opaque_callback_data"] == "o"


async def test_a_malformed_status_is_refused(sim_meta: Meta) -> None:
    refusal = await sim_meta.control("POST", "status", {"id": "latest"}, status=400)
    assert "missing required field `status`" in refusal["error"]


async def test_what_a_reset_forgot_is_not_repeated(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(auto_statuses=False, webhook_timeout_s=0.2)
    await sim_linked.accepted(text_to())
    sim_receiver.answers = [0]
    await sim_linked.control("POST", "status", {"id": "latest", "status": "sent"})
    await sim_receiver.wait_for(1)
    await sim_linked.control("POST", "reset")
    async with asyncio.timeout(10):
        while not (pushes := await sim_linked.control("GET", "webhooks")):
            await asyncio.sleep(0)
    assert pushes[0]["http_status"] is None
    await sim_linked.accepted(text_to())
    await sim_linked.control("POST", "status", {"id": "latest", "status": "read"})
    assert await sim_receiver.statuses(2) == ["sent", "read"]


async def test_the_clock_only_moves_forward(sim_meta: Meta) -> None:
    before = (await sim_meta.control("GET", "config"))["now_ms"]
    moved = await sim_meta.control("POST", "clock", {"advance_s": 3600})
    assert moved["now_ms"] - before >= 3_600_000
    assert ">= 0" in (await sim_meta.control("POST", "clock", {"advance_s": -1}, status=400))["error"]


async def test_reset_empties_everything_and_keeps_the_configuration(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(time_factor=1000)
    await sim_linked.accepted(text_to(biz_opaque_callback_data="before"))
    await sim_linked.control("POST", "faults", {"kind": "error", "code": 1})
    await sim_linked.control("POST", "faults", {"kind": "down"})
    moved = await sim_linked.control("POST", "clock", {"advance_s": 90})
    await sim_receiver.wait_for(0)
    await sim_linked.control("POST", "reset")
    for call in ("messages", "requests", "faults", "webhooks"):
        assert await sim_linked.control("GET", call) == []
    assert await sim_linked.control("GET", "count") == {"messages": 0}
    assert (await sim_linked.control("GET", "messages/latest", status=404))["error"]
    shown = await sim_linked.config(time_factor=0)
    assert shown["now_ms"] < moved["now_ms"]
    assert shown["webhook"]["verified"] is True
    await sim_linked.accepted(text_to(biz_opaque_callback_data="after"))
    hooks = await sim_receiver.wait_for(3)
    assert {hook.status["biz_opaque_callback_data"] for hook in hooks} == {"after"}
