"""The doorbell and the broadcast of many processes, over NATS: rings through a JetStream stream, news around it.

Nothing here is kept safe: NATS may be away, restarted or wiped at any time. Until it is back rings wait, as many as
there is room for, and stream and consumer are made anew.
"""

import asyncio

from nats.aio.client import Client
from nats.js.errors import ServerError

from waypost.clock import Clock
from waypost.queue.base import MAX_NAME, News, Ring
from waypost.queue.embedded import MAX_TAKEN, MAX_WAITING
from waypost.queue.nats_broadcast import NatsBroadcast
from waypost.queue.nats_link import Link, Standing, cancellable, reason_of, together
from waypost.queue.nats_servers import Servers, checked_prefix
from waypost.queue.ring_pulls import RingPulls
from waypost.queue.ring_rounds import RingRounds, StreamSilent
from waypost.queue.ring_stream import RingStream
from waypost.queue.waiting import Waiting

_AGAIN_S = 0.25  # between two attempts to have a stream
_END_S = 1.0
_BROKEN = 2  # failures in a row of a server that answers: the stream is damaged, its files being gone, say


class JetStreamQueue:
    """The engine for processes that share a NATS server or cluster."""

    def __init__(self, url: str, clock: Clock, prefix: str = "waypost") -> None:
        """Take `nats://[user:password@]host:port`, or several with commas; name each server of a cluster.

        The prefix begins every name on the server, so that installations can share one. Raises ValueError for a URL
        or a prefix that can't be right.
        """
        self._clock = clock
        servers = Servers(url)
        self._standing = Standing(servers)
        self._link = Link(servers, clock, self._standing)
        self._stream = RingStream(checked_prefix(prefix))
        self._rung: Waiting[Ring] = Waiting(MAX_WAITING, once=True)
        self._fetched: Waiting[Ring] = Waiting(MAX_WAITING, once=True)
        self._broadcast = NatsBroadcast(prefix, clock)
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._failures = 0

    @property
    def connected(self) -> bool:
        return self._standing.is_up

    async def start(self) -> None:
        self._rung.start()
        self._fetched.start()
        self._broadcast.start()
        self._task = asyncio.create_task(self._link.run(self._serve), name="nats-link")

    def put(self, ring: Ring) -> None:
        if len(ring.name) <= MAX_NAME:
            self._rung.put(ring)

    async def take(self) -> tuple[Ring, ...]:
        return await self._fetched.take(MAX_TAKEN)

    def publish(self, topic: str, body: bytes) -> None:
        self._broadcast.publish(topic, body)

    async def hear(self) -> tuple[News, ...]:
        return await self._broadcast.hear()

    async def close(self) -> None:
        self._is_closing = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # again, if need be: nothing of this may keep a process from ending
            await asyncio.wait({task}, timeout=_END_S)
        self._standing.is_up = False

    async def _serve(self, client: Client) -> None:
        await together(self._broadcast.serve(client), self._keep_ringing(client))

    async def _keep_ringing(self, client: Client) -> None:
        """Ring and fetch; whatever is wrong with the stream must not disturb the broadcast, so the connection stays."""
        while not client.is_closed:
            try:
                await self._ring(client)
            except Exception as error:  # whatever it is: work that was committed must be told of again
                self._failures += isinstance(error, (StreamSilent, ServerError))
                self._standing.lost(reason_of(error))
            await self._clock.sleep(_AGAIN_S)

    async def _ring(self, client: Client) -> None:
        with cancellable():
            if self._failures >= _BROKEN:
                self._failures = 0
                await self._stream.remove(client)  # nothing else mends it, and it holds nothing of worth
            await self._stream.ensure(client)
        rounds = RingRounds(client, self._stream, self._rung, self._clock)
        pulls = RingPulls(client, self._stream, self._fetched, self._clock)
        async with rounds.listening():
            self._failures = 0
            self._standing.back()
            try:
                await together(rounds.run(), pulls.run())
            finally:
                if self._is_closing and client.is_connected:
                    self._rung.put_back(self._fetched.pop(MAX_WAITING))
                    await rounds.farewell()
