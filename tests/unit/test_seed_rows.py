"""Every row of the seed's request tables: what it requires is required, the rest optional, and all reaches Meta."""

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.bodies import ENVELOPE
from waypost.meta import graph
from waypost.protocol.errors import ParameterInvalid
from waypost.protocol.messages import decode

SEED = Path(__file__).parents[1] / "seed" / "rows.csv"
ROWS = {row["row"]: row for row in csv.DictReader(SEED.read_text("utf-8").splitlines())}

Way = tuple[str | int, ...]

MEDIA = {"id": "5867096a-a9be-4a56-94d6-89377623b4ac"}
CONTENTS: dict[str, Any] = {
    "text": {"body": "hello", "preview_url": True},
    "image": {**MEDIA, "caption": "image test"},
    "video": {**MEDIA, "caption": "video test"},
    "audio": MEDIA,
    "document": {**MEDIA, "filename": "document-test"},
    "location": {"longitude": "113.938", "latitude": 22.5, "name": "Guangdong", "address": "Science Park"},
    "sticker": MEDIA,
    "template": {
        "name": "all_kinds",
        "language": {"code": "en_US", "policy": "deterministic"},
        "components": [
            {"type": "header", "parameters": [{"type": "image", "image": MEDIA}]},
            {"type": "body", "parameters": [{"type": "text", "text": "David"}]},
            {"type": "button", "sub_type": "URL", "index": 0, "parameters": [{"type": "text", "text": "p/17"}]},
            {
                "type": "button",
                "sub_type": "QUICK_REPLY",
                "index": "1",
                "parameters": [{"type": "payload", "payload": "more"}],
            },
            {
                "type": "carousel",
                "cards": [
                    {
                        "card_index": 0,
                        "components": [
                            {"type": "header", "parameters": [{"type": "video", "video": MEDIA}]},
                            {"type": "header", "parameters": [{"type": "document", "document": MEDIA}]},
                        ],
                    }
                ],
            },
        ],
    },
}
COMPONENTS: Way = ("template", "components")
CARD: Way = (*COMPONENTS, 4, "cards", 0)

# row of a content's table → the way to its member and what Meta gets there
FORWARDED: dict[str, tuple[Way, object]] = {
    **{f"{type_}.{type_}": ((type_,), ...) for type_ in CONTENTS},
    **{f"{type_}.id": ((type_, "id"), MEDIA["id"]) for type_ in ("image", "video", "audio", "document", "sticker")},
    "text.body": (("text", "body"), "hello"),
    "text.preview_url": (("text", "preview_url"), True),
    "image.caption": (("image", "caption"), "image test"),
    "video.caption": (("video", "caption"), "video test"),
    "document.filename": (("document", "filename"), "document-test"),
    "location.longitude": (("location", "longitude"), 113.938),
    "location.latitude": (("location", "latitude"), 22.5),
    "location.name": (("location", "name"), "Guangdong"),
    "location.address": (("location", "address"), "Science Park"),
    "template.name": (("template", "name"), "all_kinds"),
    "template.language": (("template", "language"), {"code": "en_US", "policy": "deterministic"}),
    "template.components": (("template", "components"), ...),
    "language.code": (("template", "language", "code"), "en_US"),
    "language.policy": (("template", "language", "policy"), "deterministic"),
    "component.type": ((*COMPONENTS, 0, "type"), "header"),
    "component.sub_type": ((*COMPONENTS, 3, "sub_type"), "quick_reply"),
    "component.index": ((*COMPONENTS, 2, "index"), "0"),
    "component.parameters": ((*COMPONENTS, 1, "parameters"), [{"type": "text", "text": "David"}]),
    "component.cards": ((*COMPONENTS, 4, "cards"), ...),
    "card.card_index": ((*CARD, "card_index"), 0),
    "card.components": ((*CARD, "components"), ...),
    "parameter.type": ((*COMPONENTS, 1, "parameters", 0, "type"), "text"),
    "parameter.text": ((*COMPONENTS, 1, "parameters", 0, "text"), "David"),
    "parameter.payload": ((*COMPONENTS, 3, "parameters", 0, "payload"), "more"),
    "parameter.image": ((*COMPONENTS, 0, "parameters", 0, "image"), MEDIA),
    "parameter.video": ((*CARD, "components", 0, "parameters", 0, "video"), MEDIA),
    "parameter.document": ((*CARD, "components", 1, "parameters", 0, "document"), MEDIA),
}
BODY = {row: (row.removeprefix("body."),) for row in ROWS if row.startswith("body.")}
OPTIONAL_BODY: dict[str, Any] = {
    "cus_message_id": "order-17",
    "dr_webhook": "https://test.com/webhook",
    "biz_opaque_callback_data": "campaign 7",
    "api_type": 0,
    "context": {"message_id": "wamid.earlier"},
}
WAYS: dict[str, Way] = {
    **{row: way for row, (way, _) in FORWARDED.items()},
    **BODY,
    "text.context": ("context",),
    "context.message_id": ("context", "message_id"),
}
REQUIRED = [row for row in WAYS if ROWS[row]["required"] != "no" or ROWS[row]["fact"].startswith("required when")]
OPTIONAL = [row for row in WAYS if row not in REQUIRED]


def whole(type_: str) -> dict[str, Any]:
    """A message that has every member its tables name."""
    return copy.deepcopy(ENVELOPE | OPTIONAL_BODY | {"type": type_, type_: CONTENTS[type_]})


def at(thing: Any, way: Way) -> Any:
    for step in way:
        thing = thing[step]
    return thing


def message_without(row: str) -> bytes:
    way = WAYS[row]
    message = whole(str(way[0]) if way[0] in CONTENTS else "text")
    del at(message, way[:-1])[way[-1]]
    return json.dumps(message).encode()


def at_meta(message: dict[str, Any]) -> Any:
    request = decode(json.dumps(message).encode())
    return json.loads(graph.send_body(request, context_meta_id="wamid.META", opaque=request.biz_opaque_callback_data))


@pytest.mark.parametrize("row", FORWARDED)
def test_what_a_row_of_a_content_names_reaches_meta(row: str) -> None:
    way, expected = FORWARDED[row]
    found = at(at_meta(whole(str(way[0]))), way)
    assert found if expected is ... else found == expected


@pytest.mark.parametrize("row", REQUIRED)
def test_what_a_row_requires_is_required(row: str) -> None:
    with pytest.raises(ParameterInvalid) as caught:
        decode(message_without(row))
    assert caught.value.path is not None
    place = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in WAYS[row])
    either = "either link or id is required"
    assert caught.value.path == place or (caught.value.details == either and place == f"{caught.value.path}.id")


@pytest.mark.parametrize("row", OPTIONAL)
def test_what_a_row_does_not_require_may_be_left_out(row: str) -> None:
    assert decode(message_without(row)).to == ENVELOPE["to"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.endswith(".link")])
def test_a_link_reaches_meta_where_there_is_no_id(row: str) -> None:
    type_ = row.partition(".")[0]
    message = whole(type_) | {type_: {"link": "https://test.com/file"}}
    assert at_meta(message)[type_] == {"link": "https://test.com/file"}


@pytest.mark.parametrize("code", [row["row"] for row in ROWS.values() if row["table"] == "template language"])
def test_every_language_of_the_table_reaches_meta(code: str) -> None:
    message = whole("template")
    message["template"]["language"]["code"] = code.removeprefix("language.")
    assert at_meta(message)["template"]["language"] == {
        "code": code.removeprefix("language."),
        "policy": "deterministic",
    }


def test_the_rows_of_the_envelope_end_where_meta_wants_them() -> None:
    assert at_meta(whole("text")) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": f"+{ENVELOPE['to']}",
        "type": "text",
        "text": CONTENTS["text"],
        "context": {"message_id": "wamid.META"},
        "biz_opaque_callback_data": "campaign 7",
    }


def test_every_row_of_the_request_tables_is_held_here() -> None:
    tables = {"body", "text", "context", *CONTENTS, "language", "component", "card", "parameter"}
    rows = {name for name, row in ROWS.items() if row["table"] in tables}
    assert rows == WAYS.keys() | {name for name in rows if name.endswith(".link")}
