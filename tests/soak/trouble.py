"""What goes wrong during a run: the gateway is killed at random moments, Meta's answers and reports get lost."""

import asyncio
import random
import time

from tests.fault.process import GatewayProcess
from tests.harness import Control

UP_S = (0.05, 0.9)  # how long a gateway lives once it takes requests
START_S = (0.0, 1.0)  # when one that is killed while it starts is killed
DIES_YOUNG = 0.15
WEATHER_S = (0.2, 0.6)
TROUBLES: tuple[tuple[str, dict[str, object]], ...] = (
    ("accept_then_drop", {}),
    ("accept_then_drop", {}),
    ("truncate", {}),
    ("no_id", {}),
    ("reset", {}),
    ("http_500", {}),
    ("html_502", {}),
    ("error", {"code": 131000}),  # nobody knows whether Meta took it
    ("error", {"code": 131042}),  # refused
    ("error", {"code": 130429}),  # refused, may be tried again
    ("latency", {"latency_ms": 3000}),  # longer than the gateway waits
    ("webhook_duplicate", {}),
    ("webhook_reorder", {}),
    ("webhook_delay", {"latency_ms": 1500}),
)


class Reaper:
    """Kills a gateway at random moments, also while it starts, and starts it again; it lives `up_s` between."""

    def __init__(self, process: GatewayProcess, rng: random.Random, up_s: tuple[float, float] = UP_S) -> None:
        self._process = process
        self._rng = rng
        self._up_s = up_s
        self.kills = 0

    async def reap(self, done: asyncio.Event, most_s: float) -> None:
        """Go on until all is sent, but no longer than `most_s`; then the gateway runs."""
        until = time.monotonic() + most_s
        while time.monotonic() < until:
            if await _comes(done, self._rng.uniform(*self._up_s)):
                return
            await self._kill()
            while self._rng.random() < DIES_YOUNG:
                await self._process.begin()
                await asyncio.sleep(self._rng.uniform(*START_S))
                await self._kill()
            await self._process.start()

    async def _kill(self) -> None:
        self._process.kill()
        await self._process.ended()
        self.kills += 1


async def weather(simulator: Control, rng: random.Random, done: asyncio.Event) -> None:
    """Let Meta be slow now and then, so that kills meet messages on their way, and lose an answer or a report."""
    while not await _comes(done, rng.uniform(*WEATHER_S)):
        await simulator.fault("latency", latency_ms=rng.randint(5, 300), times=30)
        if rng.random() < 0.5:
            kind, values = rng.choice(TROUBLES)
            await simulator.fault(kind, times=1, **values)


async def _comes(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
