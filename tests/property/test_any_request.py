"""Whatever a well-formed HTTP request holds, it gets HTTP 200, JSON, and a documented code; bad ones reach nobody."""

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bodies import CONTENTS
from tests.harness import (
    TENANTS,
    Control,
    Customer,
    ShiftableClock,
    connect,
    running_gateway,
    settings_for,
    text_message,
)
from waypost.protocol.errors import FAILURES
from waypost.simulator import Simulator

DOCUMENTED = {0} | {failure.code for failure in FAILURES}
EXAMPLES = int(os.environ.get("WAYPOST_TEST_EXAMPLES", "300"))  # the long profile of `make soak` asks for 20,000
BATCH = 50

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
members = st.sampled_from(
    [
        "to",
        "type",
        "text",
        "template",
        "context",
        "api_type",
        "cus_message_id",
        "dr_webhook",
        "location",
        "recipient_type",
    ]
)
changed = st.builds(
    lambda kind, changes: msgspec.json.encode(
        {**text_message(type=kind), kind: CONTENTS[kind], **changes}, enc_hook=str
    ),
    st.sampled_from(sorted(CONTENTS)),
    st.dictionaries(members, values, max_size=3),
)
bodies = st.binary(max_size=200) | changed
header_changes = st.dictionaries(
    st.sampled_from(["accessKey", "ts", "bizType", "action", "algorithm"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    max_size=1,
)
requests = st.lists(st.tuples(bodies, header_changes, st.booleans()), min_size=BATCH, max_size=BATCH)


async def answers_of(folder: Path, batches: list[tuple[bytes, dict[str, str], bool]]) -> list[dict[str, Any]]:
    simulator = Simulator(seed=1)
    await simulator.start()
    clock = ShiftableClock()
    try:
        async with aiohttp.ClientSession() as http:
            control = Control(simulator, http)
            gateway_settings = settings_for(folder, simulator.url)
            async with running_gateway(gateway_settings, clock, TENANTS) as gateway:
                await connect(control, gateway)
                customer = Customer(gateway.url, http, clock.now_ms)
                answers = []
                for body, changes, signed in batches:
                    headers = customer.signed(body, **changes) if signed else {"sign": "x", **changes}
                    answers.append(await customer.post(body, headers))
                accepted = sum(answer["code"] == 0 for answer in answers)
                assert await control.count() == accepted, "what was refused here must not have reached Meta"
                return answers
    finally:
        await simulator.stop()


@settings(
    max_examples=max(1, EXAMPLES // BATCH),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.large_base_example,
    ],
)
@given(batch=requests)
def test_every_request_gets_200_json_and_a_documented_code(
    batch: list[tuple[bytes, dict[str, str], bool]], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("data")
    for answer in asyncio.run(answers_of(folder, batch)):
        assert answer["code"] in DOCUMENTED - {-1}
        assert len(answer["traceId"]) == 32
