"""Names that resolve late, badly or never: they cost the account that named them, and nobody else."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.fault.test_meta_client import answering, http, serving
from tests.fault.test_safe_http import Names, port_of, pushing
from waypost.clock import Clock
from waypost.net import lookups
from waypost.net.lookups import FAILURE_KEPT, KEPT_S, LOOKUPS_PER_ACCOUNT, Lookups
from waypost.net.progress import Progress, current_progress
from waypost.net.safe_http import Pushed, SafeHttp

ONCE = http(b"", headers="Connection: close\r\n")  # so that each push needs the address again
BODY = b"{}"


class SlowDns:
    """The system's resolver, on which names under `slow.test` hang until they are let go, and fail then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stuck: list[str] = []
        self.release = threading.Event()
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, host: str, *rest: object, **more: object) -> object:
        if host.endswith(".slow.test"):
            self.stuck.append(host)
            self.release.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host == "good.test":
            host = "127.0.0.1"
        return self._system(host, *rest, **more)  # type: ignore[arg-type]  # handed on as it came

    async def until_stuck(self, number: int) -> None:
        async with asyncio.timeout(10):
            while len(self.stuck) < number:
                await asyncio.sleep(0)


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDns]:
    slow = SlowDns(monkeypatch)
    yield slow
    slow.release.set()


def dead(number: int, account: str = "") -> list[str]:
    return [f"http://n{index}{account}.slow.test/" for index in range(number)]


async def push(pusher: SafeHttp, url: str, account: str) -> Pushed:
    return await pusher.push(url, BODY, {}, account=account)


async def test_dead_names_of_one_account_hold_up_no_named_receiver_of_another(dns: SlowDns) -> None:
    async with serving(answering(ONCE)) as server, pushing(within_s=1) as pusher:
        good = f"http://good.test:{port_of(server)}/"
        in_vain = [*dead(40), good]  # acme waits for its own dead names
        pushes = asyncio.gather(*(push(pusher, url, "acme") for url in in_vain))
        await dns.until_stuck(LOOKUPS_PER_ACCOUNT)
        for _ in range(3):
            assert (await push(pusher, good, "globex")).http_status == 200
        for pushed in await pushes:
            assert (pushed.http_status, pushed.error) == (None, "no answer from DNS within 1 s")
        assert len(dns.stuck) == LOOKUPS_PER_ACCOUNT, "look-ups that waited in vain are forgotten"


async def test_twenty_accounts_with_dead_names_hold_up_nobody_else(dns: SlowDns) -> None:
    async with serving(answering(ONCE)) as server, pushing(within_s=1) as pusher:
        accounts = [f"account{number}" for number in range(20)]
        urls = [(url, account) for account in accounts for url in dead(32, account)]
        pushes = asyncio.gather(*(push(pusher, url, account) for url, account in urls))
        await dns.until_stuck(len(accounts) * LOOKUPS_PER_ACCOUNT)
        assert (await push(pusher, f"http://good.test:{port_of(server)}/", "globex")).http_status == 200
        assert {pushed.http_status for pushed in await pushes} == {None}


async def test_a_look_up_keeps_its_place_until_the_system_gives_up(dns: SlowDns) -> None:
    async with pushing(within_s=0.3) as pusher:
        for _ in range(2):  # the second time nothing is asked, for the first four still are
            for pushed in await asyncio.gather(*(push(pusher, url, "acme") for url in dead(8))):
                assert "no answer from DNS" in (pushed.error or "")
            assert len(dns.stuck) == LOOKUPS_PER_ACCOUNT
        dns.release.set()
        pushed = await push(pusher, "http://last.slow.test/", "acme")
    assert pushed.error == "host last.slow.test can't be resolved: Temporary failure in name resolution"


async def test_the_pushes_of_an_account_share_a_look_up_and_other_accounts_have_their_own(dns: SlowDns) -> None:
    async with pushing(within_s=0.3) as pusher:
        (name,) = dead(1)
        pushes = [push(pusher, name, account) for account in ("acme",) * 8 + ("globex",)]
        assert all("DNS" in (pushed.error or "") for pushed in await asyncio.gather(*pushes))
    assert len(dns.stuck) == 2


async def test_a_server_that_takes_no_connection_is_no_matter_of_dns() -> None:
    async with pushing(within_s=0.3) as pusher:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            errors = [pushed.error for pushed in await asyncio.gather(*(push(pusher, url, "acme") for _ in range(8)))]
    assert set(errors) == {"no complete answer within 0.3 s", "no connection within 0.3 s"}


# --- what is remembered -------------------------------------------------------------------------------------------


class StoppedClock(Clock):
    """A clock that moves when it is told to."""

    now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s


class Failing(AbstractResolver):
    """A resolver that fails after so many seconds."""

    def __init__(self, clock: StoppedClock, takes_s: float) -> None:
        self.asked = 0
        self._clock = clock
        self._takes_s = takes_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        self._clock.now_s += self._takes_s
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        pass


@pytest.fixture
def asking() -> Iterator[None]:
    token = current_progress.set(Progress("acme"))
    yield
    current_progress.reset(token)


async def failure(names: Lookups, host: str = "customer.test") -> str:
    with pytest.raises(socket.gaierror) as raised:
        await names.resolve(host, 443)
    return str(raised.value.strerror)


@pytest.mark.usefixtures("asking")
async def test_a_failure_is_remembered_for_five_times_as_long_as_it_took() -> None:
    clock = StoppedClock()
    system = Failing(clock, takes_s=6)
    names = Lookups(system, clock)
    for later_s, asked in ((0, 1), (6 * FAILURE_KEPT - 0.1, 1), (0.1, 2), (0, 2)):
        clock.now_s += later_s
        assert await failure(names) == "Name or service not known"
        assert system.asked == asked
    await names.close()


@pytest.mark.usefixtures("asking")
async def test_a_failure_that_came_at_once_is_asked_for_again() -> None:
    clock = StoppedClock()
    system = Failing(clock, takes_s=0)
    names = Lookups(system, clock)
    for asked in (1, 2, 3):
        await failure(names)
        assert system.asked == asked
    await names.close()


@pytest.mark.usefixtures("asking")
async def test_what_was_found_stands_for_ten_seconds() -> None:
    clock = StoppedClock()
    system = Names(["192.0.2.1"], ["192.0.2.2"])
    names = Lookups(system, clock)
    for later_s, address in ((0, "192.0.2.1"), (KEPT_S - 0.1, "192.0.2.1"), (0.2, "192.0.2.2")):
        clock.now_s += later_s
        assert [found["host"] for found in await names.resolve("customer.test", 443)] == [address]
    assert len(system.asked) == 2
    await names.close()


@pytest.mark.usefixtures("asking")
async def test_however_many_names_there_are_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MAX_KEPT", 3)
    system = Names(["192.0.2.1"])
    names = Lookups(system, StoppedClock())
    for host in ("a", "b", "c", "a", "d", "a", "d", "c"):
        await names.resolve(host, 443)
    assert system.asked == ["a", "b", "c", "d", "a"]
    await names.close()
