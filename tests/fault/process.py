"""A gateway in a process of its own: started, killed at any moment, started again on the same port and folder."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.engine import engine_settings

LISTENS = "Waypost listens on "  # what `waypost serve` prints once requests are taken
START_S = 60.0  # a bound that ends a broken run: a start takes a second
# Below the ports that systems give to outgoing connections, so that nobody takes the port while the gateway is away,
# and a client that knocks meanwhile can't be connected to itself.
PORTS = range(15_000, 28_000)


class NotStarted(Exception):
    """The process ended, or said nothing, before it listened; the message is what it wrote last."""


def steady_port() -> int:
    """Return a port that a gateway can come back to after it was killed."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NotStarted("no free port")


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """Return the environment of a gateway process with these settings, its engine's, and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    given = {**engine_settings(data_dir), "data_dir": data_dir, **settings}
    return kept | {f"WAYPOST_{name.upper()}": str(value) for name, value in given.items()}


class GatewayProcess:
    """One gateway, and all the processes it has been; its log goes to one file."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = (sys.executable, *arguments)
        self._environment = dict(environment)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> str:
        """Start it, wait until it takes requests and return its URL; raises `NotStarted`."""
        await self.begin()
        return await self.listening()

    async def begin(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip

    async def listening(self) -> str:
        """Wait until it takes requests and return its URL; raises `NotStarted`."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await self._process.stdout.readline()
        if not line.startswith(LISTENS.encode()):
            self.kill()
            await self.ended()
            raise NotStarted(self._log.read_text("utf-8")[-2000:])
        return line.decode().removeprefix(LISTENS).split()[0]

    def kill(self) -> None:
        """End it as a power cut would; one that has ended already stays ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait until it is gone and return how it ended: its exit code, or minus the signal."""
        assert self._process is not None
        async with asyncio.timeout(START_S):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self) -> int:
        """Ask it to end and return its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of one kind, of all its processes; a line that a kill cut off doesn't count."""
        found = []
        for raw in self._log.read_bytes().splitlines():
            try:
                line = msgspec.json.decode(raw, type=dict[str, Any])
            except msgspec.DecodeError:
                continue
            if line.get("event") == event:
                found.append(line)
        return found
