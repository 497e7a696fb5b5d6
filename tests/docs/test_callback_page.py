"""The customers' page on callbacks: its examples are callbacks, its digests right, its Python runs as printed."""

import hashlib
import re

import pytest

from tests.docs.source import DOCS
from waypost.gateway.event_routing import BUSINESS_FIELDS
from waypost.protocol.callbacks import SUBSCRIPTIONS, nxcloud_headers, standard_headers
from waypost.sdk.callbacks import CallsCallback, EventCallback, InboundCallback, Parsed, StatusCallback, parse

PAGE = (DOCS / "api" / "callbacks.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for named, block in found if named == language]


EXAMPLES = blocks("json")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(0, StatusCallback), (1, StatusCallback), (2, InboundCallback), (3, EventCallback), (4, CallsCallback)],
)
def test_an_example_is_a_callback(number: int, kind: type[Parsed]) -> None:
    assert len(EXAMPLES) == 5
    assert isinstance(parse(EXAMPLES[number]), kind)


def test_the_signature_example_is_right() -> None:
    line, body = blocks("")
    secret = line.strip().rpartition("=")[2]
    signed = line.strip().replace("<raw body>", body.strip()).encode()
    for algorithm in ("md5", "sha256"):
        digest = hashlib.new(algorithm, signed).hexdigest()
        headers = nxcloud_headers(
            body.strip().encode(),
            access_key="fme2na3kdi3ki",
            secret=secret,
            algorithm=algorithm,
            ts_ms=1655710885431,
        )
        assert headers["sign"] == digest
        assert f"`{digest}`" in PAGE
        assert all(f"`{name}`" in PAGE for name in headers)


def test_the_python_example_takes_what_is_genuine(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(source, "example", "exec"), names)
    secret, take = names["SECRET"], names["take"]
    assert isinstance(secret, str)
    assert callable(take)
    for example in [*EXAMPLES, "{}"]:
        body = example.encode()
        headers = standard_headers(body, callback_id="cb-1", secrets=(secret,), at_s=1_750_030_073)
        assert all(f"`{name}`" in PAGE for name in headers)
        assert take(headers, body, 1_750_030_073) == (400 if example == "{}" else 200)
        assert take(headers, body + b" ", 1_750_030_073) == 401
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["order-4711 is sent []", "order-4712 is failed ['Message undeliverable']"]
    assert shown[2].startswith("8613900000002 wrote text")
    assert shown[3].startswith("message_template_status_update")


def test_every_event_name_stands_on_the_page() -> None:
    assert [name for name in SUBSCRIPTIONS if f"`{name}`" not in PAGE] == []


def test_every_field_that_several_customers_may_be_told_of_stands_on_the_page() -> None:
    assert [name for name in sorted(BUSINESS_FIELDS) if f"`{name}`" not in PAGE] == []
