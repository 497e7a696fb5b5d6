"""What customers send: every type of message, with and without an id of their own, each to a recipient of its own."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

from tests.harness import APPKEY, PHONE

Json = dict[str, Any]

FIRST_RECIPIENT = 8613900000100  # the simulator gives a meaning to numbers whose last seven digits begin with 8 or 9
LINK = "https://files.example/"
LANGUAGE = {"code": "en_US", "policy": "deterministic"}
BUTTONS = [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]
CONTENTS: dict[str, Any] = {
    "text": {"body": "your order is on its way", "preview_url": False},
    "image": {"link": LINK + "a.jpg", "caption": "your order"},
    "video": {"link": LINK + "a.mp4"},
    "audio": {"link": LINK + "a.ogg"},
    "document": {"link": LINK + "a.pdf", "filename": "invoice.pdf"},
    "location": {"latitude": "22.5", "longitude": "113.9", "name": "shop", "address": "1 Long Street"},
    "sticker": {"link": LINK + "a.webp"},
    "template": {
        "name": "order_update",
        "language": LANGUAGE,
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "B520"}]}],
    },
    "interactive": {"type": "button", "body": {"text": "Is that right?"}, "action": {"buttons": BUTTONS}},
    "contacts": [{"name": {"formatted_name": "Ann Lee", "first_name": "Ann"}}],
}


class Wish:
    """One message that a customer wants to be sent, and all answers it got for it, by the key they belong to.

    Each key is one message by contract (decision D5): the customer's own id where it gave one, else the signature of a
    request. So a customer without ids of its own who signs anew, because it got no answer, asks for another message.
    """

    def __init__(self, message: Json, *, signs_anew: bool) -> None:
        self.message = message
        self.signs_anew = signs_anew
        self.recipient: str = message["to"]
        self.cus_message_id: str | None = message.get("cus_message_id")
        self.answers: dict[str, list[Json]] = {}

    def answers_to(self, headers: dict[str, str]) -> list[Json]:
        """Return the answers to the message that these headers ask for, to be added to."""
        key = f"cus:{self.cus_message_id}" if self.cus_message_id else f"sign:{headers['sign']}"
        return self.answers.setdefault(key, [])


def wishes(number: int, rng: random.Random) -> Iterator[Wish]:
    """Make the wishes of a run."""
    for index, kind in zip(range(number), itertools.cycle(CONTENTS)):
        message: Json = {
            "appkey": APPKEY,
            "business_phone": PHONE,
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": str(FIRST_RECIPIENT + index),
            "type": kind,
            kind: CONTENTS[kind],
        }
        if kind == "template" and rng.random() < 0.5:
            message["api_type"] = 1
        keyed, signs_anew = rng.random() < 0.5, rng.random() < 0.5
        if keyed:
            message["cus_message_id"] = f"order-{index}"
        # Where one wish can be several messages with the same opaque data nobody could tell which of them Meta has.
        if rng.random() < 0.3 and (keyed or not signs_anew):
            message["biz_opaque_callback_data"] = f"campaign {index} ☕"
        yield Wish(message, signs_anew=signs_anew)
