"""What the tests of both doorbells share: rings by name, and takers that know when they have all of them."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence

from waypost.clock import Clock
from waypost.queue.base import Doorbell, Ring
from waypost.queue.jetstream import JetStreamQueue

PATIENCE_S = 30.0  # a bound that ends a broken test


def callbacks(name: str) -> Ring:
    return Ring(kind="callbacks", name=name)


def phone(name: str) -> Ring:
    return Ring(kind="queue", name=name)


async def taken_until(bell: Doorbell, last: Ring) -> list[Ring]:
    """Take until a ring comes; return all in the order in which they came."""
    got: list[Ring] = []
    async with asyncio.timeout(PATIENCE_S):
        while last not in got[-1000:]:
            got += await bell.take()
    return got


async def taken(bell: Doorbell, number: int) -> list[Ring]:
    """Take that many, or more if they come together."""
    got: list[Ring] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < number:
            got += await bell.take()
    return got


async def until(is_so: Callable[[], bool]) -> None:
    """Look until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.005)


async def nothing_is_overlooked(ringers: Sequence[Doorbell], taker: Doorbell) -> None:
    """Have several ring the same name again and again, each after one more piece of work: all of it has to be seen.

    A ring that is taken for a repeat of one that was answered before would leave the last pieces unseen.
    """
    done, seen = [0] * len(ringers), list[int]()

    def work(number: int) -> None:
        for _ in range(400):
            done[number] += 1
            ringers[number].put(callbacks("hot"))

    async def look() -> None:
        while True:
            await taker.take()
            seen[:] = done

    looking = asyncio.create_task(look())
    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(len(ringers))))
    await until(lambda: seen == [400] * len(ringers))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def rings_from_another_process(url: str, prefix: str, names: Iterable[str]) -> None:
    """Ring from a process of its own, which ends when it has closed its doorbell."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, url, prefix, *names)
    async with asyncio.timeout(PATIENCE_S):
        assert await process.wait() == 0


async def _ring(url: str, prefix: str, *names: str) -> None:
    queue = JetStreamQueue(url, Clock(), prefix)
    await queue.start()
    await until(lambda: queue.connected)
    for name in names:
        queue.put(phone(name))
    await queue.close()


if __name__ == "__main__":
    asyncio.run(_ring(*sys.argv[1:]))
