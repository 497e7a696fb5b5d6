"""pywa, somebody else's client of Meta, sends every type through the simulator and understands its webhooks.

pywa is synchronous and always begins with Meta's own address; after that its HTTP session, which is ours, is pointed
at the simulator.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pywa.client import WhatsApp
from pywa.errors import ReEngagementMessage, TemplateNotExists
from pywa.handlers import MessageHandler, MessageStatusHandler
from pywa.types.callback import Button, Section, SectionList, SectionRow, URLButton
from pywa.types.message import Message
from pywa.types.message_status import (
    ConversationCategory,
    MessageStatus,
    MessageStatusType,
    PricingCategory,
    PricingModel,
    PricingType,
)
from pywa.types.others import Contact
from pywa.types.templates import BodyText, TemplateLanguage

from tests.simulator.conftest import PHONE, WABA, Meta, Receiver

TO = "8613800000001"
ENGLISH = TemplateLanguage.ENGLISH_US
LINK = "https://example.com/file"


@pytest.fixture
async def sim_pywa(sim_meta: Meta) -> AsyncIterator[WhatsApp]:
    with httpx.Client(trust_env=False) as session:
        client = WhatsApp(
            phone_id=PHONE,
            waba_id=WABA,
            token="token",
            session=session,
            verify_token="verify me",
            app_secret="app secret",
            server=None,
        )
        await sim_meta.config(wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}]}])  # pywa ignores other WABAs
        session.base_url = f"{sim_meta.simulator.url}/v23.0"
        yield client


def contact() -> Contact:
    name = Contact.Name(formatted_name="Ada Lovelace", first_name="Ada")
    return Contact(name=name, phones=[Contact.Phone(phone="+15550001", type="WORK")])


def body_text(*values: str) -> Any:
    params: Callable[..., Any] = BodyText.params  # pywa's annotation takes the first value for self
    return params(*values)


SENDS: dict[str, Callable[[WhatsApp], Any]] = {
    "text": lambda wa: wa.send_message(TO, "hello", preview_url=True, tracker="order 7"),
    "image": lambda wa: wa.send_image(TO, image=LINK, caption="a"),
    "video": lambda wa: wa.send_video(TO, video=LINK, caption="b"),
    "audio": lambda wa: wa.send_audio(TO, audio=LINK),
    "document": lambda wa: wa.send_document(TO, document=LINK, filename="a.pdf", caption="c"),
    "sticker": lambda wa: wa.send_sticker(TO, sticker=LINK),
    "location": lambda wa: wa.send_location(TO, latitude=37.4, longitude=-122.1, name="HQ", address="1 Road"),
    "contacts": lambda wa: wa.send_contact(TO, contact()),
    "reaction": lambda wa: wa.send_reaction(TO, emoji="👍", message_id="wamid.x"),
    "buttons": lambda wa: wa.send_message(TO, "choose", header="h", footer="f", buttons=[Button("Yes", "y")]),
    "list": lambda wa: wa.send_message(
        TO, "choose", buttons=SectionList("open", [Section("one", [SectionRow("row", "r", "text")])])
    ),
    "cta_url": lambda wa: wa.send_message(TO, "look", buttons=URLButton("Open", LINK)),
    "location_request": lambda wa: wa.request_location(TO, "where?"),
    "template": lambda wa: wa.send_template(TO, "order_update", ENGLISH, params=[body_text("Ada", "7")]),
    "marketing": lambda wa: wa.send_template(TO, "sale", ENGLISH, params=[body_text("Ada")], use_mm_lite_api=True),
}
INTERACTIVE = {"buttons", "list", "cta_url", "location_request"}


@pytest.mark.parametrize("kind", SENDS)
async def test_every_type_is_sent(kind: str, sim_meta: Meta, sim_pywa: WhatsApp) -> None:
    sent = await asyncio.to_thread(SENDS[kind], sim_pywa)
    recorded = await sim_meta.control("GET", "messages/latest")
    assert recorded["id"] == sent.id
    assert recorded["phone_number_id"] == PHONE
    assert recorded["payload"]["to"] == TO
    expected = "interactive" if kind in INTERACTIVE else "template" if kind == "marketing" else kind
    assert recorded["payload"]["type"] == expected
    assert recorded["endpoint"] == ("marketing_messages" if kind == "marketing" else "messages")
    (entry,) = await sim_meta.control("GET", "requests")
    assert entry["unknown_fields"] == []


async def test_read_marks_and_typing_are_understood(sim_pywa: WhatsApp) -> None:
    assert (await asyncio.to_thread(sim_pywa.mark_message_as_read, "wamid.x")).success
    assert (await asyncio.to_thread(sim_pywa.indicate_typing, "wamid.x")).success


async def test_media_goes_up_and_comes_down(sim_pywa: WhatsApp) -> None:
    content = b"\x89PNG\r\n" + bytes(range(200))
    uploaded = await asyncio.to_thread(
        sim_pywa.upload_media, io.BytesIO(content), mime_type="image/png", filename="a.png"
    )
    assert uploaded is not None
    described = await asyncio.to_thread(sim_pywa.get_media_url, uploaded.id)
    assert (described.mime_type, described.file_size) == ("image/png", len(content))
    assert await asyncio.to_thread(sim_pywa.get_media_bytes, described.url) == content
    await asyncio.to_thread(sim_pywa.send_image, TO, uploaded.id)
    assert (await asyncio.to_thread(sim_pywa.delete_media, uploaded.id)).success


async def test_numbers_and_templates_are_listed(sim_meta: Meta, sim_pywa: WhatsApp) -> None:
    body = {"type": "BODY", "text": "Hello {{1}}", "example": {"body_text": [["Ada"]]}}
    template = {"name": "hello", "language": "en_US", "category": "UTILITY", "components": [body]}
    await sim_meta.config(wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}], "templates": [template]}])
    phone = await asyncio.to_thread(sim_pywa.get_business_phone_number)
    assert (phone.id, phone.display_phone_number) == (PHONE, "15552242922")
    (listed,) = await asyncio.to_thread(sim_pywa.get_business_phone_numbers)
    assert listed.id == PHONE
    (found,) = await asyncio.to_thread(sim_pywa.get_templates)
    assert (found.name, found.category.value) == ("hello", "UTILITY")


async def test_refusals_become_pywas_own_errors(sim_meta: Meta, sim_pywa: WhatsApp) -> None:
    await sim_meta.config(check_templates=True)
    with pytest.raises(TemplateNotExists) as refused:
        await asyncio.to_thread(SENDS["template"], sim_pywa)
    assert refused.value.code == 132001
    assert refused.value.details == "template name (order_update) does not exist in en_US"
    assert refused.value.fbtrace_id


async def parsed(wa: WhatsApp, receiver: Receiver, count: int) -> list[Any]:
    """The webhooks as pywa understands them, signatures checked by pywa."""
    updates: list[Any] = []

    def note(_wa: WhatsApp, update: Any) -> None:
        updates.append(update)

    wa.add_handlers(MessageStatusHandler(note), MessageHandler(note))
    for hook in await receiver.wait_for(count):
        assert wa.webhook_update_validator(hook.raw, hook.headers["X-Hub-Signature-256"]) is None
        assert wa.webhook_update_validator(hook.raw + b" ", hook.headers["X-Hub-Signature-256"]) is not None
        assert await asyncio.to_thread(wa.webhook_update_handler, hook.raw) == ("ok", 200)
    return updates


async def test_the_statuses_of_a_message_are_verified_and_parsed(
    sim_linked: Meta, sim_receiver: Receiver, sim_pywa: WhatsApp
) -> None:
    sent = await asyncio.to_thread(SENDS["text"], sim_pywa)
    updates = await parsed(sim_pywa, sim_receiver, 3)
    assert [type(update) for update in updates] == [MessageStatus] * 3
    assert [update.status for update in updates] == [
        MessageStatusType.SENT,
        MessageStatusType.DELIVERED,
        MessageStatusType.READ,
    ]
    first = updates[0]
    assert (first.id, first.tracker, first.metadata.phone_number_id) == (sent.id, "order 7", PHONE)
    assert (first.from_user.wa_id, first.from_user.bsuid) == (
        TO,
        first.raw["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"],
    )
    assert (first.pricing.model, first.pricing.type) == (PricingModel.PMP, PricingType.FREE_CUSTOMER_SERVICE)
    assert (first.pricing.billable, first.pricing.category) == (False, PricingCategory.SERVICE)
    assert first.conversation.category is ConversationCategory.SERVICE
    assert first.conversation.expiration > first.timestamp
    assert updates[2].pricing is None


async def test_a_failure_is_parsed_as_the_error_that_it_is(
    sim_linked: Meta, sim_receiver: Receiver, sim_pywa: WhatsApp
) -> None:
    await sim_linked.config(check_window=True)
    await asyncio.to_thread(SENDS["text"], sim_pywa)
    (update,) = await parsed(sim_pywa, sim_receiver, 1)
    assert update.status is MessageStatusType.FAILED
    assert isinstance(update.error, ReEngagementMessage)
    assert update.error.message == "Re-engagement message"


async def test_a_persons_message_is_parsed(sim_linked: Meta, sim_receiver: Receiver, sim_pywa: WhatsApp) -> None:
    await sim_linked.control("POST", "inbound", {"phone_number_id": PHONE, "from": TO, "text": {"body": "olá/"}})
    (update,) = await parsed(sim_pywa, sim_receiver, 1)
    assert isinstance(update, Message)
    assert (update.text, update.from_user.wa_id) == ("olá/", TO)


async def test_pywas_answer_to_the_verification_is_what_the_simulator_wants(
    sim_meta: Meta, sim_receiver: Receiver, sim_pywa: WhatsApp
) -> None:
    assert sim_pywa.webhook_challenge_handler("verify me", "123") == ("123", 200)
    shown = await sim_meta.config(webhook_url=sim_receiver.url, verify_token="verify me")
    assert shown["webhook"]["verified"] is True
