"""What comes from outside can be hostile, slow, cut short or gone: each gets a clear answer, and costs nobody else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.harness import (
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    running_gateway,
    settings_for,
    text_message,
)
from waypost.web import http_protocol

RECEIVE_TIMEOUT_S = 0.5


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """A gateway that does not wait long for a request to come in."""
    settings = settings_for(tmp_path / "data", simulator.url, receive_timeout=RECEIVE_TIMEOUT_S)
    async with running_gateway(settings, clock, tenants) as running:
        yield running


async def raw(gateway: Gateway, *chunks: bytes, close: bool = False) -> bytes:
    """Write bytes to the gateway and read what comes back until it closes the connection (or at once hang up)."""
    address = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if close:
            return b""
        async with asyncio.timeout(WAIT_S):
            return await reader.read()
    finally:
        writer.close()


def request(headers: dict[str, str], body: bytes, *, length: int | None = None) -> bytes:
    lines = ["POST /api/wa/mt HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer_of(response: bytes) -> dict[str, object]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    parsed: dict[str, object] = json.loads(body)
    return parsed


async def test_too_many_headers_are_9000(customer: Customer, gateway: Gateway) -> None:
    body = msgspec.json.encode(text_message())
    many = {f"X-{index}": "v" for index in range(http_protocol.MAX_HEADERS)}
    assert answer_of(await raw(gateway, request({**customer.signed(body), **many}, body)))["code"] == 9000


async def test_too_large_headers_are_9000(customer: Customer, gateway: Gateway) -> None:
    body = msgspec.json.encode(text_message())
    large = {"X-Large": "v" * http_protocol.MAX_HEADER_BYTES}
    assert answer_of(await raw(gateway, request({**customer.signed(body), **large}, body)))["code"] == 9000


async def test_an_endless_head_is_cut_off(gateway: Gateway) -> None:
    head = b"POST /api/wa/mt HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"v" * (http_protocol.MAX_HEAD_BYTES + 1)
    try:
        response = await raw(gateway, head)
    except ConnectionResetError:
        return  # the answer was overtaken by the reset that cut the flood off
    assert response.startswith(b"HTTP/1.1 431 ") or response == b""


async def test_a_head_that_never_ends_is_timed_out(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.1)
    assert (await raw(gateway, b"POST /api/wa/mt HTTP/1.1\r\nHost: x\r\n")).startswith(b"HTTP/1.1 408 ")
    assert (await raw(gateway)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_does_not_arrive_in_time_is_9000(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    body = msgspec.json.encode(text_message())
    started = time.monotonic()
    response = await raw(gateway, request(customer.signed(body), body[:-1], length=len(body)))

    answer = answer_of(response)
    assert answer["code"] == 9000
    assert "0.5 s" in json.dumps(answer["data"])
    assert time.monotonic() - started < WAIT_S
    assert await simulator.count() == 0


async def test_a_body_over_1_mb_is_9000_and_the_client_can_read_it(customer: Customer) -> None:
    message = text_message(text={"body": "x" * 1_100_000})
    answer = await customer.send(message)
    assert answer["code"] == 9000
    assert "1048576" in answer["data"]["error"]["details"]


async def test_a_client_that_hangs_up_in_mid_body_leaves_nothing(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    body = msgspec.json.encode(text_message(cus_message_id="half"))
    await raw(gateway, request(customer.signed(body), body[:-1], length=len(body)), close=True)
    assert (await customer.send(text_message()))["code"] == 0
    assert await simulator.count() == 1
    await gateway.admin("GET", "messages/half", status=404)


async def test_a_client_that_hangs_up_after_its_request_changes_nothing(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    for index in range(20):
        body = msgspec.json.encode(text_message(cus_message_id=f"gone-{index}"))
        await raw(gateway, request(customer.signed(body), body), close=True)
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < 20:
            await asyncio.sleep(0.01)
    for index in range(20):
        assert (await gateway.until(f"gone-{index}", "accepted"))["state"] == "accepted"


async def test_a_chunked_body_is_signed_and_read_like_any_other(customer: Customer, gateway: Gateway) -> None:
    body = msgspec.json.encode(text_message())
    head = request(customer.signed(body), b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"".join(b"1\r\n" + body[index : index + 1] + b"\r\n" for index in range(len(body)))
    assert answer_of(await raw(gateway, head, chunks, b"0\r\n\r\n"))["code"] == 0


async def test_two_pipelined_requests_get_two_answers(customer: Customer, gateway: Gateway) -> None:
    first, second = (msgspec.json.encode(text_message()) for _ in range(2))
    stream = request(customer.signed(first), first).replace(b"Connection: close\r\n", b"")
    response = await raw(gateway, stream + request(customer.signed(second), second))
    assert response.count(b'"code":0,') == 2


HOSTILE = {
    "nothing": b"",
    "no object": b"[]",
    "a string": b'"x"',
    "cut off": b'{"appkey":',
    "byte order mark": b"\xef\xbb\xbf{}",
    "bad UTF-8": b'{"appkey":"\xff"}',
    "lone surrogate": b'{"appkey":"\\ud800"}',
    "deep nesting": b'{"interactive":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting in the type": b'{"type":' + b'{"a":' * 100_000,
    "huge number": b'{"type":"location","location":{"latitude":1e999,"longitude":' + b"9" * 5000 + b"}}",
    "NUL bytes": b"\x00" * 100,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_a_hostile_body_is_9000_with_path_and_details(name: str, customer: Customer) -> None:
    answer = await customer.post(HOSTILE[name])
    assert answer["code"] == 9000
    assert set(answer["data"]["error"]) == {"path", "details"}
    assert answer["data"]["error"]["details"]


async def test_of_a_member_given_twice_the_last_counts(customer: Customer, simulator: Control) -> None:
    body = msgspec.json.encode(text_message()).replace(b'"type":"text"', b'"type":"image","type":"text"')
    first = await customer.post(body)
    doubled = msgspec.json.encode(text_message()).replace(b'"recipient_type"', b'"to":"8613911111111","recipient_type"')
    await customer.post(doubled)

    assert first["code"] in (0, 9000)
    assert len([item for item in await simulator.messages() if item["payload"]["to"] == "+8613911111111"]) == 0


async def test_a_nul_in_kept_text_is_9000(customer: Customer) -> None:
    for member in ("cus_message_id", "biz_opaque_callback_data"):
        answer = await customer.send(text_message(**{member: "a\0b"}))
        assert answer["code"] == 9000
        assert answer["data"]["error"]["path"] == f"$.{member}"
