"""Meta's webhooks: verification, signature over escaped bytes, the life of a message, prices, retries."""

import hashlib
import hmac
import json
import re

import pytest

from tests.simulator.conftest import PHONE, TO, WABA, Meta, Receiver, text_to
from waypost.simulator.webhooks import webhook_headers

VOICE = {"messaging_product": "whatsapp", "to": TO, "type": "audio", "audio": {"id": "1", "voice": True}}
REACTION = {"messaging_product": "whatsapp", "to": TO, "type": "reaction"} | {
    "reaction": {"message_id": "wamid.x", "emoji": "👍"}
}


def test_signatures_agree_with_published_ones() -> None:
    empty = b'{"object":"whatsapp_business_account","entry":[]}'
    known = {
        empty: "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
        b'{"t":"ol\\u00e1"}': "99effdbfe7aef447dc629140c3dc1a72fd170088a3c8d3076a12195d14c8d88f",
    }
    for body, digest in known.items():
        assert webhook_headers(body, "test_app_secret")["X-Hub-Signature-256"] == f"sha256={digest}"


async def test_a_message_is_sent_then_delivered_then_read(sim_linked: Meta, sim_receiver: Receiver) -> None:
    message_id = await sim_linked.accepted(text_to(biz_opaque_callback_data='order "7"/é'))
    assert await sim_receiver.statuses(3) == ["sent", "delivered", "read"]
    for hook in sim_receiver.hooks:
        assert hook.status["id"] == message_id
        assert hook.status["recipient_id"] == "8613800000001"
        assert hook.status["biz_opaque_callback_data"] == 'order "7"/é'
        assert re.fullmatch(r"\d{10}", hook.status["timestamp"])
        assert hook.value["metadata"] == {"display_phone_number": "15552242922", "phone_number_id": PHONE}
        (contact,) = hook.value["contacts"]
        assert contact["wa_id"] == "8613800000001"
        assert contact["user_id"] == hook.status["recipient_user_id"]


async def test_the_bytes_are_escaped_as_meta_escapes_and_signed_as_they_are(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    await sim_linked.accepted(text_to(biz_opaque_callback_data="olá/😀"))
    hook = (await sim_receiver.wait_for(1))[0]
    assert rb'"ol\u00e1\/\ud83d\ude00"' in hook.raw
    hook.raw.decode("ascii")
    for header, name in (("X-Hub-Signature-256", "sha256"), ("X-Hub-Signature", "sha1")):
        assert hook.headers[header] == f"{name}={hmac.new(b'app secret', hook.raw, name).hexdigest()}"
    assert hook.headers["User-Agent"] == "facebookexternalua"
    assert hook.headers["Content-Type"] == "application/json"
    again = json.dumps(json.loads(hook.raw), ensure_ascii=False).encode()
    assert hashlib.sha256(again).digest() != hashlib.sha256(hook.raw).digest()


async def test_price_and_conversation_come_with_sent_and_with_one_receipt(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    await sim_linked.accepted(text_to())
    sent, delivered, read = [hook.status for hook in await sim_receiver.wait_for(3)]
    price = {"billable": False, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
    assert sent["pricing"] == delivered["pricing"] == price
    assert sent["conversation"]["origin"] == {"type": "service"}
    assert int(sent["conversation"]["expiration_timestamp"]) > int(sent["timestamp"])
    assert delivered["conversation"]["id"] == sent["conversation"]["id"]
    assert "expiration_timestamp" not in delivered["conversation"]
    assert not {"pricing", "conversation"} & set(read)


async def test_from_version_24_on_there_is_no_conversation(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(webhook_version="v24.0")
    await sim_linked.accepted(text_to())
    for hook in await sim_receiver.wait_for(3):
        assert "conversation" not in hook.status
    assert "pricing" in sim_receiver.hooks[0].status


@pytest.mark.parametrize(
    ("category", "endpoint", "priced", "kind"),
    [
        ("UTILITY", "messages", "utility", "regular"),
        ("AUTHENTICATION", "messages", "authentication", "regular"),
        ("MARKETING", "messages", "marketing", "regular"),
        ("MARKETING", "marketing_messages", "marketing_lite", "regular"),
    ],
)
async def test_a_template_is_priced_by_its_category(
    category: str, endpoint: str, priced: str, kind: str, sim_linked: Meta, sim_receiver: Receiver
) -> None:
    template = {"name": "t", "language": "en", "category": category}
    await sim_linked.config(wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}], "templates": [template]}])
    sent = {"name": "t", "language": {"code": "en"}}
    body = {"messaging_product": "whatsapp", "to": TO, "type": "template", "template": sent}
    await sim_linked.accepted(body, endpoint=endpoint)
    hook = (await sim_receiver.wait_for(1))[0]
    assert hook.status["pricing"] == {"billable": True, "pricing_model": "PMP", "type": kind, "category": priced}
    assert json.loads(hook.raw)["entry"][0]["id"] == WABA


async def test_a_voice_note_is_played_and_a_reaction_is_only_sent(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.accepted(VOICE)
    assert await sim_receiver.statuses(4) == ["sent", "delivered", "read", "played"]
    await sim_linked.accepted(REACTION)
    await sim_receiver.wait_for(5)
    await sim_linked.accepted(text_to())
    assert (await sim_receiver.statuses(8))[4:] == ["sent", "sent", "delivered", "read"]


async def test_delays_are_metas_usual_ones_on_the_simulated_clock(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(time_factor=1000)
    await sim_linked.accepted(text_to())
    before = sim_linked.simulator
    for seconds, statuses in ((101, ["sent"]), (400, ["delivered"]), (1500, ["read"])):
        await sim_linked.control("POST", "clock", {"advance_s": seconds})
        count = len(sim_receiver.hooks) + len(statuses)
        assert (await sim_receiver.statuses(count))[-1:] == statuses
    stamps = [int(hook.status["timestamp"]) for hook in sim_receiver.hooks]
    assert [stamps[1] - stamps[0], stamps[2] - stamps[0]] == [400, 1900]
    assert before is sim_linked.simulator


async def test_no_webhook_flows_before_the_verification_passed(sim_meta: Meta, sim_receiver: Receiver) -> None:
    shown = await sim_meta.config(webhook_url=sim_receiver.url, verify_token="not the one", time_factor=0)
    assert shown["webhook"]["verified"] is False
    assert "answered 403" in shown["webhook"]["reason"]
    await sim_meta.accepted(text_to(biz_opaque_callback_data="too early"))
    sim_receiver.challenge_prefix = "challenge: "
    shown = await sim_meta.config(verify_token="verify me")
    assert "not the value of hub.challenge" in shown["webhook"]["reason"]
    sim_receiver.challenge_prefix = ""
    shown = await sim_meta.config(verify_token="verify me")
    assert shown["webhook"] == {"verified": True, "reason": ""}
    await sim_meta.accepted(text_to(biz_opaque_callback_data="now"))
    hooks = await sim_receiver.wait_for(3)
    assert {hook.status["biz_opaque_callback_data"] for hook in hooks} == {"now"}


async def test_an_address_where_nobody_listens_is_not_verified(sim_meta: Meta) -> None:
    shown = await sim_meta.config(webhook_url="http://127.0.0.1:1/hook")
    assert shown["webhook"]["verified"] is False
    assert "could not be reached" in shown["webhook"]["reason"]


async def test_what_is_not_answered_200_is_repeated_at_once_and_then_ever_later(
    sim_linked: Meta, sim_receiver: Receiver
) -> None:
    await sim_linked.config(time_factor=1, auto_statuses=False)
    message_id = await sim_linked.accepted(text_to())
    sim_receiver.answers = [500, 204, 403]
    await sim_linked.control("POST", "status", {"id": message_id, "status": "sent"})
    await sim_receiver.wait_for(2)
    await sim_linked.control("POST", "clock", {"advance_s": 10})
    await sim_receiver.wait_for(3)
    await sim_linked.control("POST", "clock", {"advance_s": 30})
    await sim_receiver.wait_for(4)
    assert len({hook.raw for hook in sim_receiver.hooks}) == 1
    await sim_linked.control("POST", "status", {"id": message_id, "status": "read"})
    await sim_receiver.wait_for(5)
    pushes = await sim_linked.control("GET", "webhooks")
    assert [(push["attempt"], push["http_status"]) for push in pushes[:4]] == [(1, 500), (2, 204), (3, 403), (4, 200)]


async def test_an_answer_that_does_not_come_counts_as_a_failure(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(webhook_timeout_s=0.05, auto_statuses=False)
    await sim_linked.accepted(text_to())
    sim_receiver.answers = [0]
    await sim_linked.control("POST", "status", {"id": "latest", "status": "sent"})
    await sim_receiver.wait_for(2)
    pushes = await sim_linked.control("GET", "webhooks")
    assert (pushes[0]["attempt"], pushes[0]["http_status"]) == (1, None)
    assert "Timeout" in pushes[0]["error"]


async def test_after_seven_days_a_webhook_is_given_up(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(time_factor=1, auto_statuses=False)
    await sim_linked.accepted(text_to())
    sim_receiver.answers = [500] * 3
    await sim_linked.control("POST", "status", {"id": "latest", "status": "sent"})
    await sim_receiver.wait_for(2)
    await sim_linked.control("POST", "clock", {"advance_s": 7 * 24 * 3600 + 60})
    await sim_receiver.wait_for(3)
    await sim_linked.control("POST", "clock", {"advance_s": 30 * 24 * 3600})
    await sim_linked.control("POST", "status", {"id": "latest", "status": "read"})
    assert (await sim_receiver.statuses(4)) == ["sent", "sent", "sent", "read"]


async def test_a_waba_without_subscription_gets_no_webhooks(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await sim_linked.config(wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}]}])
    assert (await sim_linked.graph("DELETE", f"/v23.0/{WABA}/subscribed_apps"))[1] == {"success": True}
    assert (await sim_linked.graph("GET", f"/v23.0/{WABA}/subscribed_apps"))[1]["data"] == []
    await sim_linked.accepted(text_to(biz_opaque_callback_data="unheard"))
    await sim_linked.accepted(REACTION)
    await sim_linked.graph("POST", f"/v23.0/{WABA}/subscribed_apps")
    assert len((await sim_linked.graph("GET", f"/v23.0/{WABA}/subscribed_apps"))[1]["data"]) == 1
    await sim_linked.accepted(text_to(biz_opaque_callback_data="heard"))
    hooks = await sim_receiver.wait_for(1)
    assert hooks[0].status["biz_opaque_callback_data"] == "heard"


async def test_a_thousand_statuses_need_no_thousand_tasks(sim_linked: Meta, sim_receiver: Receiver) -> None:
    numbers = [f"+86138{i:08}" for i in range(300)]
    for number in numbers:
        await sim_linked.accepted(text_to(number))
    hooks = await sim_receiver.wait_for(900)
    courses: dict[str, list[str]] = {}
    for hook in hooks:
        courses.setdefault(hook.status["id"], []).append(hook.status["status"])
    assert len(courses) == 300
    assert set(map(tuple, courses.values())) == {("sent", "delivered", "read")}
