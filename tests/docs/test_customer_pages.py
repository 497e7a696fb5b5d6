"""The examples on the customers' pages work as printed."""

import hashlib
import json
import re
import subprocess

import pytest

from tests.answering import answering
from tests.docs.source import DOCS
from waypost.protocol.messages import decode
from waypost.sdk.core import Answer

GATEWAY = "http://127.0.0.1:8080"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(4))
def test_a_python_example_runs_as_printed(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    examples = blocks("sdk.md", "python")
    assert len(examples) == 4
    with answering() as server:
        exec(compile(examples[number].replace(GATEWAY, server.url), f"example {number}", "exec"), {})
    shown = capsys.readouterr().out
    assert len(server.received) == (0 if "prepare" in examples[number].replace("problem.prepared", "") else 1)
    assert ("wamid.1" in shown) == ("print(sent.message_id)" in examples[number])
    assert "abciiiko2k3" not in shown


def test_a_request_of_the_send_page_decodes() -> None:
    requests = [block for block in blocks("api/send.md", "json") if '"appkey"' in block]
    assert [decode(block.encode()).type for block in requests] == ["image", "template"]


def test_the_answers_of_the_send_page_are_answers() -> None:
    answers = [block for block in blocks("api/send.md", "json") if '"code": ' in block and '"appkey"' not in block]
    assert [json.loads(block)["code"] for block in answers] == [0, 9000]
    assert all(set(json.loads(block)) == {"code", "message", "data", "traceId"} for block in answers)
    assert Answer.__struct_encode_fields__ == ("code", "message", "data", "traceId")


def test_the_signing_recipe_of_the_send_page_signs() -> None:
    recipe, post = blocks("api/send.md", "sh")
    assert '-H "sign: $sign" --data-raw "$body"' in post
    script = recipe + 'printf "%s\\n" "$ts" "$sign" "$body"'
    ts, sign, body = subprocess.run(
        ["sh", "-c", script], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    signed = f"accessKey=fme2na3kdi3ki&action=mt&bizType=2&ts={ts}&body={body}&accessSecret=abciiiko2k3"
    assert sign == hashlib.md5(signed.encode()).hexdigest()
    assert re.fullmatch(r"\d{13}", ts)
    assert decode(body.encode()).type == "text"
