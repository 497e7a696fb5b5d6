"""`waypost serve`: the gateway."""

import gc
import sys
from enum import StrEnum
from typing import Annotated

import typer

from waypost import telemetry
from waypost.cli.run import CommandFailed, ConfigFile, plain_failures, read_settings, run, until_signal
from waypost.open_files import allow_open_files
from waypost.service import Service
from waypost.settings import Settings


class Role(StrEnum):
    """What a process does; one process does all until the journal is a server that several can share."""

    ALL = "all"
    WEB = "web"
    WORKER = "worker"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    role: Annotated[Role, typer.Option(help="Only `all` on the embedded database.")] = Role.ALL,
    workers: Annotated[int, typer.Option(min=1, help="Only 1 on the embedded database.")] = 1,
    config: ConfigFile = None,
) -> None:
    """Run the gateway: makes or upgrades its database, recovers what a crash left, serves until Ctrl-C or SIGTERM."""
    if role != Role.ALL or workers != 1:
        raise CommandFailed("the embedded database belongs to one process: leave --role at all and --workers at 1")
    settings = read_settings(config)
    telemetry.configure(settings.log_level, pretty=sys.stderr.isatty())
    allow_open_files()
    with plain_failures():
        run(_serve(settings, host, port))


async def _serve(settings: Settings, host: str, port: int) -> None:
    service = Service(settings)
    await service.start(host, port)
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not walk it again, and pauses stay short
    try:
        print(f"Waypost listens on {service.url}", flush=True)
        if service.made_admin_token:
            print(
                f"admin token (shown once, kept in {settings.data_dir}/admin-token): {service.admin_token}", flush=True
            )
        await until_signal()
    finally:
        await service.stop()
