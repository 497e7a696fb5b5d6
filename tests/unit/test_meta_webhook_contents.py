"""What a webhook of Meta's holds beside statuses: inbound messages, contacts, events, and what is damaged."""

import json

import pytest

from tests.unit.test_meta_webhooks import BAD_IDS, META_ID, NOW_MS, PHONE, WABA, change, entry, post, status, value
from waypost.meta.webhooks import parse
from waypost.protocol.callback_json import read_object

# --- inbound messages --------------------------------------------------------------------------------------------

ANN, BEN = {"wa_id": "1", "profile": {"name": "Ann"}}, {"wa_id": "2", "user_id": "US.2", "profile": {"name": "Ben"}}


def text(meta_id: object, sender: object = "1", **members: object) -> dict[str, object]:
    return {"from": sender, "id": meta_id, "type": "text", **members}


def test_an_inbound_message_is_read_with_its_phone_and_its_own_text() -> None:
    webhook = parse(post(entry(change(value(messages=[text("wamid.in")], contacts=[ANN])))), NOW_MS)
    (found,) = webhook.messages
    assert (found.phone_number_id, found.display_number, found.meta_id) == (PHONE, "15550783881", "wamid.in")
    assert json.loads(found.contacts) == [ANN]
    assert json.loads(found.raw) == text("wamid.in")
    assert (webhook.statuses, webhook.other, webhook.ignored) == ((), (), 0)


def names(contacts: str) -> list[str]:
    return [contact["profile"]["name"] for contact in json.loads(contacts or "[]")]


def test_each_message_has_the_contact_of_its_sender() -> None:
    by_user_id = {"from_user_id": "US.2", "id": "d", "type": "text"}
    messages = [text("a", "2"), text("b"), text("c", "3"), by_user_id, text("e", 1)]
    found = parse(post(entry(change(value(messages=messages, contacts=[ANN, 7, {}, BEN])))), NOW_MS).messages
    assert [names(item.contacts) for item in found] == [["Ben"], ["Ann"], [], ["Ben"], ["Ann"]]


def test_the_only_contact_is_the_only_sender_even_if_meta_spells_the_number_otherwise() -> None:
    def told(contacts: object, *messages: object) -> list[list[str]]:
        found = parse(post(entry(change(value(messages=list(messages), contacts=contacts)))), NOW_MS).messages
        return [names(item.contacts) for item in found]

    assert told([ANN], text("a", "5511999")) == [["Ann"]]
    assert told([ANN, BEN], text("a", "5511999")) == [[]]
    assert told([ANN], text("a", "3"), text("b", "4")) == [[], []]
    nothings: list[object] = [None, {}, [], [7], "x"]
    for nothing in nothings:
        assert told(nothing, text("a")) == [[]]


def test_a_contact_of_a_megabyte_is_not_carried_with_a_thousand_messages() -> None:
    big = {"wa_id": "1", "profile": {"name": "x" * 1_000_000}}
    many = [text(f"m{number}") for number in range(1000)]
    found = parse(post(entry(change(value(messages=many, contacts=[big])))), NOW_MS).messages
    assert [item.contacts for item in found] == [""] * 1000


@pytest.mark.parametrize(
    "bad",
    [None, 7, "x", [], {}, {"type": "text"}, *(text(given) for given in BAD_IDS)],
)
def test_one_bad_message_costs_no_other_and_is_counted(bad: object) -> None:
    webhook = parse(post(entry(change(value(messages=[text("a"), bad, text("b")])))), NOW_MS)
    assert [message.meta_id for message in webhook.messages] == ["a", "b"]
    assert webhook.ignored == 1


@pytest.mark.parametrize(
    "given",
    [
        {"messages": {}},
        {"messages": None},
        {"errors": {}},
        {"statuses": None},
        {},
        {"metadata": {}, "messages": [text("a")]},
        {"metadata": None, "messages": [text("a")]},
    ],
)
def test_what_reports_nothing_is_counted(given: dict[str, object]) -> None:
    webhook = parse(post(entry(change(value(**given)))), NOW_MS)
    assert (webhook.statuses, webhook.messages, webhook.other, webhook.ignored) == ((), (), (), 1)


DAMAGE = {
    "5,000 digits": "9" * 5000,
    "too large": "1e999",
    "NaN": "NaN",
    "infinite": "-Infinity",
    "950 levels": "[" * 950 + "]" * 950,
    "3,000 levels": "[" * 3000 + "]" * 3000,
    "100,000 levels": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 3000 + "1" + "}" * 3000,
    "half a surrogate": r'"\ud83d"',
    "half a surrogate beside 5,000 digits": r'["\ud83d",%s]' % ("9" * 5000),
    "brackets in a text": '"' + "[{" * 3000 + r"\\\"" + '"',
    "a control character": '"\x01"',
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_part_that_nobody_can_read_costs_neither_its_neighbours_nor_its_own_message(damage: str) -> None:
    def damaged(document: object) -> bytes:
        return json.dumps(document).replace('"PUT"', damage).encode()

    change_of = change(
        value(statuses=[status(), status(status="read", odd="PUT")], messages=[text("a"), text("b", odd="PUT")])
    )
    raw = damaged(
        {"object": "whatsapp_business_account", "entry": [entry(change_of), entry(change({"x": "PUT"}, "flows"))]}
    )
    webhook = parse(raw, NOW_MS)
    assert [reported.event.status for reported in webhook.statuses] == ["sent", "read"]
    assert [message.meta_id for message in webhook.messages] == ["a", "b"]
    assert [event.field for event in webhook.other] == ["flows"]
    assert webhook.ignored == 0
    for stored in (*(item.event.raw for item in webhook.statuses), *(item.raw for item in webhook.messages)):
        assert read_object(stored)["id"]


def test_a_byte_order_mark_costs_nothing() -> None:
    webhook = parse(b"\xef\xbb\xbf" + post(entry(change(value(statuses=[status()])))), NOW_MS)
    assert len(webhook.statuses) == 1


# --- contacts beside statuses ------------------------------------------------------------------------------------


def test_a_status_is_kept_with_the_contact_of_its_recipient() -> None:
    to_ben = status(status="read", recipient_id="2")
    by_user_id = {"id": META_ID, "status": "delivered", "recipient_user_id": "US.2"}
    in_a_group = status(recipient_id="group-1", recipient_participant_id="1", status="played")
    given = value(statuses=[status(recipient_id="3"), to_ben, by_user_id, in_a_group], contacts=[ANN, BEN])
    events = [reported.event for reported in parse(post(entry(change(given))), NOW_MS).statuses]
    kept = [json.loads(event.raw) for event in events]
    assert kept[0] == status(recipient_id="3")
    assert kept[1] == to_ben | {"contacts": [BEN]}
    assert kept[2] == by_user_id | {"contacts": [BEN]}
    assert kept[3] == in_a_group | {"contacts": [ANN]}


# --- everything else ---------------------------------------------------------------------------------------------


def test_statuses_messages_and_errors_may_share_a_value() -> None:
    errors = [{"code": 131035, "title": "t"}]
    given = value(statuses=[status()], messages=[text("wamid.in")], errors=errors)
    webhook = parse(post(entry(change(given))), NOW_MS)
    assert [reported.event.meta_message_id for reported in webhook.statuses] == [META_ID]
    assert [message.meta_id for message in webhook.messages] == ["wamid.in"]
    (event,) = webhook.other
    assert (event.field, event.phone_number_id, json.loads(event.raw)) == ("messages", PHONE, {"errors": errors})


def test_a_template_event_has_no_phone() -> None:
    given = {"event": "PAUSED", "message_template_id": 5, "message_template_name": "offer"}
    webhook = parse(post(entry(change(given, field="message_template_status_update"))), NOW_MS)
    (event,) = webhook.other
    assert (event.field, event.waba_id, event.phone_number_id) == ("message_template_status_update", WABA, None)
    assert (event.display_digits, event.time_ms) == ("", None)
    assert json.loads(event.raw) == given


@pytest.mark.parametrize(
    ("time", "expected"),
    [(1761291192, 1_761_291_192_000), ("1761291192123", 1_761_291_192_123), (None, None), ("x", None)],
)
def test_the_time_of_an_entry_is_that_of_its_events(time: object, expected: int | None) -> None:
    (event,) = parse(post(entry(change({}, field="account_update")) | {"time": time}), NOW_MS).other
    assert event.time_ms == expected


@pytest.mark.parametrize("number", ["+86 158-0000 (1795)", "8615800001795", 8615800001795])
def test_an_event_names_a_phone_by_its_digits(number: object) -> None:
    given = {"display_phone_number": number, "event": "FLAGGED"}
    (event,) = parse(post(entry(change(given, field="phone_number_quality_update"))), NOW_MS).other
    assert (event.phone_number_id, event.display_digits) == (None, "8615800001795")


@pytest.mark.parametrize("number", [None, {}, "", "none", "１２"])
def test_what_is_no_number_names_no_phone(number: object) -> None:
    (event,) = parse(post(entry(change({"display_phone_number": number}, field="security"))), NOW_MS).other
    assert event.display_digits == ""


def test_an_alert_names_its_phone_as_an_entity() -> None:
    def named(kind: object) -> str | None:
        given = {"entity_type": kind, "entity_id": int(PHONE), "alert_info": {}}
        (event,) = parse(post(entry(change(given, field="account_alerts"))), NOW_MS).other
        return event.phone_number_id

    assert named("PHONE_NUMBER") == PHONE
    assert [named(kind) for kind in ("WABA", "BUSINESS", None, 3)] == [None] * 4


def test_an_account_event_is_filed_under_the_waba_that_it_names() -> None:
    def filed(field: str, info: object) -> str:
        given = {"event": "PARTNER_REMOVED", "waba_info": info}
        (event,) = parse(post(entry(change(given, field=field), waba_id="999")), NOW_MS).other
        return event.waba_id

    assert filed("account_update", {"waba_id": WABA, "owner_business_id": "5"}) == WABA
    nothings: list[object] = [None, [], {}, {"waba_id": {}}]
    for nothing in nothings:
        assert filed("account_update", nothing) == "999"
    assert filed("flows", {"waba_id": WABA}) == "999"
