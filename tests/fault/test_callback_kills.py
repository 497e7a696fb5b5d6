"""The process is killed at every effect of a callback's path: nothing missing, doubled only what was on the wire."""

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.fault.effects import Trace, gateway_on
from tests.fault.process import GatewayProcess, environment, steady_port
from tests.fault.reckoning import until
from tests.harness import ADMIN_TOKEN, VERIFY_TOKEN, Control, Customer, Gateway, ShiftableClock, connect, text_message
from tests.receiver import Received, Receiver
from waypost.gateway.deliver import ORDER_WAIT_MS

ORDER = ["sent", "delivered", "read"]
LEASE_S = 60  # a push may take 10 s by default, and its lease is half a minute longer
assert LEASE_S * 1000 < ORDER_WAIT_MS

# The effects of a callback's path that are commits of the journal; `push` is the receiver's.
COMMITS = {"webhook commit": "webhook_commit", "claim commit": "claim_commit", "record commit": "attempts_commit"}
# Commits of the message's path, which `test_effects` kills at, and those that no callback waits for.
OTHERS = {"slots_commit", "accept_commit", "outcome_commit", "tenants_commit", "purge_commit"}


class Kill(NamedTuple):
    """Where the process is killed, how many pushes the receiver has by then, and how many it gets twice."""

    effect: str
    when: str
    pushed: int
    doubled: int


KILLS = [
    Kill("webhook commit", "before", 0, 0),  # Meta has no 200 and posts again
    Kill("webhook commit", "after", 0, 0),
    Kill("claim commit", "before", 0, 0),
    Kill("claim commit", "after", 0, 0),
    Kill("push", "during", 1, 1),
    Kill("record commit", "before", 1, 1),  # accepted, and nobody is left who knows it
    Kill("record commit", "after", 1, 0),
]


@pytest.fixture
async def customer(clock: ShiftableClock) -> AsyncIterator[Customer]:
    """A customer's program whose gateway is named later."""
    async with aiohttp.ClientSession() as http:
        yield Customer("", http, clock.now_ms)


async def test_the_table_names_every_commit_of_a_callback(
    tmp_path: Path, simulator: Control, customer: Customer, receiver: Receiver, clock: ShiftableClock
) -> None:
    trace, folder = Trace(), tmp_path / "data"
    async with gateway_on(folder, simulator.url, effects=trace, clock=clock, allow_private_callbacks=True) as gateway:
        await connect(simulator, gateway)
        customer.url = gateway.url
        await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
        await done(gateway)
    assert trace.heard == set(COMMITS.values()) | OTHERS
    assert {kill.effect for kill in KILLS} == set(COMMITS) | {"push"}


async def done(gateway: Gateway) -> None:
    """Wait until the customer of message `m` has been told everything."""

    async def is_told() -> bool:
        callbacks = (await gateway.message("m"))["callbacks"]
        return sorted(item["status"] for item in callbacks if item["state"] == "done") == sorted(ORDER)

    await until("everything is called back", is_told)


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{kill.when} {kill.effect}")
async def test_a_gateway_killed_at_an_effect_of_a_callback_calls_everything_back(
    kill: Kill, tmp_path: Path, simulator: Control, customer: Customer, receiver: Receiver, clock: ShiftableClock
) -> None:
    folder, port = tmp_path / "data", steady_port()
    victim = a_victim(kill, folder, simulator.url, port)

    def dies(_: Received) -> int:
        victim.kill()
        return 200

    receiver.answer = dies if kill.effect == "push" else 200
    async with gateway_on(folder, simulator.url, port) as gateway:
        await connect(simulator, gateway)
    await victim.start()
    customer.url = f"http://127.0.0.1:{port}"
    with contextlib.suppress(aiohttp.ClientError):  # Meta's report may be quicker than our answer, and deadly
        answer = await customer.send(text_message(cus_message_id="m", dr_webhook=receiver.url))
        assert answer["code"] == 0
    assert await victim.ended() == -signal.SIGKILL
    assert len(receiver.received) == kill.pushed
    receiver.answer = 200

    async with gateway_on(folder, simulator.url, port, clock=clock, allow_private_callbacks=True) as gateway:
        await until("Meta has reported everything", lambda: is_reported(gateway))
        clock.advance(LEASE_S)
        await done(gateway)
    told = receiver.statuses()
    assert sorted(map(str, dict.fromkeys(told))) == sorted(ORDER), "missing"
    assert len(told) == len(ORDER) + kill.doubled
    if kill.effect != "webhook commit":  # then Meta repeats, each report after a time of its own
        assert list(dict.fromkeys(told)) == ORDER
    by_id = {item.status: item.body for item in receiver.received}
    assert all(item.body == by_id[item.status] for item in receiver.received), "a repeat is the same to the byte"


async def is_reported(gateway: Gateway) -> bool:
    return len((await gateway.message("m"))["statuses"]) == len(ORDER)


def a_victim(kill: Kill, folder: Path, meta_url: str, port: int) -> GatewayProcess:
    """Return a gateway that dies at its effect; at a push the receiver kills it."""
    name = COMMITS.get(kill.effect, "none")
    settings = environment(
        data_dir=folder,
        meta_base_url=meta_url,
        admin_token=ADMIN_TOKEN,
        meta_verify_token=VERIFY_TOKEN,
        allow_private_callbacks=True,
    )
    command = ["-m", "tests.fault.victim", str(port), f"after:{name}" if kill.when == "after" else name]
    return GatewayProcess(command, settings, folder.with_suffix(".log"))
