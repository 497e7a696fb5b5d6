"""A gateway that dies at a named effect of its journal: `python -m tests.fault.victim PORT EFFECT [hasty]`.

Settings come from the environment, as for `waypost serve`. EFFECT is a name as `waypost.store.writer.Effects` hears it:
`accept_commit` means just before that commit, `after:accept_commit` just behind it, `none` means never. A hasty one
makes no long pauses.
"""

import asyncio
import os
import signal
import sys

from tests.fault.process import LISTENS
from waypost import settings, telemetry
from waypost.clock import Clock
from waypost.service import Service


class Death:
    """Ends the process, as a power cut would, when its effect comes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def before(self, name: str) -> None:
        """Hear of an effect."""
        if name == self._name:
            os.kill(os.getpid(), signal.SIGKILL)


class HastyClock(Clock):
    """The right time, and short pauses."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.02))


async def serve(port: int, effect: str, clock: Clock) -> None:
    """Run the gateway until SIGTERM, or until its effect comes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    service = Service(settings.load(), clock, effects=Death(effect))
    await service.start("127.0.0.1", port)
    try:
        print(f"{LISTENS}{service.url}", flush=True)
        await stop.wait()
    finally:
        await service.stop()


if __name__ == "__main__":
    telemetry.configure("info", pretty=False)
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], HastyClock() if sys.argv[3:] == ["hasty"] else Clock()))
