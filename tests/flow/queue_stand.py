"""What tests of the queue are made of: a clock that wakes sleepers, a Meta that holds its limits, a count that fits."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import (
    PHONE,
    PHONE_ID,
    TENANTS,
    WABA,
    WAIT_S,
    Control,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from waypost.meta.answer import MetaAnswer
from waypost.meta.client import MetaClient
from waypost.settings import Settings

PER_S = 20
SETTLE_S = 5.0  # a bound that ends a broken test
OTP = """
  [[wabas.templates]]
  name = "otp"
  language = "en_US"
  category = "AUTHENTICATION"

  [[wabas.templates]]
  name = "sale"
  language = "en_US"
  category = "MARKETING"

[[accounts]]"""
SECOND = f"""
  [[accounts.applications]]
  appkey = "second"
  phones = ["{PHONE}"]
"""
SLOW = TENANTS.replace(f'number = "{PHONE}"', f'number = "{PHONE}"\n  messages_per_second = {PER_S}')
TEMPLATES = SLOW.replace("\n[[accounts]]", OTP, 1) + SECOND


class HeldMeta:
    """What goes to one recipient stays on its way to Meta until `let_go`."""

    def __init__(self, patch: pytest.MonkeyPatch, to: str) -> None:
        self._go = asyncio.Event()
        post = MetaClient.post_message

        async def held(client: MetaClient, phone_number_id: str, endpoint: str, token: str, body: bytes) -> MetaAnswer:
            if to.encode() in body:
                await self._go.wait()
            return await post(client, phone_number_id, endpoint, token, body)

        patch.setattr(MetaClient, "post_message", held)

    def let_go(self) -> None:
        """Let everything arrive."""
        self._go.set()


def settings(folder: Path, simulator: Control, **changes: Any) -> Settings:
    return settings_for(folder / "data", simulator.url, allow_private_callbacks=True, **changes)


def phone_at_meta(phone_id: str = PHONE_ID, number: str = PHONE, per_s: int = PER_S) -> dict[str, Any]:
    return {"id": phone_id, "display_phone_number": number, "messages_per_second": per_s}


async def hold_limits(simulator: Control, gateway: Gateway) -> None:
    """Connect a Meta that holds the limits of the one phone."""
    await connect(simulator, gateway, check_limits=True)
    await simulator.config(wabas=[{"waba_id": WABA, "phones": [phone_at_meta()]}])


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback, in front of a Meta that holds its limits."""
    async with counted_gateway(settings(tmp_path, simulator), clock, tenants) as running:
        await hold_limits(simulator, running)
        yield running


@asynccontextmanager
async def counted_gateway(settings: Settings, clock: ShiftableClock, tenants: str) -> AsyncIterator[Gateway]:
    """Run a gateway; in the end it must count exactly what its journal says waits."""
    async with running_gateway(settings, clock, tenants) as running:
        yield running
        await until_counted(running)


async def until_counted(gateway: Gateway) -> None:
    """Wait until the gateway counts what its journal holds; while messages leave, the two are read a moment apart."""
    found: tuple[int, int] | None = None
    try:
        async with asyncio.timeout(SETTLE_S):
            while found is None or found[0] != found[1] or await journalled(gateway, "sending"):
                found = await counted(gateway), await journalled(gateway, "queued")
    except TimeoutError:
        raise AssertionError(
            f"the gateway counts {found and found[0]} that wait, its journal {found and found[1]}"
        ) from None


async def journalled(gateway: Gateway, state: str | None = None) -> int:
    """Return how many messages the journal has, of all or of one state."""
    query = "limit=500" if state is None else f"limit=500&state={state}"
    return len((await gateway.admin("GET", f"messages?{query}"))["messages"])


async def counted(gateway: Gateway) -> int:
    """Return how many messages wait by the gateway's own count."""
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return int(sum(item.value for family in families for item in family.samples if item.name == "waypost_queued"))


async def forward(simulator: Control, clock: ShiftableClock, seconds: float) -> None:
    """Let time pass, here and at Meta."""
    await simulator.call("POST", "clock", {"advance_s": seconds})
    clock.advance(seconds)


async def until_silent(gateway: Gateway) -> None:
    """Wait until Meta's silence is known: no attempt is under way then that a jump of the clock would cut short."""
    async with asyncio.timeout(WAIT_S):
        while not gateway.log.lines("meta_silent") or (await gateway.admin("GET", "queue"))["under_way"]:
            await asyncio.sleep(0.01)


def template(name: str, **changes: Any) -> dict[str, Any]:
    content = {"name": name, "language": {"code": "en_US", "policy": "deterministic"}}
    return text_message(type="template", template=content, **changes) | {"text": None}


async def at_meta(simulator: Control, number: int) -> list[dict[str, Any]]:
    """Wait until Meta has so many messages, and return them in the order in which they came."""
    async with asyncio.timeout(WAIT_S):
        while await simulator.count() < number:
            await asyncio.sleep(0.02)
    return await simulator.messages()


async def posts(simulator: Control) -> list[dict[str, Any]]:
    """Return every attempt that reached Meta, oldest first."""
    calls = await simulator.call("GET", "requests")
    return [call for call in calls if call["path"].endswith("messages")]


async def refusals(simulator: Control) -> list[int]:
    return [call["http_status"] for call in await posts(simulator) if call["http_status"] != 200]


async def codes(answers: list[Coroutine[Any, Any, dict[str, Any]]]) -> list[int]:
    """Send at once, and return the codes of the answers."""
    return [answer["code"] for answer in await asyncio.gather(*answers)]
