"""Processes that share a journal are replaced one by one, and one of those behind one socket dies, under load."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.fault.process import GatewayProcess, NotStarted, environment, steady_port
from tests.harness import WAIT_S, Control
from tests.soak.cluster_balancer import Balancer
from tests.soak.cluster_nodes import Cluster
from tests.soak.cluster_traffic import PARTIES, meta_wabas, tenant_tables
from waypost.service import apply_offline

OWNED = pytest.mark.embedded("one process owns the data folder")
PROGRAMS = 6
AT_LEAST = 20  # requests between two restarts


class Load:
    """Customers' programs that send one message after the other over connections that stay open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: Counter[str] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send all the while."""
        async with aiohttp.ClientSession() as http:
            tasks = [asyncio.create_task(self._send(number, http)) for number in range(PROGRAMS)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended

    async def _send(self, number: int, http: aiohttp.ClientSession) -> None:
        party = PARTIES[number % len(PARTIES)]
        program = party.program(self._url, http)
        while True:
            message = {
                "appkey": party.appkey,
                "business_phone": party.phones[0].number,
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                "to": f"86139{number:02}{self.answers.total():06}",
                "type": "text",
                "text": {"body": "hello"},
            }
            try:
                answer = await program.send(message)
                self.answers[str(answer["code"])] += 1
            except (aiohttp.ClientError, OSError) as error:
                self.answers[type(error).__name__] += 1

    async def until_more(self, number: int = AT_LEAST) -> None:
        """Wait until so many more requests have been answered 0."""
        wanted = self.answers["0"] + number
        async with asyncio.timeout(WAIT_S):
            while self.answers["0"] < wanted:
                await asyncio.sleep(0.01)


@pytest.fixture
async def cluster(tmp_path: Path, simulator: Control) -> AsyncIterator[Cluster]:
    """Servers and tenants of an installation; who tests starts its processes."""
    await simulator.config(wabas=meta_wabas())
    servers = Cluster(tmp_path, nats_servers=0, meta_url=simulator.url)
    try:
        await servers.start_servers()
        await apply_offline(servers.settings, tenant_tables("http://127.0.0.1:1"))
        yield servers
    finally:
        await servers.end()


async def test_no_request_fails_while_every_web_process_is_restarted_twice_behind_a_balancer(cluster: Cluster) -> None:
    await cluster.start_nodes(web=3, workers=0)
    async with Balancer([node.port for node in cluster.nodes]) as balancer:
        load = Load(balancer.url)
        async with load.running():
            for node in cluster.nodes * 2:
                await load.until_more()
                assert await node.stop() == 0
                await load.until_more()
                await node.start()
            await load.until_more()
    assert set(load.answers) == {"0"}, load.answers


async def test_of_several_processes_behind_one_socket_one_that_dies_is_replaced(
    cluster: Cluster, tmp_path: Path
) -> None:
    port = steady_port()
    values = msgspec.structs.asdict(cluster.settings)
    command = ["-m", "waypost", "serve", "--workers", "2", "--port", str(port)]
    gateway = GatewayProcess(command, environment(**values), tmp_path / "gateway.log")
    load = Load(await gateway.start())
    try:
        async with load.running():
            await load.until_more()
            first = _children(gateway.pid)
            assert len(first) == 2
            os.kill(min(first), signal.SIGKILL)
            async with asyncio.timeout(WAIT_S):
                while len(now := _children(gateway.pid) - {min(first)}) < 2:
                    await asyncio.sleep(0.01)
            await load.until_more()
        assert set(load.answers) <= {"0", "ServerDisconnectedError", "ClientOSError"}, load.answers
        assert load.answers.total() - load.answers["0"] <= PROGRAMS  # those that were under way
    finally:
        code = await gateway.stop()
    assert code == 0
    assert not any(map(_is_there, now))


@OWNED
@pytest.mark.parametrize("options", [("--workers", "2"), ("--role", "web"), ("--role", "worker")])
async def test_an_embedded_journal_is_not_shared(tmp_path: Path, options: tuple[str, str]) -> None:
    gateway = GatewayProcess(
        ["-m", "waypost", "serve", "--port", "0", *options], environment(data_dir=tmp_path), tmp_path / "log"
    )
    with pytest.raises(NotStarted, match="the embedded database belongs to one process"):
        await gateway.start()
    assert os.listdir(tmp_path) == ["log"]  # noqa: PTH208 - one call, which an event loop can bear


@OWNED
async def test_a_second_gateway_on_an_embedded_journal_is_refused_with_a_line_that_says_why(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path / "data")
    command = ["-m", "waypost", "serve", "--port", "0"]
    first, second = (GatewayProcess(command, settings, tmp_path / name) for name in ("first.log", "second.log"))
    await first.start()
    try:
        with pytest.raises(NotStarted) as refused:
            await second.start()
        assert f"process {first.pid}" in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1
    finally:
        assert await first.stop() == 0


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
