"""Answers: the seed's envelopes and texts, one class per code."""

import json

import pytest

from tests.seed import CODES, RESPONSES
from waypost.protocol import replies
from waypost.protocol.errors import (
    FAILURES,
    AuthenticationFailed,
    Failure,
    MetaRefused,
    MissingHeader,
    ParameterInvalid,
    RequestFailed,
    SignatureInvalid,
)

TRACE = "0123456789abcdef0123456789abcdef"
META_ERROR: dict[str, object] = json.loads(RESPONSES["meta_failure"])["data"]["error"]


def made(failure: type[Failure]) -> Failure:
    return MetaRefused(META_ERROR) if issubclass(failure, MetaRefused) else failure("inner detail")


def test_success_is_the_seeds_example_with_a_trace_id() -> None:
    answer = json.loads(replies.success("gBGHhhdgYFCBnwIJ6QRYvhwQk7Nc", TRACE))
    assert answer == json.loads(RESPONSES["success"]) | {"traceId": TRACE}


def test_a_gateway_failure_is_the_seeds_example_with_a_trace_id() -> None:
    answer = json.loads(replies.failure(RequestFailed("what the log says"), TRACE))
    assert answer == json.loads(RESPONSES["gateway_failure"]) | {"traceId": TRACE}


def test_a_meta_failure_is_the_seeds_example_with_a_trace_id() -> None:
    answer = json.loads(replies.failure(MetaRefused(META_ERROR), TRACE))
    assert answer == json.loads(RESPONSES["meta_failure"]) | {"traceId": TRACE}


def test_a_wrong_parameter_is_pointed_at() -> None:
    answer = json.loads(replies.failure(ParameterInvalid("is required", path="$.to"), TRACE))
    assert answer == {
        "code": 9000,
        "message": "Parameter exception",
        "data": {"error": {"path": "$.to", "details": "is required"}},
        "traceId": TRACE,
    }


def test_a_wrong_body_is_pointed_at_as_a_whole() -> None:
    assert ParameterInvalid("the body is over 1 MB").data() == {
        "error": {"path": "$", "details": "the body is over 1 MB"}
    }


@pytest.mark.parametrize("failure", FAILURES)
def test_only_9000_and_9099_carry_data(failure: type[Failure]) -> None:
    answer = json.loads(replies.failure(made(failure), TRACE))
    assert list(answer) == ["code", "message", "data", "traceId"]
    assert (answer["code"], answer["message"], answer["traceId"]) == (failure.code, failure.text, TRACE)
    assert (answer["data"] is not None) == (failure.code in {9000, 9099})
    assert failure.code in {9000} or b"inner detail" not in replies.failure(made(failure), TRACE)


@pytest.mark.parametrize("code", [code for code in CODES if code not in {"0", "1000~100X"}])
def test_every_code_of_the_seeds_table_has_a_class_with_its_text(code: str) -> None:
    (failure,) = (failure for failure in FAILURES if str(failure.code) == code)
    assert failure.text == CODES[code]


def test_success_carries_the_seeds_text() -> None:
    assert CODES["0"] == replies.SUCCESS_TEXT


def test_authentication_failures_are_the_codes_1001_to_1005() -> None:
    family = {failure.code: failure.text for failure in FAILURES if issubclass(failure, AuthenticationFailed)}
    assert family == {
        1001: "Authentication failed (missing common parameters)",
        1002: "Authentication failed (parameter error)",
        1003: "Authentication failed (invalid signature)",
        1004: "Authentication failed (timestamp has expired)",
        1005: "Authentication failed (insufficient permissions)",
    }


def test_no_two_failures_share_a_code_and_each_says_what_to_do() -> None:
    assert len({failure.code for failure in FAILURES}) == len(FAILURES) == 14
    for failure in FAILURES:
        assert failure.meaning.endswith(".")
        assert failure.advice.endswith(".")


def test_a_failure_reads_well_in_a_log() -> None:
    assert str(ParameterInvalid("is required", path="$.to")) == "9000 Parameter exception at $.to: is required"
    assert str(MissingHeader("sign")) == "1001 Authentication failed (missing common parameters): sign"
    assert str(SignatureInvalid()) == "1003 Authentication failed (invalid signature)"


def test_any_text_in_an_answer_stays_json() -> None:
    answer = json.loads(replies.success('"\\\n\0é😀', TRACE))
    assert answer["data"]["messages"] == [{"id": '"\\\n\0é😀'}]
