"""Whatever Meta or a customer wrote: there is one clean callback, the SDK reads it, and only its own signature fits."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.journal_rows import message
from waypost.clock import Clock
from waypost.model import StatusEvent
from waypost.protocol.callbacks import (
    call_body,
    ended_calls,
    event_body,
    inbound_body,
    nxcloud_headers,
    origin_of,
    read_inbound,
    standard_headers,
    status_body,
)
from waypost.sdk.callbacks import (
    CallbackInvalid,
    CallsCallback,
    EventCallback,
    InboundCallback,
    StatusCallback,
    parse,
    verify_nxcloud,
    verify_standard,
)

ROW = message(Clock(), price="0.05", currency="USD")
ODD_TEXT = st.text(st.characters(codec=None), max_size=8)  # half surrogate pairs too
ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | ODD_TEXT
NAMES = st.sampled_from(
    [
        "id", "status", "statuses", "recipient_id", "timestamp", "type", "from", "from_user_id", "wa_id", "user_id",
        "profile", "name", "contacts", "messages", "metadata", "phone_number_id", "context", "reaction", "message_id",
        "audio", "voice", "location", "latitude", "errors", "code", "title", "pricing", "category", "conversation",
        "expiration_timestamp", "cost", "costs", "field", "value", "members", "message_template_id", "time", "text",
        "error_data",
    ]
)  # fmt: skip
KINDS = st.sampled_from(["audio", "location", "reaction", "text", "sent", "1663053831"])
JSON = st.recursive(
    ODD | KINDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=6)
        | st.dictionaries(ODD_TEXT, inner, max_size=2)
    ),
    max_leaves=20,
)
MEMBERS = st.dictionaries(NAMES, JSON, max_size=8)
DAMAGE = st.sampled_from(
    [
        "NaN",
        "-Infinity",
        "1e999",
        "9" * 5000,
        '"\\ud83d"',
        '"\x01"',
        "[" * 2000 + "]" * 2000,
        '{"a":' * 999 + "1" + "}" * 999,
    ]
)
DAMAGED = st.builds(  # an object with a whole member and others that nobody can use
    lambda before, damage, after: f'{{"odd":{before},"contacts":{damage},"kept":"whole","other":[{after},1]}}',
    *(DAMAGE | JSON.map(json.dumps) for _ in range(3)),
)
PHONE = "8615800001795"


def assert_clean(body: bytes) -> None:
    """No null, no white space between members, no number without a value."""
    document = json.loads(body.decode(), parse_constant=no_json)
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        assert value is not None
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    assert b"\n" not in body
    assert body.startswith(b'{"')


def no_json(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@given(raw=MEMBERS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=60), name=KINDS | st.just("failed"))
def test_any_status_makes_one_clean_callback(raw: str, name: str) -> None:
    event = StatusEvent(phone_number_id="1", meta_message_id="wamid.M", status=name, timestamp_ms=5, raw=raw)
    body = status_body(ROW, event, waba_id="2", app_id=3, display_number=PHONE)
    assert_clean(body)
    callback = parse(body)
    assert isinstance(callback, StatusCallback)
    (status,) = callback.statuses
    assert (status.id, status.meta_message_id, status.status, status.timestamp) == (ROW.id, "wamid.M", name, "0")
    assert bool(status.costs) == (name == "sent")
    assert bool(status.errors) or name != "failed"
    assert status.biz_opaque_callback_data is None


@given(message=MEMBERS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=60), contacts=JSON.map(json.dumps))
def test_any_inbound_message_makes_one_clean_callback(message: str, contacts: str) -> None:
    options: dict[str, Any] = {"waba_id": "2", "app_id": 3, "business_phone": PHONE, "currency": "USD"}
    metadata = {"display_phone_number": None, "phone_number_id": "1"}
    read = read_inbound(message, contacts=contacts, metadata=metadata, received_at_ms=5_000)
    body = inbound_body(read, **options)
    assert_clean(body)
    callback = parse(body)
    assert isinstance(callback, InboundCallback)
    (got,) = callback.messages
    assert got.timestamp is not None
    assert got.timestamp.isdigit()
    assert all(contact.wa_id is not None for contact in callback.contacts)
    assert callback.contacts
    assert got.cost is not None
    assert got.cost.message_id == got.id
    assert_clean(inbound_body(read, wire_ids=dict.fromkeys(read.references, "order-1"), **options))


@given(call=MEMBERS, statuses=st.none() | st.just([]))
def test_any_call_that_ended_makes_one_clean_callback(call: dict[str, Any], statuses: object) -> None:
    (found,) = ended_calls({"calls": [call | {"id": "wacid.1", "event": "terminate"}], "statuses": statuses})
    body = call_body(found, waba_id="2", app_id=3, business_phone=PHONE, phone_number_id="1")
    assert_clean(body)
    callback = parse(body)
    assert isinstance(callback, CallsCallback)
    assert [got.call_id for got in callback.calls] == ["wacid.1"]


@given(raw=DAMAGED)
def test_what_is_damaged_costs_only_itself(raw: str) -> None:
    event = StatusEvent(phone_number_id="1", meta_message_id="wamid.M", status="sent", timestamp_ms=5, raw=raw)
    body = status_body(ROW, event, waba_id="2", app_id=3, display_number=PHONE)
    assert_clean(body)
    assert json.loads(body)["statuses"][0]["kept"] == "whole"


@given(value=MEMBERS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=60), field=KINDS)
def test_any_event_makes_one_clean_callback(value: str, field: str) -> None:
    body = event_body(field, value, business_phone=PHONE, waba_id="2", time_s=7)
    assert_clean(body)
    callback = parse(body)
    assert isinstance(callback, EventCallback)
    assert callback.field == field
    assert (callback.value["time"], callback.value["wabaId"], callback.business_phone) == (7, "2", PHONE)


@given(raw=st.binary(max_size=100) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_bytes_are_a_callback_or_invalid(raw: bytes) -> None:
    try:
        callback = parse(raw)
    except CallbackInvalid:
        return
    assert isinstance(callback, StatusCallback | InboundCallback | CallsCallback | EventCallback)


@given(body=st.binary(min_size=1, max_size=50), other=st.binary(max_size=50), secret=st.text(min_size=1, max_size=20))
def test_only_the_signed_bytes_fit(body: bytes, other: bytes, secret: str) -> None:
    nxcloud = nxcloud_headers(body, access_key="k", secret=secret, algorithm="sha256", ts_ms=1)
    standard = standard_headers(body, callback_id="c", secrets=(secret,), at_s=1)
    assert verify_nxcloud(nxcloud, body, secret)
    assert verify_standard(standard, body, secret, now_s=1)
    assert verify_nxcloud(nxcloud, other, secret) == (other == body)
    assert verify_standard(standard, other, secret, now_s=1) == (other == body)


@given(
    headers=st.dictionaries(st.sampled_from(["webhook-id", "WEBHOOK-TIMESTAMP", "sign", "ts", "algorithm"]), ODD_TEXT)
)
def test_any_headers_are_refused(headers: dict[str, str]) -> None:
    assert not verify_nxcloud(headers, b"{}", "secret")
    assert not verify_standard(headers, b"{}", "secret", now_s=1)


@given(url=st.text(max_size=40) | st.text(max_size=20).map(lambda rest: f"https://{rest}"))
def test_any_text_has_an_origin_or_none(url: str) -> None:
    origin = origin_of(url)
    assert origin == "" or "://" in origin
