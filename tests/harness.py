"""The parts that flow and fault tests are made of: a real gateway, a real customer, a real simulator, over HTTP."""

import asyncio
import hashlib
import io
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog

from tests.engine import engine_settings, found_at
from tests.shiftable_clock import WAIT_S as WAIT_S
from tests.shiftable_clock import ShiftableClock as ShiftableClock
from waypost import telemetry
from waypost.clock import Clock
from waypost.gateway.tenant_file import read
from waypost.service import Service
from waypost.settings import Settings
from waypost.simulator import Simulator

ACCESS_KEY = "fme2na3kdi3ki"
ACCESS_SECRET = "abciiiko2k3"
APPKEY = "f543ertg"
PHONE = "8615800001795"
PHONE_ID = "106540352242922"
WABA = "102290129340398"
META_TOKEN = "EAAG-test-token-0001"
APP_SECRET = "meta-app-secret-0001"
VERIFY_TOKEN = "verify-token-0001"
ADMIN_TOKEN = "admin-token-0001"
SECRETS = (ACCESS_SECRET, META_TOKEN, APP_SECRET, ADMIN_TOKEN)

TENANTS = f"""
[[wabas]]
waba_id = "{WABA}"
account = "acme"
access_token = "{META_TOKEN}"
app_secret = "{APP_SECRET}"

  [[wabas.phones]]
  number = "{PHONE}"
  phone_number_id = "{PHONE_ID}"

[[accounts]]
name = "acme"
access_key = "{ACCESS_KEY}"
access_secret = "{ACCESS_SECRET}"

  [[accounts.applications]]
  appkey = "{APPKEY}"
  name = "shop"
  phones = ["{PHONE}"]
"""


class Log:
    """Everything the gateway logged, as bytes and as parsed lines."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue().decode()

    def lines(self, event: str) -> list[dict[str, Any]]:
        parsed = [msgspec.json.decode(line) for line in self.text.splitlines()]
        return [line for line in parsed if line["event"] == event]

    def capture(self) -> None:
        """Point the gateway's logging here."""
        telemetry.configure("debug", pretty=False)
        structlog.configure(logger_factory=structlog.BytesLoggerFactory(self.stream))


class Control:
    """The simulator's control API."""

    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.url = simulator.url
        self._http = http

    async def call(self, method: str, path: str, body: object | None = None) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        # there it answers also while Meta is down
        url = f"{self.simulator.control_url}/_simulator/{path}"
        async with self._http.request(method, url, data=data) as answer:
            content = await answer.read()
            assert answer.status == 200, content
            return msgspec.json.decode(content) if content else None

    async def config(self, **values: object) -> Any:
        return await self.call("PUT", "config", values)

    async def fault(self, kind: str, **values: object) -> Any:
        return await self.call("POST", "faults", {"kind": kind, **values})

    async def heal(self) -> None:
        await self.call("DELETE", "faults")

    async def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.call("GET", "messages")
        return found

    async def count(self) -> int:
        answer = await self.call("GET", "count")
        number: int = answer["messages"]
        return number


class Customer:
    """A customer's program: signs requests as NxCloud's documentation says, with code of its own."""

    def __init__(self, url: str, http: aiohttp.ClientSession, now_ms: Callable[[], int]) -> None:
        self.url = url
        self.http = http
        self._now_ms = now_ms
        self._ts = 0

    def signed(self, body: bytes, **changes: str) -> dict[str, str]:
        """Return the headers of a signed request; each has a time of its own, so that no two are repeats by chance."""
        self._ts = max(self._ts + 1, self._now_ms())
        values = {"accessKey": ACCESS_KEY, "action": "mt", "bizType": "2", "ts": str(self._ts), **changes}
        secret = values.pop("secret", ACCESS_SECRET)
        algorithm = values.get("algorithm", "")
        start = "&".join(f"{name}={values[name]}" for name in ("accessKey", "action", "bizType", "ts"))
        text = start.encode() + (b"&body=" + body if body else b"") + f"&accessSecret={secret}".encode()
        digest = hashlib.sha256(text) if algorithm.lower() == "sha256" else hashlib.md5(text)
        return {**values, "sign": digest.hexdigest()}

    async def post(
        self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/api/wa/mt"
    ) -> dict[str, Any]:
        """Post raw bytes, signed unless headers are given; the answer must be HTTP 200 and JSON."""
        sent = self.signed(body) if headers is None else dict(headers)
        async with self.http.post(self.url + path, data=io.BytesIO(body), headers=sent) as answer:
            content = await answer.read()
            assert answer.status == 200, content
            assert answer.headers["content-type"] == "application/json"
            parsed: dict[str, Any] = msgspec.json.decode(content)
            assert list(parsed) == ["code", "message", "data", "traceId"]
            return parsed

    async def send(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Sign and post one message."""
        return await self.post(msgspec.json.encode(message))


class Gateway:
    """A running gateway with its tenants, its log, and a way to look at its journal."""

    def __init__(self, service: Service, log: Log, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.log = log
        self.url = service.url
        self._http = http

    async def admin(self, method: str, path: str, body: object | None = None, status: int = 200) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self._http.request(method, f"{self.url}/admin/v1/{path}", data=data, headers=headers) as answer:
            content = await answer.read()
            assert answer.status == status, content
            return msgspec.json.decode(content)

    async def message(self, any_id: str) -> Any:
        return await self.admin("GET", f"messages/{any_id}")

    async def until(self, any_id: str, state: str) -> Any:
        """Wait until a message has reached a state, and return its timeline."""
        async with asyncio.timeout(WAIT_S):
            while (found := await self.message(any_id))["state"] != state:
                await asyncio.sleep(0.01)
        return found


_numbers = itertools.count(8613900000002)


def text_message(**changes: Any) -> dict[str, Any]:
    """Return the body of a text message to a recipient of its own."""
    return {
        "appkey": APPKEY,
        "business_phone": PHONE,
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": str(next(_numbers)),
        "type": "text",
        "text": {"body": "hello", "preview_url": False},
        **changes,
    }


def settings_for(folder: Path, simulator_url: str, **changes: Any) -> Settings:
    """Return the settings of a test's gateway."""
    values = {
        "data_dir": str(folder),
        "meta_base_url": simulator_url,
        "admin_token": ADMIN_TOKEN,
        "meta_verify_token": VERIFY_TOKEN,
        **engine_settings(folder),
        **changes,
    }
    return Settings(**values)


class FoundService(Service):
    """A gateway that commands find also where its journal is shared, which says nothing of where gateways are."""

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> str:
        url = await super().start(host, port, listener)
        found_at(Path(self.settings.data_dir), url)
        return url

    async def stop(self) -> None:
        found_at(Path(self.settings.data_dir), None)
        await super().stop()


class Complaints(logging.Handler):
    """What the HTTP server or the event loop complain about: a handler of ours that failed, a task nobody awaited."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@asynccontextmanager
async def running_gateway(settings: Settings, clock: Clock, tenants: str) -> AsyncIterator[Gateway]:
    """Run a gateway; afterwards its log must hold no secret, and nobody must have complained."""
    log = Log()
    log.capture()
    complaints = Complaints()
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(complaints)
    service = FoundService(settings, clock)
    await service.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as http:
            gateway = Gateway(service, log, http)
            await gateway.admin("POST", "apply", read(tenants, {}))
            yield gateway
    finally:
        await service.stop()
        for logger in loggers:
            logger.removeHandler(complaints)
    assert not complaints.heard, complaints.heard
    for secret in SECRETS:
        assert secret not in log.text


async def connect(control: Control, gateway: Gateway, **config: Any) -> None:
    """Point the simulator's webhooks at the gateway."""
    await control.config(
        webhook_url=f"{gateway.url}/meta/webhook",
        app_secret=APP_SECRET,
        verify_token=VERIFY_TOKEN,
        time_factor=0,
        wabas=[{"waba_id": WABA, "phones": [{"id": PHONE_ID, "display_phone_number": PHONE}]}],
        **config,
    )
