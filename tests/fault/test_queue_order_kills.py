"""The process is killed while it is asked something about the queue, or ends what waits: none lost, none doubled."""

import asyncio
import signal

import aiohttp
import pytest

from tests.engine import is_shared
from tests.fault.process import steady_port
from tests.fault.queue_stand import (
    ALL_READ,
    CANCELLED,
    EXPIRED,
    LANE,
    LIFE_S,
    READ,
    THROTTLED_NUMBER,
    UNKNOWN,
    Stand,
    order,
    short_lived,
    sides,
    slow,
)
from tests.fault.queue_stand import stand as stand
from waypost.gateway.dispatch import TOO_LATE
from waypost.gateway.queue_orders import CANCELLED as CANCELLED_CODE


@sides("accept_commit")
async def test_a_gateway_that_is_killed_as_a_message_comes_to_wait(effect: str, stand: Stand) -> None:
    port = steady_port()
    async with stand.running(port) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE - 1) == [0] * (LANE - 1)
    victim = stand.victim(port, effect)
    await victim.start()
    assert await stand.send(1) == [None]
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        kept = LANE if effect.startswith("after") else LANE - 1
        assert await stand.states(gateway) == ["queued"] * kept
        assert await stand.insist() == {0}
        await order(gateway, "resume")
        await stand.reckon(gateway, ALL_READ)


@pytest.mark.shared
@sides("owner_commit")
async def test_a_gateway_that_is_killed_as_it_takes_a_queue_leaves_it_to_the_next(effect: str, stand: Stand) -> None:
    port = steady_port()
    async with stand.running(port) as gateway:
        await order(gateway, "pause")
    victim = stand.victim(port, effect)
    await victim.start()
    assert await stand.send(1) == [None]
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        assert await stand.insist() == {0}
        await order(gateway, "resume")
        await stand.reckon(gateway, [READ])


@sides("requeue_commit")
async def test_a_gateway_that_is_killed_as_a_message_that_was_to_be_sent_at_once_comes_to_wait(
    effect: str, stand: Stand
) -> None:
    port = steady_port()
    async with stand.running(port):
        pass
    await stand.simulator.fault(**THROTTLED_NUMBER)
    victim = stand.victim(port, effect)
    await victim.start()
    assert await stand.send(1) == [None]
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        assert await stand.insist() == {0}
        end = READ if effect.startswith("after") else UNKNOWN
        await stand.reckon(gateway, [end])
        await stand.one_more(gateway, [end])


@pytest.mark.parametrize(
    ("effect", "first", "state"),
    [
        ("begin_commit", 0, READ),
        ("after:begin_commit", 0, UNKNOWN),
        ("outcome_commit", None, READ),  # of the first one, which is sent inside its request
        ("after:outcome_commit", None, READ),
    ],
)
async def test_a_gateway_that_is_killed_while_a_request_listens_loses_and_doubles_nothing(
    effect: str, first: int | None, state: str, stand: Stand
) -> None:
    """The number may send one message a second; the second of two waits for its turn, and its request with it."""
    port = steady_port()
    async with stand.running(port) as gateway:
        await gateway.admin("POST", "apply", slow())
    victim = stand.victim(port, effect)
    await victim.start()
    codes = await asyncio.gather(stand.send_one(), stand.send_one())
    if is_shared() and first is None:
        first = 0  # the one that could have left at once found the other one in its lane, and waits behind it unheard
    assert set(codes) == {first, None}
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        assert await stand.insist() == {0}
        await stand.drain(gateway, [READ, state])
        taken = await stand.at_meta()  # either of the two may have come first
        assert taken == [codes.index(0)] if state == UNKNOWN else sorted(taken) == [0, 1]
        await stand.reckon(gateway, [READ, state], taken)


@sides("pause_commit")
async def test_a_gateway_that_is_killed_as_it_is_told_to_pause_is_told_again(effect: str, stand: Stand) -> None:
    port, kind = steady_port(), "phone"
    async with stand.running(port):
        pass
    await dies_of(stand, port, effect, "pause", kind)
    async with stand.running(port) as gateway:
        held = (await gateway.admin("GET", "queue"))["paused"]
        assert [line["kind"] for line in held] == ([kind] if effect.startswith("after") else [])
        await order(gateway, "pause", kind=kind)
        assert await stand.send(LANE) == [0] * LANE
        assert await stand.states(gateway) == ["queued"] * LANE
        await order(gateway, "resume", kind=kind)
        await stand.reckon(gateway, ALL_READ)


@sides("pause_commit")
async def test_a_gateway_that_is_killed_as_it_is_told_to_go_on_is_told_again(effect: str, stand: Stand) -> None:
    port = steady_port()
    async with stand.running(port) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
    await dies_of(stand, port, effect, "resume", "application")
    async with stand.running(port) as gateway:
        if not effect.startswith("after"):
            assert await stand.states(gateway) == ["queued"] * LANE
            await order(gateway, "resume")
        await stand.reckon(gateway, ALL_READ)


@sides("ending_commit")
async def test_a_gateway_that_is_killed_as_it_is_too_late_for_messages_tells_of_each_once(
    effect: str, stand: Stand
) -> None:
    port = steady_port()
    stand.clock.advance(-2 * LIFE_S)  # the victim's clock is right
    async with stand.running(port) as gateway:
        await short_lived(gateway)
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
    stand.clock.advance(2 * LIFE_S)
    victim = stand.victim(port, effect)
    await victim.start()
    assert await victim.ended() == -signal.SIGKILL

    async with stand.running(port) as gateway:
        await stand.told_once(gateway, range(LANE), TOO_LATE)
        await order(gateway, "resume")
        await stand.one_more(gateway, [EXPIRED] * LANE)


@sides("ending_commit")
async def test_a_gateway_that_is_killed_as_it_is_told_to_cancel_is_told_again(effect: str, stand: Stand) -> None:
    port = steady_port()
    async with stand.running(port) as gateway:
        await order(gateway, "pause")
        assert await stand.send(LANE) == [0] * LANE
    await dies_of(stand, port, effect, "cancel", "application")
    async with stand.running(port) as gateway:
        assert await order(gateway, "cancel") == {"cancelled": 0 if effect.startswith("after") else LANE}
        await stand.told_once(gateway, range(LANE), CANCELLED_CODE)
        await order(gateway, "resume")
        await stand.one_more(gateway, [CANCELLED] * LANE)


async def dies_of(stand: Stand, port: int, effect: str, what: str, kind: str) -> None:
    """Run a gateway that dies at an effect of an order."""
    victim = stand.victim(port, effect)
    await victim.start()
    with pytest.raises(aiohttp.ClientError):
        await stand.order_at(port, what, kind)
    assert await victim.ended() == -signal.SIGKILL
