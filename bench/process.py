"""One stack seen from outside: starts its process, asks for its CPU time, ends it."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.failure import BenchFailed
from bench.plan import Place
from bench.stacks import UNPINNED

_ROOT = Path(__file__).parents[1]
_START_LIMIT_S = 60.0
_SHOWN_CHARS = 2000
_QUEUE_ATTEMPTS = "waypost_queue_attempts_total"


async def start_stacks(
    names: Sequence[str], upstream: str, place: Place, running: contextlib.AsyncExitStack
) -> list["StackProcess"]:
    """Start stacks side by side, one as often as it is named, then take the load's own core.

    Raises `BenchFailed` if any does not come up.
    """
    core = UNPINNED if place.core is None else place.core
    starting = (
        StackProcess.start(name, upstream, place.folder / f"{number}-{name}", core) for number, name in enumerate(names)
    )
    results = await asyncio.gather(*starting, return_exceptions=True)
    started = [result for result in results if isinstance(result, StackProcess)]
    for process in started:
        running.push_async_callback(process.stop)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    if place.load_core is not None:
        os.sched_setaffinity(0, {place.load_core})
    return started


async def check_queued(process: "StackProcess", expected: int = 0) -> None:
    """Raise `BenchFailed` unless that many attempts, and no more, were made out of a gateway's queue."""
    if (attempts := await process.queue_attempts()) != expected:
        raise BenchFailed(
            f"void run of {process.name}: {attempts} attempts to send were made out of the queue instead of {expected}"
        )


class StackProcess:
    """A running stack: `url` is where it listens, `journal` its database if it has one.

    Its log goes into a file, as a production log would.
    """

    def __init__(self, name: str, process: Process, journal: Path) -> None:
        self.name = name
        self.url = ""
        self.journal = journal
        self._process = process

    @classmethod
    async def start(
        cls, name: str, upstream: str, folder: Path, core: int, further: dict[str, str] | None = None
    ) -> "StackProcess":
        """Start a stack on one core, with further environment variables.

        Raises `BenchFailed` with the end of its log if it does not come up.
        """
        folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.stacks", name, upstream, str(folder / "data"), str(core)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd=_ROOT,
                # a setting of the shell must not change what is measured
                env={key: text for key, text in os.environ.items() if not key.startswith("WAYPOST_")} | (further or {}),
            )
        started = cls(name, process, folder / "data" / "waypost.db")
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                started.url = await started._line()
        except (TimeoutError, BenchFailed):
            await started.stop()
            shown = (folder / "log").read_text("utf-8", "replace")[-_SHOWN_CHARS:]
            raise BenchFailed(f"the stack {name} did not start: {shown}") from None
        return started

    async def cpu_s(self) -> float:
        """Return the CPU time, user and system, of all its threads so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return float(await self._line())

    async def queue_attempts(self) -> int:
        """Return how many attempts to send this gateway has made out of its queue, as its metrics tell."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        return sum(int(sample.value) for one in families for sample in one.samples if sample.name == _QUEUE_ATTEMPTS)

    async def stop(self) -> None:
        """Let it end in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise BenchFailed(f"the stack {self.name} has ended")
        return line.decode().strip()
