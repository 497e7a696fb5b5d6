"""Bytes that are no request at all: every one of them gets a 9000 in words."""

import pytest

from tests.bodies import body, refusal
from waypost.protocol.messages import Text, decode


@pytest.mark.parametrize(
    ("raw", "details"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b"\xef\xbb\xbf" + body(), "the body starts with a byte order mark; send plain UTF-8 without one"),
        (body().decode().encode("utf-16"), "the body starts with a byte order mark; send plain UTF-8 without one"),
        (body().replace(b"hello", b"\xff"), "the body is not UTF-8"),
        (body(x="y").replace(b'"y"', b'"\xed\xa0\x80"'), "the body is not UTF-8"),
        (b"[]", "expected an object, got a list"),
        (b'"text"', "expected an object, got a string"),
        (b"null", "expected an object, got null"),
        (body()[:-1], "the body is not JSON: it ends too early"),
        (body() + b"{}", "the body is not JSON: trailing characters"),
        (body().replace(b'"hello"', b"NaN"), "the body is not JSON: invalid character"),
        (b"to=123&text=hello", "the body is not JSON: invalid character"),
        (body(text={"body": "\ud83d"}), "the body is not JSON: half of a surrogate pair in a string"),
        (body(text={"body": "x\ude00"}), "the body is not JSON: half of a surrogate pair in a string"),
        (body(x=0).replace(b'"x": 0', b'"x": ' + b"[" * 200_000), "the body is nested too deeply"),
        (b"[" * 100_000, "expected an object, got a list"),
        (b'{"a":' * 100_000, "the body is nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bytes_that_are_no_json_object_are_refused_in_words(raw: bytes, details: str) -> None:
    path, given = refusal(raw)
    assert (path, given.split(" (byte ")[0]) == ("$", details)


def test_the_place_of_a_bad_byte_is_told() -> None:
    raw = body().replace(b"hello", b"\xff")
    assert refusal(raw) == ("$", f"the body is not UTF-8 (byte {raw.index(255)})")


def test_a_raw_control_character_in_a_string_is_refused() -> None:
    path, details = refusal(body().replace(b"hello", b"\0"))
    assert path == "$"
    assert details.startswith("the body is not JSON: invalid character")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
def test_a_number_beyond_all_numbers_is_refused(number: str) -> None:
    raw = body("location").replace(b'"latitude": 2', b'"latitude": ' + number.encode())
    assert refusal(raw)[0] == "$.location.latitude"


def test_two_different_types_in_one_body_are_refused() -> None:
    raw = body().replace(b'"type": "text"', b'"type": "text", "type": "image"')
    assert refusal(raw) == ("$.type", "unknown value 'image'")


def test_of_any_other_member_given_twice_the_last_one_counts() -> None:
    raw = body().replace(b'"to": "8613600009759"', b'"to": "bad", "to": "8613600009760"')
    assert decode(raw).to == "8613600009760"


def test_refusals_do_not_grow_with_what_they_refuse() -> None:
    path, details = refusal(body(type="x" * 100_000))
    assert path == "$.type"
    assert len(details) == 200
    assert details.endswith("…")


def test_a_surrogate_pair_is_one_character() -> None:
    assert decode(body(text={"body": "😀"})).content == Text(body="😀")


def test_a_value_that_looks_like_our_own_error_text_is_taken_apart_no_further() -> None:
    path, details = refusal(body(type=" - at `$.x`" * 80_000))
    assert path == "$.type"
    assert details.startswith("unknown value ' - at `$.x`")


@pytest.mark.parametrize("start", ["1", "-", " ", "\\", "+"])
def test_a_very_long_value_is_refused_like_a_short_one(start: str) -> None:
    for member, content in (("to", start * 900_000), ("location", {"longitude": start * 900_000, "latitude": "x"})):
        assert refusal(body("location", **{member: content}))[0] is not None
