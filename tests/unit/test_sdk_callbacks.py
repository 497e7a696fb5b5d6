"""A customer's side: signatures checked from any framework's headers, callbacks as typed events, errors that help."""

from decimal import Decimal
from typing import Any

import pytest

from waypost.protocol.callbacks import nxcloud_headers, standard_headers
from waypost.sdk.callbacks import (
    CallbackInvalid,
    CallsCallback,
    Cost,
    EventCallback,
    InboundCallback,
    StatusCallback,
    StatusError,
    parse,
    verify_nxcloud,
    verify_standard,
)

BODY = b'{"business_phone":"8613800000001"}'
KEY, SECRET = "fme2na3kdi3ki", "abciiiko2k3"
NOW_S = 1_750_030_073

STATUS = """
{"app_id": 277, "business_phone": "8613800000001", "channel": 2, "merchant_phone": "8613800000001",
 "messaging_product": "whatsapp", "wabaId": "2000", "new": {"x": 1},
 "metadata": {"display_phone_number": "8613800000001", "phone_number_id": "1000", "new": 1},
 "contacts": [{"wa_id": "8613900000002", "profile": {"name": "Ann"}}],
 "statuses": [{"id": "wamid.A", "meta_message_id": "wamid.META", "status": "sent", "timestamp": "1660019986",
   "recipient_id": "8613900000002", "biz_opaque_callback_data": "camp-1", "new": 1,
   "conversation": {"id": "7256", "origin": {"type": "authentication"}},
   "pricing": {"billable": true, "category": "authentication"},
   "costs": [{"currency": "USD", "price": 0.1381, "foreign_price": 0.02, "cdr_type": 6, "message_id": "wamid.A",
              "direction": 1}]}]}
"""
INBOUND = """
{"contacts": [{"profile": {"name": "Ann"}, "wa_id": "8613900000002"}], "business_phone": "8613800000001",
 "messages": [{"from": "8613900000002", "id": "wamid.IN1", "timestamp": "1663053831", "type": "location",
   "location": {"latitude": 31.2, "longitude": 121.4}, "context": {"id": "order-1"}, "members": "mine",
   "cost": {"currency": "USD", "price": 0, "foreign_price": 0, "cdr_type": 7, "direction": 2}}]}
"""


def nxcloud(**changes: Any) -> dict[str, str]:
    options: dict[str, Any] = {"access_key": KEY, "secret": SECRET, "algorithm": "md5", "ts_ms": NOW_S * 1000}
    return nxcloud_headers(BODY, **options | changes)


def standard(*secrets: str) -> dict[str, str]:
    return standard_headers(BODY, callback_id="cb-1", secrets=secrets, at_s=NOW_S)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_nxclouds_signature_with_one_secret_or_one_by_access_key(algorithm: str) -> None:
    headers = nxcloud(algorithm=algorithm)
    assert verify_nxcloud(headers, BODY, SECRET)
    assert verify_nxcloud(headers, BODY, {"another": "x", KEY: SECRET})
    assert not verify_nxcloud(headers, BODY, {"another": SECRET})
    assert not verify_nxcloud(headers, BODY, {})
    assert not verify_nxcloud(headers, BODY + b" ", SECRET)
    assert not verify_nxcloud({}, BODY, SECRET)
    assert not verify_nxcloud(headers, BODY, "")


def test_header_names_in_any_letter_case() -> None:
    assert verify_nxcloud({name.title(): value for name, value in nxcloud().items()}, BODY, SECRET)
    headers = {name.upper(): value for name, value in standard(SECRET).items()}
    assert verify_standard(headers, BODY, SECRET, now_s=NOW_S)


def test_a_standard_signature_with_one_secret_or_two_during_a_rotation() -> None:
    assert verify_standard(standard("old", "new"), BODY, "new", now_s=NOW_S)
    assert verify_standard(standard("old"), BODY, ("new", "old"), now_s=NOW_S)
    assert verify_standard(standard("old"), BODY, iter(["new", "old"]), now_s=NOW_S)
    assert not verify_standard(standard("old"), BODY, "new", now_s=NOW_S)
    assert not verify_standard(standard("old"), BODY, (), now_s=NOW_S)
    assert not verify_standard({}, BODY, "old", now_s=NOW_S)


def test_an_old_standard_signature_does_not_fit_unless_more_time_is_given() -> None:
    late = NOW_S + 301
    assert not verify_standard(standard("s"), BODY, "s", now_s=late)
    assert verify_standard(standard("s"), BODY, "s", now_s=late, tolerance_s=600)


def test_a_status_is_typed_and_what_is_new_is_ignored() -> None:
    callback = parse(STATUS)
    assert isinstance(callback, StatusCallback)
    assert (callback.app_id, callback.waba_id, callback.business_phone) == (277, "2000", "8613800000001")
    assert callback.metadata.phone_number_id == "1000"
    assert [(contact.wa_id, contact.name) for contact in callback.contacts] == [("8613900000002", "Ann")]
    (status,) = callback.statuses
    assert (status.id, status.meta_message_id, status.status) == ("wamid.A", "wamid.META", "sent")
    assert (status.timestamp, status.recipient_id) == ("1660019986", "8613900000002")
    assert status.biz_opaque_callback_data == "camp-1"
    assert status.conversation == {"id": "7256", "origin": {"type": "authentication"}}
    assert status.errors == ()
    assert status.costs == (
        Cost(
            currency="USD",
            price=Decimal("0.1381"),
            foreign_price=Decimal("0.02"),
            cdr_type=6,
            message_id="wamid.A",
            direction=1,
        ),
    )


def test_a_failure_says_why() -> None:
    callback = parse(
        b'{"business_phone":"1","app_id":"277","statuses":[{"id":"a","status":"failed","timestamp":"1",'
        b'"errors":[{"code":910001,"title":"Outcome unknown"},'
        b'{"code":131026,"meta_code":131026,"title":"t","error_data":{"details":"d"},"href":"h"}]}]}'
    )
    assert isinstance(callback, StatusCallback)
    assert callback.app_id == "277"
    assert callback.statuses[0].errors == (
        StatusError(code=910001, title="Outcome unknown"),
        StatusError(code=131026, meta_code=131026, title="t", error_data={"details": "d"}),
    )


def test_an_inbound_message_has_its_content_and_all_its_members() -> None:
    callback = parse(INBOUND)
    assert isinstance(callback, InboundCallback)
    (message,) = callback.messages
    assert (message.sender, message.id, message.type) == ("8613900000002", "wamid.IN1", "location")
    assert message.content == {"latitude": 31.2, "longitude": 121.4}
    assert message.context == {"id": "order-1"}
    assert message.cost is not None
    assert message.cost.foreign_price == 0
    assert message.members["members"] == "mine"
    assert callback.contacts[0].name == "Ann"


def test_a_message_without_content_has_none() -> None:
    callback = parse('{"business_phone":"1","messages":[{"id":"a","type":"unsupported","errors":[{"code":131051}]}]}')
    assert isinstance(callback, InboundCallback)
    assert callback.messages[0].content is None
    assert callback.messages[0].sender == ""
    assert callback.contacts == ()


def test_an_event_has_its_field_and_value() -> None:
    callback = parse('{"field":"account_update","value":{"business_phone":"1","event":"DISABLED_UPDATE","time":3}}')
    assert isinstance(callback, EventCallback)
    assert callback.field == "account_update"
    assert callback.business_phone == "1"
    assert callback.value["event"] == "DISABLED_UPDATE"
    assert EventCallback(field="x", value={}).business_phone is None


def test_a_call_is_parsed() -> None:
    callback = parse(
        '{"business_phone":"1","calls":[{"call_id":"wacid.1","from":"2","to":"1","start_time":"1663053831",'
        '"end_time":"1663053951","call_duration":120,"end_direction":3,"end_reason":"COMPLETED","event":"terminate"}]}'
    )
    assert isinstance(callback, CallsCallback)
    (call,) = callback.calls
    assert (call.call_id, call.caller, call.to) == ("wacid.1", "2", "1")
    assert (call.start_time, call.end_time, call.call_duration) == ("1663053831", "1663053951", 120)
    assert (call.end_direction, call.end_reason) == (3, "COMPLETED")


def test_the_array_that_is_not_empty_decides() -> None:
    message = '{"id":"a","type":"text"}'
    for nothing in ("[]", "null"):
        body = f'{{"business_phone":"1","statuses":{nothing},"messages":[{message}]}}'
        assert isinstance(parse(body), InboundCallback)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "the body has none of statuses, messages, calls and field"),
        ('{"statuses":[],"messages":[]}', "the body has none of statuses, messages, calls and field"),
        ('{"statuses":[{}]}', "Object missing required field `id` - at `$.statuses[0]`"),
        ('{"field":3}', "Expected `str | null`, got `int` - at `$.field`"),
        ('{"business_phone":"1","statuses":[{"id":"a"}]}', "missing required field `status` - at `$.statuses[0]`"),
        ('{"business_phone":"1","messages":[3]}', "Expected `object`, got `int` - at `$.messages[0]`"),
        ('{"field":"x"}', "Object missing required field `value`"),
        ("[" * 100_000, "Expected `object`, got `array`"),
        ('{"field":"x","value":' + '{"a":' * 100_000, "the body is nested too deeply"),
        (b"\xff", "JSON is malformed"),
        (b'{"field":"\xff\xfe","value":{}}', "invalid start byte"),
    ],
)
def test_what_is_no_callback_is_refused_with_the_place(body: bytes | str, words: str) -> None:
    with pytest.raises(CallbackInvalid) as problem:
        parse(body)
    assert words in str(problem.value)
