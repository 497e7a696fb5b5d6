"""From the options of `waypost send` to the content of a message."""

import json
from pathlib import Path

import pytest
import typer

from waypost.cli.message_content import TYPES, Given, content_of
from waypost.cli.run import CommandFailed
from waypost.protocol.messages import decode

SEED_TYPES = {"text", "image", "video", "audio", "document", "location", "sticker", "template"}


def test_every_type_of_the_api_can_be_sent() -> None:
    assert set(TYPES) >= SEED_TYPES
    assert set(TYPES) - SEED_TYPES == {"interactive", "contacts", "reaction", "reacticon"}


@pytest.mark.parametrize(
    ("kind", "given", "content"),
    [
        ("text", Given(body=""), {"body": ""}),
        ("text", Given(body="b", preview_url=False), {"body": "b", "preview_url": False}),
        (
            "image",
            Given(link="https://x.example/a.png", caption="c"),
            {"link": "https://x.example/a.png", "caption": "c"},
        ),
        ("document", Given(id="5", filename="f.pdf"), {"id": "5", "filename": "f.pdf"}),
        ("location", Given(latitude=0.0, longitude=-7.5), {"latitude": 0.0, "longitude": -7.5}),
        ("sticker", Given(content='{"id": "9"}'), {"id": "9"}),
        ("contacts", Given(content='[{"name": {}}]'), [{"name": {}}]),
        (
            "template",
            Given(template="t"),
            {"name": "t", "language": {"code": "en_US", "policy": "deterministic"}},
        ),
    ],
)
def test_options_become_the_object_of_their_type(kind: str, given: Given, content: object) -> None:
    assert content_of(kind, given) == content


@pytest.mark.parametrize(
    ("kind", "given", "complaint"),
    [
        ("text", Given(), "needs --body"),
        ("text", Given(body="b", caption="c"), "--caption does not belong"),
        ("text", Given(body="b", preview_url=True, id="1"), "--id does not belong"),
        ("audio", Given(id="1", caption="c"), "--caption does not belong"),
        ("video", Given(caption="c"), "needs --link or --id"),
        ("location", Given(longitude=1.0), "needs --latitude"),
        ("location", Given(latitude=1.0), "--latitude and --longitude"),
        ("template", Given(language="de"), "needs --template"),
        ("template", Given(template="t", components="{}"), "must be a JSON list"),
        ("template", Given(template="t", components="[1]"), "a list of objects"),
        ("template", Given(template="t", components='[{"type": "BODY"}]', param=["a"]), "--param fills the body"),
        ("interactive", Given(), "takes --content"),
        ("reaction", Given(body="b"), "--body does not belong"),
        ("text", Given(content="{}", body="b"), "--body can't stand beside it"),
        ("text", Given(content='"x"'), "object or a list of objects"),
        ("text", Given(content='{"a":' + "[" * 5000), "not JSON"),
        ("text", Given(content="\udcff"), "not JSON"),
        ("fax", Given(body="b"), "TYPE must be one of"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(kind: str, given: Given, complaint: str) -> None:
    with pytest.raises(typer.BadParameter, match=complaint):
        content_of(kind, given)


@pytest.mark.parametrize("name", ["gone.json", "a\0b"])
def test_a_file_that_cannot_be_read_is_a_failure(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot read the file of --content"):
        content_of("text", Given(content=f"@{tmp_path / name}"))


def test_what_it_builds_is_what_the_gateway_decodes() -> None:
    content = content_of("template", Given(template="t", param=["a"], components='[{"type": "header"}]'))
    assert isinstance(content, dict)
    assert [component["type"] for component in content["components"]] == ["header", "body"]
    message = {
        "appkey": "a", "business_phone": "8615800001795", "messaging_product": "whatsapp",
        "recipient_type": "individual", "to": "8613900000002", "type": "template", "template": content,
    }  # fmt: skip

    assert decode(json.dumps(message).encode()).type == "template"
