"""Every named effect of a message's path is made to fail, and the process killed there: none lost, none doubled.

The effects, in the order of a message that need not wait: slots commit, accept commit, connect, write, read, outcome
commit, answer, webhook commit. Those of a message that waits are in `test_queue_effects`. The commits are broken in the
journal's writer, the network's effects by a relay or the simulator.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.fault.effects import FullDisk, Trace, full_disk, gateway_on, lost_connection
from tests.fault.leases import SHORT, SHORT_S, given_up
from tests.fault.process import GatewayProcess, environment, steady_port
from tests.fault.reckoning import Sent, settled, until
from tests.fault.relay import Moment, Relay
from tests.harness import ADMIN_TOKEN, VERIFY_TOKEN, Control, Customer, ShiftableClock, connect
from waypost.model import State

# The effects of a message's path that are commits of the journal, by the name under which the journal tells of them.
COMMITS = {
    "slots commit": "slots_commit",
    "accept commit": "accept_commit",
    "outcome commit": "outcome_commit",
    "webhook commit": "webhook_commit",
}
NETWORK = {"connect", "write", "read", "answer"}
# Commits that no message waits for: tenants, erasing, the probe of /readyz. (And the ends of leases, if there are any.)
UPKEEP = {"tenants_commit", "purge_commit", "ping_commit"}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def customer(clock: ShiftableClock) -> AsyncIterator[Customer]:
    """A customer's program whose gateway may go away and come back."""
    async with aiohttp.ClientSession() as http:
        yield Customer("", http, clock.now_ms)


async def test_the_tables_name_every_commit_that_the_journal_makes(
    folder: Path, simulator: Control, customer: Customer, clock: ShiftableClock
) -> None:
    trace = Trace()
    async with gateway_on(folder, simulator.url, effects=trace, clock=clock) as gateway:
        await connect(simulator, gateway)
        customer.url = gateway.url
        sent = Sent(customer, keyed=False)
        assert await sent.post() == 0
        await settled(sent, gateway, simulator, at_meta=1, state=State.READ)
        async with customer.http.get(f"{gateway.url}/readyz") as answer:
            assert answer.status == 200

    assert trace.heard == set(COMMITS.values()) | UPKEEP
    assert {kill.effect for kill in KILLS} == {failure.effect for failure in FAILURES} == set(COMMITS) | NETWORK


# --- each effect fails -------------------------------------------------------------------------------------------


class Failure(NamedTuple):
    """How an effect fails: what the customer is answered at first, what Meta has then, and how it all ends."""

    effect: str
    how: str  # what the journal does, a kind of fault of the simulator's, or what the relay does
    first: int | None
    taken: int
    end: State
    taken_at_the_end: int


FULL, LATE = "full disk", "committed, reported as a full disk"
LOST = "connection lost"
FAILURES = [
    Failure("slots commit", FULL, 9001, 0, State.READ, 1),
    Failure("slots commit", LATE, 9001, 0, State.READ, 1),  # a slot is lost, no message
    Failure("accept commit", FULL, 9001, 0, State.READ, 1),
    Failure("accept commit", LATE, 9001, 0, State.SENDING, 0),
    Failure("connect", "down", 0, 0, State.READ, 1),  # it waits, and leaves when Meta is back
    Failure("write", "cut", 0, 0, State.UNKNOWN, 0),
    Failure("read", "reset", 0, 0, State.UNKNOWN, 0),
    Failure("read", "http_500", 0, 0, State.UNKNOWN, 0),
    Failure("read", "accept_then_drop", 0, 1, State.READ, 1),
    Failure("read", "truncate", 0, 1, State.READ, 1),
    Failure("outcome commit", FULL, 0, 1, State.READ, 1),
    Failure("outcome commit", LATE, 0, 1, State.READ, 1),
    Failure("answer", "hang up", None, 1, State.READ, 1),
    Failure("webhook commit", FULL, 0, 1, State.READ, 1),
    Failure("webhook commit", LATE, 0, 1, State.READ, 1),
]
# The other trouble that a journal on a server can have, beside its disk's; what comes of it is the same.
LOSSES = [
    pytest.param(failure._replace(how=LOST), marks=pytest.mark.shared) for failure in FAILURES if failure.how == FULL
]


@pytest.mark.parametrize("keyed", [True, False], ids=["cus_message_id", "signature"])
@pytest.mark.parametrize("failure", [*FAILURES, *LOSSES], ids=lambda failure: f"{failure.effect}: {failure.how}")
async def test_an_effect_that_fails_loses_and_doubles_nothing(
    failure: Failure, keyed: bool, folder: Path, simulator: Control, customer: Customer
) -> None:
    disk = FullDisk(lost_connection if failure.how == LOST else full_disk)
    async with AsyncExitStack() as running:
        meta_url = simulator.url
        if failure.how == "cut":
            meta_url = (await running.enter_async_context(Relay(simulator.url, "write", lambda: None))).url
        gateway = await running.enter_async_context(gateway_on(folder, meta_url, effects=disk))
        await connect(simulator, gateway)
        customer.url = gateway.url
        sent = Sent(customer, keyed=keyed)

        assert await fail(failure, sent, disk, simulator, running) == failure.first
        await simulator.simulator.up()
        await until("Meta has what it should", lambda: has(sent, simulator, failure.taken))
        await simulator.heal()
        customer.url = gateway.url
        assert await sent.insist() == {0}
        await settled(sent, gateway, simulator, failure.taken_at_the_end, failure.end)
        if failure.effect == "webhook commit":
            assert 503 in {push["http_status"] for push in await simulator.call("GET", "webhooks")}


async def fail(failure: Failure, sent: Sent, disk: FullDisk, simulator: Control, running: AsyncExitStack) -> int | None:
    """Make the effect fail, send the message, and return the code that its customer gets, if any."""
    match failure.how:
        case how if how in (FULL, LATE, LOST):
            name = COMMITS[failure.effect]
            disk.arm(f"after:{name}" if how == LATE else name)
        case "hang up":  # the customer is gone by the time the answer comes
            relay = await running.enter_async_context(Relay(sent.customer.url, "read", lambda: None))
            sent.customer.url = relay.url
        case "down":
            await simulator.simulator.down()
        case "cut":
            pass  # the relay between gateway and Meta does it
        case kind:
            await simulator.fault(kind, times=1)
    return await sent.post()


async def has(sent: Sent, simulator: Control, number: int) -> bool:
    return len(await sent.at_meta(simulator)) == number


# --- the process is killed at each effect --------------------------------------------------------------------------


class Kill(NamedTuple):
    """Where the process is killed, and how it all ends once it runs again and the customer has repeated."""

    effect: str
    when: str
    end: State
    taken: int


KILLS = [
    Kill("slots commit", "before", State.READ, 1),
    Kill("slots commit", "after", State.READ, 1),
    Kill("accept commit", "before", State.READ, 1),  # nothing was written down: the repeat is the first
    Kill("accept commit", "after", State.UNKNOWN, 0),
    Kill("connect", "after", State.UNKNOWN, 0),
    Kill("write", "during", State.UNKNOWN, 0),
    Kill("read", "before", State.READ, 1),
    Kill("outcome commit", "before", State.READ, 1),
    Kill("outcome commit", "after", State.READ, 1),
    Kill("answer", "during", State.READ, 1),
    Kill("webhook commit", "before", State.READ, 1),
    Kill("webhook commit", "after", State.READ, 1),
]
MOMENTS: dict[str, Moment] = {"connect": "connect", "write": "write", "read": "read", "answer": "read"}


@pytest.mark.parametrize("keyed", [True, False], ids=["cus_message_id", "signature"])
@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{kill.when} {kill.effect}")
async def test_a_gateway_killed_at_an_effect_loses_and_doubles_nothing(
    kill: Kill, keyed: bool, folder: Path, simulator: Control, customer: Customer, clock: ShiftableClock
) -> None:
    port, log = steady_port(), folder.with_suffix(".log")
    victim: GatewayProcess | None = None

    def die() -> None:
        assert victim is not None
        victim.kill()

    async with AsyncExitStack() as running:
        meta_url, front = simulator.url, f"http://127.0.0.1:{port}"
        if kill.effect in NETWORK:
            target = front if kill.effect == "answer" else simulator.url
            relay = await running.enter_async_context(Relay(target, MOMENTS[kill.effect], die))
            meta_url, front = (meta_url, relay.url) if kill.effect == "answer" else (relay.url, front)
        async with gateway_on(folder, meta_url, port, clock=clock) as gateway:
            await connect(simulator, gateway)
        victim = await a_victim(kill, folder, meta_url, port, log)
        customer.url = front
        sent = Sent(customer, keyed=keyed)
        first = await sent.post()
        assert first is None or kill.effect == "webhook commit", "the answer may be faster than Meta's report"
        assert await victim.ended() == -signal.SIGKILL

        async with gateway_on(folder, meta_url, port, clock=clock) as gateway:
            customer.url = gateway.url
            if kill.end == State.UNKNOWN:
                await given_up(gateway, (await sent.rows(gateway))[0]["id"], clock, SHORT_S)
            assert await sent.insist() == {0}
            await settled(sent, gateway, simulator, kill.taken, kill.end)


async def a_victim(kill: Kill, folder: Path, meta_url: str, port: int, log: Path) -> GatewayProcess:
    """Start a gateway that dies at its effect; at those of the network the relay kills it."""
    name = COMMITS.get(kill.effect, "none")
    effect = f"after:{name}" if kill.when == "after" else name
    settings = environment(
        data_dir=folder,
        meta_base_url=meta_url,
        admin_token=ADMIN_TOKEN,
        meta_verify_token=VERIFY_TOKEN,
        **SHORT,
    )
    victim = GatewayProcess(["-m", "tests.fault.victim", str(port), effect], settings, log)
    await victim.start()
    return victim
