"""The SDK without I/O: what it signs, and how it reads answers."""

import hashlib
import json

import pytest

from tests.seed import EXAMPLES, RESPONSES
from waypost.clock import Clock
from waypost.protocol.errors import ParameterInvalid
from waypost.protocol.messages import decode, fingerprint
from waypost.protocol.replies import failure, success
from waypost.sdk import BadAnswer, Client, PreparedRequest, Refused, Sent
from waypost.sdk.core import read_answer

KEY = "fme2na3kdi3ki"
SECRET = "abciiiko2k3"
NOW_MS = 1655710885431
TO = "8613600009759"
PREPARED = PreparedRequest("http://gateway/api/wa/mt", {}, b"{}")


class StoppedClock(Clock):
    """A clock that always shows the same time."""

    def now_ms(self) -> int:
        """Return that time."""
        return NOW_MS


def client(*, base_url: str = "https://gateway.example", algorithm: str = "md5") -> Client:
    return Client(base_url, KEY, SECRET, "f543ertg", "18500008399", algorithm=algorithm, clock=StoppedClock())


# --- building -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_request_is_signed_over_the_bytes_that_go_out(algorithm: str) -> None:
    prepared = client(algorithm=algorithm).prepare("text", {"body": "牛 ☕"}, TO)
    signed = b"accessKey=%s&action=mt&bizType=2&ts=%d&body=%s&accessSecret=%s" % (
        KEY.encode(),
        NOW_MS,
        prepared.body,
        SECRET.encode(),
    )
    assert prepared.url == "https://gateway.example/api/wa/mt"
    assert prepared.headers == {
        "accessKey": KEY,
        "action": "mt",
        "bizType": "2",
        "ts": str(NOW_MS),
        "sign": hashlib.new(algorithm, signed).hexdigest(),
        "Content-Type": "application/json",
    } | ({"algorithm": "sha256"} if algorithm == "sha256" else {})


def test_the_body_is_what_the_api_describes() -> None:
    prepared = client().prepare("text", {"body": "hi"}, TO, cus_message_id="c1", context={"message_id": "m1"})
    assert json.loads(prepared.body) == {
        "appkey": "f543ertg",
        "business_phone": "18500008399",
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": TO,
        "type": "text",
        "cus_message_id": "c1",
        "context": {"message_id": "m1"},
        "text": {"body": "hi"},
    }


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "template_carousel"])
def test_every_example_of_the_seed_can_be_built(name: str) -> None:
    given = json.loads(EXAMPLES[name])
    envelope = {"context": given["context"]} if "context" in given else {}
    prepared = client().prepare(given["type"], given[given["type"]], given["to"], **envelope)
    assert fingerprint(decode(prepared.body)) == fingerprint(decode(EXAMPLES[name]))


def test_the_canonical_string_is_shown_without_the_secret() -> None:
    prepared = client().prepare("text", {"body": "hi"}, TO)
    assert prepared.canonical == (
        f"accessKey={KEY}&action=mt&bizType=2&ts={NOW_MS}&body={prepared.body.decode()}&accessSecret=***"
    )
    assert SECRET not in repr(prepared)


def test_a_path_in_the_base_url_is_kept() -> None:
    prepared = client(base_url="http://[::1]:8080/wa/").prepare("text", {"body": "hi"}, TO)
    assert prepared.url == "http://[::1]:8080/wa/api/wa/mt"


@pytest.mark.parametrize(
    "base_url", ["", "gateway.example", "ftp://gateway.example", "http://", "https://g/?a=b", "/x"]
)
def test_a_base_url_that_can_never_work_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be an absolute http or https URL"):
        client(base_url=base_url)


@pytest.mark.parametrize("access_key", ["", "a b", "a\r\nx: y", "é"])
def test_an_access_key_that_is_no_header_value_is_refused(access_key: str) -> None:
    with pytest.raises(ValueError, match="access_key must be printable ASCII without spaces"):
        Client("http://g", access_key, SECRET, "a", "1")


@pytest.mark.parametrize("secret", ["", "s3cret\n", " s3cret"])
def test_a_secret_with_white_space_around_it_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="access_secret must not be empty nor have white space") as caught:
        Client("http://g", KEY, secret, "a", "1")
    assert "s3cret" not in str(caught.value)


def test_an_algorithm_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="algorithm must be md5 or sha256, not 'sha1'"):
        client(algorithm="sha1")


@pytest.mark.parametrize("content", [{"body": "\ud800"}, {"body": object()}])
def test_content_without_a_json_form_is_refused(content: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        client().prepare("text", content, TO)


# --- reading ------------------------------------------------------------------------------------------------------


def test_success_gives_the_message_id() -> None:
    assert read_answer(200, success("wamid.1", "0" * 32), PREPARED) == Sent("wamid.1", "0" * 32)
    assert read_answer(200, RESPONSES["success"], PREPARED) == Sent("gBGHhhdgYFCBnwIJ6QRYvhwQk7Nc", None)


def refused(body: bytes, http_status: int = 200) -> Refused:
    with pytest.raises(Refused) as caught:
        read_answer(http_status, body, PREPARED)
    assert caught.value.prepared is PREPARED
    return caught.value


def test_a_gateway_failure_is_refused_with_code_and_message() -> None:
    problem = refused(RESPONSES["gateway_failure"])
    assert (problem.code, problem.message, problem.error, problem.trace_id) == (-1, "Request failed", None, None)
    assert str(problem) == "-1 Request failed"


def test_a_wrong_parameter_is_refused_with_its_path() -> None:
    problem = refused(failure(ParameterInvalid("is required", path="$.text.body"), "f" * 32))
    assert (problem.code, problem.trace_id) == (9000, "f" * 32)
    assert problem.error == {"path": "$.text.body", "details": "is required"}
    assert str(problem) == "9000 Parameter exception: $.text.body is required"


def test_a_meta_failure_is_refused_with_metas_error() -> None:
    problem = refused(RESPONSES["meta_failure"])
    assert problem.code == 9099
    assert problem.error == json.loads(RESPONSES["meta_failure"])["data"]["error"]
    assert str(problem) == "9099 WhatsApp error: 100 (#100) Invalid parameter"


def test_a_failure_counts_under_any_http_status_and_without_data() -> None:
    assert refused(b'{"code":1003,"message":"Authentication failed (invalid signature)"}', 401).code == 1003


@pytest.mark.parametrize(
    ("http_status", "body"),
    [
        (502, b"<html>Bad Gateway</html>"),
        (200, b""),
        (200, b"null"),
        (200, b"{}"),
        (200, b'{"code":"0"}'),
        (200, b'{"code":0,"data":null}'),
        (200, b'{"code":0,"data":{"messages":[]}}'),
        (200, b'{"code":0,"data":{"messages":[{"id":""}]}}'),
        (200, b'{"code":0,"data":{"messages":[{"id":5}]}}'),
        (200, RESPONSES["success"][:-5]),
        (201, RESPONSES["success"]),
        (200, b"\xff\xfe"),
        (200, b'{"code":0,"data":' + b"[" * 100_000),
    ],
)
def test_what_is_no_answer_of_a_gateway_is_said_to_be_none(http_status: int, body: bytes) -> None:
    with pytest.raises(BadAnswer) as caught:
        read_answer(http_status, body, PREPARED)
    assert caught.value.prepared is PREPARED
    assert str(caught.value).startswith(f"HTTP {http_status} without an answer of the gateway: ")
    assert len(str(caught.value)) < 500
