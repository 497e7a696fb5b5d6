"""Any bytes and any shape: a webhook is taken apart or refused as a whole, and no good status is ever lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from waypost.meta.webhooks import Webhook, WebhookInvalid, parse, verify_signature

NOW_MS = 1_760_000_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
KEYS = ["id", "changes", "field", "value", "metadata", "phone_number_id", "statuses", "messages", "status", "timestamp"]
SHAPED = st.recursive(
    st.none() | st.integers() | st.sampled_from(["messages", "sent", "1750030073", "", "\0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


def read(raw: bytes) -> Webhook | None:
    try:
        return parse(raw, NOW_MS)
    except WebhookInvalid:
        return None


def post(entries: object) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()


def good_entry(number: int) -> dict[str, object]:
    status = {"id": f"good.{number}", "status": "delivered", "timestamp": "1750030073"}
    message = {"id": "good", "from": "1", "type": "text"}
    value = {"metadata": {"phone_number_id": "106"}, "statuses": [status], "messages": [message]}
    return {"id": "102", "changes": [{"field": "messages", "value": value}]}


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(raw: bytes) -> None:
    assert read(raw) is None or b"whatsapp_business_account" in raw


@given(document=JSON)
def test_any_json_of_another_kind_is_refused(document: object) -> None:
    assert read(json.dumps(document).encode()) is None


@given(bad=st.lists(JSON | SHAPED, max_size=4))
def test_no_entry_can_cost_the_good_ones_around_it(bad: list[object]) -> None:
    webhook = read(post([good_entry(0), *bad, good_entry(1)]))
    assert webhook is not None
    good = [r for r in webhook.statuses if r.event.meta_message_id.startswith("good.")]
    assert [reported.event.meta_message_id for reported in good] == ["good.0", "good.1"]
    for reported in webhook.statuses:
        event = reported.event
        assert event.phone_number_id
        assert event.meta_message_id
        assert event.status
        assert event.timestamp_ms > 0
        assert event.recipient == "" or event.recipient.isdigit()
        stored = [event.raw, event.status, event.meta_message_id, event.opaque or "", event.participant]
        assert not any("\0" in text for text in stored)
        assert all(text.encode() is not None for text in stored)
    for message in webhook.messages:
        assert message.phone_number_id
        assert message.meta_id
        assert json.loads(message.raw)["id"]
        assert all(isinstance(contact, dict) for contact in json.loads(message.contacts or "[]"))


DAMAGE = ["NaN", "1e999", "9" * 5000, '"\\ud83d"', '"\x01"', "[" * 2000 + "]" * 2000, '{"a":' * 960 + "1" + "}" * 960]


@given(bad=st.lists(SHAPED | st.just("PUT"), min_size=1, max_size=4), damage=st.sampled_from(DAMAGE))
def test_no_damage_anywhere_can_cost_the_good_ones_around_it(bad: list[object], damage: str) -> None:
    entries = [good_entry(0), *bad, {"id": "PUT", "changes": [{"field": "messages", "value": "PUT"}]}, good_entry(1)]
    webhook = read(post(entries).replace(b'"PUT"', damage.encode()))
    assert webhook is not None
    good = [r for r in webhook.statuses if r.event.meta_message_id.startswith("good.")]
    assert [reported.event.meta_message_id for reported in good] == ["good.0", "good.1"]
    assert [message.meta_id for message in webhook.messages if message.meta_id == "good"] == ["good", "good"]


@given(cut=st.integers(0, 400), junk=st.binary(max_size=8))
def test_a_webhook_that_was_cut_or_stirred_is_refused_or_read(cut: int, junk: bytes) -> None:
    raw = post([good_entry(0), good_entry(1)])
    read(raw[:cut] + junk + raw[cut:])
    assert read(raw[: min(cut, len(raw) - 1)]) is None


@given(raw=st.binary(max_size=100), header=st.text(max_size=80) | st.none(), secret=st.text(max_size=20))
def test_no_header_at_random_is_a_signature(raw: bytes, header: str | None, secret: str) -> None:
    assert not verify_signature(raw, header, secret)
    assert not verify_signature(raw, f"sha256={header}", secret)
