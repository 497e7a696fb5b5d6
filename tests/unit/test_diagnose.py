"""The doctor of signatures: each known mistake is made here, and must be found and named."""

import hashlib
import hmac
import json
from urllib.parse import quote

import pytest

from waypost.protocol.diagnose import Diagnosis, Finding, SignedRequest, diagnose
from waypost.protocol.signing import SignedHeaders, sign

SECRET = "abciiiko2k3"
HEADERS = SignedHeaders("fme2na3kdi3ki", "mt", "2", "1655710885431")
NAMES = ["accessKey", "action", "bizType", "ts"]
VALUE = {"type": "text", "to": "8613900000002", "text": {"body": "牛 a/b"}}
BODY = json.dumps(VALUE, ensure_ascii=False, separators=(",", ":")).encode()


def md5(data: bytes | str) -> str:
    return hashlib.md5(data if isinstance(data, bytes) else data.encode()).hexdigest()


def string(*, headers: SignedHeaders = HEADERS, body: bytes = BODY, secret: str = SECRET) -> str:
    start = "&".join(f"{name}={value}" for name, value in zip(NAMES, headers, strict=True))
    return f"{start}&body={body.decode()}&accessSecret={secret}"


def lower_case_names(text: str) -> str:
    return text.replace("accessKey", "accesskey").replace("bizType", "biztype").replace("accessSecret", "accesssecret")


def examined(
    signature: str,
    *,
    headers: SignedHeaders = HEADERS,
    body: bytes = BODY,
    algorithm: str | None = None,
    content_type: str | None = "application/json",
    secret: str = SECRET,
) -> Diagnosis:
    diagnosis = diagnose(SignedRequest(headers, signature, algorithm, content_type, body), secret)
    assert SECRET not in repr(diagnosis)
    return diagnosis


def cause(
    signature: str, *, headers: SignedHeaders = HEADERS, body: bytes = BODY, algorithm: str | None = None
) -> Finding:
    """The one finding for a signature that does not fit."""
    diagnosis = examined(signature, headers=headers, body=body, algorithm=algorithm)
    assert not diagnosis.matches
    (finding,) = diagnosis.findings
    return finding


def test_a_signature_that_fits_is_said_to_fit() -> None:
    diagnosis = examined(sign(HEADERS, BODY, SECRET))
    assert diagnosis.matches
    assert diagnosis.findings == []
    assert diagnosis.canonical == string(secret="***")


def test_upper_case_fits_and_is_mentioned() -> None:
    diagnosis = examined(sign(HEADERS, BODY, SECRET).upper())
    assert diagnosis.matches
    assert [finding.cause for finding in diagnosis.findings] == ["upper-case digest"]


@pytest.mark.parametrize("sort_keys", [False, True])
@pytest.mark.parametrize("ensure_ascii", [False, True])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_body_that_was_written_out_twice(sort_keys: bool, ensure_ascii: bool, separators: tuple[str, str]) -> None:
    sent = json.dumps(VALUE, indent=3).encode()
    signed = json.dumps(VALUE, sort_keys=sort_keys, ensure_ascii=ensure_ascii, separators=separators).encode()
    finding = cause(sign(HEADERS, signed, SECRET), body=sent)
    assert finding.cause == "body re-serialised"
    assert ("keys sorted" in finding.explanation) == sort_keys
    assert ("non-ASCII characters escaped" in finding.explanation) == ensure_ascii
    assert ("compact" in finding.explanation) == (separators == (",", ":"))


def test_the_difference_is_shown_where_it_begins() -> None:
    finding = cause(sign(HEADERS, json.dumps(VALUE, ensure_ascii=False).encode(), SECRET))
    assert finding.difference is not None
    expected, signed = finding.difference.expected, finding.difference.signed
    assert expected.startswith('"text","to":"8613900000002"')
    assert signed.startswith(' "text", "to": "8613900000002"')
    assert string().encode()[finding.difference.position :].startswith(expected.encode())


def test_a_body_with_escaped_slashes_as_php_writes_it() -> None:
    signed = json.dumps(VALUE, separators=(",", ":")).replace("/", "\\/").encode()
    finding = cause(sign(HEADERS, signed, SECRET))
    assert finding.cause == "body re-serialised"
    assert "slashes escaped" in finding.explanation


@pytest.mark.parametrize(
    ("sent", "signed", "expected"),
    [
        (b"{}", b"{}\n", "trailing newline"),
        (b"{}", b"{}\r\n", "trailing newline"),
        (b"{}\n", b"{}", "trailing newline"),
        (b'{\r\n"a":1}', b'{\n"a":1}', "line ends"),
        (b'{\n"a":1}', b'{\r\n"a":1}', "line ends"),
        (b"\xef\xbb\xbf{}", b"{}", "byte order mark"),
        (b"{}", b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": 1}', b"", "body left out"),
        (b"", b"{}", "empty body"),
        (b"", b"null", "empty body"),
        (b'{"a": 1}', quote('{"a": 1}', safe="").encode(), "body URL-encoded"),
        (b"not json \xff", b"", "body left out"),
    ],
)
def test_another_body_was_signed_than_was_sent(sent: bytes, signed: bytes, expected: str) -> None:
    assert cause(sign(HEADERS, signed, SECRET), body=sent).cause == expected


def test_an_empty_body_that_stands_in_the_string() -> None:
    finding = cause(md5(string(body=b"")), body=b"")
    assert (finding.cause, finding.explanation) == (
        "empty body",
        "&body= stands in the string although there is no body",
    )
    assert finding.difference is not None
    assert (finding.difference.expected, finding.difference.signed) == ("accessSecret=***", "body=&accessSecret=***")


def test_the_body_of_an_upload_does_not_belong_into_the_string() -> None:
    headers = HEADERS._replace(action="uploadMedia")
    kind = "multipart/form-data; boundary=x"
    assert examined(sign(headers, None, SECRET), headers=headers, content_type=kind).matches
    diagnosis = examined(sign(headers, BODY, SECRET), headers=headers, content_type=kind)
    assert [finding.cause for finding in diagnosis.findings] == ["multipart"]


def test_a_json_endpoint_signs_its_body_whatever_the_content_type_says() -> None:
    assert examined(sign(HEADERS, BODY, SECRET), content_type="multipart/form-data").matches


SWAPPED = string(headers=HEADERS._replace(access_key=SECRET), secret=HEADERS.access_key)
WRONG_STRINGS = {
    "accessSecret missing": string().removesuffix(f"&accessSecret={SECRET}"),
    "key and secret swapped": SWAPPED,
    "white space around the secret": string(secret=SECRET + "\n"),
    "names in lower case": lower_case_names(string()),
    "ts in seconds": string(headers=HEADERS._replace(ts=HEADERS.ts[:-3])),
    "algorithm signed": string().replace("&bizType", "&algorithm=&bizType"),
    "order of names": string().replace("action=mt&bizType=2&ts=1655710885431", "ts=1655710885431&bizType=2&action=mt"),
}  # fmt: skip


@pytest.mark.parametrize("expected", WRONG_STRINGS)
def test_another_string_was_signed_than_the_right_one(expected: str) -> None:
    finding = cause(md5(WRONG_STRINGS[expected]))
    assert finding.cause == expected
    assert finding.difference is not None
    assert finding.difference.expected != finding.difference.signed


@pytest.mark.parametrize("between", ["", "&"])
def test_the_secret_without_its_name(between: str) -> None:
    assert (
        cause(md5(string().removesuffix(f"&accessSecret={SECRET}") + between + SECRET)).cause == "accessSecret missing"
    )


@pytest.mark.parametrize("padded", [SECRET + " ", " " + SECRET, f" {SECRET} ", SECRET + "\r\n"])
def test_white_space_around_the_secret_that_signed(padded: str) -> None:
    assert cause(md5(string(secret=padded))).cause == "white space around the secret"


def test_white_space_around_the_secret_that_checks() -> None:
    diagnosis = examined(sign(HEADERS, BODY, SECRET), secret=SECRET + "\n")
    assert [finding.cause for finding in diagnosis.findings] == ["white space around the secret"]


def test_all_names_sorted_with_the_secret_among_them() -> None:
    pairs = sorted([*zip(NAMES, HEADERS, strict=True), ("body", BODY.decode()), ("accessSecret", SECRET)])
    assert cause(md5("&".join(f"{name}={value}" for name, value in pairs))).cause == "order of names"


def test_values_that_were_url_encoded() -> None:
    headers = HEADERS._replace(access_key="k+y/=")
    encoded = HEADERS._replace(access_key=quote("k+y/=", safe=""))
    signature = md5(string(headers=encoded, body=quote(BODY, safe="").encode()))
    assert cause(signature, headers=headers).cause == "values URL-encoded"


def test_ts_sent_in_seconds_and_signed_in_milliseconds() -> None:
    headers = HEADERS._replace(ts=HEADERS.ts[:-3])
    signature = sign(HEADERS._replace(ts=headers.ts + "000"), BODY, SECRET)
    diagnosis = examined(signature, headers=headers)
    assert [finding.cause for finding in diagnosis.findings] == ["ts in seconds", "ts in seconds"]
    assert "(1004)" in diagnosis.findings[0].explanation


def test_ts_in_seconds_that_was_signed_as_sent_is_mentioned() -> None:
    headers = HEADERS._replace(ts=HEADERS.ts[:-3])
    diagnosis = examined(sign(headers, BODY, SECRET), headers=headers)
    assert diagnosis.matches
    assert [finding.cause for finding in diagnosis.findings] == ["ts in seconds"]


def test_ts_of_another_shape_is_mentioned() -> None:
    headers = HEADERS._replace(ts="now")
    assert [f.cause for f in examined(sign(headers, BODY, SECRET), headers=headers).findings] == ["ts malformed"]


@pytest.mark.parametrize("name", ["md5", "sha256"])
@pytest.mark.parametrize("with_secret", [True, False])
def test_an_hmac_in_place_of_a_digest(name: str, with_secret: bool) -> None:
    data = string() if with_secret else string().removesuffix(f"&accessSecret={SECRET}")
    diagnosis = examined(hmac.new(SECRET.encode(), data.encode(), name).hexdigest())
    assert [finding.cause for finding in diagnosis.findings][-1] == "HMAC"
    assert ("accessSecret missing" in [finding.cause for finding in diagnosis.findings]) != with_secret


@pytest.mark.parametrize(
    ("taken", "declared"),
    [("sha256", None), ("sha256", "md5"), ("md5", "sha256"), ("sha1", None), ("sha512", "sha256")],
)
def test_another_digest_than_declared(taken: str, declared: str | None) -> None:
    finding = cause(hashlib.new(taken, string().encode()).hexdigest(), algorithm=declared)
    assert finding.cause == "other algorithm"
    assert taken.upper() in finding.explanation


def test_white_space_around_the_signature() -> None:
    assert cause(sign(HEADERS, BODY, SECRET) + " ").cause == "white space around sign"


def test_two_mistakes_at_once_are_both_named() -> None:
    signed = json.dumps(VALUE).encode()
    wrong = lower_case_names(string(body=signed))
    assert [finding.cause for finding in examined(md5(wrong)).findings] == ["body re-serialised", "names in lower case"]


@pytest.mark.parametrize("signature", ["", "0" * 32, sign(HEADERS, BODY, "another secret"), "é"])
def test_what_no_known_mistake_explains_is_the_secret_or_the_body(signature: str) -> None:
    finding = cause(signature)
    assert finding.cause == "secret or body"
    assert finding.difference is None


def test_a_body_that_no_parser_takes_is_no_obstacle() -> None:
    assert cause("0" * 32, body=b"[" * 100_000).cause == "secret or body"
