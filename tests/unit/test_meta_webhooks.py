"""Meta's webhooks: signature, envelope, statuses, and everything that may be wrong with a part of them."""

import json

import pytest

from waypost.meta.webhooks import WebhookInvalid, parse, verify_signature
from waypost.model import StatusEvent

SECRET = "test_app_secret"
NOW_MS = 1_760_000_000_000
PHONE = "106540352242922"
WABA = "102290129340398"
META_ID = "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI3QUE5MTQ0Q0QxNDE0RTIwQTUA"


def status(**members: object) -> dict[str, object]:
    return {"id": META_ID, "status": "sent", "timestamp": "1750030073", "recipient_id": "16505551234", **members}


def value(**members: object) -> dict[str, object]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": PHONE}
    return {"messaging_product": "whatsapp", "metadata": metadata, **members}


def change(value: object, field: object = "messages") -> dict[str, object]:
    return {"field": field, "value": value}


def entry(*changes: object, waba_id: object = WABA) -> dict[str, object]:
    return {"id": waba_id, "changes": list(changes)}


def post(*entries: object) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": list(entries)}).encode()


def only_status(**members: object) -> StatusEvent:
    webhook = parse(post(entry(change(value(statuses=[status(**members)])))), NOW_MS)
    assert webhook.ignored == 0
    assert webhook.other == ()
    (reported,) = webhook.statuses
    return reported.event


# --- signature ---------------------------------------------------------------------------------------------------

VECTORS = [
    (
        b'{"object":"whatsapp_business_account","entry":[]}',
        "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
    ),
    (
        b'{"object": "whatsapp_business_account", "entry": []}',
        "56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a",
    ),
    (b'{"t":"ol\\u00e1"}', "99effdbfe7aef447dc629140c3dc1a72fd170088a3c8d3076a12195d14c8d88f"),
    ('{"t":"olá"}'.encode(), "1cd29a0ab0e03b44c644fa179a1c7ff078a13bd8127b49145a79607154cdd242"),
]


@pytest.mark.parametrize(("raw", "digest"), VECTORS)
def test_a_signature_over_exactly_these_bytes_is_genuine(raw: bytes, digest: str) -> None:
    assert verify_signature(raw, f"sha256={digest}", SECRET)
    assert not verify_signature(raw + b" ", f"sha256={digest}", SECRET)
    assert not verify_signature(raw, f"sha256={digest}", SECRET + "x")


def test_the_same_json_in_other_bytes_has_another_signature() -> None:
    for raw, _ in VECTORS:
        others = [digest for other, digest in VECTORS if other != raw]
        assert not any(verify_signature(raw, f"sha256={digest}", SECRET) for digest in others)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        VECTORS[0][1],
        f"sha1={VECTORS[0][1]}",
        f"sha256={VECTORS[0][1]}0",
        f"sha256={VECTORS[0][1][:-1]}",
        f"sha256= {VECTORS[0][1]}",
        f"sha256={VECTORS[0][1]},sha256={VECTORS[0][1]}",
        "sha256=é",
        "sha256=\udcff",
    ],
)
def test_any_other_header_is_not_genuine(header: str | None) -> None:
    assert not verify_signature(VECTORS[0][0], header, SECRET)


def test_without_a_secret_nothing_is_genuine() -> None:
    # HMAC-SHA256 of no bytes under an empty key (RFC 2104 allows such a key; we do not)
    assert not verify_signature(b"", "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "")


# --- statuses ----------------------------------------------------------------------------------------------------


def test_a_status_is_read_with_its_phone_its_waba_and_its_own_text() -> None:
    given = status(biz_opaque_callback_data="order 7", conversation={"id": "c1"}, pricing={"billable": True})
    raw = post(entry(change(value(statuses=[given]))))
    (reported,) = parse(raw, NOW_MS).statuses
    assert reported.waba_id == WABA
    assert reported.event == StatusEvent(
        phone_number_id=PHONE,
        meta_message_id=META_ID,
        status="sent",
        timestamp_ms=1_750_030_073_000,
        recipient="16505551234",
        opaque="order 7",
        raw=json.dumps(given),
    )


def test_the_status_keeps_the_escapes_that_meta_wrote() -> None:
    raw = (
        rb'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":'
        rb'{"metadata":{"phone_number_id":"2"},"statuses":[{"id":"m","status":"failed","timestamp":"5",'
        rb'"errors":[{"code":131026,"href":"https:\/\/x","title":"ol\u00e1"}]}]}}]}]}'
    )
    (reported,) = parse(raw, NOW_MS).statuses
    assert reported.event.raw == (
        r'{"id":"m","status":"failed","timestamp":"5",'
        r'"errors":[{"code":131026,"href":"https:\/\/x","title":"ol\u00e1"}]}'
    )


@pytest.mark.parametrize(
    ("timestamp", "expected_ms"),
    [
        ("1750030073", 1_750_030_073_000),
        (1750030073, 1_750_030_073_000),
        ("1750030073123", 1_750_030_073_123),
        (1750030073123, 1_750_030_073_123),
        ("99999999999", 99_999_999_999_000),
        ("100000000000", 100_000_000_000),
        ("1", 1000),
    ],
)
def test_timestamps_are_seconds_or_milliseconds_by_their_size(timestamp: object, expected_ms: int) -> None:
    assert only_status(timestamp=timestamp).timestamp_ms == expected_ms


@pytest.mark.parametrize(
    "timestamp",
    [
        *(None, "", "0", 0, -5, "-5", "soon", 1750030073.5, "1750030073.5", "1e9", [], {}, True),
        *("9" * 15, "9" * 5000, 10**30, "１７５００３００７３", " 1750030073"),
    ],
)
def test_a_time_that_can_not_be_read_is_when_the_post_came(timestamp: object) -> None:
    assert only_status(timestamp=timestamp).timestamp_ms == NOW_MS


def test_a_missing_time_is_when_the_post_came() -> None:
    given = {"id": META_ID, "status": "read"}
    (reported,) = parse(post(entry(change(value(statuses=[given])))), NOW_MS).statuses
    assert reported.event.timestamp_ms == NOW_MS
    assert (reported.event.recipient, reported.event.participant, reported.event.opaque) == ("", "", None)


@pytest.mark.parametrize(
    ("recipient_id", "expected"),
    [
        ("16505551234", "16505551234"),
        ("+16505551234", "16505551234"),
        (16505551234, "16505551234"),
        ("US.13491208655302741918", ""),
        ("group-12", ""),
        ("", ""),
        (None, ""),
        ([], ""),
        ("1" * 33, ""),
    ],
)
def test_a_recipient_is_digits_or_nothing(recipient_id: object, expected: str) -> None:
    assert only_status(recipient_id=recipient_id).recipient == expected


def test_a_group_status_names_its_participant() -> None:
    assert only_status(recipient_participant_id="16505550000").participant == "16505550000"
    assert only_status(recipient_participant_user_id="US.1").participant == "US.1"
    both = only_status(recipient_participant_id="16505550000", recipient_participant_user_id="US.1")
    assert both.participant == "16505550000"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ""), ("ünï 🎉", "ünï 🎉"), ("a\nb", "a\nb"), (7, "7"), (None, None), ({}, None), ("a\0b", None)],
)
def test_opaque_data_comes_back_as_it_is_unless_it_is_none_of_ours(given: object, expected: str | None) -> None:
    assert only_status(biz_opaque_callback_data=given).opaque == expected


def test_opaque_data_longer_than_meta_takes_is_left_out() -> None:
    assert only_status(biz_opaque_callback_data="x" * 512).opaque == "x" * 512
    assert only_status(biz_opaque_callback_data="x" * 5000).opaque is None


def test_a_status_that_nobody_knows_yet_is_passed_on() -> None:
    assert only_status(status="teleported").status == "teleported"


BAD_STATUSES: list[object] = [None, 5, "x", [], {}, {"id": META_ID}, {"status": "sent"}]
BAD_IDS: list[object] = [None, "", [], "a\0b", "é", "x" * 513]
BAD_WORDS: list[object] = [None, "", {}, "a\0b", "x" * 65]


@pytest.mark.parametrize(
    "bad",
    [*BAD_STATUSES, *(status(id=given) for given in BAD_IDS), *(status(status=given) for given in BAD_WORDS)],
)
def test_one_bad_status_costs_no_other(bad: object) -> None:
    good = [status(status="sent"), bad, status(status="delivered")]
    webhook = parse(post(entry(change(value(statuses=good)))), NOW_MS)
    assert [reported.event.status for reported in webhook.statuses] == ["sent", "delivered"]
    assert webhook.ignored == 1


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "x",
        [],
        {},
        {"id": WABA, "changes": {}},
        {"id": WABA},
        entry(None),
        entry([]),
        entry({}),
        entry({"field": "messages"}),
        entry({"value": value(statuses=[])}),
        entry(change(value(statuses=[status()]), field=None)),
        entry(change(value(statuses=[status()]), field="")),
        entry(change([])),
        entry(change(None)),
        entry(change({"statuses": [status()]})),
        entry(change({"metadata": None, "statuses": [status()]})),
        entry(change({"metadata": {"phone_number_id": None}, "statuses": [status()]})),
        entry(change(value(statuses={}))),
        entry(change(value(statuses=None))),
    ],
)
def test_one_bad_entry_costs_no_other(bad: object) -> None:
    before, after = entry(change(value(statuses=[status()]))), entry(change(value(statuses=[status()])), waba_id="9")
    webhook = parse(post(before, bad, after), NOW_MS)
    assert [reported.waba_id for reported in webhook.statuses] == [WABA, "9"]
    assert webhook.ignored == 1
    assert webhook.other == ()


def test_ids_may_be_numbers_and_a_waba_may_be_missing() -> None:
    given = {"metadata": {"phone_number_id": 106540352242922}, "statuses": [status()]}
    (number,) = parse(post(entry(change(given), waba_id=102290129340398)), NOW_MS).statuses
    assert (number.waba_id, number.event.phone_number_id) == (WABA, PHONE)
    (missing,) = parse(post({"changes": [change(given)]}), NOW_MS).statuses
    assert missing.waba_id == ""


def test_several_entries_and_changes_are_flattened_in_order() -> None:
    def changes(*states: str) -> dict[str, object]:
        return change(value(statuses=[status(status=state) for state in states]))

    webhook = parse(post(entry(changes("sent", "delivered"), changes("read")), entry(changes("failed"))), NOW_MS)
    assert [reported.event.status for reported in webhook.statuses] == ["sent", "delivered", "read", "failed"]


def test_a_thousand_statuses_of_one_post_are_all_read() -> None:
    many = [status(id=f"wamid.{number}") for number in range(1000)]
    webhook = parse(post(entry(change(value(statuses=many)))), NOW_MS)
    assert [reported.event.meta_message_id for reported in webhook.statuses] == [given["id"] for given in many]


# --- the whole -------------------------------------------------------------------------------------------------


def test_statuses_of_calls_are_no_statuses_of_messages() -> None:
    webhook = parse(post(entry(change(value(statuses=[status(status="RINGING")]), field="calls"))), NOW_MS)
    assert webhook.statuses == ()
    assert [event.field for event in webhook.other] == ["calls"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"5",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"entry":[]}',
        b'{"object":null}',
        b'{"object":"page","entry":[]}',
        b'{"object":["whatsapp_business_account"],"entry":[]}',
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_only_what_is_no_webhook_at_all_is_refused(raw: bytes) -> None:
    with pytest.raises(WebhookInvalid) as refusal:
        parse(raw, NOW_MS)
    assert refusal.value.details in {"body is not a JSON object", "object is not whatsapp_business_account"}


@pytest.mark.parametrize("entries", [b"", b',"entry":null', b',"entry":{}', b',"entry":"x"'])
def test_a_webhook_without_entries_reports_nothing(entries: bytes) -> None:
    webhook = parse(b'{"object":"whatsapp_business_account"' + entries + b"}", NOW_MS)
    assert (webhook.statuses, webhook.other, webhook.ignored) == ((), (), 1)


def test_half_an_emoji_or_broken_utf8_costs_no_report() -> None:
    good = json.dumps(status(biz_opaque_callback_data="order 7")).encode()
    for damage in (rb'{"name":"\ud83d"}', b'{"name":"\xff"}', rb'{"name":"\udc00\ud800"}'):
        contacts = b'{"metadata":{"phone_number_id":"2"},"contacts":[' + damage + b'],"statuses":[' + good + b"]}"
        raw = (
            b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":'
            + contacts
            + b"}]}]}"
        )
        webhook = parse(raw, NOW_MS)
        assert webhook.ignored == 0
        assert [reported.event.opaque for reported in webhook.statuses] == ["order 7"]


def test_the_text_of_a_damaged_status_can_be_stored() -> None:
    raw = post(entry(change(value(statuses=[status(biz_opaque_callback_data="PUT")]))))
    for damage in (rb"cut \ud83d", b"cut \xf0\x9f"):
        (reported,) = parse(raw.replace(b"PUT", damage), NOW_MS).statuses
        assert reported.event.meta_message_id == META_ID
        assert "cut \ufffd" in reported.event.raw
        reported.event.raw.encode()
