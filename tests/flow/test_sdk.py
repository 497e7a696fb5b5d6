"""Both clients of the SDK against a real HTTP server that answers as a gateway would, or as it should not."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.answering import Received, Server, answering
from waypost.protocol.replies import success
from waypost.sdk import AsyncClient, BadAnswer, Client, Refused, Sent, Unreachable

SECRET = "abciiiko2k3"
TO = "8613600009759"
REFUSAL = b'{"code":9003,"message":"Application does not exist/unavailable","data":null,"traceId":"x"}'


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as running:
        yield running


def blocking(url: str, timeout_s: float = 10) -> Client:
    return Client(url, "key", SECRET, "app", "18500008399", timeout_s=timeout_s)


def awaited(url: str, timeout_s: float = 10) -> AsyncClient:
    return AsyncClient(url, "key", SECRET, "app", "18500008399", timeout_s=timeout_s, algorithm="sha256")


def signature(request: Received, algorithm: str) -> str:
    """What `sign` must be, computed apart from the SDK."""
    head = "&".join(f"{name}={request.headers[name]}" for name in ("accessKey", "action", "bizType", "ts"))
    return hashlib.new(
        algorithm, head.encode() + b"&body=" + request.body + b"&accessSecret=" + SECRET.encode()
    ).hexdigest()


def test_messages_go_out_signed_over_one_connection(server: Server) -> None:
    with blocking(server.url) as client:
        assert client.text(TO, "hi") == Sent("wamid.1", "0" * 32)
        assert client.template(TO, "n", "en_US", [{"type": "body", "parameters": []}]) == Sent("wamid.1", "0" * 32)
    assert [request.path for request in server.received] == ["/api/wa/mt"] * 2
    assert [request.headers["sign"] for request in server.received] == [signature(r, "md5") for r in server.received]
    assert len({request.connection for request in server.received}) == 1


async def test_awaited_messages_go_out_signed_over_one_connection(server: Server) -> None:
    async with awaited(server.url) as client:
        assert await client.text(TO, "hi") == Sent("wamid.1", "0" * 32)
        assert await client.location(TO, 1.5, 2.5) == Sent("wamid.1", "0" * 32)
    assert [request.headers["sign"] for request in server.received] == [signature(r, "sha256") for r in server.received]
    assert [request.headers["algorithm"] for request in server.received] == ["sha256"] * 2
    assert len({request.connection for request in server.received}) == 1


def test_every_type_has_a_method(server: Server) -> None:
    media = {"id": "1"}
    with blocking(server.url) as client:
        for method in (client.image, client.video, client.audio, client.document, client.sticker):
            method(TO, media, biz_opaque_callback_data="o")
        client.send("interactive", {"type": "button", "action": {}}, TO)
        client.template(TO, "n", "en_US")
    bodies = [request.body for request in server.received]
    for body, type_ in zip(bodies, ("image", "video", "audio", "document", "sticker"), strict=False):
        assert f'"type":"{type_}","biz_opaque_callback_data":"o","{type_}":{{"id":"1"}}}}'.encode() in body
    assert bodies[5].endswith(b'"interactive":{"type":"button","action":{}}}')
    assert bodies[6].endswith(b'"template":{"name":"n","language":{"code":"en_US","policy":"deterministic"}}}')


def test_a_refusal_is_raised(server: Server) -> None:
    server.answer = (200, REFUSAL)
    with blocking(server.url) as client, pytest.raises(Refused, match="9003") as caught:
        client.text(TO, "hi")
    assert (caught.value.code, caught.value.trace_id) == (9003, "x")


async def test_a_refusal_is_raised_from_an_await(server: Server) -> None:
    server.answer = (200, REFUSAL)
    async with awaited(server.url) as client:
        with pytest.raises(Refused, match="9003"):
            await client.text(TO, "hi")


@pytest.mark.parametrize("answer", [(502, b"<html>"), (302, b""), (307, b""), (200, b" " * 3_000_000)])
def test_what_is_no_answer_is_told_apart(server: Server, answer: tuple[int, bytes]) -> None:
    server.answer = answer
    with blocking(server.url) as client, pytest.raises(BadAnswer, match=f"HTTP {answer[0]}"):
        client.text(TO, "hi")
    assert len(server.received) == 1


@pytest.mark.parametrize("answer", [(502, b"<html>"), (302, b""), (307, b""), (200, b" " * 3_000_000)])
async def test_what_is_no_answer_is_told_apart_in_an_await(server: Server, answer: tuple[int, bytes]) -> None:
    server.answer = answer
    async with awaited(server.url) as client:
        with pytest.raises(BadAnswer, match=f"HTTP {answer[0]}"):
            await client.text(TO, "hi")
    assert len(server.received) == 1


def test_a_connection_that_breaks_is_not_tried_again_until_the_caller_says_so(server: Server) -> None:
    server.answer = None
    with blocking(server.url) as client:
        with pytest.raises(Unreachable) as caught:
            client.text(TO, "hi")
        assert len(server.received) == 1
        server.answer = (200, success("wamid.1", "0" * 32))
        assert client.resend(caught.value.prepared) == Sent("wamid.1", "0" * 32)
    first, second = server.received
    assert (first.headers, first.body) == (second.headers, second.body)


async def test_a_broken_await_is_not_tried_again_until_the_caller_says_so(server: Server) -> None:
    server.answer = None
    async with awaited(server.url) as client:
        with pytest.raises(Unreachable) as caught:
            await client.text(TO, "hi")
        assert len(server.received) == 1
        server.answer = (200, success("wamid.1", "0" * 32))
        assert await client.resend(caught.value.prepared) == Sent("wamid.1", "0" * 32)
    first, second = server.received
    assert (first.headers, first.body) == (second.headers, second.body)


def test_a_silent_server_is_waited_for_no_longer_than_asked(server: Server) -> None:
    server.silent = True
    with blocking(server.url, timeout_s=0.2) as client, pytest.raises(Unreachable, match="no answer from"):
        client.text(TO, "hi")


async def test_a_silent_server_is_awaited_no_longer_than_asked(server: Server) -> None:
    server.silent = True
    async with awaited(server.url, timeout_s=0.2) as client:
        with pytest.raises(Unreachable, match="no answer from"):
            await client.text(TO, "hi")


async def test_a_server_that_is_not_there_is_unreachable(server: Server) -> None:
    nowhere = "http://127.0.0.1:1"
    with blocking(nowhere) as client, pytest.raises(Unreachable):
        client.text(TO, "hi")
    async with awaited(nowhere) as other:
        with pytest.raises(Unreachable):
            await other.text(TO, "hi")
