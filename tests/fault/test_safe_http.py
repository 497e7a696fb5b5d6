"""Pushes to URLs that lead astray and servers that misbehave for real: what comes of each, and how often it knocks."""

import asyncio
import gzip
import os
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.fault.test_meta_client import Exchange, Server, answering, http, reset, serving, then_close, then_hang
from waypost.clock import Clock
from waypost.net import connections
from waypost.net.connections import MAX_RECEIVED_BYTES
from waypost.net.safe_http import MAX_ANSWER_BYTES, MAX_RETRY_AFTER_S, Pushed, SafeHttp, seconds_to_wait
from waypost.protocol.rules import url_fault

BODY = b'{"statuses":[]}'
OK = http(b"")
METADATA = "169.254.169.254"


class Names(AbstractResolver):
    """A resolver that gives the n-th list of addresses for the n-th look-up, the last one from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self._answers[min(len(self.asked), len(self._answers)) - 1]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_UNSPEC, proto=0, flags=0)
            for address in found
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def pushing(
    *, private: bool = True, within_s: float = 5, resolver: AbstractResolver | None = None
) -> AsyncIterator[SafeHttp]:
    before = asyncio.all_tasks()
    pusher = SafeHttp(Clock(), timeout_s=within_s, allow_private=private, resolver=resolver)
    await pusher.start()
    try:
        yield pusher
    finally:
        await pusher.close()
    left = asyncio.all_tasks() - before
    assert not [task for task in left if not getattr(task.get_coro(), "__qualname__", "").startswith("Server.")]


async def push(pusher: SafeHttp, url: str) -> Pushed:
    return await pusher.push(url, BODY, {})


async def answer_of(script: Exchange, *, within_s: float = 5) -> Pushed:
    """Push once to a server that follows a script; what it was asked is asked once."""
    async with serving(script) as server, pushing(within_s=within_s) as pusher:
        pushed = await push(pusher, server.url)
        assert (len(server.requests), server.connections) == (1, 1)
    return pushed


def port_of(server: Server) -> str:
    return server.url.rpartition(":")[2]


# --- a good push -----------------------------------------------------------------------------------------------------


async def test_a_push_is_one_json_post_with_the_callers_headers_and_ours() -> None:
    async with serving(answering(http(b"thanks"))) as server, pushing() as pusher:
        pushed = await pusher.push(f"{server.url}/hook?a=1#part", BODY, {"sign": "abc", "webhook-id": "1"})
        (request,) = server.requests
    assert (pushed.http_status, pushed.error, pushed.excerpt, pushed.retry_after_s) == (200, None, "thanks", None)
    assert 0 <= pushed.duration_ms < 5_000
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    assert line == "POST /hook?a=1 HTTP/1.1"
    assert sorted(field.partition(":")[0] for field in fields) == [
        "Accept",
        "Accept-Encoding",
        "Content-Length",
        "Content-Type",
        "Host",
        "User-Agent",
        "sign",
        "webhook-id",
    ]
    assert {"sign: abc", "Content-Type: application/json", "Accept-Encoding: identity"} <= set(fields)
    assert any(field.startswith("User-Agent: Waypost/0.") for field in fields)
    assert body == BODY


@pytest.mark.parametrize("body", [b"", b"ok"])
async def test_pushes_share_a_connection_and_send_no_cookies_back(body: bytes) -> None:
    answer = http(body, headers="Set-Cookie: a=b; Path=/\r\n")
    async with serving(answering(answer)) as server, pushing() as pusher:
        for _ in range(3):
            assert (await push(pusher, server.url)).http_status == 200
        assert (len(server.requests), server.connections) == (3, 1)
        assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(answering(OK)) as proxy, serving(answering(OK)) as server, pushing() as pusher:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await push(pusher, server.url)).http_status == 200
        assert (len(server.requests), proxy.connections) == (1, 0)
        assert b"authorization" not in server.requests[0].lower()


# --- where a URL leads -----------------------------------------------------------------------------------------------

LOOPBACK = {
    "127.0.0.1": "address 127.0.0.1 is loopback",
    "localhost": "of host localhost is loopback",
    "LOCALHOST": "of host localhost is loopback",
    "localhost.": "host localhost. ",
    "0x7f.1": "address 127.0.0.1 of host 0x7f.1 is loopback",
    "0x7f000001": "address 127.0.0.1 of host 0x7f000001 is loopback",
    "2130706433": "URL must have a host",
    "017700000001": "URL must have a host",
    "0177.0.0.1": "URL must have a host",
    "127.1": "URL must have a host",
    "0": "URL must have a host",
    "127.0.0.1.": "URL must have a host",
    "①②⑦.⓪.⓪.①": "address 127.0.0.1 is loopback",
    "127。0。0。1": "address 127.0.0.1 is loopback",
    "0.0.0.0": "address 0.0.0.0 is unspecified",
    "[::]": "address :: is unspecified",
    "[::1]": "address ::1 is loopback",
    "[0:0:0:0:0:0:0:1]": "address ::1 is loopback",
    "[::ffff:127.0.0.1]": "address ::ffff:7f00:1 is loopback",
    "[::127.0.0.1]": "address ::7f00:1 is reserved",
    "[64:ff9b::7f00:1]": "address 64:ff9b::7f00:1 is loopback",
    "[2002:7f00:1::]": "address 2002:7f00:1:: is a 6to4 tunnel",
    "[fe80::1%25lo]": "bound to one network interface",
    "[::1%25lo]": "bound to one network interface",
}


@pytest.mark.parametrize("host", LOOPBACK)
async def test_no_spelling_of_loopback_is_connected_to(host: str) -> None:
    async with serving(answering(OK)) as server, pushing(private=False) as pusher:
        pushed = await push(pusher, f"http://{host}:{port_of(server)}/")
        assert server.connections == 0
    assert pushed.http_status is None
    assert LOOPBACK[host] in (pushed.error or "")


async def test_private_addresses_need_the_setting_and_metadata_is_never_reached() -> None:
    async with serving(answering(OK)) as server, pushing(private=True) as pusher:
        assert (await push(pusher, f"http://localhost:{port_of(server)}")).http_status == 200
        for host, reason in ((METADATA, "a cloud's metadata service"), ("0.0.0.0", "unspecified")):
            pushed = await push(pusher, f"http://{host}:{port_of(server)}/")
            assert pushed.error == f"address {host} is {reason}"
        assert server.connections == 1


@pytest.mark.parametrize("address", ["10.0.0.1", METADATA, "fd00:ec2::254", "::ffff:127.0.0.1", "fe80::1%eth0"])
async def test_a_name_that_resolves_to_a_refused_address_is_refused(address: str) -> None:
    names = Names([address])
    async with pushing(private=False, resolver=names) as pusher:
        pushed = await push(pusher, "https://customer.test/hook")
    assert pushed.http_status is None
    assert (pushed.error or "").startswith(f"address {address} of host customer.test is ")
    assert names.asked == ["customer.test"]


async def test_of_a_names_addresses_only_the_allowed_ones_are_connected_to() -> None:
    refused = ["0.0.0.0", METADATA] * connections.MAX_ADDRESSES
    async with (
        serving(answering(OK)) as server,
        pushing(resolver=Names([*refused, "127.0.0.1", "ff02::1"])) as pusher,
    ):
        assert (await push(pusher, f"http://customer.test:{port_of(server)}/")).http_status == 200
        assert (len(server.requests), server.connections) == (1, 1)


async def test_a_name_that_changes_is_judged_anew_and_never_between_check_and_use() -> None:
    close = http(b"", headers="Connection: close\r\n")
    names = Names(["127.0.0.1"], [METADATA], ["127.0.0.1"])
    async with (
        serving(answering(close)) as first,
        serving(answering(close)) as second,
        pushing(resolver=names) as pusher,
    ):
        for _ in range(2):  # the second has a connection of its own, to the address that was found good
            assert (await push(pusher, f"http://customer.test:{port_of(first)}/")).http_status == 200
        assert (first.connections, len(names.asked)) == (2, 1)
        pushed = await push(pusher, f"http://customer.test:{port_of(second)}/")
        assert pushed.error == f"address {METADATA} of host customer.test is a cloud's metadata service"
        async with asyncio.timeout(10):  # a refusal stands for five times as long as it took
            while (await push(pusher, f"http://customer.test:{port_of(second)}/")).http_status != 200:
                await asyncio.sleep(0.01)
        assert (second.connections, len(names.asked)) == (1, 3)


async def test_a_name_with_thousands_of_addresses_is_tried_at_a_few() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        many = [str(ip_address("127.0.0.0") + number) for number in range(1, 5_000)]
        async with pushing(resolver=Names(many)) as pusher:
            pushed = await push(pusher, f"http://customer.test:{unused.getsockname()[1]}/")
    assert "127.0.0.8" in (pushed.error or "")
    assert "127.0.0.9" not in (pushed.error or "")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_an_answer_and_not_followed(status: str) -> None:
    async with serving(answering(OK)) as elsewhere:
        for location in (elsewhere.url, f"http://{METADATA}/latest/meta-data", "file:///etc/passwd"):
            pushed = await answer_of(answering(http(b"moved", status, f"Location: {location}\r\n")))
            assert (pushed.http_status, pushed.error, pushed.excerpt) == (int(status[:3]), None, "moved")
        assert elsewhere.connections == 0


async def test_names_without_an_address_are_told() -> None:
    async with pushing(resolver=Names([])) as pusher:
        pushed = await push(pusher, "http://customer.test/")
    assert pushed.error == "host customer.test can't be resolved: it has no address"
    async with pushing() as pusher:
        for host in ("customer.invalid", "a" * 63 + ".invalid", "bücher.invalid", "-"):
            pushed = await push(pusher, f"http://{host}/")
            assert (pushed.http_status, (pushed.error or "")[:5]) == (None, "host ")
            assert "can't be resolved: " in (pushed.error or "")


async def test_an_international_name_is_looked_up_in_its_ascii_form() -> None:
    names = Names(["127.0.0.1"])
    async with serving(answering(OK)) as server, pushing(resolver=names) as pusher:
        assert (await push(pusher, f"http://Bücher.test:{port_of(server)}/")).http_status == 200
    assert names.asked == ["xn--bcher-kva.test"]


NOT_ABSOLUTE = "URL must be an absolute http or https URL"
NO_HOST = "URL must have a host, and a port from 1 to 65535 if any"
UNUSABLE = {
    "": NOT_ABSOLUTE,
    "/hook": NOT_ABSOLUTE,
    "customer.test/hook": NOT_ABSOLUTE,
    "//customer.test/hook": NOT_ABSOLUTE,
    "http:///hook": NOT_ABSOLUTE,
    "http:customer.test": NOT_ABSOLUTE,
    "ftp://customer.test/": NOT_ABSOLUTE,
    "file:///etc/passwd": NOT_ABSOLUTE,
    "gopher://customer.test/": NOT_ABSOLUTE,
    "unix:///var/run/docker.sock": NOT_ABSOLUTE,
    "http://user:secret@customer.test/": "URL must not hold a user name or password",
    "http://user@customer.test/": "URL must not hold a user name or password",
    "http://:secret@customer.test/": "URL must not hold a user name or password",
    "http://user:secret@customer.test:x/": NO_HOST,
    "http://customer.test:0/": NO_HOST,
    "http://customer.test:70000/": NO_HOST,
    "http://customer.test:x/": NO_HOST,
    "http://customer..test/": NO_HOST,
    f"http://{'a' * 64}.test/": NO_HOST,
    "http://[::1/": NO_HOST,
    "http://customer.test\r\nHost: evil/": "URL must be printable, without spaces and backslashes",
    "http://customer.test\\@evil.test/": "URL must be printable, without spaces and backslashes",
    "http://\udcff.test/": "URL must be printable, without spaces and backslashes",
    "http://customer.test/" + "a" * 100_000: "URL must have at most 8192 characters",
}


@pytest.mark.parametrize("url", UNUSABLE, ids=lambda url: repr(url[:40]))
async def test_a_url_that_can_not_be_posted_to_is_told(url: str) -> None:
    names = Names(["127.0.0.1"])
    async with pushing(resolver=names) as pusher:
        pushed = await push(pusher, url)
    assert (pushed.http_status, pushed.excerpt, pushed.retry_after_s) == (None, None, None)
    assert UNUSABLE[url] in (pushed.error or "")
    assert "secret" not in (pushed.error or "")
    assert names.asked == []


def test_any_url_comes_to_one_line_and_one_that_is_taken_is_refused_by_its_address_alone() -> None:
    with asyncio.Runner() as runner:
        pusher = SafeHttp(Clock(), timeout_s=5, allow_private=False, resolver=Names(["10.0.0.1"]))
        runner.run(pusher.start())
        authority = st.text("aB1.:@[]%/\\#?-_~ü\u3002\0\r\n ", max_size=20)

        @given(st.one_of(st.text(), authority.map("http://{}".format), authority.map("https://{}/hook".format)))
        def check(url: str) -> None:
            pushed = runner.run(push(pusher, url))
            assert pushed.http_status is None
            assert pushed.error
            assert pushed.error.isprintable()
            fault = url_fault(url)
            by_address = re.match(r"address .* is |host .* can't be resolved", pushed.error)
            assert pushed.error == f"URL {fault}" if fault else by_address, pushed.error

        check()
        runner.run(pusher.close())


# --- how servers misbehave -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "404 Not Found", "410 Gone", "500 Oops", "999 X"])
async def test_every_complete_answer_is_a_status_for_the_caller_to_judge(status: str) -> None:
    body = b"" if status.startswith("204") else b"so\tit\r\n is \x00\x1b[31m"
    pushed = await answer_of(answering(http(body, status)))
    assert (pushed.http_status, pushed.error) == (int(status[:3]), None)
    assert pushed.excerpt == ("so it is [31m" if body else None)


async def test_the_excerpt_is_the_printable_beginning_whatever_the_bytes() -> None:
    text = "é\u202e" + "ab " * 200
    for body, excerpt in (
        (text.encode(), ("é " + "ab " * 200)[:200]),
        (b"\xff\xfe\x00", None),
        (b"\x80ok\xc3", "ok"),
        (b" \n\t ", None),
    ):
        assert (await answer_of(answering(http(body)))).excerpt == excerpt


LOST = "connection lost before the answer was complete"
LATE = "no complete answer within 0.3 s"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN: dict[str, tuple[Exchange, str]] = {
    "closes without an answer": (then_close(b""), LOST),
    "resets": (reset, LOST),
    "half a head, then closes": (then_close(b"HTTP/1.1 200 OK\r\nContent-Len"), LOST),
    "half a body, then closes": (then_close(http(b"thanks")[:-2]), LOST),
    "no last chunk, then closes": (then_close(CHUNKED + b"2\r\nok\r\n"), LOST),
    "hangs": (then_hang(b""), LATE),
    "half a head, then hangs": (then_hang(b"HTTP/1.1 200 OK\r\nContent-Len"), LATE),
    "half a body, then hangs": (then_hang(http(b"thanks")[:-2]), LATE),
    "no HTTP": (then_close(b"SSH-2.0-OpenSSH_9.6\r\n"), "no HTTP answer: "),
    "a huge header": (then_close(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000), "no HTTP answer: "),
    "too many headers": (then_close(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 10_000), "no HTTP answer: "),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_without_a_complete_answer_there_is_a_reason_and_no_status(name: str) -> None:
    script, error = BROKEN[name]
    pushed = await answer_of(script, within_s=0.3)
    assert (pushed.http_status, pushed.excerpt, pushed.retry_after_s) == (None, None, None)
    assert (pushed.error or "").startswith(error)


def endless(head: bytes, repeated: bytes, pause_s: float | None = None) -> Exchange:
    """Write a head, then the same bytes again and again for as long as the other side stays."""

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(repeated)
            await writer.drain()
            if pause_s is not None:
                await asyncio.wait([waiting := asyncio.ensure_future(server.hang())], timeout=pause_s)
                waiting.cancel()

    return script


async def test_an_endless_body_is_cut_off_and_its_status_stands() -> None:
    for head in (b"HTTP/1.1 200 OK\r\n\r\n", http(b"", headers="X: y\r\n").replace(b": 0", b": 999999999999")):
        pushed = await answer_of(endless(head, b"x" * 65_536))
        assert (pushed.http_status, pushed.error, pushed.excerpt) == (200, None, "x" * 200)


@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        (CHUNKED + b"1;", b"a" * 65_536),
        (CHUNKED, b"1;" + b"a" * 1_000 + b"\r\nx\r\n"),
    ],
    ids=["100 Continue", "a chunk's header", "chunks full of framing"],
)
async def test_an_endless_answer_outside_the_body_is_broken_off(head: bytes, repeated: bytes) -> None:
    pushed = await answer_of(endless(head, repeated))
    assert (pushed.http_status, pushed.error) == (None, f"answer is longer than {MAX_RECEIVED_BYTES} bytes")


async def test_an_answer_that_drips_ends_at_the_time_limit() -> None:
    for head in (
        b"HTTP/1.1 200 OK\r\nX-A: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
    ):
        pushed = await answer_of(endless(head, b"a", pause_s=0.01), within_s=0.3)
        assert (pushed.http_status, pushed.error) == (None, LATE)


async def test_compressed_bytes_are_never_unpacked() -> None:
    bomb = gzip.compress(b" " * 100 * MAX_ANSWER_BYTES)
    assert len(bomb) < MAX_ANSWER_BYTES
    pushed = await answer_of(answering(http(bomb, headers="Content-Encoding: gzip\r\n")))
    assert (pushed.http_status, pushed.error) == (200, None)
    assert (pushed.excerpt or "").isprintable()
    pushed = await answer_of(answering(http(b"plain", headers="Content-Encoding: gzip\r\n")))
    assert (pushed.http_status, pushed.excerpt) == (200, "plain")


async def test_a_server_that_does_not_read_ends_at_the_time_limit() -> None:
    async def never_reads(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await server.hang()

    async with serving(never_reads) as server, pushing(within_s=0.3) as pusher:
        await push(pusher, server.url)  # the script begins when a request was read
        pushed = await pusher.push(server.url, b"x" * 900_000, {})
        assert (pushed.http_status, pushed.error) == (None, LATE)


async def test_what_nobody_asked_for_ends_the_connection_and_is_no_answer() -> None:
    unasked, gone = asyncio.Event(), asyncio.Event()

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b"first" if len(server.requests) == 1 else b"second"))
        if len(server.requests) == 1:
            await unasked.wait()
            writer.write(http(b"stale"))
            await reader.read()
            gone.set()

    async with serving(script) as server, pushing() as pusher:
        first = await push(pusher, server.url)
        unasked.set()
        async with asyncio.timeout(10):
            await gone.wait()
        second = await push(pusher, server.url)
        assert (first.excerpt, second.excerpt) == ("first", "second")
        assert (len(server.requests), server.connections) == (2, 2)


async def test_a_kept_connection_that_breaks_is_not_tried_again() -> None:
    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (answering(OK) if len(server.requests) == 1 else reset)(server, reader, writer)

    async with serving(script) as server, pushing() as pusher:
        assert (await push(pusher, server.url)).http_status == 200
        assert (await push(pusher, server.url)).error == LOST
        assert (len(server.requests), server.connections) == (2, 1)


async def test_only_so_many_connections_are_kept_however_many_names_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_KEPT", 4)
    sides: list[asyncio.StreamWriter] = []

    async def script(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sides.append(writer)
        await answering(OK)(server, reader, writer)

    async with serving(script) as server, pushing(resolver=Names(["127.0.0.1"])) as pusher:
        for number in range(12):
            assert (await push(pusher, f"http://c{number}.test:{port_of(server)}/")).http_status == 200
        async with asyncio.timeout(10):
            while sum(side.is_closing() for side in sides) < 8:
                await asyncio.sleep(0)
        assert [side.is_closing() for side in sides] == [False] * 4 + [True] * 8
        assert (await push(pusher, f"http://c0.test:{port_of(server)}/")).http_status == 200
        assert server.connections == 12


async def test_a_refused_connection_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with pushing() as pusher:
            pushed = await push(pusher, f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert pushed.http_status is None
    assert (pushed.error or "").startswith("no connection: ")


async def test_a_cancelled_push_stays_cancelled_and_is_not_written_again() -> None:
    async with serving(then_hang(b"")) as server, pushing() as pusher:
        call = asyncio.create_task(push(pusher, server.url))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(server.requests) == 1


async def test_nothing_is_sent_before_start_after_close_or_with_headers_that_could_split() -> None:
    async with serving(answering(OK)) as server:
        pusher = SafeHttp(Clock(), timeout_s=5, allow_private=True)
        await pusher.close()
        assert (await push(pusher, server.url)).error == "pushing has not been started"
        await pusher.start()
        for headers in ({"sign": "a\r\nX-Evil: 1"}, {"a\r\nb": "c"}, {"a": "\0"}):
            assert (await pusher.push(server.url, BODY, headers)).error
        await pusher.close()
        assert (await push(pusher, server.url)).error == "RuntimeError: Session is closed"
        assert server.requests == []


NOT_TRUSTED = "TLS: certificate not trusted"

# --- TLS -------------------------------------------------------------------------------------------------------------


def self_signed(directory: Path, address: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate for one address, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, public = directory / "server.pem", directory / "trusted.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + public.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, public


async def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    tls, _ = self_signed(tmp_path, "127.0.0.1")
    async with serving(answering(OK), tls) as server, pushing() as pusher:
        pushed = await push(pusher, server.url)
        assert pushed.error == f"{NOT_TRUSTED}: self-signed certificate"
        assert server.requests == []


async def test_a_server_that_speaks_no_tls_is_refused() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b"", "400 Bad Request"))
        await reader.read()
        writer.close()

        over.set()

    over = asyncio.Event()
    async with pushing() as pusher:
        listener = await asyncio.start_server(plain, "127.0.0.1", 0)
        pushed = await push(pusher, f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
        await over.wait()
        listener.close()
        await listener.wait_closed()
    assert (pushed.http_status, pushed.error) == (None, "TLS: wrong version number")


ALONE = """
import asyncio, sys
from waypost.clock import Clock
from waypost.net.safe_http import SafeHttp

async def main():
    pusher = SafeHttp(Clock(), timeout_s=10, allow_private=True)
    await pusher.start()
    for _ in range(2):
        pushed = await pusher.push(sys.argv[1], b"{}", {})
        print(pushed.http_status, pushed.error)
    await pusher.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("address", "printed"),
    [
        ("127.0.0.1", "200 None"),
        (
            "127.0.0.2",
            "None TLS: certificate not trusted: IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
    ],
)
async def test_a_trusted_certificate_must_be_the_servers_own(tmp_path: Path, address: str, printed: str) -> None:
    tls, trusted = self_signed(tmp_path, address)
    async with serving(answering(OK), tls) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ALONE, server.url),
            env={**os.environ, "SSL_CERT_FILE": str(trusted)},
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        assert told.decode().splitlines() == [printed] * 2
        assert len(server.requests) == (2 if address == "127.0.0.1" else 0)


# --- Retry-After -----------------------------------------------------------------------------------------------------

NOW_MS = 784_111_777_500  # Sun, 06 Nov 1994 08:49:37.5 GMT, the date of RFC 9110's examples
RETRY_AFTER: dict[str, float | None] = {
    "0": 0,
    " 120 ": 120,
    "86400": 86_400,
    "86401": MAX_RETRY_AFTER_S,
    "9" * 8_000: MAX_RETRY_AFTER_S,
    "Sun, 06 Nov 1994 08:49:47 GMT": 9.5,
    "Sunday, 06-Nov-94 08:49:47 GMT": 9.5,
    "Sun Nov  6 08:49:47 1994": 9.5,
    "Sun, 06 Nov 1994 09:49:47 +0100": 9.5,
    "Sun, 06 Nov 1994 08:49:37 GMT": 0,
    "Thu, 01 Jan 1970 00:00:00 GMT": 0,
    "Fri, 31 Dec 9999 23:59:59 GMT": MAX_RETRY_AFTER_S,
    "": None,
    "-1": None,
    "1.5": None,
    "1e3": None,
    "٣": None,
    "soon": None,
    "Sun, 99 Nov 1994 08:49:37 GMT": None,
}


@pytest.mark.parametrize("header", RETRY_AFTER, ids=lambda header: repr(header[:30]))
def test_retry_after_is_read_in_both_forms_and_bounded(header: str) -> None:
    assert seconds_to_wait(header, NOW_MS) == RETRY_AFTER[header]


@given(st.text() | st.datetimes().map("{:%a, %d %b %Y %H:%M:%S GMT}".format))
def test_any_retry_after_is_a_bounded_wait_or_none(header: str) -> None:
    waited = seconds_to_wait(header, NOW_MS)
    assert waited is None or 0 <= waited <= MAX_RETRY_AFTER_S


async def test_retry_after_comes_with_the_answer() -> None:
    for header, waited in (("30", 30), ("99999999", MAX_RETRY_AFTER_S), ("never", None), ("\xff", None)):
        status = "503 Service Unavailable"
        pushed = await answer_of(answering(http(b"", status, f"Retry-After: {header}\r\n")))
        assert (pushed.http_status, pushed.retry_after_s) == (503, waited)
