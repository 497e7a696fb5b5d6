"""Both doorbells against the suites; and what only several processes show."""

import asyncio
from collections.abc import AsyncIterator, Callable

import nats
import pytest
from nats.js import JetStreamContext

from tests.conformance.doorbells import (
    PATIENCE_S,
    callbacks,
    nothing_is_overlooked,
    phone,
    rings_from_another_process,
    taken,
    taken_until,
    until,
)
from tests.conformance.queue_bell_suite import ClosingSuite, CrowdSuite, RingSuite
from tests.conftest import assert_nothing_left
from tests.servers import Nats
from waypost.clock import Clock
from waypost.queue.base import MISSED, Broadcast, Doorbell, News, Queue
from waypost.queue.embedded import EmbeddedQueue
from waypost.queue.jetstream import JetStreamQueue

Another = Callable[[], JetStreamQueue]


@pytest.fixture
async def server() -> AsyncIterator[Nats]:
    running = Nats()
    await running.start()
    yield running
    await running.remove()


@pytest.fixture
async def another(server: Nats, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Another]:
    """Makes doorbells of the same installation; in the end each is closed, quietly, and nothing of them is left."""
    before, made = asyncio.all_tasks(), list[JetStreamQueue]()

    def make() -> JetStreamQueue:
        made.append(JetStreamQueue(server.url, Clock()))
        return made[-1]

    yield make
    for queue in made:
        await queue.close()
    assert_nothing_left(before)
    assert caplog.records == []  # of nats-py and asyncio; ours go another way


@pytest.fixture
async def bell(unstarted: Queue) -> Queue:
    await unstarted.start()
    return unstarted


@pytest.fixture
async def pair(another: Another) -> tuple[JetStreamQueue, JetStreamQueue]:
    return await _started(another), await _started(another)


@pytest.fixture
async def stream(server: Nats) -> AsyncIterator[JetStreamContext]:
    """NATS as somebody else sees it."""
    client = await nats.connect(server.url)
    yield client.jetstream()
    await client.close()


async def _started(another: Another) -> JetStreamQueue:
    queue = another()
    await queue.start()
    await until(lambda: queue.connected)
    return queue


async def _hears(queue: Broadcast, number: int) -> list[News]:
    got: list[News] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < number:
            got += [news for news in await queue.hear() if news != MISSED]
    return got


async def _listens(queue: Broadcast) -> None:
    async with asyncio.timeout(PATIENCE_S):
        assert await queue.hear() == (MISSED,)


async def _stored(stream: JetStreamContext, rung: int, waiting: int) -> None:
    """Wait until the stream has had that many messages, of which some still wait."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            state = (await stream.stream_info("WAYPOST_BELLS")).state
            if state.last_seq == rung and state.messages == waiting:
                return


class InProcess:
    @pytest.fixture
    async def unstarted(self) -> Queue:
        return EmbeddedQueue()


class OverNats:
    @pytest.fixture
    async def unstarted(self, another: Another) -> Queue:
        return another()


class TestRings(InProcess, RingSuite): ...


class TestRingsOverNats(OverNats, RingSuite): ...


class TestCrowds(InProcess, CrowdSuite): ...


class TestCrowdsOverNats(OverNats, CrowdSuite): ...


class TestClosing(InProcess, ClosingSuite): ...


class TestClosingOverNats(OverNats, ClosingSuite): ...


def test_both_engines_keep_the_contract() -> None:
    engines: list[Queue] = [EmbeddedQueue(), JetStreamQueue("nats://127.0.0.1", Clock())]
    bells: list[Doorbell] = [*engines]
    assert [bell.connected for bell in bells] == [True, False]


class TestProcesses:
    """Several that share a server."""

    async def test_what_one_process_rings_another_takes(self, server: Nats, another: Another) -> None:
        names = [str(number) for number in range(100)]
        taker = await _started(another)
        await rings_from_another_process(server.url, "waypost", names)
        assert sorted(await taken(taker, 100), key=lambda ring: int(ring.name)) == [phone(name) for name in names]

    async def test_who_only_rings_takes_nothing_from_others(self, server: Nats, another: Another) -> None:
        rings_only, takes = another(), another()
        await rings_only.start()
        await takes.start()
        try:
            wanted = [phone(str(number)) for number in range(20)]
            for ring in wanted:
                rings_only.put(ring)
            assert sorted(ring.name for ring in await taken(takes, 20)) == sorted(ring.name for ring in wanted)
        finally:
            await rings_only.close()

    async def test_each_ring_goes_to_one_of_three(self, another: Another) -> None:
        queues = [await _started(another) for _ in range(3)]
        got: list[str] = []

        async def take_all(queue: Doorbell) -> None:
            while True:
                got.extend(ring.name for ring in await queue.take())

        takers = [asyncio.create_task(take_all(queue)) for queue in queues]
        for number in range(900):
            queues[number % 3].put(phone(str(number)))
        await until(lambda: len(got) >= 900)
        for taker in takers:
            taker.cancel()
        await asyncio.gather(*takers, return_exceptions=True)
        assert sorted(map(int, got)) == list(range(900))

    async def test_whoever_takes_sees_all_that_others_did_before_they_rang(self, another: Another) -> None:
        first, second, third = [await _started(another) for _ in range(3)]
        for _ in range(5):
            await nothing_is_overlooked([first, second, third], third)

    async def test_equal_rings_of_several_count_once_while_they_wait(
        self, another: Another, stream: JetStreamContext
    ) -> None:
        ringers = [await _started(another) for _ in range(3)]
        for queue in ringers:
            queue.put(callbacks("a"))
            queue.put(callbacks("b"))
        await _stored(stream, rung=3 * 3, waiting=3)  # with each one's probe, of which one is left
        taker = await _started(another)
        taker.put(callbacks("last"))
        assert await taken_until(taker, callbacks("last")) == [callbacks("a"), callbacks("b"), callbacks("last")]

    async def test_what_was_fetched_but_not_taken_goes_to_another_at_the_end(
        self, another: Another, pair: tuple[JetStreamQueue, JetStreamQueue], stream: JetStreamContext
    ) -> None:
        ringer, leaving = pair
        ringer.put(phone("first"))
        await taken(leaving, 1)  # it has asked for more than that one
        for number in range(50):
            ringer.put(phone(str(number)))
        await _stored(stream, rung=2 + 51, waiting=0)
        await leaving.close()
        assert sorted(int(ring.name) for ring in await taken(ringer, 50)) == list(range(50))

    async def test_installations_that_share_a_server_do_not_hear_each_other(self, server: Nats) -> None:
        ours, theirs = (JetStreamQueue(server.url, Clock(), prefix) for prefix in ("ours", "theirs"))
        for queue in (ours, theirs):
            await queue.start()
        await asyncio.gather(_listens(ours), _listens(theirs))
        for queue, name in ((ours, "a"), (theirs, "b")):
            queue.put(phone(name))
            queue.publish(name, b"")
        assert (await taken(ours, 1), await taken(theirs, 1)) == ([phone("a")], [phone("b")])
        unheard = [asyncio.create_task(queue.hear()) for queue in (ours, theirs)]
        for queue in (ours, theirs):
            await queue.close()
        assert not any(task.done() for task in unheard)
        for task in unheard:
            task.cancel()

    async def test_what_others_leave_on_the_subjects_does_no_harm(
        self, pair: tuple[JetStreamQueue, JetStreamQueue], stream: JetStreamContext
    ) -> None:
        ringer, taker = pair
        await _listens(taker)
        for payload in (b"", b"\xff", b"x" * 500_000):
            await stream.publish("waypost.bell.other.name", payload)
            await stream._nc.publish("waypost.news.somebody", payload)
        await stream.publish("waypost.bell.queue", b"\xff")
        ringer.put(phone("1"))
        ringer.publish("tenants", b"")
        assert (await taken(taker, 1), await _hears(taker, 1)) == ([phone("1")], [News(topic="tenants")])


class TestBroadcast:
    """Telling all the others."""

    async def test_all_others_hear_it_in_order_and_oneself_does_not(self, another: Another) -> None:
        queues = [await _started(another) for _ in range(3)]
        await asyncio.gather(*map(_listens, queues))
        for number in range(300):
            queues[0].publish("tenants", str(number).encode())
        expected = [News(topic="tenants", body=str(number).encode()) for number in range(300)]
        assert [await _hears(queue, 300) for queue in queues[1:]] == [expected, expected]
        queues[1].publish("back", b"")
        assert await _hears(queues[0], 1) == [News(topic="back")]  # and nothing of its own before that

    async def test_a_listener_that_is_far_behind_hears_that_it_missed_something(
        self, pair: tuple[JetStreamQueue, JetStreamQueue]
    ) -> None:
        teller, listener = pair
        await _listens(listener)
        for hundred in range(15):
            for number in range(100):
                teller.publish("tenants", f"{hundred}-{number}".encode())
            await until(lambda: not teller._broadcast._said)
        last = News(topic="tenants", body=b"14-99")
        await until(lambda: last in listener._broadcast._heard._items.values())
        assert (await listener.hear())[0] == MISSED

    async def test_news_too_large_for_nats_cost_only_themselves(
        self, pair: tuple[JetStreamQueue, JetStreamQueue]
    ) -> None:
        teller, listener = pair
        await _listens(listener)
        teller.publish("large", b"x" * 2_000_000)
        teller.publish("\ud800", b"")
        teller.publish("small", b"x")
        assert await _hears(listener, 1) == [News(topic="small", body=b"x")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4222",
        "http://secret@127.0.0.1",
        "nats://",
        "nats://secret@:4222",
        "nats://secret@h:0x1f",
        "nats://h:secret@h:65536",
        "nats://u:secret/x@h:4222",
        "nats://u:secret@h:4222/path",
        "nats://[secret",
        "nats://h:4222,",
        "nats://a,,nats://b",
        "nats://u:secret@a,nats://u:other@b",
        "nats://u:secret@a b",
    ],
)
def test_a_url_that_can_not_be_right_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="NATS URL") as refused:
        JetStreamQueue(url, Clock())
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("prefix", ["", "Way", "a.b", "a b", "*", ">", "-a", "x" * 33])
def test_a_prefix_that_can_not_stand_in_a_subject_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        JetStreamQueue("nats://127.0.0.1", Clock(), prefix)
