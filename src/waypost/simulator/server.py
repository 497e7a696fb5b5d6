"""The simulator as a thing that starts and stops: the Graph side and the control API on one port, and a side door."""

import asyncio
import sys

from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.simulator.clock import Clock
from waypost.simulator.control import control_app
from waypost.simulator.desk import Desk
from waypost.simulator.listener import CONTROL_PREFIX, Listener
from waypost.simulator.simulation import Simulation


class Simulator:
    """Our Meta look-alike: Graph API on one port, control API under /_simulator.

    `seed` makes ids repeat; None chooses a fresh one, which `seed` then tells. A second port, whose address is
    `control_url`, answers the control API alone and stays reachable while the fault `down` closes the first.
    """

    def __init__(self, *, seed: int | None = None, clock: Clock | None = None) -> None:
        """`clock` is the simulated time; without one it is the machine's, and can be moved on by the control API."""
        self._simulation = Simulation(seed, clock or Clock())
        self._listeners: tuple[Listener, ...] = ()
        self._clockwork: asyncio.Task[None] | None = None
        self._reopening: set[asyncio.Task[None]] = set()
        self.url = ""
        self.control_url = ""

    @property
    def seed(self) -> int:
        """The seed of everything random here."""
        return self._simulation.dice.seed

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Opens the ports (0 = any free one) and gives the base URL, like `http://127.0.0.1:8090`.

        Raises `OSError` if the port is taken.
        """
        desk = Desk(self._simulation, self._urls, self.down, self.up, self._up_at)
        control = control_app(desk)
        graph = Listener(_both(self._simulation.graph, control), host, port)
        self._listeners = (graph, Listener(control, host, 0))
        self._clockwork = asyncio.create_task(self._simulation.schedule.run())
        await self._simulation.transmitter.start()
        try:
            for listener in self._listeners:
                await listener.open()
        except OSError:
            await self.stop()
            raise
        self.url, self.control_url = (listener.url for listener in self._listeners)
        return self.url

    async def stop(self) -> None:
        """Closes ports, connections and sessions; afterwards no task of the simulator is left. May be called twice."""
        for listener in self._listeners:
            await listener.close()
        self._listeners = ()
        tasks = [*self._reopening, *([self._clockwork] if self._clockwork else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clockwork = None
        await self._simulation.transmitter.stop()

    async def down(self) -> None:
        """Closes the Graph side's listening socket and all its connections; `control_url` still answers."""
        await self._listeners[0].refuse()

    async def up(self) -> None:
        """Opens the same port again."""
        await self._listeners[0].open()

    def _up_at(self, at_ms: int) -> None:
        self._simulation.schedule.at(at_ms, self._begin_up)

    def _begin_up(self) -> None:
        faults = self._simulation.faults
        faults.active[:] = [fault for fault in faults.active if fault.kind != "down"]
        task = asyncio.create_task(self.up())
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    def _urls(self) -> dict[str, str]:
        return {"url": self.url, "control_url": self.control_url}


def _both(graph: ASGIApp, control: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        is_control = path == CONTROL_PREFIX or path.startswith(CONTROL_PREFIX + "/")
        await (control if is_control else graph)(scope, receive, send)

    return app


async def run(host: str, port: int, seed: int | None) -> None:
    """Serves until cancelled; prints the addresses and the seed on stderr."""
    simulator = Simulator(seed=seed)
    await simulator.start(host, port)
    try:
        lines = (
            f"simulator of Meta at {simulator.url} (Graph API, e.g. {simulator.url}/v23.0)",
            f"control API at {simulator.url}/_simulator",
            f"control API while that port is down: {simulator.control_url}/_simulator",
            f"seed {simulator.seed}",
        )
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
