"""A URL that is taken is posted to, and one that nothing could be posted to is refused where it comes in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import (
    TENANTS,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from tests.receiver import Receiver
from waypost.gateway.tenant_file import read


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback."""
    settings = settings_for(tmp_path / "data", simulator.url, allow_private_callbacks=True)
    async with running_gateway(settings, clock, TENANTS) as running:
        await connect(simulator, running)
        yield running


@pytest.mark.parametrize(
    "written",
    [
        "http://u:geheim@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/" + "a" * 9000,
        "http://127.0.0.1:{port}\\@evil.example/",
        "http://a..b/",
        "http://2130706433:{port}/",
    ],
)
async def test_a_url_that_is_tried_in_vain_for_three_days_is_refused_at_once(
    written: str, customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    url = written.format(port=receiver.url.rpartition(":")[2])
    answer = await customer.send(text_message(cus_message_id="m", dr_webhook=url))
    assert (answer["code"], answer["data"]["error"]["path"]) == (9000, "$.dr_webhook")
    await gateway.admin("GET", "messages/m", status=404)
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["webhook"] = url
    refused = await gateway.admin("POST", "apply", tables, status=400)
    assert refused["error"].startswith("application f543ertg: webhook must ")
    assert "geheim" not in refused["error"]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("HTTP://127.0.0.1:{port}/dr?a=1#fragment", "/dr"),
        ("http://127.0.0.1:{port}/é?x=é", "/é"),
        ("http://①②⑦.0.0.1:{port}", "/"),
        ("http://127.0.0.1:{port}/" + "a" * 8000, "/" + "a" * 8000),
    ],
)
async def test_a_url_that_is_taken_is_posted_to(
    written: str, path: str, customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    url = written.format(port=receiver.url.rpartition(":")[2])
    assert (await customer.send(text_message(dr_webhook=url)))["code"] == 0
    assert (await receiver.until(1))[0].path == path
