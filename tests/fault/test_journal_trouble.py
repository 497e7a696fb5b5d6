"""Trouble with the journal's disk, seen from outside: 9001 and nothing sent, a clear line, and it heals by itself."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from tests.fault.effects import FullDisk, gateway_on
from tests.fault.process import GatewayProcess, environment, steady_port
from tests.fault.reckoning import Sent, settled, until
from tests.harness import (
    ADMIN_TOKEN,
    SECRETS,
    VERIFY_TOKEN,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    connect,
)
from waypost.clock import Clock
from waypost.model import State

SERVE = ["-m", "waypost", "serve", "--port", "0"]
# Runs Python so that permissions count for root too: without the capability (number 1) to override them (prctl 24).
HUMBLY = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def settings_of(folder: Path, simulator: Control) -> dict[str, str]:
    return environment(
        data_dir=folder, meta_base_url=simulator.url, admin_token=ADMIN_TOKEN, meta_verify_token=VERIFY_TOKEN
    )


def let_files_grow_to(process: GatewayProcess, size: int) -> None:
    """Fill a process's disk: none of its files can be written beyond this size (unlimited: -1)."""
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, most))


async def run_to_the_end(*arguments: str, settings: dict[str, str]) -> tuple[int | None, str]:
    """Run a command that must end by itself; return its exit code and what it wrote on stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            _, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, complaint.decode()


@pytest.fixture
async def on_a_small_disk(folder: Path, simulator: Control) -> AsyncIterator[tuple[GatewayProcess, str]]:
    """A gateway in a process of its own, whose files can be kept from growing; and its address."""
    port = steady_port()
    async with gateway_on(folder, simulator.url, port) as gateway:
        await connect(simulator, gateway)
    process = GatewayProcess(
        ["-m", "tests.fault.victim", str(port), "none"], settings_of(folder, simulator), folder.with_suffix(".log")
    )
    await process.start()
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        assert await process.stop() == 0


@pytest.mark.embedded("the file on this machine's disk; test_server_trouble.py has the other")
@pytest.mark.parametrize("log_too", [False, True], ids=["the journal's", "the log's too"])
async def test_a_full_disk_is_9001_until_there_is_space_again(
    log_too: bool,
    on_a_small_disk: tuple[GatewayProcess, str],
    folder: Path,
    simulator: Control,
    http: aiohttp.ClientSession,
) -> None:
    process, url = on_a_small_disk
    customer = Customer(url, http, Clock().now_ms)
    before, during = Sent(customer, keyed=True), Sent(customer, keyed=True)
    assert await before.post() == 0
    await until("its statuses are in", lambda: in_state(http, url, before, State.READ))

    let_files_grow_to(process, 0 if log_too else (folder / "waypost.db-wal").stat().st_size)
    assert [await during.post() for _ in range(3)] == [9001, 9001, 9001]
    assert (await ready(http, url))[0] == 503
    assert await during.at_meta(simulator) == []
    assert [answer["message"] for answer in during.answers] == ["System business error"] * 3

    let_files_grow_to(process, resource.RLIM_INFINITY)
    assert (await ready(http, url))[0] == 200
    assert await during.post() == 0
    await until("its statuses are in", lambda: in_state(http, url, during, State.READ))
    assert len(await during.at_meta(simulator)) == len(await before.at_meta(simulator)) == 1
    if not log_too:
        refused = [line for line in process.lines("request") if line["code"] == 9001]
        assert len(refused) >= 3
        assert all(str(folder / "waypost.db") in line["failure"] and "disk" in line["failure"] for line in refused)


async def in_state(http: aiohttp.ClientSession, url: str, sent: Sent, state: State) -> bool:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with http.get(f"{url}/admin/v1/messages/{sent.message['cus_message_id']}", headers=headers) as answer:
        row: dict[str, Any] = await answer.json()
    return row.get("state") == state


async def ready(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with http.get(f"{url}/readyz") as answer:
        return answer.status, await answer.text()


@pytest.mark.embedded("the file on this machine's disk; test_server_trouble.py has the other")
async def test_a_journal_locked_by_another_program_is_9001_until_it_lets_go(
    gateway: Gateway, customer: Customer, simulator: Control, tmp_path: Path
) -> None:
    sent = Sent(customer, keyed=True)
    other = apsw.Connection(str(tmp_path / "data" / "waypost.db"))
    other.execute("BEGIN IMMEDIATE")
    assert await sent.post() == 9001
    assert await simulator.count() == 0
    (line,) = gateway.log.lines("request")
    assert "another process holds it locked" in line["failure"]

    other.execute("ROLLBACK")
    other.close()
    assert await sent.insist() == {0}
    await settled(sent, gateway, simulator, at_meta=1, state=State.READ)


@pytest.fixture
async def in_doubt(
    folder: Path, simulator: Control, clock: ShiftableClock, http: aiohttp.ClientSession
) -> AsyncIterator[tuple[Gateway, Sent, FullDisk]]:
    """A gateway, and a message that Meta refused while the disk was too full to write that down."""
    disk = FullDisk()
    async with gateway_on(folder, simulator.url, effects=disk, clock=clock) as gateway:
        sent = Sent(Customer(gateway.url, http, clock.now_ms), keyed=True)
        await simulator.fault("error", code=131042, times=1)
        disk.arm("outcome_commit", times=1_000)
        assert await sent.post() == 0, "what Meta said is not durable, so it can't be answered"
        yield gateway, sent, disk


async def test_a_repeat_does_not_hang_when_the_first_outcome_could_not_be_journalled(
    in_doubt: tuple[Gateway, Sent, FullDisk],
) -> None:
    gateway, sent, _ = in_doubt
    assert (await gateway.message(sent.message["cus_message_id"]))["state"] == State.SENDING
    assert await sent.insist() == {0}  # within a bound that is far below the lease's end
    assert (await gateway.message(sent.message["cus_message_id"]))["state"] == State.SENDING


async def test_an_outcome_that_could_not_be_journalled_is_when_the_disk_has_room_again(
    in_doubt: tuple[Gateway, Sent, FullDisk], simulator: Control
) -> None:
    gateway, sent, disk = in_doubt
    disk.arm("nothing")
    await settled(sent, gateway, simulator, at_meta=0, state=State.FAILED)
    assert await sent.insist() == {0}, "as it was answered first"


async def test_an_outcome_that_could_not_be_journalled_is_called_unknown_when_its_lease_ends(
    in_doubt: tuple[Gateway, Sent, FullDisk], simulator: Control, clock: ShiftableClock
) -> None:
    gateway, sent, _ = in_doubt
    clock.advance(120)
    await settled(sent, gateway, simulator, at_meta=0, state=State.UNKNOWN)
    (line,) = gateway.log.lines("message_unknown")
    assert "lease" in line["reason"]


@pytest.mark.embedded("one process owns the data folder, and must be able to write there")
async def test_a_second_gateway_on_the_same_data_folder_ends_with_one_line_while_the_first_goes_on(
    folder: Path, simulator: Control, http: aiohttp.ClientSession
) -> None:
    settings = settings_of(folder, simulator)
    first = GatewayProcess(SERVE, settings, folder.with_suffix(".log"))
    await first.start()
    try:
        code, complaint = await run_to_the_end(*SERVE, settings=settings)
        assert code == 1
        (line,) = complaint.splitlines()
        assert str(first.pid) in line
        assert str(folder) in line
        assert "WAYPOST_DATA_DIR" in line
        (started,) = first.lines("started")
        assert (await ready(http, started["url"]))[0] == 200
    finally:
        assert await first.stop() == 0
    assert not any(secret in complaint for secret in SECRETS)


@pytest.fixture
def sealed(folder: Path) -> Path:
    """A folder that nobody may write to."""
    folder.mkdir(mode=0o555)
    return folder


@pytest.mark.embedded("one process owns the data folder, and must be able to write there")
@pytest.mark.parametrize("below", ["", "below"], ids=["the folder", "its parent"])
async def test_a_data_folder_that_cant_be_written_ends_the_start_with_one_line(
    below: str, sealed: Path, simulator: Control
) -> None:
    settings = settings_of(sealed / below, simulator)
    code, complaint = await run_to_the_end("-c", HUMBLY, *SERVE, settings=settings)
    assert code == 1
    (line,) = complaint.splitlines()
    assert f"cannot use the data folder {sealed / below}: Permission denied" in line
    assert "WAYPOST_DATA_DIR" in line
