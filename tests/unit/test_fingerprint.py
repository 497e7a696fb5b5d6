"""Which two bodies are the same message (decision D5)."""

import hashlib
import json

import pytest

from tests.bodies import CONTENTS, Json, body
from waypost.protocol.messages import decode, fingerprint


def same(first: bytes, second: bytes) -> bool:
    return fingerprint(decode(first)) == fingerprint(decode(second))


@pytest.mark.parametrize("type_", CONTENTS)
def test_order_of_keys_does_not_make_another_message(type_: str) -> None:
    def turned(value: object) -> object:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    raw = body(type_, context={"message_id": "a"})
    assert same(raw, json.dumps(turned(json.loads(raw)), indent=1).encode())


@pytest.mark.parametrize(
    "members",
    [
        {"to": "+86 136 0000 9759"},
        {"dr_webhook": "https://a.example/"},
        {"cus_message_id": "another"},
        {"api_type": "0"},
        {"recipient_type": "individual"},
        {"biz_opaque_callback_data": ""},
    ],
)
def test_spelling_callback_url_and_own_id_do_not_make_another_message(members: Json) -> None:
    assert same(body(), body(**members))


def test_coordinates_as_text_are_the_same_message() -> None:
    assert same(body("location"), body("location", location={"latitude": "2.0", "longitude": "1"}))


@pytest.mark.parametrize(
    "members",
    [
        {"to": "8613600009758"},
        {"business_phone": "18500008398"},
        {"appkey": "other"},
        {"text": {"body": "hello!"}},
        {"text": {"body": "hello", "preview_url": False}},
        {"context": {"message_id": "a"}},
        {"biz_opaque_callback_data": "x"},
    ],
)
def test_anything_else_makes_another_message(members: Json) -> None:
    assert not same(body(), body(**members))


def test_the_endpoint_is_part_of_the_message() -> None:
    assert not same(body("template"), body("template", api_type=1))


def test_the_fingerprint_stays_the_same_between_releases() -> None:
    normal = '["text","f543ertg","18500008399","8613600009759",0,null,null,{"body":"hello"}]'
    assert fingerprint(decode(body())) == hashlib.sha256(normal.encode()).hexdigest()
