"""Delivery with many accounts at once, real receivers and a real journal: nobody waits for another's trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.outbox_rows import inbound, post
from tests.fault.test_lookups import SlowDns
from tests.fault.test_meta_client import answering, http, serving
from tests.harness import Log, ShiftableClock
from tests.receiver import Receiver
from waypost.clock import Clock
from waypost.gateway import retries
from waypost.gateway.deliver import Deliverer
from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS, PushLimits
from waypost.gateway.registry import Registry
from waypost.gateway.tenants import snapshot
from waypost.gateway.vault import Vault
from waypost.model import Application, Callback, CallbackState
from waypost.net.lookups import LOOKUPS_PER_ACCOUNT
from waypost.net.safe_http import Pushed, SafeHttp
from waypost.store.base import CallbackFilter
from waypost.store.sqlite import SqliteStore

WAIT_S = 20.0  # a bound that ends a broken test, not a wait
PATIENT_S = 60.0
PROBE_S = PROBE_EVERY_MS / 1000 + 1


class Office:
    """A deliverer at work, and the journal that it works from."""

    def __init__(self, store: SqliteStore, clock: Clock, deliverer: Deliverer, log: Log) -> None:
        self.store = store
        self.deliverer = deliverer
        self.log = log
        self.clock = clock

    async def enter(self, account: str, url: str, number: int = 1, *, endpoints: int = 1) -> list[str]:
        """Let callbacks of an account be due, spread over so many endpoints; return the names of those."""
        names = [f"{account} http://n{index}.example" for index in range(endpoints)]
        drafts = [
            inbound(account=account, appkey=account, url=f"{url}/{account}", endpoint=names[index % endpoints])
            for index in range(number)
        ]
        await self.store.record_webhook(post(self.clock, *drafts))  # type: ignore[arg-type]  # any clock will do
        self.deliverer.ring(names)
        return names

    async def callbacks(self, account: str, state: CallbackState | None = None) -> tuple[Callback, ...]:
        wanted = CallbackFilter(account=account, state=state)
        return (await self.store.callbacks(wanted, limit=1_000, cursor=None)).callbacks

    async def until(self, account: str, state: CallbackState, number: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(await self.callbacks(account, state)) != number:
                await asyncio.sleep(0.01)

    async def until_attempts(self, account: str, number: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while sum(callback.attempts for callback in await self.callbacks(account)) < number:
                await asyncio.sleep(0.01)

    async def replay(self, **wanted: object) -> None:
        """Do what the admin API does."""
        audit_id = await self.store.begin_audit(who="admin", action="replay", selection="{}")
        portion = await self.store.replay_callbacks(
            CallbackFilter(**wanted),  # type: ignore[arg-type]  # members of the filter
            now_ms=self.clock.now_ms(),
            limit=1_000,
            cursor=None,
            audit_id=audit_id,
        )
        self.deliverer.ring(set(portion.endpoints), probe=True)

    async def brought_down(self, receiver: Receiver, account: str) -> str:
        """Let pushes to one endpoint of an account fail until it is only probed."""
        receiver.answer = 500
        (name,) = await self.enter(account, receiver.url, OPEN_AFTER)
        async with asyncio.timeout(WAIT_S):
            while not self.deliverer.is_down(name):
                await asyncio.sleep(0.01)
        await self.until_attempts(account, OPEN_AFTER)
        return name


Open = Callable[..., AbstractAsyncContextManager[Office]]


@pytest.fixture
def office(tmp_path: Path, clock: ShiftableClock) -> Open:
    """Opens a journal and delivers from it, for accounts of these names with an application each."""

    @asynccontextmanager
    async def opened(*accounts: str, http: type[SafeHttp] = SafeHttp, **limits: int) -> AsyncIterator[Office]:
        log = Log()
        log.capture()
        store = SqliteStore(tmp_path / "waypost.db", clock)
        await store.open()
        registry = Registry(store, Vault("secret"), clock)
        registry.tenants = snapshot(Application(appkey=name, account=name, name=name, phones=()) for name in accounts)
        pusher = http(clock, timeout_s=PATIENT_S, allow_private=True)
        await pusher.start()
        deliverer = Deliverer(store, pusher, registry, clock, PushLimits(timeout_s=PATIENT_S, **limits))
        work = asyncio.create_task(deliverer.run())
        try:
            yield Office(store, clock, deliverer, log)
        finally:
            work.cancel()
            await asyncio.wait((work,))
            await pusher.close()
            await store.close()

    return opened


@pytest.fixture
async def hung() -> AsyncIterator[Receiver]:
    """A receiver that takes everything and answers nothing."""
    receiver = Receiver()
    await receiver.start()
    receiver.hold.clear()
    yield receiver
    await receiver.stop()


def paths(receiver: Receiver) -> list[str]:
    return [item.path.strip("/") for item in receiver.received]


# --- accounts and each other -------------------------------------------------------------------------------------


async def test_a_healthy_account_is_not_held_up_by_twenty_accounts_whose_endpoints_all_hang(
    office: Open, receiver: Receiver, hung: Receiver
) -> None:
    dead = [f"dead{number}" for number in range(20)]
    async with office(*dead, "globex", per_account=8, in_all=64) as opened:
        for account in dead:
            await opened.enter(account, hung.url, 40, endpoints=20)
        await hung.until(64)
        await opened.enter("globex", receiver.url, 60)
        await opened.until("globex", CallbackState.DONE, 60)
        waiting = sum([len(await opened.callbacks(account, CallbackState.DUE)) for account in dead])
        assert waiting == 20 * 40, "all of theirs were overtaken"
        assert len(hung.received) <= 64 + 20 * PushLimits(timeout_s=1).guaranteed
        hung.hold.set()


async def test_one_account_has_no_more_than_its_share_under_way(
    office: Open, receiver: Receiver, hung: Receiver
) -> None:
    async with office("acme", "globex", per_account=5) as opened:
        await opened.enter("acme", hung.url, 40, endpoints=40)
        await hung.until(5)
        await opened.enter("globex", receiver.url, 3)
        await opened.until("globex", CallbackState.DONE, 3)
        assert len(hung.received) == 5
        hung.hold.set()
        await opened.until("acme", CallbackState.DONE, 40)


async def test_accounts_take_turns_however_many_endpoints_one_of_them_names(office: Open, receiver: Receiver) -> None:
    receiver.hold.clear()
    async with office("acme", "globex", "initech", per_account=1, in_all=1, guaranteed=0) as opened:
        await opened.enter("acme", receiver.url, 60, endpoints=60)
        await receiver.until(1)
        await opened.enter("globex", receiver.url, 2, endpoints=2)
        await opened.enter("initech", receiver.url, 2, endpoints=2)
        receiver.hold.set()
        await opened.until("acme", CallbackState.DONE, 60)
        assert sorted(paths(receiver)[1:4]) == ["acme", "globex", "initech"]
        assert sorted(paths(receiver)[4:7]) == ["acme", "globex", "initech"]
        assert set(paths(receiver)[7:]) == {"acme"}


async def test_dead_names_of_one_account_cost_another_nothing(
    office: Open, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    dns = SlowDns(monkeypatch)
    async with office("acme", "globex") as opened:
        for number in range(40):
            draft = inbound(
                account="acme", appkey="acme", url=f"http://n{number}.slow.test/", endpoint=f"acme {number}"
            )
            await opened.store.record_webhook(post(opened.clock, draft))  # type: ignore[arg-type]  # any clock will do
            opened.deliverer.ring([draft.endpoint])
        await dns.until_stuck(LOOKUPS_PER_ACCOUNT)
        await opened.enter("globex", receiver.url.replace("127.0.0.1", "good.test"), 20)
        await opened.until("globex", CallbackState.DONE, 20)
        assert len(await opened.callbacks("acme", CallbackState.DUE)) == 40
        assert len(dns.stuck) == LOOKUPS_PER_ACCOUNT
        dns.release.set()


# --- an endpoint that is down ------------------------------------------------------------------------------------


async def test_what_waits_for_a_repaired_endpoint_is_pushed_at_once_when_somebody_asks(
    office: Open, receiver: Receiver
) -> None:
    async with office("acme") as opened:
        name = await opened.brought_down(receiver, "acme")
        tried = len(receiver.received)
        receiver.answer = 200
        await opened.replay(state=CallbackState.DUE)
        await opened.until("acme", CallbackState.DONE, OPEN_AFTER)
        assert len(receiver.received) == tried + OPEN_AFTER
        assert not opened.deliverer.is_down(name)


async def test_a_replay_during_a_push_that_hangs_is_probed_when_that_ends(
    office: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    async with office("acme") as opened:
        await opened.brought_down(receiver, "acme")
        tried = len(receiver.received)
        receiver.hold.clear()
        clock.advance(PROBE_S)
        await receiver.until(tried + 1)
        await opened.replay(state=CallbackState.DUE)
        held = receiver.received[-1]
        receiver.answer = lambda item: 500 if item is held else 200
        receiver.hold.set()
        await opened.until("acme", CallbackState.DONE, OPEN_AFTER - 1)  # that one waits for its next try
        assert [callback.attempts for callback in await opened.callbacks("acme", CallbackState.DUE)] == [2]


async def test_a_callback_that_is_being_pushed_is_not_pushed_again_by_its_replay(
    office: Open, receiver: Receiver
) -> None:
    receiver.hold.clear()
    async with office("acme") as opened:
        await opened.enter("acme", receiver.url)
        await receiver.until(1)
        (callback,) = await opened.callbacks("acme")
        await opened.replay(ids=(callback.id,))
        await opened.enter("acme", receiver.url)
        await receiver.until(2)
        receiver.hold.set()
        await opened.until("acme", CallbackState.DONE, 2)
    assert len(receiver.received) == 2


async def test_an_endpoint_at_which_nothing_waits_any_more_is_forgotten_after_an_hour(
    office: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    async with office("acme") as opened:
        name = await opened.brought_down(receiver, "acme")
        clock.advance(retries.HORIZON_S + PROBE_S)
        await opened.until("acme", CallbackState.ABANDONED, OPEN_AFTER)
        assert opened.deliverer.is_down(name)
        async with asyncio.timeout(WAIT_S):
            while opened.deliverer.is_down(name):
                clock.advance(PROBE_S / 4)
                await asyncio.sleep(0.1)
        assert len(receiver.received) == OPEN_AFTER + 1, "nothing is pushed meanwhile"


# --- the next try -----------------------------------------------------------------------------------------------


async def waits_ms(opened: Office, account: str) -> list[int]:
    """Return how long after its last attempt each callback of an account is tried again."""
    waits = []
    for callback in await opened.callbacks(account, CallbackState.DUE):
        (attempt,) = await opened.store.attempts(callback.id)
        due_at_ms = await opened.store.next_due(callback.endpoint)
        assert due_at_ms is not None
        waits.append(due_at_ms - attempt.at_ms)
    return waits


async def test_what_failed_together_does_not_come_back_together(office: Open, receiver: Receiver) -> None:
    receiver.answer = 500
    async with office("acme") as opened:
        await opened.enter("acme", receiver.url, 20, endpoints=20)
        await opened.until_attempts("acme", 20)
        waits = await waits_ms(opened, "acme")
    due_ms = retries.SCHEDULE_S[0] * 1000
    assert all(due_ms * (1 - retries.JITTER) <= wait <= due_ms * (1 + retries.JITTER) + 1_000 for wait in waits)
    assert len(set(waits)) > 10
    assert max(waits) - min(waits) > due_ms * retries.JITTER / 2


@pytest.mark.parametrize(("asked_s", "least_ms", "most_ms"), [(8, 8_000, 9_000), (3600, 10_000, 11_000)])
async def test_a_receiver_that_asks_for_time_gets_it_up_to_twice_the_wait(
    office: Open, asked_s: int, least_ms: int, most_ms: int
) -> None:
    busy = answering(http(b"", "503 Service Unavailable", f"Retry-After: {asked_s}\r\n"))
    async with serving(busy) as server, office("acme") as opened:
        await opened.enter("acme", server.url)
        await opened.until_attempts("acme", 1)
        (wait_ms,) = await waits_ms(opened, "acme")
    assert least_ms <= wait_ms <= most_ms


# --- one callback that breaks ------------------------------------------------------------------------------------


class Broken(SafeHttp):
    """Fails on the way to one account's URL in a way that nobody thought of."""

    async def push(self, url: str, body: bytes, headers: Mapping[str, str], *, account: str = "") -> Pushed:
        if account == "acme":
            raise ZeroDivisionError("of a kind")
        return await super().push(url, body, headers, account=account)


async def test_a_push_that_breaks_is_an_attempt_like_any_other_and_comes_to_an_end(
    office: Open, receiver: Receiver, clock: ShiftableClock
) -> None:
    async with office("acme", "globex", http=Broken) as opened:
        (name,) = await opened.enter("acme", receiver.url)
        for number in range(1, len(retries.SCHEDULE_S) + 1):
            await opened.until_attempts("acme", number)
            clock.advance(retries.SCHEDULE_S[number - 1] * (1 + retries.JITTER) + 1)
            opened.deliverer.ring([name])  # which sees at once that the clock was moved
        await opened.until("acme", CallbackState.ABANDONED, 1)
        (callback,) = await opened.callbacks("acme")
        assert callback.error == "it could not be pushed: ZeroDivisionError"
        assert callback.attempts == len(retries.SCHEDULE_S) + 1 == len(opened.log.lines("push_broke"))
        assert opened.log.lines("push_broke")[0]["reason"] == "ZeroDivisionError: of a kind"
        assert not opened.deliverer.is_down(name), "it is no fault of the receiver"
        await opened.enter("globex", receiver.url, 3)
        await opened.until("globex", CallbackState.DONE, 3)


async def test_callbacks_of_an_application_that_is_gone_wait_for_it_and_bring_no_endpoint_down(
    office: Open, receiver: Receiver
) -> None:
    async with office("acme") as opened:
        (name,) = await opened.enter("gone", receiver.url, OPEN_AFTER + 2)
        await opened.until_attempts("gone", OPEN_AFTER + 2)
        errors = {callback.error for callback in await opened.callbacks("gone", CallbackState.DUE)}
        assert errors == {"account gone has no application gone in the tenant file"}
        assert not opened.deliverer.is_down(name)
        assert receiver.received == []
