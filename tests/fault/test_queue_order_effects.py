"""Commits that no attempt makes are made to fail: endings, orders, and the return of what waited aside.

What the effects are is told in `test_queue_effects`.
"""

import pytest

from tests.engine import is_shared
from tests.fault.effects import FullDisk, Trace
from tests.fault.queue_stand import (
    ALL_READ,
    ASIDE_S,
    BURST,
    CANCELLED,
    EXPIRED,
    LANE,
    LIFE_S,
    READ,
    REFUSED_FOR_MINUTES,
    THROTTLED,
    Stand,
    order,
    restarts,
    short_lived,
    sides,
)
from tests.fault.queue_stand import stand as stand
from tests.fault.reckoning import until
from tests.fault.test_queue_kills import KILLS
from tests.flow.queue_stand import until_counted
from tests.harness import TENANTS, Gateway
from waypost.gateway.dispatch import TOO_LATE
from waypost.gateway.queue_orders import CANCELLED as CANCELLED_CODE
from waypost.gateway.tenant_file import read

COMMITS = {
    "accept_commit",
    "slots_commit",
    "begin_commit",
    "outcome_commit",
    "requeue_commit",
    "defer_commit",
    "return_commit",
    "pause_commit",
    "ending_commit",
}
# Commits that are no message's that waits: webhooks, callbacks, upkeep, and what an operator did.
OTHERS = {
    *("webhook_commit", "claim_commit", "attempts_commit", "tenants_commit", "purge_commit"),
    "audit_commit",
}
SHARED = {"owner_commit"}  # of processes among others: which of them sends what waits for a phone
PATIENCE_S = 50.0


async def test_the_tables_name_every_commit_of_a_message_that_waits(stand: Stand) -> None:
    trace = Trace()
    async with stand.running(effects=trace) as gateway:
        await stand.simulator.fault(**REFUSED_FOR_MINUTES)
        assert await stand.send(1) == [0]  # aside, and back
        await stand.drain(gateway, [READ])
        await stand.simulator.fault(**THROTTLED)
        assert set(await stand.send(BURST + 1)) == {0}  # and the recipient has had enough
        await stand.drain(gateway, [READ] * (BURST + 2))
        await order(gateway, "pause")
        assert await stand.send(1) == [0]
        await order(gateway, "cancel")
        await stand.reckon(gateway, (*[READ] * (BURST + 2), CANCELLED))
    assert trace.heard == COMMITS | OTHERS | (SHARED if is_shared() else set())
    killed = {kill.effect.removeprefix("after:") for kill in KILLS}
    assert killed | {"accept_commit", "ending_commit", "return_commit"} == COMMITS


@pytest.mark.shared
@restarts
@sides("owner_commit")
async def test_that_a_queue_is_taken_can_not_be_written_down(effect: str, restarted: bool, stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await order(gateway, "pause")
        disk.arm(effect)
        assert await stand.send(LANE) == [0] * LANE
        await until("it has failed", disk.has_struck)
        await order(gateway, "resume")
        if not restarted:
            await stand.reckon(gateway, ALL_READ)
    if restarted:
        async with stand.running() as gateway:
            await stand.reckon(gateway, ALL_READ)


@restarts
@sides("ending_commit")
async def test_that_it_is_too_late_can_not_be_written_down(effect: str, restarted: bool, stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await short_lived(gateway)
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
        disk.arm(effect)
        await stand.pass_by(LIFE_S + 1)
        await until("it has failed", disk.has_struck)
        if not restarted:
            await all_ended(stand, gateway, EXPIRED, TOO_LATE)
    if restarted:
        async with stand.running() as gateway:
            await all_ended(stand, gateway, EXPIRED, TOO_LATE)


async def all_ended(stand: Stand, gateway: Gateway, state: str, code: int) -> None:
    """See the lane at its end and told of, and another message go."""
    await stand.drain(gateway, [state] * LANE)
    await gateway.admin("POST", "apply", read(TENANTS, {}))  # what comes now lives longer
    await order(gateway, "resume")
    await stand.one_more(gateway, [state] * LANE)
    await stand.told_once(gateway, range(LANE), code)


@restarts
@sides("ending_commit")
async def test_a_cancellation_that_can_not_be_written_down_is_ordered_again(
    effect: str, restarted: bool, stand: Stand
) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
        disk.arm(effect)
        await order(gateway, "cancel", 503)
        if not restarted:
            await is_cancelled_in_the_end(effect, stand, gateway)
    if restarted:
        async with stand.running() as gateway:
            await is_cancelled_in_the_end(effect, stand, gateway)


async def is_cancelled_in_the_end(effect: str, stand: Stand, gateway: Gateway) -> None:
    left = 0 if effect.startswith("after") else LANE
    assert await order(gateway, "cancel") == {"cancelled": left}
    await all_ended(stand, gateway, CANCELLED, CANCELLED_CODE)


@pytest.mark.parametrize("kind", ["application", "phone"])
async def test_what_was_ended_unnoticed_takes_no_place_of_others(kind: str, stand: Stand) -> None:
    """The commit is reported as failed, the messages are gone: as many others may wait as before."""
    disk = FullDisk()
    async with stand.running(effects=disk, max_waiting=LANE) as gateway:
        await order(gateway, "pause", kind=kind)
        assert await stand.send(LANE) == [0] * LANE
        disk.arm("after:ending_commit")
        await order(gateway, "cancel", 503)
        await stand.send(1)  # refused, unless that was noticed already

        async def has_room() -> bool:
            stand.clock.advance(1)
            return await stand.repeat() == 0

        await until("there is room", has_room)
        await order(gateway, "resume", kind=kind)
        await stand.reckon(gateway, (*[CANCELLED] * LANE, READ))


async def test_a_message_that_is_cancelled_while_its_return_is_written_down_again_counts_once(stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        stand.clock.trouble_s = PATIENCE_S
        await stand.simulator.fault(**THROTTLED)
        await order(gateway, "pause")
        assert await stand.send(1) == [0]
        disk.arm("after:requeue_commit")
        await order(gateway, "resume")
        await until("it has failed", disk.has_struck)
        await order(gateway, "pause")
        assert await order(gateway, "cancel") == {"cancelled": 1}
        assert await stand.send(2) == [0, 0]
        await stand.pass_by(PATIENCE_S)  # now it is written down once more
        await until("that attempt is over", lambda: is_idle(gateway))
        await until_counted(gateway)
        await order(gateway, "resume")
        await stand.reckon(gateway, (CANCELLED, READ, READ))


async def is_idle(gateway: Gateway) -> bool:
    return not (await gateway.admin("GET", "queue"))["under_way"]


@restarts
@sides("return_commit")
async def test_that_a_message_is_back_from_aside_can_not_be_written_down(
    effect: str, restarted: bool, stand: Stand
) -> None:
    """Its lane went on without it."""
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await stand_aside_until(effect, stand, gateway, disk)
        if not restarted:
            await comes_back(stand, gateway)
    if restarted:
        async with stand.running() as gateway:
            await comes_back(stand, gateway)


async def stand_aside_until(effect: str, stand: Stand, gateway: Gateway, disk: FullDisk) -> None:
    """Have the first of a lane wait aside until its time, and its return fail then."""
    await stand.simulator.fault(**REFUSED_FOR_MINUTES)
    assert await stand.send(LANE) == [0] * LANE
    await stand.drain(gateway, ["queued", READ, READ], still=True)
    stand.clock.stand_still()
    disk.arm(effect)
    await stand.pass_by(ASIDE_S)

    async def has_failed() -> bool:
        stand.clock.advance(1)  # to the next sweep
        return bool(gateway.log.lines("queue_delayed"))

    await until("it has failed", has_failed)


async def comes_back(stand: Stand, gateway: Gateway) -> None:
    await stand.reckon(gateway, ALL_READ, [1, 2, 0])
    await stand.one_more(gateway, ALL_READ, [1, 2, 0, 3])


async def test_whoever_comes_while_it_is_in_doubt_that_a_message_is_back_stands_behind_it(stand: Stand) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        await stand_aside_until("after:return_commit", stand, gateway, disk)
        await stand.one_more(gateway, ALL_READ, [1, 2, 0, 3])


@restarts
@sides("pause_commit")
@pytest.mark.parametrize("kind", ["application", "phone", "waba"])
async def test_an_order_to_pause_that_can_not_be_written_down_is_given_again(
    effect: str, restarted: bool, kind: str, stand: Stand
) -> None:
    disk = FullDisk()
    async with stand.running(effects=disk) as gateway:
        disk.arm(effect)
        await order(gateway, "pause", 503, kind=kind)
        await order(gateway, "pause", kind=kind)
        assert await stand.send(LANE) == [0] * LANE
        disk.arm(effect)
        await order(gateway, "resume", 503, kind=kind)
        if not restarted:
            await is_resumed(effect, kind, stand, gateway)
    if restarted:
        async with stand.running() as gateway:
            await is_resumed(effect, kind, stand, gateway)


async def is_resumed(effect: str, kind: str, stand: Stand, gateway: Gateway) -> None:
    if not effect.startswith("after"):
        assert await stand.states(gateway) == ["queued"] * LANE
    await order(gateway, "resume", kind=kind)
    await stand.reckon(gateway, ALL_READ)
