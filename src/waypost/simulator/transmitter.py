"""Delivery of webhooks: verification first, bounded concurrency, order within a lane, retries for seven days."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
import msgspec

from waypost.simulator.clock import Clock, Dice
from waypost.simulator.config import Config
from waypost.simulator.journal import Journal, Push
from waypost.simulator.schedule import Schedule
from waypost.simulator.webhooks import USER_AGENT, webhook_headers

CONCURRENCY = 32
# Meta publishes: at once, then ever less often, for seven days. The steps are ours.
RETRY_AFTER_S = (0.0, 10.0, 30.0, 120.0, 600.0, 3600.0, 10_800.0)
LARGEST_ANSWER = 1 << 16  # Meta ignores what an answer says; reading it keeps the connection usable
GIVE_UP_AFTER_S = 7 * 24 * 3600.0
SHORTEST_WAIT_S = 0.2  # between retries, however small the time factor: an endpoint that is down must not be hammered


class Parcel(NamedTuple):
    """One webhook on its way."""

    lane: str
    body: bytes
    first_ms: int
    attempt: int = 1


class Transmitter:
    """Sends webhooks to the configured URL; nothing before that URL has passed Meta's verification.

    Parcels of one lane start one after the other, so that the webhooks of one message keep their order; a retry
    leaves its lane and delays nobody.
    """

    def __init__(self, config: Callable[[], Config], clock: Clock, schedule: Schedule, journal: Journal, dice: Dice):
        self._config, self._clock, self._schedule = config, clock, schedule
        self._journal, self._dice = journal, dice
        self.verified = False
        self._lanes: dict[str, deque[Parcel]] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Opens the HTTP session and starts the workers."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY), headers={"User-Agent": USER_AGENT}, auto_decompress=False
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(CONCURRENCY)]

    async def stop(self) -> None:
        """Ends the workers and closes the session; what waited is forgotten."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        self.forget()
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Drops all that was not sent yet."""
        self._lanes.clear()

    async def verify(self) -> str:
        """Meta's verification of the configured URL; gives "" when it passed, else why it did not."""
        self.verified = False
        config = self._config()
        if config.webhook_url is None or self._session is None:
            return "no webhook_url is set"
        challenge = self._dice.object_id()
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": config.verify_token}
        timeout = aiohttp.ClientTimeout(total=config.webhook_timeout_s)
        try:
            async with self._session.get(
                config.webhook_url, params=query, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.content.read(len(challenge) + 200)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"the URL could not be reached: {_reason(error)}"
        if status != 200:
            return f"the URL answered {status} where 200 is needed: is verify_token the one that the receiver expects?"
        if body != challenge.encode():
            return "the URL answered 200, but the body is not the value of hub.challenge and nothing else"
        self.verified = True
        return ""

    def submit(self, lane: str, body: bytes) -> None:
        """Sends a webhook as soon as the lane's earlier ones have been tried; drops it while nothing is verified."""
        if self.verified:
            self._enqueue(Parcel(lane, body, self._clock.now_ms()))

    def _enqueue(self, parcel: Parcel) -> None:
        waiting = self._lanes.get(parcel.lane)
        if waiting is not None:
            waiting.append(parcel)
        else:
            self._lanes[parcel.lane] = deque((parcel,))
            self._ready.put_nowait(parcel.lane)

    async def _work(self) -> None:
        while True:
            lane = await self._ready.get()
            waiting = self._lanes.get(lane)
            if not waiting:
                continue
            delivered = await self._attempt(waiting[0])
            if self._lanes.get(lane) is not waiting:
                continue  # forgotten by a reset meanwhile, so not repeated either
            parcel = waiting.popleft()
            if not delivered:
                self._retry(parcel)
            if waiting:
                self._ready.put_nowait(lane)
            else:
                del self._lanes[lane]

    async def _attempt(self, parcel: Parcel) -> bool:
        config, status, problem = self._config(), None, None
        if config.webhook_url is None or self._session is None:
            return True
        timeout = aiohttp.ClientTimeout(total=config.webhook_timeout_s)
        try:
            async with self._session.post(
                config.webhook_url,
                data=parcel.body,
                headers=webhook_headers(parcel.body, config.app_secret),
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                status = answer.status
                await answer.content.read(LARGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            status, problem = None, _reason(error)
        push = Push(
            at_ms=self._clock.now_ms(),
            attempt=parcel.attempt,
            body=msgspec.Raw(parcel.body),
            http_status=status,
            error=problem,
        )
        self._journal.pushes.append(push)
        return status == 200

    def _retry(self, parcel: Parcel) -> None:
        factor, now_ms = self._config().time_factor, self._clock.now_ms()
        if now_ms - parcel.first_ms > GIVE_UP_AFTER_S * 1000 * max(factor, 0.001):
            return
        wait_s = RETRY_AFTER_S[min(parcel.attempt, len(RETRY_AFTER_S)) - 1] * factor
        if parcel.attempt > 1:
            wait_s = max(wait_s, SHORTEST_WAIT_S)
        # a lane of its own: the later webhooks of this message don't wait for it, as Meta promises no order
        again = parcel._replace(lane=f"{parcel.lane}#{parcel.attempt}#{id(parcel)}", attempt=parcel.attempt + 1)
        self._schedule.at(now_ms + round(wait_s * 1000), lambda: self._enqueue(again))


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
