"""Fetches rings from their stream: a standing request for some, repeated as long as somebody wants to take."""

import asyncio
import contextlib

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import DEFAULT_PREFIX, Header, StatusCode

from waypost.clock import Clock
from waypost.queue.base import Ring
from waypost.queue.ring_stream import RingStream
from waypost.queue.waiting import Waiting

_MS_NS = 1_000_000
_BATCH = 200  # rings per request: what one process may hold that others can't take
_EXPIRES_MS = 30_000
_HEARTBEAT_MS = 500
_SILENCE_S = 1.5  # two heartbeats missed: whoever had our request is gone
_REQUEST = msgspec.json.encode(
    {"batch": _BATCH, "expires": _EXPIRES_MS * _MS_NS, "idle_heartbeat": _HEARTBEAT_MS * _MS_NS}
)
_NOTHING_CAME = "408"  # NATS: the request has expired
_ALIVE = StatusCode.CONTROL_MESSAGE


class NoRings(Exception):
    """The consumer hands nothing out; the text is the reason."""


class RingPulls:
    """Asks for more once takers wait and the last request has been used up."""

    def __init__(self, client: Client, stream: RingStream, rings: Waiting[Ring], clock: Clock) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._stream = stream
        self._rings = rings
        self._clock = clock
        self._left = 0  # of the request under way
        self._status = ""  # what ended it
        self._is_silent = False
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Fetch for as long as the connection holds; NoRings if stream or consumer are gone."""
        subscription = await self._client.subscribe(self._inbox, cb=self._take_in)
        try:
            while True:
                await self._rings.wanted.wait()
                await self._fetch()
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def _fetch(self) -> None:
        self._left, self._status = _BATCH, ""
        self._ended.clear()
        await self._client.publish(
            f"{DEFAULT_PREFIX}.CONSUMER.MSG.NEXT.{self._stream.name}.{self._stream.consumer}",
            _REQUEST,
            reply=self._inbox,
        )
        while not self._ended.is_set():
            self._is_silent = True
            await self._clock.wait(self._ended, _SILENCE_S)
            if self._is_silent:
                raise NoRings("the consumer does not answer")
        if self._status not in ("", _NOTHING_CAME):
            raise NoRings(f"the consumer is not there: {self._status}")

    async def _take_in(self, message: Msg) -> None:
        self._is_silent = False
        if message.headers and not message.data and (status := message.headers.get(Header.STATUS)):
            if status != _ALIVE:
                self._status = status if status == _NOTHING_CAME else _described(status, message.headers)
                self._ended.set()
            return
        self._left -= 1
        if self._left == 0:
            self._ended.set()
        ring = self._stream.ring(message.subject, message.data)
        if ring is not None:
            self._rings.put(ring)


def _described(status: str, headers: dict[str, str]) -> str:
    text = headers.get(Header.DESCRIPTION, "").partition("\n")[0]
    return f"{status} {text}" if text else status
