"""The command: `python -m bench`."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console

from bench import report, rounds
from bench.failure import BenchFailed
from bench.plan import Plan

_PIPE_WIDTH = 110  # columns, where there is no terminal to ask


class Only(StrEnum):
    """What can be measured on its own."""

    SEND = "send"
    QUEUE = "queue"
    WEBHOOKS = "webhooks"
    CALLBACKS = "callbacks"
    ISOLATION = "isolation"


class UpstreamKind(StrEnum):
    """What stands in for Meta."""

    LEAN = "lean"
    SIMULATOR = "simulator"


def bench(
    count: Annotated[int, typer.Option("--rounds", min=1, help="Rounds; in each every stack is measured once.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, max=10, help="About how long one stack is measured.")] = 1.5,
    warm_up: Annotated[float, typer.Option(min=0, max=10, help="About how long each stack is warmed up before.")] = 2.0,
    concurrency: Annotated[int, typer.Option(min=1, max=2000, help="Connections with a request under way each.")] = 64,
    upstream: Annotated[UpstreamKind, typer.Option(help="What stands in for Meta while sending.")] = UpstreamKind.LEAN,
    only: Annotated[Only | None, typer.Option(help="Measure only this instead of everything.")] = None,
    waiting: Annotated[
        int, typer.Option(min=1, help="Callbacks that wait for the endpoint that hangs, in isolation.")
    ] = 100_000,
    folder: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where to put the journal; a real disk, please.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Measure the gateway beside a no-op server and a bare proxy, in turns, and print rates, CPU time and ratios."""
    plan = Plan(
        rounds=count,
        seconds=seconds,
        warm_up_s=warm_up,
        concurrency=concurrency,
        upstream=upstream.value,
        folder=folder,
        only=only.value if only else None,
        waiting=waiting,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(rounds.run(plan))
    except BenchFailed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        raise typer.Exit(1) from None
    summary = report.build(plan, results)
    if as_json:
        print(msgspec.json.encode(summary, enc_hook=str).decode())
    else:
        report.show(summary, Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))


if __name__ == "__main__":
    typer.run(bench)
