"""Valid bodies of /api/wa/mt, one per type, for tests to take apart."""

import json
from typing import Any

import pytest

from waypost.protocol.errors import ParameterInvalid
from waypost.protocol.messages import decode

Json = dict[str, Any]

ENVELOPE: Json = {
    "appkey": "f543ertg",
    "business_phone": "18500008399",
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "to": "8613600009759",
}
CONTENTS: Json = {
    "text": {"body": "hello"},
    "image": {"id": "1"},
    "video": {"id": "1"},
    "audio": {"id": "1"},
    "document": {"id": "1"},
    "location": {"longitude": 1, "latitude": 2},
    "sticker": {"id": "1"},
    "template": {"name": "n", "language": {"code": "en_US", "policy": "deterministic"}},
    "interactive": {"type": "button", "body": {"text": "?"}, "action": {"buttons": []}},
    "contacts": [{"name": {"formatted_name": "Ann", "first_name": "Ann"}}],
    "reaction": {"message_id": "wamid.X", "emoji": ""},
}
MEDIA = ["image", "video", "audio", "document", "sticker"]


def body(type_: str = "text", **members: object) -> bytes:
    """A valid message of one type with some members replaced or added."""
    return json.dumps(ENVELOPE | {"type": type_, type_: CONTENTS[type_]} | members).encode()


def without(raw: bytes, *way: str) -> bytes:
    """The same body without one member."""
    whole = json.loads(raw)
    inner = whole
    for step in way[:-1]:
        inner = inner[step]
    del inner[way[-1]]
    return json.dumps(whole).encode()


def refusal(raw: bytes) -> tuple[str | None, str]:
    """Path and details of the 9000 that a body gets."""
    with pytest.raises(ParameterInvalid) as caught:
        decode(raw)
    return caught.value.path, caught.value.details
