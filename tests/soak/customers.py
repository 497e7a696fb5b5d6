"""Customers' programs: they send, and where no answer comes they insist, as such programs do."""

import asyncio
import collections
import random
import time

import aiohttp
import msgspec

from tests.harness import Customer
from tests.soak.traffic import Wish

PATIENCE_S = 120.0  # for one message; the gateway is never away for long
NO_ANSWER = (aiohttp.ClientError, OSError, TimeoutError)
REFUSED_BY_META, BUSY = 9099, 9001


class Ward:
    """Sends wishes through one customer's program, and keeps count of what it met."""

    def __init__(self, customer: Customer, rng: random.Random) -> None:
        self._customer = customer
        self._rng = rng
        self.counts: collections.Counter[str] = collections.Counter()
        self.unexpected: list[str] = []

    async def send(self, wish: Wish) -> None:
        """Send one message until it is answered 0, or refused by Meta for good."""
        body = msgspec.json.encode(wish.message)
        headers = self._customer.signed(body)
        at_once = 3 if self._rng.random() < 0.2 else 1  # some send everything three times
        until = time.monotonic() + PATIENCE_S
        while True:
            codes = await self._post(wish, body, headers, at_once)
            if 0 in codes:
                if self._rng.random() < 0.1:  # a program that didn't get to noting down its success
                    await self._post(wish, body, headers, 2)
                return
            if REFUSED_BY_META in codes and self._rng.random() < 0.5:
                return
            if time.monotonic() > until:
                self.unexpected.append(f"no answer to {wish.recipient} for {PATIENCE_S:g} s")
                return
            await asyncio.sleep(self._rng.uniform(0.05, 0.5))
            if wish.signs_anew or REFUSED_BY_META in codes:
                headers = self._customer.signed(body)
            at_once = self._rng.randint(1, 3)

    async def _post(self, wish: Wish, body: bytes, headers: dict[str, str], at_once: int) -> set[int]:
        found = await asyncio.gather(*(self._post_once(wish, body, headers) for _ in range(at_once)))
        return {code for code in found if code is not None}

    async def _post_once(self, wish: Wish, body: bytes, headers: dict[str, str]) -> int | None:
        self.counts["requests"] += 1
        try:
            answer = await self._customer.post(body, headers)
        except aiohttp.ClientConnectorError:  # nobody listens, so nobody can have taken it for a message
            self.counts["no connection"] += 1
            return None
        except NO_ANSWER:
            self.counts["no answer"] += 1
            wish.answers_to(headers)
            return None
        except AssertionError as error:
            self.unexpected.append(f"{wish.recipient}: {error}")
            return None
        code: int = answer["code"]
        if code not in (0, REFUSED_BY_META, BUSY):
            self.unexpected.append(f"{wish.recipient}: {answer}")
        wish.answers_to(headers).append(answer)
        return code


async def send_all(ward: Ward, wishes: list[Wish], customers: int) -> None:
    """Send all wishes, so many at a time."""
    waiting = iter(wishes)

    async def work() -> None:
        for wish in waiting:
            await ward.send(wish)

    async with asyncio.TaskGroup() as programs:
        for _ in range(customers):
            programs.create_task(work())
