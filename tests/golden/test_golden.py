"""Meta's webhooks in, our callbacks out: a pair of files for every kind, `<kind>.meta.json` and `<kind>.callback.json`.

Each goes through the gateway: signed, twice, to a number of `acme` on a WABA where `globex` has a number too.
`<kind>.message.json` says, where it matters, in what the message differs that a status is about or a reply answers. A
callback must equal its file byte for byte once the file's white space is taken out.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.journal_rows import accepted, message, unknown
from tests.golden.stand import APP_SECRET, Stand, standing
from waypost.gateway import attempt, judge
from waypost.gateway.event_routing import BUSINESS_FIELDS
from waypost.meta.answer import RefusedByMeta, read_answer
from waypost.model import Callback, CallbackKind, Message
from waypost.protocol import callbacks
from waypost.sdk.callbacks import CallsCallback, EventCallback, InboundCallback, Parsed, StatusCallback, parse
from waypost.store.base import Judgement

HERE = Path(__file__).parent
APPKEY, PHONE, PHONE_ID = "f543ertg", "8613800000001", "106540352242922"
NEIGHBOUR, NEIGHBOUR_ID = "8613800000009", "106540352242999"
WABA = "102290129340398"
META_ID = "wamid.HBgNODYxMzkwMDAwMDAwMhUCABEYEjA="
RECEIVED_S = 1_761_300_000  # when a POST comes in: hours after the times in the files
TENANTS: dict[str, Any] = {
    "wabas": [
        {
            "waba_id": WABA,
            "access_token": "t",
            "app_secret": APP_SECRET,
            "phones": [
                {"number": PHONE, "phone_number_id": PHONE_ID},
                {"number": NEIGHBOUR, "phone_number_id": NEIGHBOUR_ID},
            ],
        }
    ],
    "accounts": [
        {
            "name": name,
            "access_key": f"key-of-{name}",
            "access_secret": "s",
            "applications": [
                {"appkey": appkey, "phones": [number], "webhook": f"https://{name}.example/", "prices": {"*": {}}}
            ],
        }
        for name, appkey, number in (("acme", APPKEY, PHONE), ("globex", "neighbour", NEIGHBOUR))
    ],
}
ALONE = TENANTS | {"accounts": TENANTS["accounts"][:1]}
FORMS: dict[str, tuple[CallbackKind, type[Parsed]]] = {
    "statuses": (CallbackKind.STATUS, StatusCallback),
    "failures": (CallbackKind.STATUS, StatusCallback),
    "inbound": (CallbackKind.INBOUND, InboundCallback),
    "calls": (CallbackKind.EVENT, CallsCallback),
    "events": (CallbackKind.EVENT, EventCallback),
    "one_account": (CallbackKind.EVENT, EventCallback),
}


def paths(*folders: str) -> list[str]:
    found = [path for folder in folders for path in (HERE / folder).glob("*.meta.json")]
    return sorted(path.relative_to(HERE).as_posix().removesuffix(".meta.json") for path in found)


def webhook(path: str) -> bytes:
    return (HERE / f"{path}.meta.json").read_bytes()


def expected(path: str) -> bytes:
    document = json.loads((HERE / f"{path}.callback.json").read_text("utf-8"))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


async def journalled(stand: Stand, path: str) -> Message:
    """Journal the message that a file is about, in flight."""
    usual: dict[str, Any] = {
        "id": "wamid.0190f3c2a4b87d10a3f5c6d7e8f90a1b",
        "business_phone": PHONE,
        "recipient": "8613900000002",
        "type": "template",
        "category": "marketing",
        "dr_webhook": "https://acme.example/dr",
    }
    changes = HERE / f"{path}.message.json"
    row = message(stand.clock, **usual | (json.loads(changes.read_text("utf-8")) if changes.exists() else {}))
    await stand.store.accept(row)
    return row


def check(path: str, callback: Callback) -> None:
    """Hold a callback against its file, and against what the folder says of it."""
    kind, form = FORMS[path.partition("/")[0]]
    assert callback.body.decode() == expected(path).decode()
    assert (callback.account, callback.appkey, callback.kind) == ("acme", APPKEY, kind)
    assert callback.url == ("https://acme.example/dr" if kind == CallbackKind.STATUS else "https://acme.example/")
    assert isinstance(parse(callback.body), form)


@pytest.mark.parametrize("path", paths("statuses", "inbound", "calls", "events"))
async def test_a_webhook_leads_to_its_callback_once_and_to_none_of_another_account(path: str) -> None:
    async with standing(TENANTS) as stand:
        stand.clock.wall_ms = RECEIVED_S * 1000
        if path.startswith("statuses/") or (HERE / f"{path}.message.json").exists():
            await stand.store.record_outcome(accepted(await journalled(stand, path), META_ID))
        for _ in range(2):
            intake = await stand.post(webhook(path))
            assert (intake.foreign, intake.ignored, intake.effect.parked) == (0, 0, 0)
        (callback,) = await stand.callbacks("acme")
        check(path, callback)
        assert callback.endpoint in stand.rung

        told = json.loads(callback.body)
        names_a_phone = any(name in webhook(path).decode() for name in ("display_phone_number", PHONE_ID))
        everyones = told.get("field") in BUSINESS_FIELDS and not names_a_phone
        assert [json.loads(item.body) for item in await stand.callbacks("globex")] == (
            [told | {"value": told["value"] | {"business_phone": NEIGHBOUR}}] if everyones else []
        )


@pytest.mark.parametrize("path", paths("statuses"))
async def test_a_status_that_overtook_the_answer_about_its_message_leads_to_the_same_callback(path: str) -> None:
    async with standing(TENANTS) as stand:
        stand.clock.wall_ms = RECEIVED_S * 1000
        row = await journalled(stand, path)
        assert (await stand.post(webhook(path))).effect.parked == 1
        assert await stand.callbacks() == ()
        await stand.store.record_outcome(accepted(row, META_ID))
        (callback,) = await stand.callbacks()
        check(path, callback)


@pytest.mark.parametrize("path", paths("one_account"))
async def test_what_may_concern_people_and_names_no_phone_is_told_where_nobody_else_uses_the_waba(path: str) -> None:
    async with standing(TENANTS) as shared:
        assert (await shared.post(webhook(path))).other == 1
        assert await shared.callbacks() == ()
    async with standing(ALONE) as stand:
        await stand.post(webhook(path))
        (callback,) = await stand.callbacks()
        check(path, callback)


async def test_a_message_that_meta_never_spoke_of_is_called_failed() -> None:
    async with standing(TENANTS) as stand:
        stand.clock.wall_ms = RECEIVED_S * 1000
        row = await stand.store.record_outcome(unknown(await journalled(stand, "failures/outcome_unknown")))
        draft = stand.outbox.draft_failure(row, judge.CODE, judge.TITLE, at_ms=stand.clock.now_ms())
        await stand.store.fail_unknown((Judgement(message_id=row.id, callback=draft),), now_ms=stand.clock.now_ms())
        (callback,) = await stand.callbacks()
        check("failures/outcome_unknown", callback)


async def test_a_refusal_that_came_after_the_answer_to_the_customer_is_called_failed() -> None:
    async with standing(TENANTS) as stand:
        stand.clock.wall_ms = RECEIVED_S * 1000
        row = await journalled(stand, "failures/refused_later")
        answer = read_answer(400, webhook("failures/refused_later"))
        assert isinstance(answer, RefusedByMeta)
        draft = stand.outbox.draft_refusal(row, answer, at_ms=stand.clock.now_ms())
        await stand.store.record_outcome(attempt.late_outcome_of(row, answer, stand.clock.now_ms()), draft)
        (callback,) = await stand.callbacks()
        check("failures/refused_later", callback)


def test_every_subscription_has_its_pairs() -> None:
    fields = {json.loads(expected(path))["field"] for path in paths("events")}
    assert paths("calls")
    assert set(callbacks.SUBSCRIPTIONS) - fields == {"messages", "message_status_update", "calls"} - fields


def test_every_field_that_several_accounts_may_hear_of_has_its_pairs() -> None:
    assert {json.loads(expected(path))["field"] for path in paths("events")} >= BUSINESS_FIELDS


def test_no_file_stands_alone() -> None:
    names = {path.relative_to(HERE).as_posix() for path in HERE.glob("*/*.json")}
    stems = {name.removesuffix(".callback.json") for name in names if name.endswith(".callback.json")}
    assert {name.rpartition(".json")[0].rpartition(".")[0] for name in names} == stems
    assert {f"{stem}.meta.json" for stem in stems} - names == {"failures/outcome_unknown.meta.json"}
    assert len(stems) > 120
