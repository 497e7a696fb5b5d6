"""The broadcast over NATS' own publish and subscribe, which keeps nothing: whoever is away at the time misses it."""

import asyncio

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from waypost.clock import Clock
from waypost.queue.base import MISSED, News
from waypost.queue.waiting import Waiting

log = structlog.get_logger("waypost.doorbell")

_MAX_WAITING = 1_000  # news; a process that is so far behind has to look everything up anyhow
_MAX_TAKEN = 100
_ECHO_S = 2.0  # how long a server may take to send our own news back


class NatsBroadcast:
    """Tells other processes and hears them, as long as it is given a connection.

    What a process says comes back to it too, which shows that the server had it: until then it is kept, and said
    again over the next connection.
    """

    def __init__(self, prefix: str, clock: Clock) -> None:
        self._clock = clock
        self._everyone = f"{prefix}.news.*"
        self._own = f"{prefix}.news.{clock.token()}"
        self._said: Waiting[News] = Waiting(_MAX_WAITING, once=False)
        self._heard: Waiting[News] = Waiting(_MAX_WAITING, once=False)
        self._unsure: tuple[News, ...] = ()
        self._on_the_way = 0  # ours that have not come back
        self._all_back = asyncio.Event()

    def start(self) -> None:
        """Begin, in the event loop that is running now."""
        self._said.start()
        self._heard.start()

    def publish(self, topic: str, body: bytes) -> None:
        """Tell all others, as soon as there is a connection."""
        self._said.put(News(topic=topic, body=body))

    async def hear(self) -> tuple[News, ...]:
        """Wait for what others told."""
        return await self._heard.take(_MAX_TAKEN)

    async def serve(self, client: Client) -> None:
        """Tell and hear over a connection for as long as it holds."""
        await client.subscribe(self._everyone, cb=self._take_in)
        self._on_the_way = 0
        await self._send(client, b"")  # once that is back, the server listens for us
        await self._until_back()
        self._heard.put(MISSED)
        while True:
            self._unsure = self._unsure or await self._said.take(_MAX_TAKEN)
            for news in self._unsure:
                await self._tell(client, news)
            await self._until_back()
            self._unsure = ()

    async def _tell(self, client: Client, news: News) -> None:
        try:
            payload = msgspec.msgpack.encode(news)
        except (UnicodeEncodeError, ValueError) as error:
            log.warning("news_dropped", topic=repr(news.topic), reason=str(error))
            return
        if len(payload) > client.max_payload:
            log.warning("news_dropped", topic=repr(news.topic), reason=f"{len(payload)} bytes are too many for NATS")
            return
        await self._send(client, payload)

    async def _send(self, client: Client, payload: bytes) -> None:
        self._on_the_way += 1
        self._all_back.clear()
        await client.publish(self._own, payload)

    async def _until_back(self) -> None:
        """Wait until our own came back; if it does not, go on: a server that may not send it is no reason to fail."""
        if self._on_the_way:
            await self._clock.wait(self._all_back, _ECHO_S)
            self._on_the_way = 0

    async def _take_in(self, message: Msg) -> None:
        if message.subject == self._own:
            self._on_the_way = max(0, self._on_the_way - 1)
            if self._on_the_way == 0:
                self._all_back.set()
            return
        if not message.data:
            return  # another process begins to listen
        try:
            news = msgspec.msgpack.decode(message.data, type=News)
        except msgspec.DecodeError:  # from somebody else on that server, or from a version that says it otherwise
            log.warning("news_not_understood", bytes=len(message.data))
            return
        if len(self._heard) >= _MAX_WAITING:  # the listener is late: let it look everything up
            self._heard.pop(_MAX_WAITING)
            self._heard.put(MISSED)
        self._heard.put(news)
