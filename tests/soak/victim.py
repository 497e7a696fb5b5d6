"""A gateway whose clock runs fast: `python -m tests.soak.victim PORT ORIGIN_MS FACTOR`.

Settings come from the environment, as for `waypost serve`. What bounds a push or a call of Meta's stays real time.
"""

import asyncio
import signal
import sys

from tests.fault.process import LISTENS
from tests.soak.fast_clock import FastClock
from waypost import settings, telemetry
from waypost.service import Service


async def serve(port: int, clock: FastClock) -> None:
    """Run the gateway until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    service = Service(settings.load(), clock)
    await service.start("127.0.0.1", port)
    try:
        print(f"{LISTENS}{service.url}", flush=True)
        await stop.wait()
    finally:
        await service.stop()


if __name__ == "__main__":
    telemetry.configure("info", pretty=False)
    asyncio.run(serve(int(sys.argv[1]), FastClock(int(sys.argv[2]), float(sys.argv[3]))))
