"""The client against a server that misbehaves for real: what each call comes to, and how often it knocked."""

import asyncio
import gzip
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from waypost.meta.answer import AcceptedByMeta, MetaAnswer, NeverLeft, RefusedByMeta, Uncertain
from waypost.meta.client import MAX_ANSWER_BYTES, MetaClient, MetaUnreachable

PHONE = "106540352242922"
TOKEN = "EAAtoken"
BODY = b'{"messaging_product":"whatsapp"}'
ACCEPTED = b'{"messages":[{"id":"wamid.1"}]}'

Exchange = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Server:
    """A raw TCP server: reads whole requests, keeps them, and answers each as its script says."""

    def __init__(self, script: Exchange) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.release = asyncio.Event()  # what "hangs" in a script ends when the test does
        self.arrived = asyncio.Event()
        self._script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self.read_request(reader):
                await self._script(self, reader, writer)
                if writer.is_closing():
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def read_request(self, reader: asyncio.StreamReader) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        self.requests.append(head + await reader.readexactly(int(fields.get(b"content-length", b"0"))))
        self.arrived.set()
        return True

    async def hang(self) -> None:
        await self.release.wait()


@asynccontextmanager
async def serving(script: Exchange, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        server.release.set()
        listener.close()
        await listener.wait_closed()


@asynccontextmanager
async def started(url: str, *, connect_s: float = 5, read_s: float = 5, most: int = 8) -> AsyncIterator[MetaClient]:
    client = MetaClient(url, "v25.0", connect_timeout_s=connect_s, read_timeout_s=read_s, max_connections=most)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def post(client: MetaClient) -> MetaAnswer:
    return await client.post_message(PHONE, "messages", TOKEN, BODY)


def answering(*answers: bytes) -> Exchange:
    """Write the n-th answer for the n-th request, the last one from then on."""

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[min(len(server.requests), len(answers)) - 1])
        await writer.drain()

    return script


def then_close(answer: bytes) -> Exchange:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return script


def then_hang(answer: bytes) -> Exchange:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await server.hang()

    return script


async def reset(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection off with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- what a good call looks like ---------------------------------------------------------------------------------


async def test_a_message_is_posted_once_with_token_and_json_and_its_answer_read() -> None:
    async with serving(answering(http(ACCEPTED))) as server, started(server.url) as client:
        assert await post(client) == AcceptedByMeta(
            meta_message_id="wamid.1", message_status=None, body=ACCEPTED.decode()
        )
        (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST /v25.0/{PHONE}/messages HTTP/1.1"
    assert "Authorization: Bearer EAAtoken" in lines
    assert "Content-Type: application/json" in lines
    assert not [line for line in lines if line.lower().startswith("cookie")]
    assert body == BODY


async def test_calls_share_a_connection_and_send_no_cookies_back() -> None:
    answer = http(ACCEPTED, headers="Set-Cookie: a=b; Path=/\r\n")
    async with serving(answering(answer)) as server, started(server.url) as client:
        for _ in range(3):
            assert isinstance(await post(client), AcceptedByMeta)
        assert (len(server.requests), server.connections) == (3, 1)
        assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(answering(http(ACCEPTED))) as server, started(server.url) as client:
        assert isinstance(await post(client), AcceptedByMeta)


async def test_a_compressed_or_chunked_answer_is_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(ACCEPTED), ACCEPTED)
    gzipped = http(gzip.compress(ACCEPTED), headers="Content-Encoding: gzip\r\n")
    async with serving(answering(chunked, gzipped)) as server, started(server.url) as client:
        for number in (1, 2):
            answer = await post(client)
            assert isinstance(answer, AcceptedByMeta)
            assert (answer.body, len(server.requests)) == (ACCEPTED.decode(), number)


@pytest.mark.parametrize(("code", "seconds"), [(80007, 420), (100, None)], ids=["throttled", "refused for good"])
async def test_metas_usage_header_says_how_long_throttling_lasts(code: int, seconds: float | None) -> None:
    usage = 'X-Business-Use-Case-Usage: {"1":[{"type":"whatsapp","estimated_time_to_regain_access":7}]}\r\n'
    body = b'{"error":{"message":"no","type":"OAuthException","code":%d}}' % code
    async with serving(answering(http(body, "400 Bad Request", usage))) as server, started(server.url) as meta:
        refused = await post(meta)
    assert isinstance(refused, RefusedByMeta)
    assert refused.regain_s == seconds


async def test_a_refusal_is_read_from_the_body_whatever_the_status() -> None:
    body = json.dumps({"error": {"code": 131056, "message": "pair"}}).encode()
    answers = [http(body, "429 Too Many Requests"), http(body, "500 Internal Server Error"), http(body)]
    async with serving(answering(*answers)) as server, started(server.url) as client:
        for _ in answers:
            answer = await post(client)
            assert isinstance(answer, RefusedByMeta)
            assert (answer.error["code"], answer.meta_error.scope) == (131056, "pair")


# --- after the request was written: uncertain, and never written again -----------------------------------------------

HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Len"
HALF_BODY = http(ACCEPTED)[:-8]
HALF_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (len(ACCEPTED), ACCEPTED)
NO_LAST_CHUNK = HALF_CHUNK + b"\r\n"
BOMB = http(gzip.compress(b" " * 50 * MAX_ANSWER_BYTES), headers="Content-Encoding: gzip\r\n")
BAD_GZIP = http(ACCEPTED, headers="Content-Encoding: gzip\r\n")
HUGE = http(b'{"messages":[{"id":"wamid.1"}],"x":"' + b"x" * MAX_ANSWER_BYTES + b'"}')
HTML_502 = http(b"<html>502 Bad Gateway</html>", "502 Bad Gateway")

BROKEN: dict[str, Exchange] = {
    "closes without an answer": then_close(b""),
    "resets": reset,
    "half a head, then closes": then_close(HALF_HEAD),
    "half a body, then closes": then_close(HALF_BODY),
    "half a chunk, then closes": then_close(HALF_CHUNK),
    "no last chunk, then closes": then_close(NO_LAST_CHUNK),
    "hangs": then_hang(b""),
    "half a head, then hangs": then_hang(HALF_HEAD),
    "half a body, then hangs": then_hang(HALF_BODY),
    "no last chunk, then hangs": then_hang(NO_LAST_CHUNK),
    "no HTTP": then_close(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a head without end": then_close(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 100_000),
    "wrong compression": then_close(BAD_GZIP),
    "a huge body": then_close(HUGE),
    "a body that unpacks to 50 MB": then_close(BOMB),
    "HTML 502": answering(HTML_502),
    "429 without a body": answering(http(b"", "429 Too Many Requests")),
    "204": answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_every_failure_after_the_request_is_uncertain_and_the_request_arrives_once(name: str) -> None:
    async with serving(BROKEN[name]) as server, started(server.url, read_s=0.3) as client:
        answer = await post(client)
        assert isinstance(answer, Uncertain), answer
        assert answer.reason
        assert TOKEN not in answer.reason
        assert (len(server.requests), server.connections) == (1, 1)


async def test_a_redirect_is_not_followed() -> None:
    async with serving(answering(http(ACCEPTED))) as elsewhere:
        location = f"Location: {elsewhere.url}/v25.0/{PHONE}/messages\r\n"
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            script = answering(http(b"", status, location))
            async with serving(script) as server, started(server.url) as client:
                answer = await post(client)
                assert isinstance(answer, Uncertain)
                assert answer.reason == f"HTTP {status.split()[0]} without readable JSON"
                assert len(server.requests) == 1
        assert elsewhere.requests == []


@pytest.mark.parametrize("ending", [then_close(b""), reset], ids=["closes", "resets"])
async def test_a_kept_connection_that_ends_as_the_next_request_comes_is_uncertain(ending: Exchange) -> None:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (answering(http(ACCEPTED)) if len(server.requests) == 1 else ending)(server, reader, writer)

    async with serving(script) as server, started(server.url) as client:
        assert isinstance(await post(client), AcceptedByMeta)
        assert isinstance(await post(client), Uncertain)
        assert (len(server.requests), server.connections) == (2, 1)


async def test_a_connection_that_the_server_closed_while_idle_is_replaced() -> None:
    closed = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(ACCEPTED))
        writer.write_eof()
        assert await reader.read() == b"", "the client answers the end with its own"
        writer.close()
        closed.set()

    async with serving(script) as server, started(server.url) as client:
        for number in (1, 2):
            assert isinstance(await post(client), AcceptedByMeta)
            await closed.wait()
            closed.clear()
            assert (len(server.requests), server.connections) == (number, number)


async def test_bytes_that_came_unasked_are_never_taken_for_the_next_answer() -> None:
    written = asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(server.requests)
        writer.write(http(b'{"messages":[{"id":"wamid.%d"}]}' % number))
        await writer.drain()
        if number == 1:
            await unasked.wait()
            writer.write(http(b'{"messages":[{"id":"wamid.stale"}]}'))
            await writer.drain()
            written.set()

    unasked = asyncio.Event()
    async with serving(script) as server, started(server.url) as client:
        first = await post(client)
        unasked.set()
        await written.wait()
        # what was written to loopback is there at once, and the client reads it while it talks to another server
        async with serving(answering(http(ACCEPTED))) as other, started(other.url) as second_client:
            await post(second_client)
        second = await post(client)
        assert isinstance(first, AcceptedByMeta)
        assert isinstance(second, AcceptedByMeta)
        assert (first.meta_message_id, second.meta_message_id) == ("wamid.1", "wamid.2")
        assert (len(server.requests), server.connections) == (2, 2)


async def test_an_answer_that_drips_past_the_read_limit_is_uncertain() -> None:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in http(b" " * 10_000 + ACCEPTED):
            writer.write(bytes([byte]))
            await writer.drain()
            if await ended(server):
                return

    async def ended(server: Server) -> bool:
        try:
            await asyncio.wait_for(server.release.wait(), 0.01)
        except TimeoutError:
            return False
        return True

    async with serving(script) as server, started(server.url, read_s=0.3) as client:
        async with asyncio.timeout(10):
            answer = await post(client)
        assert answer == Uncertain(reason="no complete answer in time", body=None)
        assert len(server.requests) == 1


async def test_a_server_that_does_not_read_ends_at_the_read_limit() -> None:
    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await release.wait()
        writer.close()

    release = asyncio.Event()
    listener = await asyncio.start_server(never_reads, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with started(url, read_s=0.3) as client:
        answer = await client.post_message(PHONE, "messages", TOKEN, b"x" * 900_000)
        assert answer == Uncertain(reason="no complete answer in time", body=None)
    release.set()
    listener.close()
    await listener.wait_closed()


async def test_a_cancelled_call_stays_cancelled_and_does_not_write_again() -> None:
    async with serving(then_hang(b"")) as server, started(server.url) as client:
        call = asyncio.create_task(post(client))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(server.requests) == 1


# --- before the request was written: it never left -------------------------------------------------------------------


async def test_a_refused_connection_never_left() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with started(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            answer = await post(client)
    assert isinstance(answer, NeverLeft)
    assert answer.reason.startswith("no connection: ClientConnectorError")


async def test_a_name_that_does_not_resolve_never_left() -> None:
    async with started("http://meta.invalid") as client:
        answer = await post(client)
    assert isinstance(answer, NeverLeft)


async def test_a_handshake_that_hangs_never_left() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    release = asyncio.Event()
    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with started(url, connect_s=0.3) as client:
        assert await post(client) == NeverLeft(reason="no connection in time")
    release.set()
    listener.close()
    await listener.wait_closed()


def self_signed(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    chain = directory / "server.pem"
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


async def test_a_certificate_that_is_not_trusted_never_left(tmp_path: Path) -> None:
    async with serving(answering(http(ACCEPTED)), self_signed(tmp_path)) as server, started(server.url) as client:
        answer = await post(client)
        assert isinstance(answer, NeverLeft)
        assert "CertificateError" in answer.reason
        assert server.requests == []


async def test_waiting_for_a_free_connection_is_bounded_and_never_left() -> None:
    async with serving(then_hang(b"")) as server, started(server.url, connect_s=0.3, read_s=5, most=1) as client:
        first = asyncio.create_task(post(client))
        await server.arrived.wait()
        assert await post(client) == NeverLeft(reason="no connection in time")
        assert len(server.requests) == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_client_that_is_not_started_or_closed_never_sends() -> None:
    async with serving(answering(http(ACCEPTED))) as server:
        client = MetaClient(server.url, "v25.0")
        assert isinstance(await post(client), NeverLeft)
        await client.start()
        await client.close()
        assert isinstance(await post(client), NeverLeft)
        assert server.requests == []


@pytest.mark.parametrize("phone_number_id", ["", "..", "1/2", "1?x=1", "1#", "1%2f", "1 ", "é", "1\r\nX: y"])
async def test_an_id_that_could_change_the_address_is_never_sent(phone_number_id: str) -> None:
    async with serving(answering(http(ACCEPTED))) as server, started(server.url) as client:
        assert isinstance(await client.post_message(phone_number_id, "messages", TOKEN, BODY), NeverLeft)
        assert isinstance(await client.post_message(PHONE, phone_number_id, TOKEN, BODY), NeverLeft)
        assert server.requests == []


@pytest.mark.parametrize("token", ["", "a\r\nX-Evil: 1", "tökèn", "a\0b"])
async def test_a_token_that_could_change_the_headers_is_never_sent(token: str) -> None:
    async with serving(answering(http(ACCEPTED))) as server, started(server.url) as client:
        answer = await client.post_message(PHONE, "messages", token, BODY)
        assert answer == NeverLeft(reason="access token can't stand in a header")
        with pytest.raises(MetaUnreachable):
            await client.get(PHONE, token)
        assert server.requests == []


# --- questions -------------------------------------------------------------------------------------------------------


async def test_a_question_returns_status_and_body() -> None:
    body = b'{"error":{"code":190}}'
    async with serving(answering(http(body, "401 Unauthorized"))) as server, started(server.url) as client:
        assert await client.get(PHONE, TOKEN, {"fields": "id,display_phone_number"}) == (401, body)
        (request,) = server.requests
    assert request.startswith(b"GET /v25.0/106540352242922?fields=id,display_phone_number HTTP/1.1\r\n")
    assert b"Authorization: Bearer EAAtoken\r\n" in request


@pytest.mark.parametrize("name", ["half a body, then closes", "hangs", "a huge body"])
async def test_a_question_without_a_complete_answer_is_unreachable(name: str) -> None:
    async with serving(BROKEN[name]) as server, started(server.url, read_s=0.3) as client:
        with pytest.raises(MetaUnreachable, match="no complete answer"):
            await client.get(PHONE, TOKEN)


async def test_a_question_to_nobody_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with started(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            with pytest.raises(MetaUnreachable, match="no connection"):
                await client.get(PHONE, TOKEN)
