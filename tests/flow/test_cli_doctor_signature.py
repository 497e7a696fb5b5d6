"""`waypost doctor signature`: from a request that was answered 1003 to the likeliest cause."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.flow.command import CUSTOMER, waypost
from tests.harness import ACCESS_KEY, ACCESS_SECRET

BODY = '{"appkey": "f543ertg", "to": "86139", "text": {"body": "héllo"}}'.encode()
TS = "1655710885431"


def headers(body: bytes, secret: str = ACCESS_SECRET, **changes: str) -> dict[str, str]:
    text = f"accessKey={ACCESS_KEY}&action=mt&bizType=2&ts={TS}".encode()
    digest = hashlib.md5(text + b"&body=" + body + f"&accessSecret={secret}".encode()).hexdigest()
    return {"accessKey": ACCESS_KEY, "action": "mt", "bizType": "2", "ts": TS, "sign": digest, **changes}


def options(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--header", f"{name}: {value}")]


async def test_a_signature_that_fits_ends_with_0() -> None:
    ended = await waypost(
        "doctor", "signature", *options(headers(BODY)), "--body-file", "-", env=CUSTOMER, stdin=BODY, fresh=True
    )

    assert ended.code == 0
    first, _, last = ended.out.strip().split("\n")
    assert first == (
        f"to be signed: accessKey={ACCESS_KEY}&action=mt&bizType=2&ts={TS}&body={BODY.decode()}&accessSecret=***"
    )
    assert last == "the signature fits"


async def test_a_body_that_was_written_out_twice_is_recognised(tmp_path: Path) -> None:
    """The headers come from a pasted `curl -v`, the body from a file."""
    compact = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
    pasted = "> POST /api/wa/mt HTTP/1.1\r\n" + "".join(
        f"> {name}: {value}\r\n" for name, value in headers(compact).items()
    )
    (tmp_path / "head.txt").write_text(pasted + "> \r\nignored, because the head has ended\r\n", "utf-8", newline="")
    (tmp_path / "body.json").write_bytes(BODY)
    words = ("--headers-file", str(tmp_path / "head.txt"), "--body-file", str(tmp_path / "body.json"))
    ended = await waypost("doctor", "signature", *words, env=CUSTOMER)

    assert ended.code == 1
    assert ended.err == "waypost: the signature does not fit: body re-serialised\n"
    assert '    to be signed:  "f543ertg", "to": "86139"' in ended.out
    assert '    was signed:   "f543ertg","to":"86139"' in ended.out

    as_json = await waypost("doctor", "signature", *words, "--json", env=CUSTOMER)
    assert as_json.code == 1
    (finding,) = as_json.json["findings"]
    assert (as_json.json["matches"], finding["cause"]) == (False, "body re-serialised")
    assert finding["difference"]["expected"].startswith(' "f543ertg"')


async def test_a_wrong_secret_is_the_guess_that_remains() -> None:
    values = headers(BODY, secret="another secret")
    ended = await waypost("doctor", "signature", *options(values), "--body-file", "-", env=CUSTOMER, stdin=BODY)
    assert ended.code == 1
    assert "the secret is most likely another one" in ended.out


async def test_a_secret_that_stands_in_a_header_is_masked_there_too() -> None:
    values = headers(BODY, accessKey=ACCESS_SECRET)
    ended = await waypost("doctor", "signature", *options(values), "--body-file", "-", env=CUSTOMER, stdin=BODY)
    assert ended.code == 1
    assert "accessKey=***&action=mt" in ended.out


async def test_seconds_and_control_characters_are_shown_plainly() -> None:
    values = headers(b"", ts="1655710885")
    ended = await waypost(
        "doctor", "signature", *options(values), "--body-file", "-", env=CUSTOMER, stdin=b"\x1b[2J\xff"
    )
    assert ended.code == 1
    assert "ts in seconds" in ended.err
    assert "body=\\x1b[2J\\xff&accessSecret=***" in ended.out.replace("\\\\", "\\")


async def test_a_request_without_all_five_headers_is_1001() -> None:
    values = headers(BODY)
    del values["ts"], values["sign"]
    ended = await waypost("doctor", "signature", *options(values), env=CUSTOMER)
    assert ended.code == 1
    assert "missing: ts, sign; a request without them is answered 1001" in ended.err


@pytest.mark.parametrize(
    ("words", "env", "complaint"),
    [
        (("--header", "no colon"), CUSTOMER, "a header is 'Name: value'"),
        (("--header", "ts: 1"), {}, "CUSTOMER_ACCESS_SECRET"),
    ],
)
async def test_wrong_usage_ends_with_2(words: tuple[str, ...], env: dict[str, str], complaint: str) -> None:
    ended = await waypost("doctor", "signature", *words, env=env)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())


async def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    ended = await waypost("doctor", "signature", "--headers-file", str(tmp_path / "gone"), env=CUSTOMER)
    assert ended.code == 1
    assert "cannot read" in ended.err
