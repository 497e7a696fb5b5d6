"""The process is killed at every commit of an attempt out of the queue: none lost, none doubled.

What the effects are is told in `test_queue_effects`; those of requests and orders are in `test_queue_order_kills`.
"""

import signal
from typing import NamedTuple

import pytest

from tests.fault.process import steady_port
from tests.fault.queue_stand import (
    ALL_READ,
    ASIDE_S,
    BURST,
    FAILED,
    LANE,
    LAST_UNKNOWN,
    READ,
    REFUSED,
    REFUSED_FOR_MINUTES,
    REFUSED_TOKEN,
    THROTTLED_NUMBER,
    UNDELIVERABLE,
    UNKNOWN,
    Fault,
    Stand,
    order,
    sides,
)
from tests.fault.queue_stand import stand as stand
from tests.flow.queue_stand import until_counted
from tests.flow.test_judging import DAY_S
from tests.flow.test_resend import RESENDING
from waypost.gateway.tenant_file import read


class Kill(NamedTuple):
    """At which commit the process is killed, how the lane ends once another one runs, and how Meta makes it come."""

    effect: str
    states: tuple[str, ...]
    fault: Fault | None = None


KILLS = [
    Kill("slots_commit", ALL_READ),
    Kill("after:slots_commit", ALL_READ),
    Kill("begin_commit", ALL_READ),
    Kill("after:begin_commit", LAST_UNKNOWN),  # between claim and POST
    Kill("outcome_commit", ALL_READ),  # Meta's report tells
    Kill("after:outcome_commit", ALL_READ),
    Kill("outcome_commit", LAST_UNKNOWN, REFUSED),
    Kill("after:outcome_commit", (FAILED, READ, READ), REFUSED),
    Kill("requeue_commit", LAST_UNKNOWN, THROTTLED_NUMBER),  # between Meta's answer and its commit
    Kill("after:requeue_commit", ALL_READ, THROTTLED_NUMBER),
    Kill("defer_commit", (READ,) * (BURST + 1)),
    Kill("after:defer_commit", (READ,) * (BURST + 1)),
    Kill("pause_commit", LAST_UNKNOWN, REFUSED_TOKEN),
    Kill("after:pause_commit", LAST_UNKNOWN, REFUSED_TOKEN),
]


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{kill.effect} {kill.states[0]}")
async def test_a_gateway_that_is_killed_at_a_commit_of_an_attempt_loses_and_doubles_nothing(
    kill: Kill, stand: Stand
) -> None:
    port = steady_port()
    async with stand.running(port) as gateway:
        await stand.simulator.simulator.down()
        assert set(await stand.send(len(kill.states))) == {0}
        await until_counted(gateway)
    await stand.simulator.simulator.up()
    if kill.fault is not None:
        await stand.simulator.fault(**kill.fault)
    victim = stand.victim(port, kill.effect)
    await victim.start()
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        if kill.fault == REFUSED_TOKEN:
            await order(gateway, "resume", kind="waba")
        assert await stand.insist() == {0}
        await stand.reckon(gateway, kill.states)
        await stand.told_once(gateway, [0] if FAILED in kill.states else [], UNDELIVERABLE)
        await stand.one_more(gateway, kill.states)


@sides("return_commit")
async def test_a_gateway_that_is_killed_as_a_message_comes_back_from_aside_sends_it_once(
    effect: str, stand: Stand
) -> None:
    port = steady_port()
    stand.clock.advance(-2 * ASIDE_S)
    async with stand.running(port) as gateway:
        await stand.simulator.fault(**REFUSED_FOR_MINUTES)
        assert await stand.send(LANE) == [0] * LANE
        await stand.drain(gateway, ["queued", READ, READ], still=True)
    stand.clock.advance(2 * ASIDE_S)
    victim = stand.victim(port, effect)
    await victim.start()
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        await stand.reckon(gateway, ALL_READ, [1, 2, 0])


@sides("resend_commit")
async def test_a_gateway_that_is_killed_as_an_unknown_message_comes_to_wait_once_more_sends_it_once_more_only(
    effect: str, stand: Stand
) -> None:
    port = steady_port()
    stand.clock.advance(-2 * DAY_S)  # nobody reports on it for a day
    async with stand.running(port) as gateway:
        await gateway.admin("POST", "apply", read(RESENDING, {}))
        await stand.simulator.config(time_factor=100_000)
        await stand.simulator.fault("accept_then_drop", times=1)
        assert await stand.send(1) == [0]
        await stand.drain(gateway, [UNKNOWN], still=True)
    stand.clock.advance(2 * DAY_S)
    victim = stand.victim(port, effect, "hasty")
    await victim.start()
    assert await victim.ended() == -signal.SIGKILL
    assert await stand.at_meta() == [0]

    async with stand.running(port) as gateway:
        await gateway.admin("POST", "apply", read(RESENDING, {}))
        await stand.reckon(gateway, [READ], [0, 0])
        await stand.told_once(gateway, [], 0)
