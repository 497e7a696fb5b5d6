"""Looking up the names in customers' URLs, so that the dead names of one account hold up nobody else's pushes."""

import asyncio
import socket
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from waypost.clock import Clock
from waypost.net.progress import current_progress

LOOKUPS_PER_ACCOUNT = 4  # at a time; one that can't be interrupted keeps its place until the system gives up
MAX_LOOKUPS = 256  # in all, in threads of their own: 64 accounts with nothing but dead names wait for none of these
KEPT_S = 10.0  # what was found
FAILURE_KEPT = 5  # times as long as the failure took: a dead name takes up a place for a sixth of the time at most
MAX_KEPT = 1_000  # names; an older one is looked up anew


class _Looked(NamedTuple):
    """What a look-up came to, and until when that stands."""

    until_s: float
    addresses: tuple[ResolveResult, ...]
    error: OSError | None


class Lookups(AbstractResolver):
    """Shares out look-ups among accounts, and remembers for a moment what came of them, failures too.

    Which account asks is told by `current_progress`. The pushes of an account share its look-up of a name; those of
    different accounts don't, for one would wait in the other's line.
    """

    def __init__(self, names: AbstractResolver, clock: Clock) -> None:
        self._names = names
        self._clock = clock
        self._kept: dict[tuple[str, int], _Looked] = {}
        self._under_way: dict[tuple[str, str, int], asyncio.Task[_Looked]] = {}
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOOKUPS_PER_ACCOUNT))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up; raises OSError if that fails, or has just failed."""
        progress = current_progress.get()
        progress.is_looking_up = True
        looked = self._known(host, port) or await self._looked_up(progress.account, host, port)
        progress.is_looking_up = False
        if looked.error is not None:
            raise type(looked.error)(*looked.error.args)  # one of its own for each, with a traceback of its own
        return list(looked.addresses)

    async def close(self) -> None:
        """Forget look-ups that wait; one under way ends by itself."""
        under_way = tuple(self._under_way.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._names.close()

    def _known(self, host: str, port: int) -> _Looked | None:
        looked = self._kept.get((host, port))
        return looked if looked is not None and self._clock.monotonic_s() < looked.until_s else None

    async def _looked_up(self, account: str, host: str, port: int) -> _Looked:
        name = (account, host, port)
        if name not in self._under_way:
            place = self._places[account]
            await place.acquire()
            known = self._known(host, port)  # somebody may have been faster
            if known is not None or name in self._under_way:
                place.release()
            if known is not None:
                return known
            if name not in self._under_way:
                self._under_way[name] = asyncio.create_task(self._look_up(name), name="look-up")
        return await asyncio.shield(self._under_way[name])

    async def _look_up(self, name: tuple[str, str, int]) -> _Looked:
        """Look up in the account's place, whether or not somebody still waits for it."""
        account, host, port = name
        began_s = self._clock.monotonic_s()
        try:
            found = await self._names.resolve(host, port, socket.AF_UNSPEC)
            looked = _Looked(self._clock.monotonic_s() + KEPT_S, tuple(found), None)
        except OSError as error:
            now_s = self._clock.monotonic_s()
            looked = _Looked(now_s + FAILURE_KEPT * (now_s - began_s), (), error)
        finally:
            self._places[account].release()
            del self._under_way[name]
        self._kept.pop((host, port), None)
        self._kept[host, port] = looked
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return looked


class SystemResolver(AbstractResolver):
    """The system's resolver in threads of its own: slow name servers must not hold up the look-ups for Meta."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_LOOKUPS, thread_name_prefix="callback-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up, however long the system takes; raises OSError if that fails."""
        look_up = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except ValueError as error:  # a label of more than 63 characters, a NUL
            raise OSError("not a host name") from error
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=0, flags=flags)
            for kind, _, _, _, address in found
        ]

    async def close(self) -> None:
        """Forget look-ups that wait; one under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
