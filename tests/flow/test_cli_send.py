"""`waypost send`: a customer's command, run as a process against a real gateway."""

import asyncio
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.flow.command import CUSTOMER, waypost
from tests.harness import ACCESS_KEY, APPKEY, PHONE, Control, Gateway
from waypost.protocol.signing import SignedHeaders, verify

TO = "8613900000777"


async def sent_to_meta(simulator: Control) -> dict[str, Any]:
    (message,) = await simulator.messages()
    payload: dict[str, Any] = message["payload"]
    return payload


async def test_a_text_is_sent_and_the_answer_names_its_id(gateway: Gateway, simulator: Control) -> None:
    words = ("--to", TO, "--body", "hello 你好", "--preview-url", "--opaque", "spring", "--url", gateway.url)
    ended = await waypost("send", "text", *words, env=CUSTOMER, fresh=True)

    assert (ended.code, ended.err) == (0, "")
    message_id = ended.out.removeprefix("taken as ").strip()
    assert (await gateway.message(message_id))["state"] != "rejected"
    payload = await sent_to_meta(simulator)
    assert payload["text"] == {"body": "hello 你好", "preview_url": True}
    assert payload["biz_opaque_callback_data"] == "spring"


async def test_json_prints_the_answer_as_the_gateway_gave_it(gateway: Gateway) -> None:
    words = ("--to", TO, "--body", "x", "--cus-message-id", "order-1", "--url", gateway.url, "--json", "--sha256")
    ended = await waypost("send", "text", *words, env=CUSTOMER)

    assert ended.code == 0
    assert ended.json == {
        "code": 0,
        "message": "Request successful",
        "data": {"messaging_product": "whatsapp", "messages": [{"id": "order-1"}]},
        "traceId": ended.json["traceId"],
    }


async def test_a_reply_a_template_and_its_parameters_reach_meta(gateway: Gateway, simulator: Control) -> None:
    header = [{"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]}]
    words = (
        "--template",
        "greet",
        "--language",
        "de",
        "--param",
        "Ann",
        "--param",
        "B-52",
        "--reply-to",
        "wamid.other",
    )
    ended = await waypost(
        "send", "template", "--to", TO, *words, "--components", json.dumps(header), "--url", gateway.url, env=CUSTOMER
    )

    assert ended.code == 0, ended.err
    payload = await sent_to_meta(simulator)
    assert payload["context"] == {"message_id": "wamid.other"}
    assert payload["template"]["name"] == "greet"
    assert payload["template"]["language"]["code"] == "de"
    body = [{"type": "text", "text": "Ann"}, {"type": "text", "text": "B-52"}]
    assert payload["template"]["components"] == [*header, {"type": "body", "parameters": body}]


async def test_any_content_can_come_from_a_file(gateway: Gateway, simulator: Control, tmp_path: Path) -> None:
    content = {"type": "button", "body": {"text": "ok?"}, "action": {"buttons": [
        {"type": "reply", "reply": {"id": "1", "title": "yes"}}]}}  # fmt: skip
    (tmp_path / "content.json").write_text(json.dumps(content), "utf-8")
    words = ("--to", TO, "--content", f"@{tmp_path / 'content.json'}", "--url", gateway.url)
    ended = await waypost("send", "interactive", *words, env=CUSTOMER)

    assert ended.code == 0, ended.err
    assert (await sent_to_meta(simulator))["interactive"] == content


async def test_a_refusal_of_the_gateway_is_one_line_with_path_and_reason(gateway: Gateway) -> None:
    ended = await waypost("send", "text", "--to", "12", "--body", "x", "--url", gateway.url, "--json", env=CUSTOMER)

    assert ended.code == 1
    assert ended.json["code"] == 9000
    assert ended.json["data"]["error"]["path"] == "$.to"
    assert "9000 Parameter exception: $.to expected a phone number" in ended.err
    assert ended.json["traceId"] in ended.err


async def test_a_refusal_of_meta_says_what_metas_code_asks_for(gateway: Gateway, simulator: Control) -> None:
    await simulator.fault("error", code=131042, times=1)
    ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", gateway.url, env=CUSTOMER)

    assert ended.code == 1
    assert "9099 WhatsApp error: 131042" in ended.err
    assert "Settle billing" in ended.err


async def test_an_unknown_key_says_whom_to_ask(gateway: Gateway) -> None:
    env = {**CUSTOMER, "CUSTOMER_ACCESS_KEY": "nobody"}
    ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", gateway.url, env=env)

    assert ended.code == 1
    assert "1005" in ended.err
    assert "Check the accessKey" in ended.err


async def test_no_gateway_means_that_nothing_was_sent() -> None:
    ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", "http://127.0.0.1:9", env=CUSTOMER)

    assert ended.code == 1
    assert "nothing was sent: look at --url" in ended.err


async def test_a_gateway_that_falls_silent_leaves_the_outcome_open() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", url, env=CUSTOMER)

    assert ended.code == 1
    assert "may have taken the message" in ended.err
    assert "--cus-message-id" in ended.err


async def test_something_else_than_a_gateway_is_told_apart_and_cannot_colour_the_terminal(simulator: Control) -> None:
    ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", simulator.url, env=CUSTOMER)
    assert ended.code == 1
    assert "without an answer of the gateway" in ended.err

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"code": 7, "message": "\x1b[31mred\nnext", "data": None, "traceId": "t"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ended = await waypost("send", "text", "--to", TO, "--body", "x", "--url", url, env=CUSTOMER)
    assert "7 \\x1b[31mred\\nnext" in ended.err


async def test_a_dry_run_sends_nothing_and_shows_a_curl_command_that_works(
    gateway: Gateway, simulator: Control
) -> None:
    words = ("--to", TO, "--body", """it's "$HOME" `x` \\ &""", "--url", gateway.url, "--dry-run")
    ended = await waypost("send", "text", *words, env=CUSTOMER)

    assert ended.code == 0
    assert await simulator.count() == 0
    assert f"accessKey={ACCESS_KEY}&action=mt&bizType=2&ts=" in ended.out
    assert "&accessSecret=***\n" in ended.out
    curl = next(line for line in ended.out.splitlines() if line.startswith("curl "))
    assert shutil.which("curl"), "curl is part of every machine that this is for"
    shell = await asyncio.create_subprocess_shell(curl, stdout=asyncio.subprocess.PIPE)
    answer, _ = await shell.communicate()
    assert json.loads(answer)["code"] == 0
    assert (await sent_to_meta(simulator))["text"]["body"] == """it's "$HOME" `x` \\ &"""


async def test_a_dry_run_as_json_holds_the_request_byte_by_byte() -> None:
    ended = await waypost("send", "sticker", "--to", TO, "--id", "7", "--dry-run", "--json", "--sha256", env=CUSTOMER)

    shown = ended.json
    headers, body = shown["headers"], shown["body"]
    assert json.loads(body) == {
        "appkey": APPKEY, "business_phone": PHONE, "messaging_product": "whatsapp", "recipient_type": "individual",
        "to": TO, "type": "sticker", "sticker": {"id": "7"},
    }  # fmt: skip
    signed = SignedHeaders(headers["accessKey"], headers["action"], headers["bizType"], headers["ts"])
    assert verify(signed, body.encode(), CUSTOMER["CUSTOMER_ACCESS_SECRET"], headers["sign"], headers["algorithm"])
    assert shlex.split(shown["curl"])[-1] == body


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("text", "--body", "x"), "--to"),
        (("text", "--to", TO, "--body", "x", "--api-type", "2"), "--api-type"),
        (("text", "--to", TO, "--body", "x", "--url", "gateway:8080"), "absolute http"),
        (("contacts", "--to", TO, "--content", "[{"), "not JSON"),  # the other ones: test_cli_message_content
    ],
)
async def test_wrong_usage_ends_with_2_and_sends_nothing(words: tuple[str, ...], complaint: str) -> None:
    ended = await waypost("send", *words, env=CUSTOMER)
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())


async def test_missing_credentials_are_wrong_usage_and_name_the_variable() -> None:
    env = {name: value for name, value in CUSTOMER.items() if name != "CUSTOMER_ACCESS_SECRET"}
    ended = await waypost("send", "text", "--to", TO, "--body", "x", env=env)
    assert ended.code == 2
    assert "CUSTOMER_ACCESS_SECRET" in ended.err
