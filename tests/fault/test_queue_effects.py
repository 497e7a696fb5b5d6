"""Every commit of a message that waits is made to fail, before and after it takes effect: none lost, none doubled.

The effects, in the order of such a message: accept commit, slots commit, begin commit, then Meta, and outcome commit or
requeue commit; besides, defer commit (it is its recipient's turn later), return commit (it waited aside), pause commit
(Meta or an operator stops something) and ending commit (too late, or cancelled). `test_queue_kills` kills the process
there. Endings, orders and returns are in `test_queue_order_effects`, `resend_commit` is in `test_resend_faults`.
"""

import asyncio
from typing import NamedTuple

import pytest

from tests.fault.effects import FullDisk
from tests.fault.queue_stand import (
    ALL_READ,
    BURST,
    FAILED,
    LANE,
    LAST_UNKNOWN,
    READ,
    REFUSED,
    REFUSED_TOKEN,
    THROTTLED,
    UNDELIVERABLE,
    UNKNOWN,
    Fault,
    Stand,
    order,
    restarts,
    sides,
    slow,
)
from tests.fault.queue_stand import stand as stand
from tests.fault.reckoning import until
from tests.flow.queue_stand import counted, until_counted
from tests.harness import Gateway


class Failure(NamedTuple):
    """A commit that fails, how the lane ends, and how Meta makes it come about."""

    effect: str
    states: tuple[str, ...]
    fault: Fault | None = None


FAILURES = [
    Failure("slots_commit", ALL_READ),
    Failure("after:slots_commit", ALL_READ),
    Failure("begin_commit", ALL_READ),
    Failure("after:begin_commit", LAST_UNKNOWN),  # claimed, so nobody can be sure that it did not leave
    Failure("outcome_commit", ALL_READ),
    Failure("after:outcome_commit", ALL_READ),
    Failure("outcome_commit", (FAILED, READ, READ), REFUSED),
    Failure("after:outcome_commit", (FAILED, READ, READ), REFUSED),
    Failure("requeue_commit", ALL_READ, THROTTLED),
    Failure("after:requeue_commit", ALL_READ, THROTTLED),
    Failure("pause_commit", ALL_READ, REFUSED_TOKEN),
    Failure("after:pause_commit", ALL_READ, REFUSED_TOKEN),
]


@restarts
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: f"{failure.effect} {failure.states[0]}")
async def test_a_commit_of_a_message_that_waits_fails(failure: Failure, restarted: bool, stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
        if failure.fault is not None:
            await stand.simulator.fault(**failure.fault)
        disk.arm(failure.effect, spare=int("pause" in failure.effect))  # the first is that of the operator
        await order(gateway, "resume")
        await until("it has failed", disk.has_struck)
        if not restarted:
            await ends_and_goes_on(failure, stand, gateway)
    if restarted:
        async with stand.running() as gateway:
            await ends_and_goes_on(failure, stand, gateway)


async def ends_and_goes_on(failure: Failure, stand: Stand, gateway: Gateway) -> None:
    """See the lane end, and another message behind it that comes at once."""
    if failure.fault == REFUSED_TOKEN:
        await until("the attempt is over", lambda: is_not_sent(gateway))
        await order(gateway, "resume", kind="waba")
    await stand.one_more(gateway, failure.states)
    await stand.told_once(gateway, [0] if FAILED in failure.states else [], UNDELIVERABLE)


async def is_not_sent(gateway: Gateway) -> bool:
    return bool((await gateway.message("m0"))["state"] != "sending")


@restarts
@sides("accept_commit")
async def test_a_message_that_can_not_be_written_down_does_not_wait_and_a_repeat_is_the_same_message(
    effect: str, restarted: bool, stand: Stand
) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await order(gateway, "pause")
        assert await stand.send(1) == [0]
        disk.arm(effect)
        assert await stand.send(1) == [9001]
        if not restarted:
            await is_repeated_and_goes(stand, gateway)
    if restarted:
        async with stand.running() as gateway:
            await is_repeated_and_goes(stand, gateway)


async def is_repeated_and_goes(stand: Stand, gateway: Gateway) -> None:
    assert await stand.insist() == {0}
    assert await stand.send(1) == [0]
    await order(gateway, "resume")
    await stand.reckon(gateway, ALL_READ)


@restarts
@sides("requeue_commit")
async def test_a_message_that_was_to_be_sent_at_once_is_refused_for_a_while_and_that_can_not_be_written_down(
    effect: str, restarted: bool, stand: Stand
) -> None:
    """The customer has his 0, and what Meta said is written down when the journal is back, also at the very end."""
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await stand.simulator.fault(**THROTTLED)
        disk.arm(effect)
        assert await stand.send(1) == [0]
        if not restarted:
            await stand.one_more(gateway, [READ])
    if restarted:
        async with stand.running() as gateway:
            await stand.one_more(gateway, [READ])


@restarts
@sides("defer_commit")
async def test_that_a_recipient_has_had_enough_can_not_be_written_down(
    effect: str, restarted: bool, stand: Stand
) -> None:
    disk, all_read = FullDisk(), (READ,) * (BURST + 2)
    async with stand.running(effects=disk) as gateway:
        await stand.simulator.config(check_limits=True)
        disk.arm(effect)
        assert set(await stand.send(BURST + 1)) == {0}
        await until("it has failed", disk.has_struck)
        assert await stand.send(1) == [0]
        if not restarted:
            await stand.reckon(gateway, all_read)
    if restarted:
        async with stand.running() as gateway:
            await stand.simulator.config(check_limits=True)
            await stand.reckon(gateway, all_read)


async def test_whoever_comes_while_an_attempt_is_in_doubt_stands_behind_those_who_wait_already(stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
        disk.arm("after:begin_commit")
        await order(gateway, "resume")
        await until("it has failed", disk.has_struck)
        for _ in range(20):  # the queue is looked at, and looked at again
            stand.clock.advance(1)
            await asyncio.sleep(0.01)
        assert await counted(gateway) >= LANE - 1
        await stand.one_more(gateway, LAST_UNKNOWN)


class Heard(NamedTuple):
    """A commit that fails while a request listens, what Meta says, and what its customer gets."""

    effect: str
    state: str
    code: int
    fault: Fault | None = None


HEARD = [
    Heard("begin_commit", READ, 0),
    Heard("after:begin_commit", UNKNOWN, 0),
    Heard("outcome_commit", READ, 0),
    Heard("after:outcome_commit", READ, 0),
    Heard("outcome_commit", "rejected", 9099, REFUSED),
    Heard("after:outcome_commit", "rejected", 9099, REFUSED),
    Heard("requeue_commit", READ, 0, THROTTLED),
    Heard("after:requeue_commit", READ, 0, THROTTLED),
]


@pytest.mark.parametrize("heard", HEARD, ids=lambda heard: f"{heard.effect} {heard.state} {heard.code}")
async def test_a_commit_fails_while_a_request_listens(heard: Heard, stand: Stand) -> None:
    """The number may send one message a second, and this is the second one; its request gets what it comes to."""
    disk = FullDisk()
    stand.clock.stand_still()
    async with stand.running(effects=disk) as gateway:
        await gateway.admin("POST", "apply", slow())
        assert await stand.send(1) == [0]
        await stand.drain(gateway, [READ], still=True)
        if heard.fault is not None:
            await stand.simulator.fault(**heard.fault)
        disk.arm(heard.effect)
        sent = asyncio.ensure_future(stand.send(1))
        await until("it has failed", disk.has_struck)
        await stand.drain(gateway, [READ, heard.state])
        assert await sent == [heard.code]
        if heard.state == "rejected":  # a repeat would be another attempt, as the answer says
            assert await stand.at_meta() == [0]
            await until_counted(gateway)
        else:
            await stand.reckon(gateway, [READ, heard.state])
        await stand.told_once(gateway, [], 0)
