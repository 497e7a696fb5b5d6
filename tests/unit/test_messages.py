"""The body of /api/wa/mt: what is required, what is tolerated, what is refused, and how the refusal reads."""

import json

import pytest

from tests.bodies import CONTENTS, ENVELOPE, MEDIA, Json, body, refusal, without
from tests.seed import EXAMPLES
from waypost.protocol.messages import Location, Text, decode, fingerprint

# --- what is accepted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_seed_decodes(name: str) -> None:
    message = decode(EXAMPLES[name])
    given = json.loads(EXAMPLES[name])
    assert (message.type, message.appkey) == (given["type"], given["appkey"])
    assert (message.business_phone, message.to) == (given["business_phone"], given["to"])


@pytest.mark.parametrize("type_", CONTENTS)
def test_every_type_decodes_and_names_its_content(type_: str) -> None:
    message = decode(body(type_))
    assert message.type == type_
    assert message.content == getattr(message, type_)


def test_the_text_example_arrives_member_by_member() -> None:
    message = decode(EXAMPLES["text_reply"])
    assert message.content == Text(body="text-message-content", preview_url=False)
    assert message.context is not None
    assert message.context.message_id == "wa.dfdadadfdfdfdcaxxxxxx"
    assert message.api_type == 0
    assert message.cus_message_id is message.dr_webhook is message.biz_opaque_callback_data is None


@pytest.mark.parametrize("type_", CONTENTS)
def test_a_reply_may_be_of_any_type(type_: str) -> None:
    context = decode(body(type_, context={"message_id": "wamid.1"})).context
    assert context is not None
    assert context.message_id == "wamid.1"


@pytest.mark.parametrize("member", ["cus_message_id", "dr_webhook", "biz_opaque_callback_data", "api_type", "context"])
def test_null_in_an_optional_member_means_absent(member: str) -> None:
    assert fingerprint(decode(body("text", **{member: None}))) == fingerprint(decode(body()))


@pytest.mark.parametrize("member", ["cus_message_id", "dr_webhook", "biz_opaque_callback_data"])
def test_an_empty_string_in_an_optional_text_means_absent(member: str) -> None:
    assert getattr(decode(body(**{member: ""})), member) is None


@pytest.mark.parametrize("written", ["+86 136-0000.9759", "(86) 136 0000 9759", "8613600009759"])
def test_numbers_lose_their_ornaments(written: str) -> None:
    message = decode(body(to=written, business_phone=written))
    assert message.to == message.business_phone == "8613600009759"


@pytest.mark.parametrize("number", ["123456", "123456789012345"])
def test_numbers_of_six_to_fifteen_digits_are_numbers(number: str) -> None:
    assert decode(body(to=number)).to == number


@pytest.mark.parametrize(
    ("given", "known"), [(None, None), (True, True), (False, False), ("true", True), ("false", False)]
)
def test_preview_url_is_a_boolean_or_its_name(given: object, known: object) -> None:
    assert decode(body(text={"body": "x", "preview_url": given})).content == Text(body="x", preview_url=known)  # type: ignore[arg-type]  # any object is tried


@pytest.mark.parametrize(("given", "known"), [(0, 0), ("0", 0), (1, 1), ("1", 1), (None, 0)])
def test_api_type_is_a_number_or_its_digit(given: object, known: int) -> None:
    assert decode(body("template", api_type=given)).api_type == known


@pytest.mark.parametrize(
    ("longitude", "latitude"), [("113.93844723701477", "22.550802897696343"), (-180, 90), ("+1e1", ".5"), ("-0", "5.")]
)
def test_coordinates_become_numbers(longitude: object, latitude: object) -> None:
    content = decode(body("location", location={"longitude": longitude, "latitude": latitude})).content
    assert isinstance(content, Location)
    assert (content.longitude, content.latitude) == (float(str(longitude)), float(str(latitude)))


@pytest.mark.parametrize("type_", MEDIA)
def test_a_link_alone_is_kept(type_: str) -> None:
    content = decode(body(type_, **{type_: {"link": "HTTPS://a.example/b", "id": ""}})).content
    assert (content.id, content.link) == (None, "HTTPS://a.example/b")  # type: ignore[union-attr]  # media have both


@pytest.mark.parametrize("type_", MEDIA)
def test_of_link_and_id_the_id_wins(type_: str) -> None:
    content = decode(body(type_, **{type_: {"link": "no link at all", "id": "5"}})).content
    assert (content.id, content.link) == ("5", None)  # type: ignore[union-attr]  # media have both


def test_members_that_nobody_knows_and_those_of_other_types_are_dropped() -> None:
    strange = body(text={"body": "hello", "colour": "red"}, image={"id": 5}, template=[], future={"a": [1e5]})
    assert fingerprint(decode(strange)) == fingerprint(decode(body()))


@pytest.mark.parametrize("member", ["reaction", "reacticon"])
@pytest.mark.parametrize("type_", ["reaction", "reacticon"])
def test_a_reaction_may_be_spelled_as_in_nxclouds_pages(type_: str, member: str) -> None:
    raw = json.dumps(ENVELOPE | {"type": type_, member: CONTENTS["reaction"]}).encode()
    message = decode(raw)
    assert (message.type, message.content) == ("reaction", CONTENTS["reaction"])


@pytest.mark.parametrize("length", [1, 128])
def test_a_message_id_of_the_customer_has_one_to_128_characters(length: int) -> None:
    assert decode(body(cus_message_id="é" * length)).cus_message_id == "é" * length


@pytest.mark.parametrize(
    "url",
    [
        "https://test.com/webhook",
        "http://10.0.0.1:8080",
        "HTTP://[::1]/x?y#z",
        "https://bücher.example/",
    ],
)
def test_a_callback_url_is_any_absolute_one(url: str) -> None:
    assert decode(body(dr_webhook=url)).dr_webhook == url


def test_opaque_data_has_no_limit_of_ours() -> None:
    assert decode(body(biz_opaque_callback_data=" \n" * 5000)).biz_opaque_callback_data == " \n" * 5000


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [*ENVELOPE, "type", "text"])
def test_what_the_seed_requires_is_required(member: str) -> None:
    assert refusal(without(body(), member)) == (f"$.{member}", "is required")


@pytest.mark.parametrize(
    ("type_", "member"), [("text", "body"), ("location", "longitude"), ("location", "latitude"), ("template", "name")]
)
def test_what_a_content_requires_is_required(type_: str, member: str) -> None:
    assert refusal(without(body(type_), type_, member)) == (f"$.{type_}.{member}", "is required")


@pytest.mark.parametrize("type_", MEDIA)
def test_media_need_a_link_or_an_id(type_: str) -> None:
    for empty in ({}, {"id": ""}, {"link": None}, {"caption": "x"}):
        assert refusal(body(type_, **{type_: empty})) == (f"$.{type_}", "either link or id is required")


@pytest.mark.parametrize("url", ["ftp://a/b", "a.example/b", "http://", "https:///x", "javascript:alert(1)", "//a/b"])
def test_a_media_link_is_http(url: str) -> None:
    assert refusal(body("image", image={"link": url})) == ("$.image.link", "expected an http or https URL")


@pytest.mark.parametrize(
    ("members", "path", "details"),
    [
        ({"to": 8613600009759}, "$.to", "expected a string, got a number"),
        ({"appkey": None}, "$.appkey", "expected a string, got null"),
        ({"appkey": True}, "$.appkey", "expected a string, got true or false"),
        ({"text": []}, "$.text", "expected an object, got a list"),
        ({"text": {"body": {"x": 1}}}, "$.text.body", "expected a string, got an object"),
        ({"text": {"body": "x", "preview_url": "yes"}}, "$.text.preview_url", "expected true or false"),
        ({"api_type": 1.5}, "$.api_type", "expected a whole number or a string, got a number"),
        ({"context": "wamid.X"}, "$.context", "expected an object, got a string"),
        ({"context": {}}, "$.context.message_id", "is required"),
        ({"context": {"message_id": ""}}, "$.context.message_id", "must not be empty"),
        ({"messaging_product": "sms"}, "$.messaging_product", "unknown value 'sms'"),
        ({"recipient_type": "group"}, "$.recipient_type", "unknown value 'group'"),
        ({"type": "fax"}, "$.type", "unknown value 'fax'"),
        ({"type": "TEXT"}, "$.type", "unknown value 'TEXT'"),
        ({"type": 5}, "$.type", "expected a string"),
        ({"appkey": ""}, "$.appkey", "must not be empty"),
    ],
)  # fmt: skip
def test_a_refusal_names_place_and_reason(members: Json, path: str, details: str) -> None:
    assert refusal(body(**members)) == (path, details)


@pytest.mark.parametrize("member", ["to", "business_phone"])
@pytest.mark.parametrize(
    "number",
    [
        "",
        "12345",
        "1234567890123456",
        "86136xxxx9759",
        "++",
        "８６１３６０００",
        "²²²²²²²",
        "86136\t009759",
        "0x1234567",
    ],
)
def test_what_is_no_number_is_refused(member: str, number: str) -> None:
    assert refusal(body(**{member: number})) == (
        f"$.{member}",
        "expected a phone number of 6 to 15 digits with country code",
    )


@pytest.mark.parametrize(
    "value", ["nan", "NaN", "inf", "Infinity", "-inf", "", " 1", "1_0", "0x1", "１", "1e9999", "1,5", "1.2.3"]
)
def test_a_coordinate_string_must_be_a_number(value: str) -> None:
    assert refusal(body("location", location={"longitude": 0, "latitude": value})) == (
        "$.location.latitude",
        "expected a number",
    )


@pytest.mark.parametrize("value", [90.1, -90.1, "91", "1e300", 10**30])
def test_a_latitude_has_its_range(value: object) -> None:
    assert refusal(body("location", location={"longitude": 0, "latitude": value})) == (
        "$.location.latitude",
        "expected a number from -90 to 90",
    )


def test_a_longitude_has_its_range() -> None:
    assert refusal(body("location", location={"longitude": 180.01, "latitude": 0})) == (
        "$.location.longitude",
        "expected a number from -180 to 180",
    )


@pytest.mark.parametrize("value", ["a b", "a\tb", "a\u3000b", "\u200b", "x" * 129, "a\0", "\n"])
def test_a_message_id_of_the_customer_is_printable(value: str) -> None:
    assert refusal(body(cus_message_id=value)) == (
        "$.cus_message_id",
        "expected 1 to 128 printable characters without spaces",
    )


@pytest.mark.parametrize("value", [2, -1, "2", "", "01", 10**30])
def test_api_type_is_zero_or_one(value: object) -> None:
    path, _ = refusal(body("template", api_type=value))
    assert path == "$.api_type"


@pytest.mark.parametrize("type_", [type_ for type_ in CONTENTS if type_ != "template"])
def test_the_marketing_api_takes_templates_only(type_: str) -> None:
    assert refusal(body(type_, api_type=1)) == ("$.api_type", "1 (MM Lite API) takes template messages only")


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"appkey": "a\0"}, "$.appkey"),
        ({"biz_opaque_callback_data": "\0"}, "$.biz_opaque_callback_data"),
        ({"context": {"message_id": "\0"}}, "$.context.message_id"),
    ],
)
def test_the_nul_character_is_refused_in_texts_that_are_kept(members: Json, path: str) -> None:
    assert refusal(body(**members)) == (path, "must not contain the NUL character")


@pytest.mark.parametrize(
    ("type_", "content", "path", "details"),
    [
        ("interactive", {"body": {}}, "$.interactive.type", "is required"),
        ("interactive", {"type": ""}, "$.interactive.type", "must not be empty"),
        ("interactive", {"type": 1}, "$.interactive.type", "expected a string, got a number"),
        ("interactive", {"type": "button"}, "$.interactive", "body or action is required"),
        ("interactive", [], "$.interactive", "expected an object, got a list"),
        ("contacts", [], "$.contacts", "must not be empty"),
        ("contacts", {}, "$.contacts", "expected a list, got an object"),
        ("contacts", ["x"], "$.contacts[0]", "expected an object, got a string"),
        ("reaction", None, "$.reaction", "is required"),
        ("reaction", {"emoji": "x"}, "$.reaction.message_id", "is required"),
    ],
)
def test_carried_contents_need_no_more_than_their_frame(type_: str, content: object, path: str, details: str) -> None:
    assert refusal(body(type_, **{type_: content})) == (path, details)


def test_carried_content_has_a_depth_that_anyone_can_walk() -> None:
    deep: object = "x"
    for _ in range(70):
        deep = [deep]
    content = CONTENTS["interactive"] | {"deep": deep}
    assert refusal(body("interactive", interactive=content)) == ("$.interactive", "must not nest deeper than 64 levels")
