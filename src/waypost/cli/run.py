"""What the commands share: reading the settings, running until a signal, failing with one line."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop

from waypost.data_dir import DataDirBusy, DataDirUnusable
from waypost.settings import Settings, SettingsInvalid, load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; environment variables win over it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class CommandFailed(Exception):
    """The command could not do its work; the message is the one line that the user sees: why, and what to do."""


def read_settings(config: Path | None) -> Settings:
    """Read the settings from file and environment."""
    try:
        return load(config_file=config)
    except SettingsInvalid as error:
        raise CommandFailed(str(error)) from None


@contextlib.contextmanager
def plain_failures() -> Iterator[None]:
    """Turn the expected failures of starting and storing into one line."""
    try:
        yield
    except Exception as error:
        if isinstance(error, _expected()):
            raise CommandFailed(str(error)) from None
        raise


def _expected() -> tuple[type[Exception], ...]:
    """Return what may fail for reasons that an operator can mend; imported only when something has failed."""
    from waypost.engines import EngineUnusable
    from waypost.gateway.vault import SealBroken
    from waypost.store.base import StoreUnavailable
    from waypost.web.server import AddressUnusable

    return DataDirBusy, DataDirUnusable, EngineUnusable, SealBroken, StoreUnavailable, AddressUnusable


T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end, on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def until_signal() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
