"""Signatures of callbacks: published and independently computed digests, rotation, and what must not pass."""

import base64
import hashlib
import hmac

import pytest

from waypost.protocol.callback_signing import (
    NXCLOUD_HEADERS,
    STANDARD_HEADERS,
    nxcloud_fits,
    nxcloud_headers,
    standard_fits,
    standard_headers,
    standard_key,
)

KEY, SECRET, TS_MS = "fme2na3kdi3ki", "abciiiko2k3", 1655710885431
BODY = (
    b'{"app_id":277,"business_phone":"8613800000001","channel":2,"merchant_phone":"8613800000001",'
    b'"messaging_product":"whatsapp","statuses":[{"id":"wamid.X1","recipient_id":"8613900000002",'
    b'"status":"delivered","timestamp":"1655710885"}],"wabaId":"100000000000001"}'
)
# Both digests were computed apart from this code.
DIGESTS = {
    "md5": "8b1c2655dd38ea2bfeb311a71e2af136",
    "sha256": "7f86e6b788000c3895b3bfea2f64fb83d3817b849cf152c8190aa2a8d7a36f23",
}

# The example of the Standard Webhooks libraries' own tests.
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_ID, STANDARD_AT_S, STANDARD_BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
STANDARD_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def nxcloud(algorithm: str = "md5", body: bytes = BODY) -> dict[str, str]:
    return nxcloud_headers(body, access_key=KEY, secret=SECRET, algorithm=algorithm, ts_ms=TS_MS)


def standard(*secrets: str, at_s: int = STANDARD_AT_S) -> dict[str, str]:
    return standard_headers(STANDARD_BODY, callback_id=STANDARD_ID, secrets=secrets, at_s=at_s)


def fits(headers: dict[str, str], *secrets: str, body: bytes = STANDARD_BODY, now_s: int = STANDARD_AT_S) -> bool:
    return standard_fits(headers, body, secrets, now_s=now_s, tolerance_s=300)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_the_six_headers_of_nxcloud(algorithm: str) -> None:
    assert nxcloud(algorithm) == {
        "accesskey": KEY,
        "action": "mt",
        "biztype": "2",
        "ts": "1655710885431",
        "algorithm": algorithm,
        "sign": DIGESTS[algorithm],
    }
    assert nxcloud_fits(nxcloud(algorithm), BODY, SECRET)


def test_any_action_may_be_named_and_is_signed() -> None:
    headers = nxcloud_headers(BODY, access_key=KEY, secret=SECRET, algorithm="md5", ts_ms=TS_MS, action="dr")
    assert headers["action"] == "dr"
    assert headers["sign"] != DIGESTS["md5"]
    assert nxcloud_fits(headers, BODY, SECRET)


@pytest.mark.parametrize("name", NXCLOUD_HEADERS)
@pytest.mark.parametrize("value", [None, "", "0"])
def test_a_missing_empty_or_other_header_does_not_fit(name: str, value: str | None) -> None:
    headers = nxcloud()
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    # an algorithm that nobody knows means MD5, which is what these were signed with
    assert nxcloud_fits(headers, BODY, SECRET) == (name == "algorithm" and value == "0")


@pytest.mark.parametrize("secret", ["", "abciiiko2k4", " abciiiko2k3"])
def test_another_secret_or_none_does_not_fit_nxclouds_scheme(secret: str) -> None:
    assert not nxcloud_fits(nxcloud(), BODY, secret)


def test_letter_case_of_digest_and_algorithm_does_not_matter() -> None:
    headers = nxcloud("sha256")
    assert nxcloud_fits(headers | {"sign": headers["sign"].upper(), "algorithm": "SHA256"}, BODY, SECRET)


@pytest.mark.parametrize("body", [b"", BODY + b"\n", BODY[:-1], b"\xef\xbb\xbf" + BODY])
def test_another_body_does_not_fit_nxclouds_scheme(body: bytes) -> None:
    assert not nxcloud_fits(nxcloud(), body, SECRET)


@pytest.mark.parametrize("value", ["é", chr(0xDCFF), chr(0xD800), "\0"])
@pytest.mark.parametrize("name", NXCLOUD_HEADERS)
def test_odd_header_values_are_no_reason_to_fail(name: str, value: str) -> None:
    assert nxcloud_fits(nxcloud() | {name: value}, BODY, SECRET) == (name == "algorithm")


def test_the_published_example_of_standard_webhooks() -> None:
    assert standard(STANDARD_SECRET) == {
        "webhook-id": STANDARD_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": STANDARD_SIGNATURE,
    }
    assert fits(standard(STANDARD_SECRET), STANDARD_SECRET)


def test_a_plain_string_is_a_secret_too() -> None:
    expected = hmac.new(
        b"any s\xc3\xa9cret", b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + STANDARD_BODY, hashlib.sha256
    )
    headers = standard("any sécret")
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected.digest()).decode()
    assert fits(headers, "any sécret")
    assert not fits(headers, "any secret")


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_YWJj", b"abc"),
        ("whsec_YWI=", b"ab"),
        ("whsec_YWI", b"ab"),  # some tools leave the padding out
        ("YWJj", b"YWJj"),
        ("whsec_", b"whsec_"),  # never an empty key: anyone could sign with it
        ("whsec_not base64!", b"whsec_not base64!"),
        ("whsec_é", "whsec_é".encode()),
    ],
)
def test_what_bytes_a_secret_stands_for(secret: str, key: bytes) -> None:
    assert standard_key(secret) == key


def test_during_a_rotation_either_secret_fits() -> None:
    headers = standard("old secret", STANDARD_SECRET)
    first, second = headers["webhook-signature"].split(" ")
    assert second == STANDARD_SIGNATURE
    assert first != second
    assert fits(headers, "old secret")
    assert fits(headers, STANDARD_SECRET)
    assert fits(standard("old secret"), STANDARD_SECRET, "old secret")
    assert not fits(headers, "third secret")


def test_without_a_secret_there_are_no_headers_and_nothing_fits() -> None:
    assert standard() == {}
    assert standard("") == {}
    assert not fits(standard(STANDARD_SECRET))
    assert not fits(standard(STANDARD_SECRET), "")


@pytest.mark.parametrize(("age_s", "fresh"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_signature_is_good_for_five_minutes_either_way(age_s: int, fresh: bool) -> None:
    assert fits(standard(STANDARD_SECRET), STANDARD_SECRET, now_s=STANDARD_AT_S + age_s) == fresh


@pytest.mark.parametrize("name", STANDARD_HEADERS)
@pytest.mark.parametrize("value", [None, "", "1614265331", "é", "\ud800", "v1,", "v2,g0hM9SsE", "1" * 5000, "-1", "²"])
def test_a_missing_or_other_standard_header_does_not_fit(name: str, value: str | None) -> None:
    headers = standard(STANDARD_SECRET)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    assert not fits(headers, STANDARD_SECRET)


def test_signatures_of_versions_nobody_knows_are_passed_over() -> None:
    headers = standard(STANDARD_SECRET)
    assert fits(headers | {"webhook-signature": f"v1a,AAAA v2 {STANDARD_SIGNATURE} "}, STANDARD_SECRET)
    assert not fits(headers | {"webhook-signature": STANDARD_SIGNATURE.replace("v1,", "v2,")}, STANDARD_SECRET)


@pytest.mark.parametrize("body", [b"", STANDARD_BODY + b" ", b'{"test":2432232314}'])
def test_another_body_does_not_fit_the_standard_scheme(body: bytes) -> None:
    assert not fits(standard(STANDARD_SECRET), STANDARD_SECRET, body=body)
