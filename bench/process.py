"""One stack seen from outside: starts its process, asks for its CPU time, ends it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from bench.failure import BenchFailed

_ROOT = Path(__file__).parents[1]
_START_LIMIT_S = 60.0
_SHOWN_CHARS = 2000


class StackProcess:
    """A running stack; `url` is where it listens. Its log goes into a file, as a production log would."""

    def __init__(self, name: str, process: Process, url: str) -> None:
        self.name = name
        self.url = url
        self._process = process

    @classmethod
    async def start(cls, name: str, upstream: str, folder: Path, core: int) -> "StackProcess":
        """Start a stack on one core; raises `BenchFailed` with the end of its log if it does not come up."""
        folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.stacks", name, upstream, str(folder / "data"), str(core)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd=_ROOT,
                # a setting of the shell must not change what is measured
                env={key: value for key, value in os.environ.items() if not key.startswith("WAYPOST_")},
            )
        started = cls(name, process, "")
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
