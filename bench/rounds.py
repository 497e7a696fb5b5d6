"""The course of a bench: each measurement after the other, on this machine as it is described."""

import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec

from bench import callbacks, draining, isolation, machine, sending, webhooks
from bench.plan import Measurement, Place, Plan

MEASUREMENTS: dict[str, Callable[[Plan, Place], Coroutine[None, None, Measurement]]] = {
    "send": sending.measure,
    "queue": draining.measure,
    "webhooks": webhooks.measure,
    "callbacks": callbacks.measure,
    "isolation": isolation.measure,
}


class Results(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    machine: machine.Machine
    pinned: bool
    steal_percent: float | None
    measurements: dict[str, Measurement]


async def run(plan: Plan) -> Results:
    """Run a bench; raises `BenchFailed` if any round is void."""
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", dir=plan.folder) as folder:
        described = machine.describe(Path(folder))
        cores = machine.cores()
        server_core, load_core = cores or (None, None)  # load, upstream and receiver share one
        steal = machine.Steal()
        measured: dict[str, Measurement] = {}
        for name in (plan.only,) if plan.only else MEASUREMENTS:
            if cores is not None:
                os.sched_setaffinity(0, cores)  # stacks start on both, then take their own
            place = Place(Path(folder) / name, server_core, load_core)
            place.folder.mkdir()
            measured[name] = await MEASUREMENTS[name](plan, place)
        return Results(described, cores is not None, steal.percent(), measured)
