"""A second attempt whose commits fail, or whose process ends in between: never a third, and nothing lost."""

from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.fault.effects import FullDisk, gateway_on
from tests.fault.leases import given_up
from tests.flow.test_judging import DAY_S, HastyClock
from tests.flow.test_resend import RESENDING, reports
from tests.harness import Control, Customer, Gateway, connect, text_message
from waypost.gateway.tenant_file import read


class Trouble(NamedTuple):
    """The commit that fails, how many messages Meta has then, and the states up to the end."""

    effect: str
    taken: int
    states: tuple[str, ...]


TROUBLES = [
    Trouble("resend_commit", 2, ("accepted",)),  # nothing was written or sent, so the next round does it
    Trouble("after:resend_commit", 2, ("accepted",)),  # it waits, though nobody was told, so a sweep finds it
    Trouble("slots_commit", 2, ("accepted",)),
    Trouble("after:slots_commit", 2, ("accepted",)),
    Trouble("begin_commit", 2, ("accepted",)),  # it waits as before
    Trouble("after:begin_commit", 1, ("sending", "unknown", "failed")),  # claimed, so it may have left
    Trouble("outcome_commit", 2, ("accepted",)),  # what Meta answered is still known, and written down a second later
    Trouble("after:outcome_commit", 2, ("accepted",)),
]


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


async def lost(gateway: Gateway, simulator: Control, clock: HastyClock) -> None:
    """Have a message that Meta took without saying so, of an application that wants it sent again."""
    await gateway.admin("POST", "apply", read(RESENDING, {}))
    await connect(simulator, gateway)
    await simulator.config(time_factor=100_000)
    await simulator.fault("accept_then_drop", times=1)
    async with aiohttp.ClientSession() as http:
        answer = await Customer(gateway.url, http, clock.now_ms).send(text_message(cus_message_id="lost"))
    assert answer["code"] == 0


@pytest.mark.parametrize("restarted", [False, True], ids=["it goes on", "it is started anew"])
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.effect)
async def test_commit_of_a_second_attempt_fails(
    trouble: Trouble, restarted: bool, tmp_path: Path, simulator: Control, clock: HastyClock
) -> None:
    disk, folder = FullDisk(), tmp_path / "data"
    async with gateway_on(folder, simulator.url, effects=disk, clock=clock) as gateway:
        await lost(gateway, simulator, clock)
        disk.arm(trouble.effect)
        clock.advance(DAY_S + 1)
        await gateway.until("lost", trouble.states[0])
        assert await simulator.count() == trouble.taken
        if not restarted:
            await ends(gateway, trouble.states[1:], clock)
    if restarted:
        async with gateway_on(folder, simulator.url, clock=clock) as gateway:
            await gateway.admin("POST", "apply", read(RESENDING, {}))
            if trouble.states[0] == "sending":
                await given_up(gateway, "lost", clock)
            await ends(gateway, trouble.states[2:], clock)
    assert await simulator.count() == trouble.taken


async def ends(gateway: Gateway, states: tuple[str, ...], clock: HastyClock) -> None:
    """Let a day pass for each further state, and see that the last one stays."""
    last = (await gateway.message("lost"))["state"]
    for last in states:
        clock.advance(DAY_S + 1)
        await gateway.until("lost", last)
    await clock.judged()
    assert (await gateway.message("lost"))["state"] == last


async def test_report_of_the_first_attempt_counts_after_the_second_was_cut_short(
    tmp_path: Path, simulator: Control, clock: HastyClock
) -> None:
    disk, folder = FullDisk(), tmp_path / "data"
    async with gateway_on(folder, simulator.url, effects=disk, clock=clock) as gateway:
        await lost(gateway, simulator, clock)
        disk.arm("after:begin_commit")
        clock.advance(DAY_S + 1)
        await gateway.until("lost", "sending")
    async with gateway_on(folder, simulator.url, clock=clock) as gateway:
        await given_up(gateway, "lost", clock)
        await connect(simulator, gateway)
        await reports(simulator, 0, "sent", "delivered")
        await gateway.until("lost", "delivered")
    assert await simulator.count() == 1
