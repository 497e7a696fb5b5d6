"""Strict mode and the single checks: tokens, objects, templates, the 24-hour window, Meta's rate limits."""

import contextlib

import pytest

from tests.simulator.conftest import PHONE, TO, WABA, Meta, Receiver, text_to
from waypost.simulator.clock import Clock
from waypost.simulator.config import Phone
from waypost.simulator.errors import GraphError
from waypost.simulator.limits import RateLimits

DECLARED = {
    "waba_id": WABA,
    "access_token": "token",
    "phones": [{"id": PHONE, "display_phone_number": "+1 555-078-3881"}],
    "templates": [{"name": "hello", "language": "en_US", "category": "UTILITY", "components": []}],
}


def template(name: str = "hello", language: str = "en_US", to: str = TO) -> dict[str, object]:
    content = {"name": name, "language": {"code": language}}
    return {"messaging_product": "whatsapp", "to": to, "type": "template", "template": content}


async def strict(meta: Meta, **more: object) -> None:
    await meta.config(mode="strict", wabas=[DECLARED | more])


async def test_open_mode_takes_any_object_as_existing(sim_meta: Meta) -> None:
    await sim_meta.accepted(template("anything", "xx"), phone="1")
    await sim_meta.accepted({"messaging_product": "whatsapp", "to": TO, "type": "image", "image": {"id": "77"}})
    status, phone, _ = await sim_meta.graph("GET", "/v23.0/987654321", token="whatever")
    assert (status, phone["display_phone_number"]) == (200, "15557654321")
    status, listed, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/message_templates")
    assert (status, listed) == (200, {"data": []})


async def test_in_open_mode_the_fields_asked_for_tell_an_unknown_account_from_a_phone(sim_meta: Meta) -> None:
    _, waba, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}?fields=id,name,currency")
    assert waba == {"id": WABA, "name": "Simulated account", "currency": "USD"}
    await sim_meta.accepted(text_to())
    _, listed, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers")
    assert [phone["id"] for phone in listed["data"]] == [PHONE]


async def test_strict_mode_knows_only_declared_objects(sim_meta: Meta) -> None:
    await strict(sim_meta)
    status, answer = await sim_meta.send(template(), phone="999")
    error = answer["error"]
    assert (status, error["code"], error["error_subcode"], error["type"]) == (400, 100, 33, "GraphMethodException")
    assert "Object with ID '999' does not exist" in error["message"]
    assert (await sim_meta.refused(text_to(), phone=WABA))[0] == 100
    image = {"messaging_product": "whatsapp", "to": TO, "type": "image", "image": {"id": "77"}}
    assert await sim_meta.refused(image) == (131009, "Param image['id'] is not a media id of this phone number.")
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.nobody"}
    assert (await sim_meta.refused(read))[0] == 131009


async def test_a_wrong_token_is_190_with_its_subcode(sim_meta: Meta) -> None:
    await strict(sim_meta)
    status, answer, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/messages", template(), token="stolen")
    assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (401, 190, 463)
    await sim_meta.config(check_tokens=False)
    status, _, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/messages", template(), token="stolen")
    assert status == 200


async def test_an_unknown_template_or_language_is_132001_with_404(sim_meta: Meta) -> None:
    await strict(sim_meta)
    status, answer = await sim_meta.send(template("goodbye"))
    assert (status, answer["error"]["code"]) == (404, 132001)
    assert answer["error"]["error_data"]["details"] == "template name (goodbye) does not exist in en_US"
    assert (await sim_meta.refused(template(language="en")))[0] == 132001
    await sim_meta.accepted(template())
    await sim_meta.config(check_templates=False)
    await sim_meta.accepted(template("goodbye", to="+8613800000002"))


async def test_free_text_outside_the_window_is_accepted_and_fails_later(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    await sim_linked.config(check_window=True)
    await sim_linked.accepted(text_to(biz_opaque_callback_data="mine"))
    (hook,) = await sim_receiver.wait_for(1)
    (error,) = hook.status["errors"]
    assert (hook.status["status"], error["code"], error["title"]) == ("failed", 131047, "Re-engagement message")
    assert (error["message"], error["error_data"]["details"]) == (error["title"], error["title"])
    assert hook.status["biz_opaque_callback_data"] == "mine"
    assert not {"pricing", "conversation"} & set(hook.status)
    await sim_linked.accepted(template())
    assert (await sim_receiver.statuses(4))[1:] == ["sent", "delivered", "read"]


async def test_the_window_opens_when_the_person_writes_and_closes_after_a_day(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    await sim_linked.config(check_window=True, wabas=[DECLARED])
    await sim_linked.control("POST", "inbound", {"phone_number_id": PHONE, "from": TO, "text": {"body": "hi"}})
    await sim_receiver.wait_for(1)
    await sim_linked.accepted(text_to())
    assert [hook.status["status"] for hook in (await sim_receiver.wait_for(4))[1:]] == ["sent", "delivered", "read"]
    await sim_linked.accepted(template())
    free = (await sim_receiver.wait_for(7))[4].status["pricing"]
    assert (free["billable"], free["type"], free["category"]) == (False, "free_customer_service", "utility")
    await sim_linked.control("POST", "clock", {"advance_s": 24 * 3600})
    await sim_linked.accepted(text_to())
    assert (await sim_receiver.wait_for(8))[7].status["status"] == "failed"


async def test_a_reaction_to_a_message_of_another_chat_fails(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(check_objects=True, wabas=[DECLARED])
    first = await sim_linked.accepted(text_to())
    await sim_receiver.wait_for(3)
    body = {"messaging_product": "whatsapp", "type": "reaction", "reaction": {"message_id": first, "emoji": "👍"}}
    await sim_linked.accepted(body | {"to": "+8613800000002"})
    failed = (await sim_receiver.wait_for(4))[3].status
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131009)
    await sim_linked.accepted(body | {"to": TO})
    assert (await sim_receiver.wait_for(5))[4].status["status"] == "sent"


async def test_a_phone_sends_so_many_messages_a_second(sim_meta: Meta) -> None:
    await strict(sim_meta, phones=[{"id": PHONE, "messages_per_second": 1}])
    answers = [(await sim_meta.send(template(to=f"+861380000020{number}")))[1] for number in range(8)]
    assert "error" not in answers[0]
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {130429}
    await sim_meta.control("POST", "clock", {"advance_s": 1})
    await sim_meta.accepted(template(to="+8613800000301"))


class StoppedClock(Clock):
    """Simulated time that moves only by hand."""

    ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms


def taken(limits: RateLimits, phone: Phone, times: int) -> int:
    """How many of so many messages a phone may send now."""
    sent = 0
    for _ in range(times):
        with contextlib.suppress(GraphError):
            limits.take_throughput(phone)
            sent += 1
    return sent


def test_throughput_is_80_a_second_and_refills_evenly() -> None:
    clock, phone = StoppedClock(), Phone(id="1")
    limits = RateLimits(clock)
    assert taken(limits, phone, 100) == 80
    clock.ms += 500
    assert taken(limits, phone, 100) == 40
    clock.ms += 60_000
    assert taken(limits, phone, 100) == 80
    assert taken(limits, Phone(id="2"), 100) == 80


def test_what_people_write_comes_through_and_counts_against_the_same_limit() -> None:
    clock, phone = StoppedClock(), Phone(id="1")
    limits = RateLimits(clock)
    for _ in range(30):
        limits.count_inbound(phone)
    assert taken(limits, phone, 100) == 50
    for _ in range(200):
        limits.count_inbound(phone)
    clock.ms += 500
    assert taken(limits, phone, 100) == 40, "no debt is left by what came in beyond the limit"


async def test_inbound_messages_are_counted_where_limits_are_held(sim_meta: Meta) -> None:
    slow = {"waba_id": WABA, "phones": [{"id": PHONE, "messages_per_second": 1}]}
    written = {"phone_number_id": PHONE, "from": "8613800000009", "type": "text", "text": {"body": "hello"}}
    await sim_meta.config(wabas=[slow])
    await sim_meta.control("POST", "inbound", written)
    await sim_meta.config(check_limits=True)
    await sim_meta.accepted(text_to())
    await sim_meta.control("POST", "clock", {"advance_s": 1})
    await sim_meta.control("POST", "inbound", written)
    assert (await sim_meta.refused(text_to("+8613800000002")))[0] == 130429


async def test_a_burst_to_one_person_is_borrowed_and_must_be_paid_back(sim_meta: Meta) -> None:
    await sim_meta.config(check_limits=True, limits={"pair_burst": 4})
    for _ in range(4):
        await sim_meta.accepted(text_to())
    code, details = await sim_meta.refused(text_to())
    assert code == 131056
    assert "same phone number" in details
    await sim_meta.accepted(text_to("+8613800000002"))
    await sim_meta.control("POST", "clock", {"advance_s": 20})
    assert (await sim_meta.refused(text_to()))[0] == 131056
    await sim_meta.control("POST", "clock", {"advance_s": 4})
    await sim_meta.accepted(text_to())


async def test_the_burst_is_45_by_default_and_within_6_seconds_only(sim_meta: Meta) -> None:
    await sim_meta.config(check_limits=True)
    for _ in range(45):
        await sim_meta.accepted(text_to())
    assert (await sim_meta.refused(text_to()))[0] == 131056
    for _ in range(2):
        await sim_meta.accepted(text_to("+8613800000002"))
    await sim_meta.control("POST", "clock", {"advance_s": 7})
    assert (await sim_meta.refused(text_to("+8613800000002")))[0] == 131056


@pytest.mark.parametrize(("limits", "code"), [({"waba_calls_per_hour": 2}, 80008), ({"app_calls_per_hour": 2}, 4)])
async def test_calls_per_hour_are_limited_and_reported_in_headers(
    limits: dict[str, int], code: int, sim_meta: Meta
) -> None:
    await sim_meta.config(check_limits=True, limits=limits, wabas=[DECLARED])
    header = "x-app-usage" if code == 4 else "x-business-use-case-usage"
    for percent in (50, 100):
        _, _, headers = await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers")
        assert f'"call_count":{percent}' in headers[header]
    _, answer, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers")
    assert answer["error"]["code"] == code
    await sim_meta.accepted(text_to())
    await sim_meta.control("POST", "clock", {"advance_s": 3601})
    assert (await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers"))[0] == 200


@pytest.mark.parametrize("code", [133010, 131031, 131042, 131057])
async def test_an_account_or_phone_in_trouble_refuses_each_send(code: int, sim_meta: Meta) -> None:
    await sim_meta.config(wabas=[DECLARED | {"phones": [{"id": PHONE, "send_error": code}]}])
    assert (await sim_meta.refused([]))[0] == code
    await sim_meta.config(wabas=[DECLARED | {"send_error": code}])
    assert (await sim_meta.refused(text_to()))[0] == code


async def test_a_test_number_sends_to_allowed_people_only_and_nobody_to_blocked_ones(sim_meta: Meta) -> None:
    phone = {"id": PHONE, "allowed_recipients": ["+86 13800000001"], "blocked_recipients": ["8613800000001"]}
    await sim_meta.config(wabas=[DECLARED | {"phones": [phone]}])
    assert (await sim_meta.refused(text_to("+8613800000002")))[0] == 131030
    assert (await sim_meta.refused(text_to("+8613800000001")))[0] == 130403


async def test_the_reading_side_shows_what_was_declared(sim_meta: Meta) -> None:
    await strict(sim_meta)
    _, listed, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/phone_numbers?fields=display_phone_number")
    assert listed["data"] == [{"id": PHONE, "display_phone_number": "+1 555-078-3881"}]
    _, phone, _ = await sim_meta.graph("GET", f"/v23.0/{PHONE}")
    assert (phone["quality_rating"], phone["throughput"]) == ("GREEN", {"level": "STANDARD"})
    _, waba, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}?fields=name,marketing_messages_onboarding_status")
    assert waba == {
        "id": WABA,
        "name": "Simulated account",
        "marketing_messages_onboarding_status": "ONBOARDED",
    }
    _, listed, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/message_templates?name=hello&limit=1")
    (found,) = listed["data"]
    assert (found["name"], found["status"], found["category"], found["components"]) == (
        "hello", "APPROVED", "UTILITY", [],
    )  # fmt: skip


async def test_lists_are_read_page_by_page(sim_meta: Meta) -> None:
    templates = [{"name": f"t{number}", "language": "en"} for number in range(5)]
    await strict(sim_meta, templates=templates)
    names, after = [], ""
    for _ in range(3):
        _, page, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/message_templates?limit=2&after={after}")
        names += [item["name"] for item in page["data"]]
        after = page["paging"]["cursors"]["after"]
    assert names == ["t0", "t1", "t2", "t3", "t4"]
    assert "next" not in page["paging"]
    _, answer, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/message_templates?after=!!")
    assert answer["error"]["code"] == 131059
    _, answer, _ = await sim_meta.graph("GET", f"/v23.0/{WABA}/message_templates?limit=many")
    assert answer["error"]["code"] == 100
