"""`/openapi.json` and `/docs`: they describe what the gateway really takes and answers, and nothing of its insides."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message as AsgiMessage

from tests.bodies import CONTENTS, ENVELOPE, body
from tests.schema_check import Json, problems, resolve
from tests.seed import EXAMPLES, RESPONSES
from waypost.gateway.deliver import Deliverer
from waypost.gateway.endpoints import PushLimits
from waypost.gateway.holds import Held
from waypost.gateway.queue_view import MessageLine, PhoneLine, QueuedPage, QueuePicture, SortLine
from waypost.model import Attempt, AuditEntry, Callback, CallbackKind, CallbackState, Message, State
from waypost.protocol import replies
from waypost.protocol.errors import FAILURES, Failure, MetaRefused
from waypost.protocol.messages import MtRequest, decode
from waypost.store.base_queue import Pause
from waypost.web import admin, admin_callbacks, admin_queries, api_words, openapi
from waypost.web.admin import AdminApi
from waypost.web.admin_callbacks import CallbackAdmin
from waypost.web.admin_queue import QueueAdmin
from waypost.web.answers import reply
from waypost.web.description import Description, kind_of
from waypost.web.token import Guard

DOCUMENT = openapi.build()
SEND = DOCUMENT["paths"]["/api/wa/mt"]["post"]
REQUEST = SEND["requestBody"]["content"]["application/json"]
ANSWER = SEND["responses"]["200"]["content"]["application/json"]


def values(thing: object, key: str) -> Iterator[Any]:
    """Every value under a key, however deep."""
    if isinstance(thing, dict):
        if key in thing:
            yield thing[key]
        for inner in thing.values():
            yield from values(inner, key)
    elif isinstance(thing, list):
        for inner in thing:
            yield from values(inner, key)


async def get(path: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the two routes over ASGI, without a server."""
    sent: list[AsgiMessage] = []

    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "root_path": ""}
    await Starlette(routes=Description().routes())(scope, receive, send)
    start, rest = sent[0], sent[1:]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(part.get("body", b"") for part in rest)


# --- the document -------------------------------------------------------------------------------------------------


def test_every_reference_leads_somewhere() -> None:
    references = [ref for ref in values(DOCUMENT, "$ref") if isinstance(ref, str)]
    assert len(references) > 40
    for reference in references:
        assert resolve(DOCUMENT, reference)
    for target in REQUEST["schema"]["discriminator"]["mapping"].values():
        assert resolve(DOCUMENT, target)


def test_every_request_type_is_described() -> None:
    names = {kind.__name__ for kind in get_args(MtRequest)}
    assert names <= DOCUMENT["components"]["schemas"].keys()
    assert set(REQUEST["schema"]["discriminator"]["mapping"]) == set(CONTENTS) | {"reacticon"}


def test_every_schema_and_every_member_of_a_request_has_words() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        if name in api_words.SCHEMAS and name != "Parameter":
            for member, inner in schema["properties"].items():
                own_content = "$ref" in inner and name.endswith("Message")
                assert own_content or inner.get("description"), f"{name}.{member}"


def test_every_answer_code_is_described_and_shown() -> None:
    codes = {0, *(failure.code for failure in FAILURES)}
    assert {row["code"] for row in DOCUMENT["x-codes"]} == codes
    assert {int(code) for code in ANSWER["examples"]} == codes
    for row in DOCUMENT["x-codes"]:
        assert row["text"]
        assert row["meaning"].endswith(".")
        assert row["advice"].endswith(".")


def test_the_headers_are_those_that_are_signed() -> None:
    required = {header["name"] for header in SEND["parameters"] if header["required"]}
    assert required == {"accessKey", "ts", "bizType", "action", "sign"}
    assert {header["name"] for header in SEND["parameters"]} - required == {"algorithm"}


def test_the_description_keeps_internal_words_to_itself() -> None:
    words = json.dumps(DOCUMENT)
    for internal in ("decision D", "the seed", "once decoded", "msgspec"):
        assert internal not in words


# --- examples fit the schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_seed_fits_the_schema(name: str) -> None:
    assert problems(DOCUMENT, REQUEST["schema"], json.loads(EXAMPLES[name])) == []


@pytest.mark.parametrize("name", REQUEST["examples"])
def test_every_example_shown_fits_the_schema_and_decodes(name: str) -> None:
    value = REQUEST["examples"][name]["value"]
    assert problems(DOCUMENT, REQUEST["schema"], value) == []
    assert decode(json.dumps(value).encode()).type == name


def test_there_is_an_example_of_every_type() -> None:
    assert set(REQUEST["examples"]) == set(CONTENTS)


@pytest.mark.parametrize("code", ANSWER["examples"])
def test_every_answer_shown_fits_its_schema(code: str) -> None:
    value = ANSWER["examples"][code]["value"]
    assert value["code"] == int(code)
    assert problems(DOCUMENT, ANSWER["schema"], value) == []


@pytest.mark.parametrize("name", RESPONSES)
def test_every_answer_of_the_seed_fits_the_schema_but_for_the_trace_id(name: str) -> None:
    value = json.loads(RESPONSES[name]) | {"traceId": "0" * 32}
    assert problems(DOCUMENT, ANSWER["schema"], value) == []


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_answered_fits_the_schema(failure: type[Failure]) -> None:
    raised = failure({"code": 1}) if issubclass(failure, MetaRefused) else failure("x" * 50)
    answer = json.loads(replies.failure(raised, "a" * 32))
    assert problems(DOCUMENT, ANSWER["schema"], answer) == []


@pytest.mark.parametrize(
    "members",
    [
        {"to": None},
        {"to": 86136},
        {"type": "fax"},
        {"text": {}},
        {"api_type": 2},
        {"context": {}},
        {"appkey": ""},
        {"cus_message_id": "x" * 129},
        {"messaging_product": "sms"},
    ],
)
def test_what_the_decoder_refuses_the_schema_refuses_too(members: Json) -> None:
    assert problems(DOCUMENT, REQUEST["schema"], json.loads(body(**members))) != []


def test_media_without_a_source_do_not_fit() -> None:
    whole = ENVELOPE | {"type": "image", "image": {"caption": "x"}}
    assert problems(DOCUMENT, REQUEST["schema"], whole) != []


# --- what operators call ------------------------------------------------------------------------------------------


def paths_of(routes: list[Route]) -> set[str]:
    return {re.sub(r":\w+}", "}", route.path) for route in routes}


def test_every_admin_route_is_described_with_its_refusals() -> None:
    guard = Guard("token")
    routes = [
        *AdminApi(None, None, None, None, guard).routes(),  # type: ignore[arg-type]  # only its routes are read
        *CallbackAdmin(None, None, guard).routes(),  # type: ignore[arg-type]  # the same
        *QueueAdmin(None, None, None, guard).routes(),  # type: ignore[arg-type]  # the same
    ]
    described = {path for path in DOCUMENT["paths"] if path.startswith("/admin/")}
    assert described == paths_of(routes)
    for path in described:
        for operation in DOCUMENT["paths"][path].values():
            assert operation["security"] == [{"adminToken": []}]
            assert {"200", "401", "503"} <= operation["responses"].keys()


def test_the_described_message_is_the_one_that_is_answered() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    message = row()
    timeline = json.loads(bytes(reply(admin.timeline(message, (), [(pushed(), ())])).body))
    assert problems(DOCUMENT, schemas["MessageTimeline"], timeline) == []
    assert set(timeline) == set(schemas["MessageTimeline"]["properties"])
    assert set(admin.summary(message)) == set(schemas["MessageSummary"]["properties"])
    (shown,) = timeline["callbacks"]
    assert set(shown) == set(schemas["MessageCallback"]["properties"])


def test_the_described_callback_is_the_one_that_is_answered() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    deliverer = Deliverer(None, None, None, None, PushLimits(timeout_s=1))  # type: ignore[arg-type]  # it does not run
    attempt = Attempt(callback_id="cb1", number=1, at_ms=1, duration_ms=5, http_status=200)
    for schema, answered in (
        ("CallbackSummary", admin_callbacks.summary(pushed(), deliverer)),
        ("Event", admin_callbacks.with_payload(pushed())),
        (
            "CallbackWithAttempts",
            admin_callbacks.with_payload(pushed()) | {"attempts": [admin_callbacks.shown_attempt(attempt)]},
        ),
    ):
        content = json.loads(bytes(reply(answered).body))
        assert problems(DOCUMENT, schemas[schema], content) == []
        assert set(content) == set(schemas[schema]["properties"])


def test_the_described_audit_entry_is_the_one_that_is_answered() -> None:
    entry = AuditEntry(id="a1", at_ms=1, who="admin", action="replay", selection='{"state":"done"}', affected=3)
    schema = DOCUMENT["components"]["schemas"]["AuditTrail"]
    content = json.loads(bytes(reply({"entries": [admin_callbacks.shown_entry(entry)]}).body))
    assert problems(DOCUMENT, schema, content) == []
    assert set(content["entries"][0]) == set(schema["properties"]["entries"]["items"]["properties"])
    assert content["entries"][0]["selection"] == {"state": "done"}


def test_the_described_selection_is_the_one_that_is_understood() -> None:
    operation = DOCUMENT["paths"]["/admin/v1/callbacks/replay"]["post"]
    members = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(members) == set(admin_queries.ReplayRequest.__struct_fields__)


def test_the_described_queue_is_the_one_that_is_answered() -> None:
    held = Held(kind="waba", key="2", reason="call limit", by="gateway", has_end=True, seconds_left=4.0)
    sort = SortLine(
        account="a", appkey="k", priority="prompt", reason="its turn", aside=False, waiting=2, oldest_seconds=0.5
    )
    phone = PhoneLine(
        phone_number_id="1", number=None, waba_id=None, waiting=2, aside=0, oldest_seconds=0.5, under_way=1,
        pace_per_second=12.5, configured_per_second=None, held_by=(held,), ends_in_seconds=None, sorts=(sort,),
    )  # fmt: skip
    picture = QueuePicture(waiting=2, limit=9, oldest_seconds=0.5, under_way=1, paused=(held,), phones=(phone,))
    message = MessageLine(
        message_id="wamid.1", phone_number_id="1", number=None, account="a", appkey="k", to="86", priority="ordinary",
        template=None, since_ms=1, waiting_seconds=1.5, due_in_seconds=0.0, expires_in_seconds=None, tries=0,
        reason="its turn",
    )  # fmt: skip
    pause = Pause(kind="phone", key="1", reason="", since_ms=1, until_ms=None, by="operator")
    schemas = DOCUMENT["components"]["schemas"]
    for schema, answered in (
        ("QueuePicture", picture),
        ("QueuedPage", QueuedPage(messages=(message,), next_cursor=None)),
        ("Paused", {"paused": pause}),
    ):
        content = json.loads(bytes(reply(answered).body))
        assert problems(DOCUMENT, schemas[schema], content) == []
        assert set(content) == set(schemas[schema]["properties"])


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ("pause", admin_queries.HoldRequest),
        ("resume", admin_queries.HoldRequest),
        ("cancel", admin_queries.CancelRequest),
    ],
)
def test_the_described_order_is_the_one_that_is_understood(order: str, kind: type[Any]) -> None:
    operation = DOCUMENT["paths"][f"/admin/v1/queue/{order}"]["post"]
    members = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(members) == set(kind.__struct_fields__)


def pushed() -> Callback:
    return Callback(
        id="cb1", account="acme", appkey="f543ertg", url="https://shop.example/dr", endpoint="acme https://shop.example",
        kind=CallbackKind.STATUS, body=b'{"statuses":[]}', access_key="k", message_id="wamid.1", status="sent", rank=40,
        state=CallbackState.DONE, created_at_ms=1, attempts=1, first_attempt_at_ms=1, settled_at_ms=6, http_status=200,
    )  # fmt: skip


def row() -> Message:
    return Message(
        id="wamid.1", account="acme", appkey="f543ertg", access_key="k", business_phone="8615800001795",
        phone_number_id="1", waba_id="2", recipient="8613600009759", type="text", category="service",
        endpoint="messages", body=None, trace_id="0" * 32, key="sign:1", key_expires_ms=1, sign="1", fingerprint="f",
        state=State.ACCEPTED, rank=30, attempt=1, owner="o", lease_until_ms=1, created_at_ms=1,
    )  # fmt: skip


# --- over HTTP ----------------------------------------------------------------------------------------------------


async def test_the_document_is_served_as_json() -> None:
    status, headers, content = await get("/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(content) == DOCUMENT


class Page(HTMLParser):
    """What matters about a page: its ids, its links, what it loads, and whether its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [named["id"] or ""] if "id" in named else []
        if tag == "a":
            self.links.append(named.get("href") or "")
        self.loads += [tag] if "src" in named or tag in ("link", "script", "iframe") else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_needs_nothing_but_itself() -> None:
    status, headers, content = await get("/docs")
    text = content.decode()
    page = Page(text)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert page.loads == []
    assert page.open == []
    assert "@import" not in text
    assert "url(" not in text


async def test_the_page_can_be_walked_by_its_links_and_read_on_a_phone() -> None:
    _, _, content = await get("/docs")
    page = Page(content.decode())
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link == "openapi.json" or (link.startswith("#") and link[1:] in page.ids), link
    assert b'name="viewport" content="width=device-width' in content
    assert b"color-scheme: light dark" in content


async def test_the_page_tells_every_type_and_every_code() -> None:
    _, _, content = await get("/docs")
    ids = Page(content.decode()).ids
    assert {f"type-{type_}" for type_ in CONTENTS} <= set(ids)
    assert {f"code{row['code']}" for row in DOCUMENT["x-codes"]} <= set(ids)
    assert "Nothing to do." in content.decode()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"$ref": "#/components/schemas/Card"}, "Card"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Card"}}, "list of Card"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}, "integer or string"),
        ({"type": ["integer", "null"]}, "integer"),
        ({"enum": ["whatsapp"]}, '"whatsapp"'),
        ({"const": 0}, "0"),
        ({}, "any"),
    ],
)
def test_a_kind_reads_like_words(schema: Json, words: str) -> None:
    assert kind_of(schema) == words
