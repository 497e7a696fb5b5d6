"""Any bytes decode to a message that can be sent, or to a 9000; nothing else ever happens."""

import copy
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.bodies import CONTENTS, ENVELOPE
from tests.seed import EXAMPLES
from waypost.meta.graph import send_body
from waypost.protocol import replies
from waypost.protocol.errors import ParameterInvalid
from waypost.protocol.messages import MtRequest, decode, fingerprint

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()  # NaN and Infinity too: Python writes them, JSON knows none
    | st.text()
    | st.sampled_from(["", "\0", "\ud800", "x" * 300, 10**400, 2**63, 2**64, 1e308, -0.0, "https://[", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
VALID: list[Any] = [json.loads(raw) for raw in EXAMPLES.values()]
VALID += [ENVELOPE | {"type": type_, type_: content} for type_, content in CONTENTS.items()]
TRACE = "0" * 32


def holds(raw: bytes) -> None:
    """The whole promise for one input."""
    outcome = attempt(raw)
    if isinstance(outcome, ParameterInvalid):
        assert outcome.path is not None
        assert outcome.path.startswith("$")
        assert len(outcome.path) <= 200
        assert 0 < len(outcome.details) <= 200
        answer = json.loads(replies.failure(outcome, TRACE))
        assert answer["data"] == {"error": {"path": outcome.path, "details": outcome.details}}
        return
    assert outcome.to.isascii()
    assert outcome.to.isdigit()
    assert 6 <= len(outcome.to) <= 15
    body = json.loads(send_body(outcome, context_meta_id=None, opaque=outcome.biz_opaque_callback_data))
    assert body["type"] == outcome.type
    assert body[body["type"]]
    assert len(fingerprint(outcome)) == 64


def attempt(raw: bytes) -> MtRequest | ParameterInvalid:
    """The message, or the one refusal that may come instead."""
    try:
        return decode(raw)
    except ParameterInvalid as refusal:
        return refusal


def ways(value: object, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The ways to every member of a JSON value."""
    found = [way] if way else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inner:
        found += ways(member, (*way, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body with one to three members replaced, removed or added, sometimes cut or overwritten as bytes."""
    whole = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(ways(whole)))
        parent = whole
        for step in above:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove" if len(ways(whole)) > 3:
                del parent[last]
            case "add" if isinstance(parent, dict):
                parent[draw(st.text(max_size=8) | st.sampled_from(sorted(ENVELOPE)))] = draw(JSON)
            case _:
                parent[last] = draw(JSON)
    raw = json.dumps(whole, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 4)) :]
    return raw


@given(st.binary())
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"type":"text"' + b',"a":{' * 5000)
@example(b'{"type":"text","to":' + b"9" * 5000 + b"}")
def test_any_bytes_are_a_message_or_a_9000(raw: bytes) -> None:
    holds(raw)


@given(JSON)
def test_any_json_is_a_message_or_a_9000(value: object) -> None:
    holds(json.dumps(value).encode())


@given(st.sampled_from(sorted(CONTENTS)), JSON)
def test_any_content_is_a_message_or_a_9000(type_: str, content: object) -> None:
    holds(json.dumps(ENVELOPE | {"type": type_, type_: content}).encode())


@given(st.sampled_from(["parameters", "cards"]), JSON)
def test_any_component_is_a_message_or_a_9000(member: str, content: object) -> None:
    component = {"type": "carousel" if member == "cards" else "body", member: [content]}
    template = CONTENTS["template"] | {"components": [component]}
    holds(json.dumps(ENVELOPE | {"type": "template", "template": template}).encode())


@given(mutated())
def test_a_valid_body_with_a_few_wounds_is_a_message_or_a_9000(raw: bytes) -> None:
    holds(raw)


@given(st.text())
def test_any_text_body_arrives_at_meta_as_it_was_written(text: str) -> None:
    raw = json.dumps(ENVELOPE | {"type": "text", "text": {"body": text}}).encode()
    assert json.loads(send_body(decode(raw), context_meta_id=None, opaque=None))["text"] == {"body": text}
