"""What every doorbell does, whichever engine it is: one that is started, and one to ring before it is."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.doorbells import PATIENCE_S, callbacks, nothing_is_overlooked, phone, taken, taken_until
from waypost.queue.base import MAX_NAME, Queue, Ring
from waypost.queue.embedded import MAX_TAKEN, MAX_WAITING

ODD_NAMES = {
    "empty": "",
    "an endpoint": "acme https://hooks.example:8443",
    "spaces and dots": " a. b..*.> ",
    "no ascii": "ächmé https://пример.example/🔔",
    "control characters": "a\r\nb\0c\t",
    "half a character": "\ud800",
    "long": "x" * MAX_NAME,
    "long in bytes": "🔔" * MAX_NAME,
}


class RingSuite:
    """One doorbell, rung and answered in the same process."""

    async def test_a_ring_is_taken(self, bell: Queue) -> None:
        bell.put(phone("1001"))
        assert await taken(bell, 1) == [phone("1001")]

    async def test_what_was_rung_before_the_start_is_taken(self, unstarted: Queue) -> None:
        unstarted.put(phone("1001"))
        await unstarted.start()
        assert await taken(unstarted, 1) == [phone("1001")]

    async def test_equal_rings_that_wait_count_once(self, unstarted: Queue) -> None:
        for _ in range(100):
            unstarted.put(callbacks("a"))
            unstarted.put(callbacks("b"))
        unstarted.put(callbacks("last"))
        await unstarted.start()
        got = await taken_until(unstarted, callbacks("last"))
        assert sorted(ring.name for ring in got) == ["a", "b", "last"]

    async def test_a_ring_is_not_mistaken_for_its_twin_that_was_taken_before(self, bell: Queue) -> None:
        for _ in range(50):
            bell.put(callbacks("a"))
            assert await taken(bell, 1) == [callbacks("a")]

    async def test_one_name_may_ring_for_both_kinds(self, bell: Queue) -> None:
        bell.put(phone("same"))
        bell.put(callbacks("same"))
        assert set(await taken(bell, 2)) == {phone("same"), callbacks("same")}

    @pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
    async def test_a_name_is_any_text(self, bell: Queue, name: str) -> None:
        bell.put(callbacks(name))
        assert await taken(bell, 1) == [callbacks(name)]

    async def test_a_name_beyond_measure_costs_only_its_own_ring(self, bell: Queue) -> None:
        bell.put(callbacks("x" * 2_000_000))
        bell.put(callbacks("b"))
        assert await taken(bell, 1) == [callbacks("b")]


class CrowdSuite:
    """Many who ring and many who take."""

    async def test_many_threads_ring_at_once(self, bell: Queue) -> None:
        def ring_all(thread: int) -> None:
            for number in range(200):
                bell.put(phone(f"{thread}-{number}"))
                bell.put(phone(f"all-{number}"))

        names = {f"{owner}-{number}" for owner in [*map(str, range(8)), "all"] for number in range(200)}
        got: set[Ring] = set()
        with ThreadPoolExecutor(8) as threads:
            work = [asyncio.wrap_future(threads.submit(ring_all, number)) for number in range(8)]
            async with asyncio.timeout(PATIENCE_S):
                while len(got) < len(names):
                    got.update(await bell.take())
            await asyncio.gather(*work)
        assert {ring.name for ring in got} == names

    async def test_whoever_takes_sees_all_that_was_done_before_the_ring(self, bell: Queue) -> None:
        await nothing_is_overlooked([bell, bell, bell], bell)

    async def test_each_ring_goes_to_one_of_several_takers(self, bell: Queue) -> None:
        got: list[Ring] = []
        everything = asyncio.Event()

        async def take_all() -> None:
            while True:
                got.extend(await bell.take())
                if len(got) >= 500:
                    everything.set()

        takers = [asyncio.create_task(take_all()) for _ in range(4)]
        for number in range(500):
            bell.put(phone(str(number)))
        async with asyncio.timeout(PATIENCE_S):
            await everything.wait()
        await _cancelled(takers)
        assert sorted(int(ring.name) for ring in got) == list(range(500))

    async def test_of_too_many_that_wait_the_newest_are_kept(self, unstarted: Queue) -> None:
        for number in range(MAX_WAITING + 500):
            unstarted.put(phone(str(number)))
        await unstarted.start()
        got: list[Ring] = []
        while len(got) < MAX_WAITING:
            rings = await unstarted.take()
            assert 0 < len(rings) <= MAX_TAKEN
            got += rings
        assert sorted(int(ring.name) for ring in got) == list(range(500, MAX_WAITING + 500))


class ClosingSuite:
    """The end: prompt, quiet, and leaving nothing (which the fixture looks at)."""

    async def test_closing_lets_a_taker_wait_on_for_its_owner_to_end(self, bell: Queue) -> None:
        taker = asyncio.create_task(bell.take())
        listener = asyncio.create_task(bell.hear())
        bell.put(phone("1"))
        await taker
        taker = asyncio.create_task(bell.take())
        async with asyncio.timeout(PATIENCE_S):
            await bell.close()
        assert not taker.done()
        await _cancelled([taker, listener])

    async def test_closing_twice_and_ringing_afterwards_do_no_harm(self, bell: Queue) -> None:
        await bell.close()
        bell.put(phone("1"))
        bell.publish("tenants", b"")
        await bell.close()

    async def test_a_thread_may_ring_when_the_loop_has_ended(self, unstarted: Queue) -> None:
        async def one_life() -> None:
            await unstarted.start()
            await unstarted.close()

        await asyncio.to_thread(asyncio.run, one_life())
        for number in range(3):
            unstarted.put(phone(str(number)))
            unstarted.publish("tenants", b"")

    async def test_nobody_hears_what_nobody_else_told(self, bell: Queue) -> None:
        bell.publish("tenants", b"changed")
        bell.publish("\ud800", b"")
        heard = asyncio.create_task(bell.hear())
        bell.put(phone("1"))
        await taken(bell, 1)
        if heard.done():  # listening began
            assert [news.topic for news in heard.result()] == [""]
        await _cancelled([heard])


async def _cancelled(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
