"""The receivers in `examples/` run under a real server, take what is genuine, and answer exactly 200 to it."""

import http.client
import importlib.util
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn

from tests.docs.source import ROOT
from waypost.protocol.callbacks import nxcloud_headers, standard_headers
from waypost.sdk.callbacks import InboundCallback, Parsed, StatusCallback

STATUS = b'{"business_phone":"8613800000001","statuses":[{"id":"order-1","status":"read","timestamp":"1750030079"}]}'
INBOUND = (
    b'{"business_phone":"8613800000001","contacts":[{"wa_id":"8613900000002"}],'
    b'"messages":[{"from":"8613900000002","id":"wamid.IN1","timestamp":"1","type":"text","text":{"body":"hi"}}]}'
)
KEY, SECRET, STANDARD_SECRET = "fme2na3kdi3ki", "abciiiko2k3", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class QuietHandler(WSGIRequestHandler):
    """Does not write to the terminal."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def asgi(app: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def wsgi(app: Any) -> Iterator[int]:
    with make_server("127.0.0.1", 0, app, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def answer(port: int, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, "/callbacks", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_asgi_receiver_stores_what_is_genuine_and_refuses_the_rest() -> None:
    stored: list[tuple[str, Parsed]] = []
    receiver = example("receiver_asgi").Receiver(
        ("another secret", STANDARD_SECRET), lambda *callback: stored.append(callback)
    )
    now_s = int(time.time())

    def signed(body: bytes, at_s: int = now_s) -> dict[str, str]:
        return standard_headers(body, callback_id="cb-1", secrets=(STANDARD_SECRET,), at_s=at_s)

    with asgi(receiver) as port:
        assert answer(port, STATUS, signed(STATUS)) == (200, b"")
        assert answer(port, STATUS, signed(INBOUND)) == (401, b"")
        assert answer(port, STATUS, signed(STATUS, now_s - 3600)) == (401, b"")
        assert answer(port, STATUS, {}) == (401, b"")
        assert answer(port, b"{}", signed(b"{}")) == (400, b"")
        assert answer(port, b"", {}, "GET") == (405, b"")
        assert answer(port, b"x" * 1_000_001, {})[0] == 413
    ((callback_id, callback),) = stored
    assert callback_id == "cb-1"
    assert isinstance(callback, StatusCallback)
    assert [(status.id, status.status) for status in callback.statuses] == [("order-1", "read")]


def test_the_wsgi_receiver_stores_what_is_genuine_and_refuses_the_rest() -> None:
    stored: list[Parsed] = []
    receiver = example("receiver_wsgi").Receiver({KEY: SECRET}, stored.append)

    def signed(body: bytes, key: str = KEY) -> dict[str, str]:
        return nxcloud_headers(body, access_key=key, secret=SECRET, algorithm="sha256", ts_ms=1655710885431)

    with wsgi(receiver) as port:
        assert answer(port, INBOUND, signed(INBOUND)) == (200, b"")
        assert answer(port, INBOUND, signed(STATUS)) == (401, b"")
        assert answer(port, INBOUND, signed(INBOUND, "someone else")) == (401, b"")
        assert answer(port, INBOUND, {}) == (401, b"")
        assert answer(port, b"[]", signed(b"[]")) == (400, b"")
        assert answer(port, b"", {}, "GET") == (405, b"")
    (callback,) = stored
    assert isinstance(callback, InboundCallback)
    assert [(message.sender, message.content) for message in callback.messages] == [("8613900000002", {"body": "hi"})]


@pytest.mark.parametrize("name", ["receiver_asgi", "receiver_wsgi"])
def test_the_examples_take_their_secrets_from_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CALLBACK_SECRET", f"another {STANDARD_SECRET}")
    monkeypatch.setenv("ACCESS_KEY", KEY)
    monkeypatch.setenv("ACCESS_SECRET", SECRET)
    headers = standard_headers(STATUS, callback_id="cb-1", secrets=(STANDARD_SECRET,), at_s=int(time.time()))
    headers |= nxcloud_headers(STATUS, access_key=KEY, secret=SECRET, algorithm="md5", ts_ms=1)
    serving = asgi if name == "receiver_asgi" else wsgi
    with caplog.at_level(logging.INFO), serving(example(name).from_environment()) as port:
        assert answer(port, STATUS, headers) == (200, b"")
    assert "order-1" in caplog.text
    assert SECRET not in caplog.text
