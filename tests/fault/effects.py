"""Hands on the journal's commits, and a gateway whose commits are in them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import apsw
import asyncpg

from tests.engine import is_shared
from tests.harness import TENANTS, FoundService, Gateway, Log, settings_for
from waypost.clock import Clock
from waypost.gateway.tenant_file import read
from waypost.store.effects import Effects


def full_disk() -> Exception:
    """Return what the journal's engine raises where the disk is full."""
    if is_shared():
        trouble: Exception = asyncpg.DiskFullError("could not extend file: No space left on device")
        return trouble
    return apsw.FullError("database or disk is full")


def lost_connection() -> Exception:
    """Return what the shared journal's driver raises where the server's end of the connection is gone."""
    trouble: Exception = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    return trouble


class Trace:
    """Hears every effect and changes none."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def before(self, name: str) -> None:
        """Hear of an effect."""
        self.heard.add(name.removeprefix("after:"))


class FullDisk:
    """Makes one named effect fail as on a full disk, once or several times, when it comes after `arm`.

    Another trouble than that of a full disk may be given.
    """

    def __init__(self, trouble: Callable[[], Exception] = full_disk) -> None:
        self._trouble = trouble
        self._name: str | None = None
        self._spare = 0
        self._times = 1
        self._struck = False

    async def has_struck(self) -> bool:
        """Tell whether an effect has failed."""
        return self._struck

    def arm(self, name: str, *, spare: int = 0, times: int = 1) -> None:
        """Let the next effects of this name fail, or later ones: so many before them are spared."""
        self._name, self._spare, self._times = name, spare, times

    def before(self, name: str) -> None:
        """Hear of an effect."""
        if name != self._name:
            return
        self._spare -= 1
        if self._spare < 0:
            self._struck = True
            self._times -= 1
            if not self._times:
                self._name = None
            raise self._trouble()


@asynccontextmanager
async def gateway_on(
    folder: Path,
    meta_url: str,
    port: int = 0,
    *,
    effects: Effects | None = None,
    clock: Clock | None = None,
    **changes: object,
) -> AsyncIterator[Gateway]:
    """Run a gateway in this process, on a data folder and port that another may have had; `changes` are settings."""
    log = Log()
    log.capture()
    service = FoundService(settings_for(folder, meta_url, **changes), clock, effects=effects)
    await service.start("127.0.0.1", port)
    try:
        async with aiohttp.ClientSession() as http:
            gateway = Gateway(service, log, http)
            await gateway.admin("POST", "apply", read(TENANTS, {}))
            yield gateway
    finally:
        await service.stop()
