"""Gateway processes that share a journal, and the servers they share, seen from outside: their CPU time and more."""

import contextlib
import os
from pathlib import Path

import asyncpg
import msgspec

from bench.process import StackProcess
from bench.stacks import UNPINNED
from tests.servers import Nats, Postgres

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
ALL = "all"


class Written(msgspec.Struct, frozen=True):
    """What the database has done so far: transactions committed, and bytes of write-ahead log."""

    commits: int
    wal_bytes: int


class Database:
    """The PostgreSQL server seen from outside: its CPU time and its commits."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def cpu_s(self) -> float:
        """Return the CPU time of all its processes so far, those that have ended included."""
        parent = self._postgres.pid
        return _own_s(parent, ended_too=True) + sum(_own_s(child) for child in _children(parent))

    async def written(self) -> Written:
        """Return what it has written."""
        connection = await asyncpg.connect(self._postgres.url)
        try:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            commits = await connection.fetchval("SELECT SUM(xact_commit)::bigint FROM pg_stat_database")
            wal_bytes = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        finally:
            await connection.close()
        return Written(commits=int(commits), wal_bytes=int(wal_bytes))


class Installation:
    """One PostgreSQL and one NATS server, and a database on it for each group of gateway processes."""

    def __init__(self, folder: Path, upstream_url: str, postgres: Postgres, nats: Nats | None = None) -> None:
        self.database = Database(postgres)
        self._folder = folder
        self.upstream_url = upstream_url
        self._postgres = postgres
        self._nats = nats

    async def new_database(self, name: str) -> str:
        """Make a database and return its URL."""
        connection = await asyncpg.connect(self._postgres.url)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        await connection.close()
        return self._postgres.url.removesuffix("/postgres") + f"/{name}"

    async def start(self, url: str, role: str = ALL) -> StackProcess:
        """Start a gateway process on a database."""
        name = url.rpartition("/")[2]
        environment = {"BENCH_DATABASE_URL": url, "BENCH_ROLE": role, "BENCH_PREFIX": name}
        if self._nats is not None:
            environment["BENCH_NATS_URL"] = self._nats.url
        number = len(list(self._folder.iterdir()))
        folder = self._folder / f"{name}-{role}-{number}"
        return await StackProcess.start("shared", self.upstream_url, folder, UNPINNED, environment)

    def nats_s(self) -> float:
        """Return the CPU time of the NATS server so far."""
        return 0.0 if self._nats is None else _own_s(self._nats.pid)


def _own_s(pid: int, *, ended_too: bool = False) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile, and its parent counts it
        return 0.0
    return sum(map(int, fields[11 : 15 if ended_too else 13])) / _TICKS


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found
