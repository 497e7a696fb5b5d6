"""What goes wrong in an installation, at random: processes die, stand still or are replaced, and so do its servers."""

import asyncio
import collections
import random
import time
from collections.abc import Awaitable, Callable

import aiohttp

from tests.harness import Control
from tests.servers import Nats, Postgres
from tests.soak.cluster_nodes import WEB, WORKER, Cluster, Node
from tests.soak.trouble import TROUBLES as META_TROUBLES

REST_S = (1.0, 4.0)  # between two troubles; one that lasts may overlap with the next ones
AWAY_S = 1.0  # before a process that died is started anew
SERVER_HANGS_S = (0.5, 8.0)
NATS_AWAY_S = (0.2, 5.0)
POSTGRES_AWAY_S = (0.0, 2.0)

Strike = Callable[[], Awaitable[None]]


class Troubles:
    """Strikes at random until it is told to stop; what was begun is put right again before it ends."""

    def __init__(self, cluster: Cluster, simulator: Control, rng: random.Random, hang_s: float) -> None:
        """`hang_s` is how long a process stands still at most."""
        self._hang_s = hang_s
        self._cluster = cluster
        self._simulator = simulator
        self._rng = rng
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self._postgres_is_busy = False
        self._nats_busy: set[str] = set()

    async def run(self, for_s: float) -> None:
        """Strike for so long, then wait until everything is back."""
        kinds: dict[str, tuple[float, Strike]] = {
            "SIGKILL of a web process": (3, lambda: self._kill(WEB)),
            "SIGKILL of a worker": (3, lambda: self._kill(WORKER)),
            "SIGTERM of a process": (3, self._restart),
            "SIGSTOP of a process": (2, self._hang),
            "NATS killed": (1.5, lambda: self._nats(wipe=False)),
            "NATS killed and wiped": (1.5, lambda: self._nats(wipe=True)),
            "PostgreSQL restarted": (1.5, lambda: self._postgres(crash=False)),
            "PostgreSQL crashed": (1.5, lambda: self._postgres(crash=True)),
            "PostgreSQL stands still": (1, self._postgres_hangs),
            "NATS stands still": (1, self._nats_hangs),
            "Meta's trouble": (2, self._meta),
        }
        if len(self._cluster.nats) > 1:
            kinds["NATS node killed"] = (1.5, self._nats_node)
            kinds["NATS leader killed"] = (1.5, self._nats_leader)
        names, weights = list(kinds), [weight for weight, _ in kinds.values()]
        until = time.monotonic() + for_s
        async with asyncio.TaskGroup() as strikes:
            each_once = self._rng.sample(names, len(names))
            while time.monotonic() < until:
                name = each_once.pop() if each_once else self._rng.choices(names, weights)[0]
                strikes.create_task(self._strike(name, kinds[name][1]))
                await asyncio.sleep(self._rng.uniform(*REST_S))

    async def _strike(self, name: str, strike: Strike) -> None:
        self.counts[name] += 1
        await strike()

    def _a_node(self, role: str | None = None) -> Node | None:
        idle = [node for node in self._cluster.nodes if not node.is_busy and role in (None, node.role)]
        return self._rng.choice(idle) if idle else None

    async def _kill(self, role: str) -> None:
        if node := self._a_node(role):
            node.is_busy = True
            await node.kill()
            await asyncio.sleep(AWAY_S)
            await node.start()
            node.is_busy = False

    async def _restart(self) -> None:
        if node := self._a_node():
            node.is_busy = True
            code = await node.stop()
            if code != 0:
                self.wrong.append(f"SIGTERM ended {node.name} with {code}")
            await node.start()
            node.is_busy = False

    async def _hang(self) -> None:
        if node := self._a_node():
            node.is_busy = True
            await node.hang(self._rng.uniform(0.5, self._hang_s))
            node.is_busy = False

    async def _nats(self, *, wipe: bool) -> None:
        """Take NATS away as a whole."""
        if self._nats_busy:
            return
        servers = self._cluster.nats
        self._nats_busy = {server.name for server in servers}
        await asyncio.gather(*(server.kill() for server in servers))
        if wipe:
            for server in servers:
                server.wipe()
        await asyncio.sleep(self._rng.uniform(*NATS_AWAY_S))
        await asyncio.gather(*(server.start() for server in servers))
        await asyncio.gather(*(server.until_ready() for server in servers))
        self._nats_busy = set()

    async def _nats_node(self) -> None:
        await self._lose(self._rng.choice(self._cluster.nats))

    async def _nats_leader(self) -> None:
        leader = await stream_leader(self._cluster.nats)
        await self._lose(
            next((server for server in self._cluster.nats if server.name == leader), self._cluster.nats[0])
        )

    async def _lose(self, server: Nats) -> None:
        if self._nats_busy:
            return
        self._nats_busy = {server.name}
        await server.kill()
        await asyncio.sleep(self._rng.uniform(*NATS_AWAY_S))
        await server.start()
        await server.until_ready()
        self._nats_busy = set()

    async def _postgres(self, *, crash: bool) -> None:
        if self._postgres_is_busy:
            return
        self._postgres_is_busy = True
        await (self._cluster.postgres.kill() if crash else self._cluster.postgres.stop())
        await asyncio.sleep(self._rng.uniform(*POSTGRES_AWAY_S))
        await self._cluster.postgres.start()
        self._postgres_is_busy = False

    async def _postgres_hangs(self) -> None:
        if not self._postgres_is_busy:
            self._postgres_is_busy = True
            await self._hang_server(self._cluster.postgres)
            self._postgres_is_busy = False

    async def _nats_hangs(self) -> None:
        if not self._nats_busy:
            server = self._rng.choice(self._cluster.nats)
            self._nats_busy = {server.name}
            await self._hang_server(server)
            self._nats_busy = set()

    async def _hang_server(self, server: Postgres | Nats) -> None:
        server.freeze()
        try:
            await asyncio.sleep(self._rng.uniform(*SERVER_HANGS_S))
        finally:
            server.thaw()

    async def _meta(self) -> None:
        kind, values = self._rng.choice(META_TROUBLES)
        await self._simulator.fault(kind, times=self._rng.randint(1, 3), **values)


async def stream_leader(servers: list[Nats]) -> str | None:
    """Return the name of the server that leads the stream of rings, or None if nobody does or tells."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        for server in servers:
            try:
                async with http.get(f"{server.monitor_url}/jsz?streams=true") as answer:
                    told = await answer.json()
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
            for account in told.get("account_details", ()):
                for stream in account.get("stream_detail", ()):
                    leader: str | None = stream.get("cluster", {}).get("leader")
                    if leader:
                        return leader
    return None
