"""What a complete HTTP answer of Meta's to a send comes to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.meta.answer import AcceptedByMeta, RefusedByMeta, Uncertain, read_answer

META_ID = "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI3QUE5MTQ0Q0QxNDE0RTIwQTUA"
THROTTLED = {
    "message": "(#130429) Rate limit hit",
    "type": "OAuthException",
    "code": 130429,
    "error_data": {"messaging_product": "whatsapp", "details": "Throughput reached."},
    "error_subcode": 2494055,
    "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
}


def accepted_body(**message: object) -> bytes:
    contacts = [{"input": "+16505551234", "wa_id": "16505551234"}]
    answer = {"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": META_ID, **message}]}
    return json.dumps(answer).encode()


def error_body(**members: object) -> bytes:
    return json.dumps({"error": members}).encode()


@pytest.mark.parametrize("http_status", [200, 201, 202, 206])
def test_a_success_with_an_id_is_accepted(http_status: int) -> None:
    body = accepted_body(message_status="held_for_quality_assessment")
    assert read_answer(http_status, body) == AcceptedByMeta(
        meta_message_id=META_ID, message_status="held_for_quality_assessment", body=body.decode()
    )


def test_message_status_and_contacts_may_be_absent() -> None:
    answer = read_answer(200, json.dumps({"messages": [{"id": META_ID}]}).encode())
    assert isinstance(answer, AcceptedByMeta)
    assert (answer.meta_message_id, answer.message_status) == (META_ID, None)


def test_a_null_error_beside_an_id_is_no_error() -> None:
    body = json.dumps({"messages": [{"id": META_ID}], "error": None}).encode()
    assert isinstance(read_answer(200, body), AcceptedByMeta)


@pytest.mark.parametrize(
    "messages",
    [None, [], {}, "x", [None], ["wamid.x"], [{}], [{"id": None}], [{"id": ""}], [{"id": 7}], [{"id": " "}]],
)
def test_a_success_without_a_usable_id_is_uncertain(messages: object) -> None:
    answer = read_answer(200, json.dumps({"messages": messages}).encode())
    assert isinstance(answer, Uncertain)
    assert answer.reason == "HTTP 200 without a message id"


@pytest.mark.parametrize("meta_id", ["x" * 513, "wamid.\u0000", "wamid.\n", "wamid.é", " wamid.x"])
def test_an_id_that_could_not_be_kept_or_found_again_is_uncertain(meta_id: str) -> None:
    assert isinstance(read_answer(200, json.dumps({"messages": [{"id": meta_id}]}).encode()), Uncertain)


@pytest.mark.parametrize("http_status", [200, 302, 400, 403, 404, 429, 500, 503])
def test_a_definite_code_is_refused_whatever_the_status_says(http_status: int) -> None:
    body = json.dumps({"error": THROTTLED}).encode()
    answer = read_answer(http_status, body)
    assert isinstance(answer, RefusedByMeta)
    assert answer.error == THROTTLED
    assert list(answer.error) == list(THROTTLED), "members keep Meta's order"
    assert answer.body == body.decode()
    assert (answer.meta_error.code, answer.meta_error.scope, answer.meta_error.retryable) == (130429, "number", True)


@pytest.mark.parametrize("http_status", [200, 400, 500, 503])
@pytest.mark.parametrize("code", [1, 2, 131000, "131000"])
def test_codes_of_a_broken_service_are_uncertain_whatever_the_status_says(http_status: int, code: int | str) -> None:
    body = error_body(code=code, message="An unknown error occurred", is_transient=True)
    answer = read_answer(http_status, body)
    assert isinstance(answer, Uncertain)
    assert answer.reason.startswith(f"Meta's code {code}: ")
    assert answer.body == body.decode()


def test_a_code_in_quotes_is_an_integer_and_unknown_members_are_kept() -> None:
    answer = read_answer(400, error_body(code="132012", error_data="Format mismatch", error_user_msg="x", href=None))
    assert isinstance(answer, RefusedByMeta)
    expected = {"code": 132012, "error_data": "Format mismatch", "error_user_msg": "x", "href": None}
    assert answer.error == expected
    assert answer.meta_error.family == "template"


def test_subcode_and_transience_are_read() -> None:
    unknown_object = read_answer(400, error_body(code=100, error_subcode="33", message="Unsupported post request."))
    assert isinstance(unknown_object, RefusedByMeta)
    assert unknown_object.meta_error.retry_class == "CONF"
    transient = read_answer(400, error_body(code=999999, is_transient=True))
    assert isinstance(transient, RefusedByMeta)
    assert transient.meta_error.retry_class == "TRANS"
    merely_truthy = read_answer(400, error_body(code=999999, is_transient="yes"))
    assert isinstance(merely_truthy, RefusedByMeta)
    assert merely_truthy.meta_error.retry_class == "PERM"


@pytest.mark.parametrize("code", [None, True, 100.0, -1, "", "1e2", "-1", "١٠٠", "9" * 5000, 2**31, [100], {}])
def test_an_error_without_an_integer_code_is_uncertain(code: object) -> None:
    answer = read_answer(400, error_body(code=code, message="x"))
    assert isinstance(answer, Uncertain)
    assert answer.reason == "HTTP 400 with an error that has no code"


@pytest.mark.parametrize("error", ["Rate limit", 4, [THROTTLED], [], False, True])
def test_an_error_that_is_no_object_is_uncertain(error: object) -> None:
    assert isinstance(read_answer(400, json.dumps({"error": error}).encode()), Uncertain)


@pytest.mark.parametrize("http_status", [200, 400])
def test_an_answer_that_takes_and_refuses_is_uncertain(http_status: int) -> None:
    body = json.dumps({"messages": [{"id": META_ID}], "error": THROTTLED}).encode()
    answer = read_answer(http_status, body)
    assert isinstance(answer, Uncertain)
    assert answer.reason == f"HTTP {http_status} that both takes and refuses the message"


@pytest.mark.parametrize("http_status", [100, 301, 307, 400, 429, 500])
def test_an_id_without_success_is_uncertain(http_status: int) -> None:
    assert isinstance(read_answer(http_status, accepted_body()), Uncertain)


@pytest.mark.parametrize("http_status", [200, 301, 302, 400, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body><h1>502 Bad Gateway</h1></body></html>",
        accepted_body()[:-1],
        error_body(code=100)[:-2],
        accepted_body() + b"x",
        b'{"messages":[{"id":"wamid.\x00"}]}',
        b'{"messages":[{"id":"wamid.\xff"}]}',
        b'{"error":{"code":100,"message":"\\ud83d"}}',
        b"\xef\xbb\xbf" + accepted_body(),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"error":' * 100_000,
        b"null",
        b"[]",
        b'"ok"',
        b"1e999",
        b"{}",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_can_not_be_read_is_uncertain_whatever_the_status_says(http_status: int, body: bytes) -> None:
    answer = read_answer(http_status, body)
    assert isinstance(answer, Uncertain)
    assert answer.reason.startswith(f"HTTP {http_status} ")
    assert (answer.body is None) == (body == b"")


def test_evidence_is_bounded_and_holds_no_nul() -> None:
    answer = read_answer(502, b"\x00<html>\xff" + b"x" * 1_000_000)
    assert isinstance(answer, Uncertain)
    assert answer.body is not None
    assert answer.body.startswith("\ufffd<html>\ufffdxxx")
    assert len(answer.body) == 4096


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(http_status=st.integers(100, 599), body=st.binary(max_size=200))
def test_any_bytes_are_uncertain_unless_they_are_an_answer(http_status: int, body: bytes) -> None:
    assert isinstance(read_answer(http_status, body), Uncertain)


@given(http_status=st.integers(100, 599), messages=JSON, code=JSON, others=st.dictionaries(st.text(), JSON, max_size=3))
def test_any_shape_is_read_without_a_wrong_guess(
    http_status: int, messages: object, code: object, others: dict[str, object]
) -> None:
    error = {"code": code, **{key: value for key, value in others.items() if key != "code"}}
    answer = read_answer(http_status, json.dumps({"messages": messages}).encode())
    if isinstance(answer, AcceptedByMeta):
        assert 200 <= http_status < 300
        assert isinstance(messages, list)
        assert messages[0]["id"] == answer.meta_message_id
    answer = read_answer(http_status, json.dumps({"error": error}).encode())
    if isinstance(answer, RefusedByMeta):
        assert not isinstance(code, bool)
        assert isinstance(code, int | str)
        assert answer.error == {**error, "code": int(code)}
        assert answer.meta_error.code == int(code)
        assert not answer.meta_error.uncertain
    else:
        assert isinstance(answer, Uncertain)
