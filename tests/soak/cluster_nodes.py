"""The processes of an installation: web and worker, a PostgreSQL server, one NATS server or a cluster of three."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from tests.fault.process import GatewayProcess, NotStarted, environment, steady_port
from tests.harness import ADMIN_TOKEN, VERIFY_TOKEN
from tests.servers import Nats, Postgres, nats_cluster
from waypost.settings import Settings

WEB, WORKER = "web", "worker"
SECRET_KEY = "a-key-that-all-processes-share-0123456789"
CALLBACK_TIMEOUT_S = 3
# short, so that what a dead process had under way is known to be in doubt after 20 s
META_CONNECT_S, META_READ_S = 2, 3
ANSWER_WITHIN_S = 2
_AGAIN_S = 1.0
_GONE_S = 60.0


class Node:
    """One process with a port of its own, started anew whenever it ends, as whoever runs it does."""

    def __init__(self, role: str, number: int, settings: Settings, folder: Path) -> None:
        self.name = f"{role}{number}"
        self.role = role
        self.port = steady_port()
        values = {name: getattr(settings, name) for name in settings.__struct_fields__}
        values["data_dir"] = folder / self.name
        command = ["-m", "waypost", "serve", "--role", role, "--port", str(self.port)]
        self.log = folder / f"{self.name}.log"
        self._process = GatewayProcess(command, environment(**values), self.log)
        self.is_busy = False  # somebody is just doing something to it
        self.refused_starts = 0

    async def start(self) -> None:
        """Start it, again and again while it can't start (its journal being away, say)."""
        async with asyncio.timeout(_GONE_S):
            while True:
                try:
                    await self._process.start()
                except NotStarted:
                    self.refused_starts += 1
                    await asyncio.sleep(_AGAIN_S)
                else:
                    return

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.ended()

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        return await self._process.stop()

    async def hang(self, for_s: float) -> None:
        """Let it stand still for a while."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    async def end(self) -> None:
        """End it for good, whatever it is doing."""
        with contextlib.suppress(AssertionError, ProcessLookupError):  # never started
            os.kill(self._process.pid, signal.SIGCONT)
            await self.kill()


class Cluster:
    """Everything that one installation consists of."""

    def __init__(self, folder: Path, *, nats_servers: int, meta_url: str) -> None:
        self.postgres = Postgres(durable=True)
        """Without a NATS server its processes look at the database every second or two."""
        self.nats = nats_cluster(nats_servers) if nats_servers > 1 else [Nats() for _ in range(nats_servers)]
        self.settings = Settings(
            database_url=self.postgres.url,
            nats_url=",".join(server.url for server in self.nats),
            secret_key=SECRET_KEY,
            admin_token=ADMIN_TOKEN,
            meta_verify_token=VERIFY_TOKEN,
            meta_base_url=meta_url,
            meta_connect_timeout=META_CONNECT_S,
            meta_read_timeout=META_READ_S,
            answer_within=ANSWER_WITHIN_S,
            allow_private_callbacks=True,
            callback_timeout=CALLBACK_TIMEOUT_S,
            settle_within=1440,
            data_dir=str(folder),
        )
        self._folder = folder
        self.nodes: list[Node] = []

    @property
    def web(self) -> list[Node]:
        return [node for node in self.nodes if node.role == WEB]

    async def start_servers(self) -> None:
        """Start PostgreSQL and NATS."""
        await asyncio.gather(self.postgres.start(), *(server.start() for server in self.nats))
        await asyncio.gather(*(server.until_ready() for server in self.nats))

    async def start_nodes(self, web: int, workers: int) -> None:
        """Start the processes, all at once."""
        roles = [WEB] * web + [WORKER] * workers
        self.nodes = [Node(role, number, self.settings, self._folder) for number, role in enumerate(roles)]
        await asyncio.gather(*(node.start() for node in self.nodes))

    async def end(self) -> None:
        """End everything that was started here, and erase what the servers stored."""
        await asyncio.gather(*(node.end() for node in self.nodes))
        await asyncio.gather(*(server.remove() for server in self.nats), self.postgres.remove())
