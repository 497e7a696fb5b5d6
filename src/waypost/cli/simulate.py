"""`waypost simulate`: the simulator of Meta, alone."""

from typing import Annotated

import typer

from waypost import simulator
from waypost.cli.run import CommandFailed, run


def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    seed: Annotated[int | None, typer.Option(help="Makes everything random repeatable; fresh if left out.")] = None,
) -> None:
    """Run the simulator of Meta's Graph API until Ctrl-C; its control API is under /_simulator."""
    try:
        run(simulator.run(host, port, seed))
    except OSError as error:
        raise CommandFailed(f"cannot listen on {host}:{port}: {error}; choose another with --host or --port") from None
