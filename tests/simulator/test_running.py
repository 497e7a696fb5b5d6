"""Starting and stopping: addresses, taken ports, the command's coroutine, other event loops, any input at all."""

import asyncio
import json
import socket

import aiohttp
import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulator.conftest import PHONE, WABA, Meta, text_to
from waypost.simulator import Simulator, run
from waypost.simulator.calls import GraphCall
from waypost.simulator.clock import Clock
from waypost.simulator.config import Config, Template, merged
from waypost.simulator.errors import KNOWN, GraphError
from waypost.simulator.fields import Fields
from waypost.simulator.simulation import Simulation
from waypost.simulator.template_match import check_components


async def test_a_port_that_is_taken_is_an_oserror_and_leaves_nothing(sim_meta: Meta) -> None:
    port = int(sim_meta.simulator.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        await Simulator().start(port=port)


async def test_a_stopped_simulator_frees_its_port_and_can_start_again(sim_http: aiohttp.ClientSession) -> None:
    simulator = Simulator(seed=1)
    url = await simulator.start()
    port = int(url.rsplit(":", 1)[1])
    await simulator.stop()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    assert await simulator.start(port=port) == url
    await Meta(simulator, sim_http).accepted(text_to())
    await simulator.stop()


async def test_a_simulator_that_is_down_can_be_stopped() -> None:
    simulator = Simulator()
    await simulator.start()
    await simulator.down()
    await simulator.stop()


async def test_a_simulator_that_never_started_can_be_stopped() -> None:
    await Simulator().stop()


async def test_the_command_prints_addresses_and_seed_and_ends_when_cancelled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = asyncio.all_tasks()
    running = asyncio.create_task(run("127.0.0.1", 0, 99))
    printed = ""
    async with asyncio.timeout(10):
        while "seed" not in printed:
            await asyncio.sleep(0)
            printed += capsys.readouterr().err
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    lines = printed.splitlines()
    assert lines[0].startswith("simulator of Meta at http://127.0.0.1:")
    assert "/_simulator" in lines[1]
    assert lines[2] != lines[1]
    assert lines[3] == "seed 99"
    assert asyncio.all_tasks() == before


async def faults_on_this_loop() -> list[object]:
    """One fault of each kind that touches the connection, and the port closed and opened."""
    seen: list[object] = []
    simulator = Simulator(seed=1)
    await simulator.start()
    async with aiohttp.ClientSession() as http:
        meta = Meta(simulator, http)
        for kind in ("accept_then_drop", "truncate", "reset"):
            await meta.control("POST", "faults", {"kind": kind, "times": 1})
            try:
                await meta.send(text_to())
            except aiohttp.ClientError as error:
                seen.append(type(error))
        await meta.control("POST", "faults", {"kind": "down"})
        try:
            await meta.send(text_to())
        except aiohttp.ClientError as error:
            seen.append(type(error))
        await meta.control("DELETE", "faults")
        await meta.accepted(text_to())
        seen.append(await meta.control("GET", "count"))
    await simulator.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return seen


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_connections_and_ports_break_alike_on_each_event_loop(loop: object) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]  # uvloop has no annotation here
        assert runner.run(faults_on_this_loop()) == [
            aiohttp.ServerDisconnectedError,
            aiohttp.ClientPayloadError,
            aiohttp.ClientOSError,
            aiohttp.ClientConnectorError,
            {"messages": 3},
        ]


words = st.text(max_size=12) | st.sampled_from(
    ["whatsapp", "group", "text", "template", "image", "reaction", "+15559131056", "9abcdef", "en", "read", "é" * 64]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
TOP = ("to", "recipient", "recipient_type", "type", "text", "template", "image", "reaction", "status", "message_id")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.dictionaries(st.sampled_from((*TOP, "context")), words | anything, max_size=6),
    edge=st.sampled_from(["messages", "marketing_messages"]),
    mode=st.sampled_from(["open", "strict"]),
)
def test_any_body_is_answered_by_an_acceptance_or_a_code_of_metas(
    body: dict[str, object], edge: str, mode: str
) -> None:
    simulation = Simulation(1, Clock())
    declared = {"mode": mode, "wabas": [{"waba_id": WABA, "phones": [{"id": PHONE}]}]}
    simulation.world.declare(merged(Config(), declared))
    phone, waba = simulation.world.phone(PHONE, "POST")
    raw = json.dumps({"messaging_product": "whatsapp"} | body).encode()
    answer = simulation.sender.answer(GraphCall("POST", "/", 23, PHONE, edge, {}, {}, raw), phone, waba)
    if answer.wire != "whole" or answer.content_type.startswith(b"text/html"):
        return
    content = msgspec.json.decode(answer.body)
    assert (answer.status == 200) is ("error" not in content)
    assert answer.status == 200 or content["error"]["code"] in KNOWN


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    components=st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["HEADER", "BODY", "BUTTONS", "CAROUSEL", "LIMITED_TIME_OFFER"]) | words},
            optional={
                name: anything | st.lists(st.dictionaries(words, anything, max_size=2), max_size=2)
                for name in ("format", "text", "buttons", "cards", "limited_time_offer")
            },
        ),
        max_size=4,
    )
)
def test_a_template_may_be_declared_with_anything_inside(components: list[dict[str, object]]) -> None:
    sent = Fields({"name": "t", "components": [{"type": "body", "parameters": [{"type": "text", "text": "x"}]}]})
    refusal = None
    try:
        check_components(Template(name="t", components=components), sent)
    except GraphError as error:
        refusal = error
    assert refusal is None or refusal.code in KNOWN
