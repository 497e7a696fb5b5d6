"""What waits between any thread and the event loop: bounded, put without waiting, taken in bulk."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from itertools import count
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Waiting(Generic[Item]):
    """Things that wait to be taken, in order; beyond a bound the oldest goes."""

    def __init__(self, limit: int, *, once: bool) -> None:
        """With `once`, equal things that wait count once, at their first place."""
        self._limit = limit
        self._serial = None if once else count()
        self._items: OrderedDict[Hashable, Item] = OrderedDict()
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._some = asyncio.Event()
        self._takers = 0
        self.wanted = asyncio.Event()  # set while a taker waits

    def __len__(self) -> int:
        return len(self._items)

    def start(self) -> None:
        """Wake takers in the event loop that is running now; what was put earlier is there for them."""
        self._loop = asyncio.get_running_loop()
        self._some.set()

    def put(self, item: Item) -> None:
        """Add one, from any thread; this never waits and never raises."""
        key = item if self._serial is None else next(self._serial)
        with self._lock:
            was_empty = not self._items
            if key not in self._items:
                self._items[key] = item
                if len(self._items) > self._limit:
                    self._items.popitem(last=False)
        if was_empty:  # else whoever made it not empty has woken the takers
            self._wake()

    def put_back(self, items: Iterable[Item]) -> None:
        """Add again what was taken; it goes where new ones go."""
        for item in items:
            self.put(item)

    def pop(self, most: int) -> tuple[Item, ...]:
        """Take what is there without waiting, the oldest first, at most that many."""
        with self._lock:
            return tuple(self._items.popitem(last=False)[1] for _ in range(min(most, len(self._items))))

    async def take(self, most: int) -> tuple[Item, ...]:
        """Wait until there is at least one, and take at most that many."""
        while not (items := self.pop(most)):
            self._some.clear()  # a thread that puts one right now sets it again, in a later turn of the loop
            self._takers += 1
            self.wanted.set()
            try:
                await self._some.wait()
            finally:
                self._takers -= 1
                if self._takers == 0:
                    self.wanted.clear()
        return items

    def _wake(self) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._some.set)
            except RuntimeError:  # the loop has ended, and with it whoever would take
                return
