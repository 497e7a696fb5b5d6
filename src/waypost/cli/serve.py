"""`waypost serve`: the gateway."""

import gc
import socket
import sys
from typing import Annotated

import typer

from waypost import telemetry
from waypost.cli.processes import run_processes
from waypost.cli.run import CommandFailed, ConfigFile, plain_failures, read_settings, run, until_signal
from waypost.open_files import allow_open_files
from waypost.service import Role, Service
from waypost.settings import Settings, is_shared
from waypost.web.server import listen, url_of


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    role: Annotated[
        Role, typer.Option(help="What this process does: take requests, work on what waits, or both.")
    ] = Role.ALL,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
    config: ConfigFile = None,
) -> None:
    """Run the gateway: makes or upgrades its database, recovers what a crash left, serves until Ctrl-C or SIGTERM.

    On PostgreSQL any number of processes may run, here and on other machines; an embedded database belongs to one.
    """
    settings = read_settings(config)
    if not is_shared(settings) and (role != Role.ALL or workers != 1):
        raise CommandFailed(
            "the embedded database belongs to one process: leave --role at all and --workers at 1, or set "
            "WAYPOST_DATABASE_URL to a PostgreSQL database (`waypost db copy` moves what is there)"
        )
    telemetry.configure(settings.log_level, pretty=sys.stderr.isatty())
    allow_open_files()
    with plain_failures():
        if workers == 1:
            run(_serve(settings, role, host, port))
            return
        with listen(host, port) as listener:
            print(f"Waypost listens on {url_of(listener, host)} with {workers} processes", flush=True)
            code = run_processes(workers, lambda: _one_of_many(settings, role, host, listener))
    if code:
        raise CommandFailed("the processes could not start; the lines above say why")


def _one_of_many(settings: Settings, role: Role, host: str, listener: socket.socket) -> None:
    try:
        with plain_failures():
            run(_serve(settings, role, host, 0, listener))
    except CommandFailed as error:
        print(f"waypost: {error}", file=sys.stderr)
        raise SystemExit(1) from None


async def _serve(settings: Settings, role: Role, host: str, port: int, listener: socket.socket | None = None) -> None:
    service = Service(settings, role=role)
    await service.start(host, port, listener)
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not walk it again, and pauses stay short
    try:
        if listener is None:
            print(f"Waypost listens on {service.url}", flush=True)
        if service.made_admin_token:
            print(
                f"admin token (shown once, kept in {settings.data_dir}/admin-token): {service.admin_token}", flush=True
            )
        await until_signal()
    finally:
        await service.stop()
