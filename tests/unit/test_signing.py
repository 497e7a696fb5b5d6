"""Signatures: NxCloud's published digests, digests computed independently, the time window."""

import hashlib

import pytest

from waypost.protocol.signing import SignedHeaders, canonical, masked, sign, uses_sha256, verify, within_window

KEY = "fme2na3kdi3ki"
SECRET = "abciiiko2k3"
TS = "1655710885431"
HEADERS = SignedHeaders(KEY, "mt", "2", TS)

JAVA_BODY = '{"name":"牛小信","id":10001}'.encode()
PHP_BODY = '{"id":10001,"name":"牛小信"}'.encode()
PYTHON_BODY = '{"id": 10001, "name": "牛小信"}'.encode()
TEXT_BODY = (
    b'{"appkey":"demoapp1","business_phone":"8613800000001","messaging_product":"whatsapp",'
    b'"recipient_type":"individual","to":"8613900000002","type":"text","text":{"body":"hi","preview_url":false}}'
)
READ_BODY = b'{"business_phone":"8613800000001","messaging_product":"whatsapp","message_id":"wamid.X1","status":"read"}'

# name, action, bizType, signed body, MD5, SHA-256. The MD5 digests of G1 to G3 are NxCloud's own; all others were
# computed apart from this code.
VECTORS = [
    ("G1 X0a", "send", "1", JAVA_BODY, "87c3560d3331ae23f1021e2025722354",
     "e0eec2c99ef80f269a82795e2223f618ebfc0616c8b6c8c7d438021ec38ad0eb"),
    ("G2 X0b", "send", "1", PHP_BODY, "7750759da06333f20d0640be09355e34",
     "d04863619d46121592cdb312ec0a91c148a1f5daea64930ad0e1fb31a04dc808"),
    ("G3 X0c", "send", "1", PYTHON_BODY, "d0c24a9886c629330d7f3f2056c65bc2",
     "feaa901c8a317a0f5e488dd7d9ae046742afa0d0a70f415817c835873efa4cb7"),
    ("X1", "mt", "2", TEXT_BODY, "111e78959346b8dbf644e43a68b53ddb",
     "3a9e44c75c6f34b22bd0a1b6dff87dd8928b55883b533817469dbcf994752379"),
    ("X2", "mt", "2", '{"to":"8613900000002","type":"text","text":{"body":"牛 ☕ é"}}'.encode(),
     "85d2e2395d586911892ff2d98a272421", "7f2774b3e52f9bd6408a6b2313151ef883e27cf25d3bf34c04eb819aa56c005e"),
    ("X3", "mt", "2", b'{\n  "a": 1\n}', "2fc94854ccb6f7f1267e1fd1425e5bdc",
     "071834710a8b2b76cf18288e18b9ce84e9c8cc8ec833e347d43f0517a1e1d7e9"),
    ("X4", "mt", "2", b'{\r\n  "a": 1\r\n}', "6c1aae105c2db57146e37ded3d23b813",
     "2b37e0349c0431bf41e3a943b6ba3edbd610112b1e8b4084fe43fc90db29a5aa"),
    ("X5", "mt", "2", b"{}", "eec135bf75c21863883d9b98ba2fed58",
     "8807f9fd28e4c2595d05246e2eca47949e6f6fb5e064a12fda93eaeb158a3762"),
    ("X6 multipart", "uploadMedia", "2", None, "d2632e6b4cbea8587b36cb585e06a195",
     "7017ea722938caa1d454ac43ae05d9ffc736bb2ebf1e18563777927f3f54c389"),
    ("X7 multipart", "uploadTemplateFile", "2", None, "b5fbec7995a4c611a72cddbd0667a9fe",
     "33aad8483e7c0503a7e7531cb23032fc78af4ec96a0cff0fcebc4a90d5e93fe5"),
    ("X8 empty body", "login", "2", b"", "6b536916092b660044e8a2c8cf11847a",
     "3ac5a04ef3289266fef2cfdcd1467efffa95e593d6336e8b937559b1317c7d4b"),
    ("X9", "read", "2", READ_BODY, "00f39b546407d8ed24047c84b4f426f4",
     "c335119f1877b156316f57d86786f26f65204101f51a65c38a577120e311c2df"),
    ("X10 empty body", "getBalance", "3", b"", "018c2125a0a1e9566a2b2349414f69fd",
     "b48f272e4bbcac0b2ee140efe7e100c72cafc6406df5af0bd144714f50739fdd"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "action", "biz_type", "body", "md5", "sha256"), VECTORS, ids=[v[0] for v in VECTORS])
def test_known_digests(name: str, action: str, biz_type: str, body: bytes | None, md5: str, sha256: str) -> None:
    headers = SignedHeaders(KEY, action, biz_type, TS)
    assert sign(headers, body, SECRET) == md5
    assert sign(headers, body, SECRET, "sha256") == sha256
    assert verify(headers, body, SECRET, md5, None)
    assert verify(headers, body, SECRET, sha256.upper(), "SHA256")


def test_the_signed_string_is_spelled_out_in_one_fixed_order() -> None:
    headers = SignedHeaders(KEY, "send", "1", TS)
    assert canonical(headers, JAVA_BODY, SECRET).decode() == (
        'accessKey=fme2na3kdi3ki&action=send&bizType=1&ts=1655710885431&body={"name":"牛小信","id":10001}'
        "&accessSecret=abciiiko2k3"
    )


def test_no_body_and_an_empty_body_leave_the_body_out() -> None:
    bare = b"accessKey=fme2na3kdi3ki&action=mt&bizType=2&ts=1655710885431&accessSecret=abciiiko2k3"
    assert canonical(HEADERS, None, SECRET) == bare
    assert canonical(HEADERS, b"", SECRET) == bare


def test_the_body_is_signed_as_bytes_even_where_it_is_not_text() -> None:
    assert b"&body=\xff\x00\xef\xbb\xbf&accessSecret=" in canonical(HEADERS, b"\xff\x00\xef\xbb\xbf", SECRET)


@pytest.mark.parametrize("body", [b"{} ", b" {}", b"{}\n", b"{ }", b"", None, b"\xef\xbb\xbf{}"])
def test_any_other_byte_in_the_body_is_another_signature(body: bytes | None) -> None:
    assert not verify(HEADERS, body, SECRET, sign(HEADERS, b"{}", SECRET), "md5")


@pytest.mark.parametrize("position", range(4))
def test_every_header_is_signed(position: int) -> None:
    changed = SignedHeaders(*(value + "1" if n == position else value for n, value in enumerate(HEADERS)))
    assert not verify(changed, b"{}", SECRET, sign(HEADERS, b"{}", SECRET), "md5")


def test_another_secret_is_another_signature() -> None:
    assert not verify(HEADERS, b"{}", SECRET + "4", sign(HEADERS, b"{}", SECRET), "md5")


@pytest.mark.parametrize("signature", ["", "0", "é" * 32, "\udcff" * 32, "0" * 32, "f" * 5000])
def test_a_signature_of_any_other_shape_does_not_fit(signature: str) -> None:
    assert not verify(HEADERS, b"{}", SECRET, signature, "md5")


def test_letter_case_of_the_signature_does_not_matter() -> None:
    assert verify(HEADERS, b"{}", SECRET, "EEC135BF75C21863883D9B98BA2FED58", None)


@pytest.mark.parametrize("algorithm", ["sha256", "SHA256", "Sha256"])
def test_sha256_is_asked_for_in_any_letter_case(algorithm: str) -> None:
    assert uses_sha256(algorithm)
    assert len(sign(HEADERS, b"{}", SECRET, algorithm)) == 64


@pytest.mark.parametrize("algorithm", [None, "", "md5", "MD5", "sha512", "sha-256", "none"])
def test_whatever_else_the_algorithm_says_means_md5(algorithm: str | None) -> None:
    assert sign(HEADERS, b"{}", SECRET, algorithm) == "eec135bf75c21863883d9b98ba2fed58"


def test_header_bytes_that_are_not_utf8_survive() -> None:
    raw = b"k\xff\xe9"
    headers = SignedHeaders(raw.decode("utf-8", "surrogateescape"), "mt", "2", TS)
    expected = hashlib.md5(b"accessKey=" + raw + b"&action=mt&bizType=2&ts=1655710885431&accessSecret=s").hexdigest()
    assert verify(headers, None, "s", expected, None)


def test_the_string_for_peoples_eyes_has_no_secret() -> None:
    shown = masked(HEADERS, b'{"a":"\xff"}')
    assert shown == ('accessKey=fme2na3kdi3ki&action=mt&bizType=2&ts=1655710885431&body={"a":"\\xff"}&accessSecret=***')


@pytest.mark.parametrize("offset", [-60_000, -59_999, 0, 59_999, 60_000])
def test_a_time_within_sixty_seconds_either_way_counts(offset: int) -> None:
    assert within_window(str(1655710885431 + offset), 1655710885431)


@pytest.mark.parametrize("offset", [-60_001, 60_001, -3_600_000])
def test_a_time_further_away_has_expired(offset: int) -> None:
    assert not within_window(str(1655710885431 + offset), 1655710885431)


@pytest.mark.parametrize(
    "ts",
    [
        "",
        "1655710885",
        "1655710885.43",
        "+165571088543",
        " 165571088543",
        "16557108854310",
        "１６５５７１０８８５４３１",
        "NaN",
    ],
)
def test_a_time_that_is_not_thirteen_digits_has_expired(ts: str) -> None:
    assert not within_window(ts, 1655710885431)
