"""Meta's webhooks in, our callbacks out: a pair of files for every kind, `<kind>.meta.json` and `<kind>.callback.json`.

`statuses/<kind>.message.json` says, where it matters, in what the message differs that a status is about. A callback
must equal its file byte for byte once the file's white space is taken out.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.journal_rows import message
from waypost.clock import Clock
from waypost.meta import webhooks
from waypost.model import Message
from waypost.protocol import callbacks
from waypost.sdk.callbacks import EventCallback, InboundCallback, StatusCallback, parse

HERE = Path(__file__).parent
APP_ID = 277
PHONE = "8613800000001"
WABA = "102290129340398"
TIME_S = 1761291192


def kinds(folder: str) -> list[str]:
    return sorted(path.name.removesuffix(".meta.json") for path in (HERE / folder).glob("*.meta.json"))


def reported(path: str) -> webhooks.Webhook:
    webhook = webhooks.parse((HERE / f"{path}.meta.json").read_bytes(), TIME_S * 1000)
    assert webhook.ignored == 0
    return webhook


def expected(path: str) -> bytes:
    document = json.loads((HERE / f"{path}.callback.json").read_text("utf-8"))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def journalled(path: str) -> Message:
    usual: dict[str, Any] = {
        "id": "wamid.0190f3c2a4b87d10a3f5c6d7e8f90a1b",
        "business_phone": PHONE,
        "recipient": "8613900000002",
        "type": "template",
        "category": "marketing",
    }
    changes = HERE / f"{path}.message.json"
    return message(Clock(), **usual | (json.loads(changes.read_text("utf-8")) if changes.exists() else {}))


@pytest.mark.parametrize("kind", kinds("statuses"))
def test_a_status(kind: str) -> None:
    path = f"statuses/{kind}"
    (status,) = reported(path).statuses
    body = callbacks.status_body(
        journalled(path), status.event, waba_id=status.waba_id, app_id=APP_ID, display_number=PHONE
    )
    assert body.decode() == expected(path).decode()
    assert isinstance(parse(body), StatusCallback)


@pytest.mark.parametrize("kind", kinds("inbound"))
def test_an_inbound_message(kind: str) -> None:
    path = f"inbound/{kind}"
    (event,) = reported(path).other
    assert callbacks.subscription_of(event.field) == "messages"
    inbound = callbacks.read_inbound(event.raw)
    assert inbound.ids == ("wamid.IN1",)
    for value in (event.raw, event.raw.encode(), inbound):
        body = callbacks.inbound_body(
            value, 0, waba_id=event.waba_id, app_id=APP_ID, business_phone=PHONE, currency="USD"
        )
        assert body.decode() == expected(path).decode()
    assert isinstance(parse(body), InboundCallback)


@pytest.mark.parametrize("kind", kinds("events"))
def test_an_event(kind: str) -> None:
    path = f"events/{kind}"
    (event,) = reported(path).other
    body = callbacks.event_body(event.field, event.raw, business_phone=PHONE, waba_id=event.waba_id, time_s=TIME_S)
    assert body.decode() == expected(path).decode()
    parsed = parse(body)
    assert isinstance(parsed, EventCallback)
    assert parsed.field == callbacks.event_field(event.field, event.raw)


def test_every_subscription_but_calls_has_its_pairs() -> None:
    fields = {json.loads(expected(f"events/{kind}"))["field"] for kind in kinds("events")}
    assert set(callbacks.SUBSCRIPTIONS) - fields == {"messages", "message_status_update", "calls"}


def test_no_file_stands_alone() -> None:
    names = {path.relative_to(HERE).as_posix() for path in HERE.glob("*/*.json")}
    stems = {name.removesuffix(".meta.json") for name in names if name.endswith(".meta.json")}
    assert {name.rpartition(".json")[0].rpartition(".")[0] for name in names} == stems
    assert {f"{stem}.callback.json" for stem in stems} <= names
    assert len(stems) > 50
