"""Puts rings onto their stream, in rounds: what is rung during a round waits for the next one, once per name."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import count

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import Header

from waypost.clock import Clock
from waypost.queue.base import Ring
from waypost.queue.ring_stream import RingStream
from waypost.queue.waiting import Waiting

_MOST = 500  # rings per round: some 100 kB, which a connection takes at once
_PAUSE_S = 0.01  # after a round: a name that is rung all the time costs at most 100 messages a second
_ANSWER_S = 2.0  # an answer that takes longer will not come
_PROBE_S = 1.0  # and to the probe, which may be repeated as it likes
_FAREWELL_S = 0.5  # for what is left at the end


class RingsRefused(Exception):
    """The stream does not take rings; the text is the reason."""


class StreamSilent(RingsRefused):
    """The stream does not answer, which it does not do while it has no leader either."""


class _Refusal(msgspec.Struct):
    description: str = ""


class _Answer(msgspec.Struct):
    error: _Refusal | None = None


class RingRounds:
    """Sends what waits, and knows it as sent once the stream has answered.

    A ring without an answer waits again; one that the stream refused is dropped, or it might be refused for ever.
    """

    def __init__(self, client: Client, stream: RingStream, rings: Waiting[Ring], clock: Clock) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._stream = stream
        self._rings = rings
        self._clock = clock
        self._serial = count()  # never used twice, so that a late answer to an earlier round means nothing
        self._unanswered: dict[str, Ring | None] = {}  # by the subject of the answer; None: the probe
        self._refusal = ""
        self._settled = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear answers meanwhile, having shown that rings get through; RingsRefused if they don't."""
        subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._take_in)
        try:
            await self._send((None,), _PROBE_S)
            yield
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def run(self) -> None:
        """Send rings for as long as the connection holds; RingsRefused if the stream takes none."""
        while True:
            await self._send(await self._rings.take(_MOST), _ANSWER_S)
            await self._clock.sleep(_PAUSE_S)

    async def farewell(self) -> None:
        """Send what is left, if that is quick."""
        with contextlib.suppress(TimeoutError, RingsRefused, NatsError):
            async with asyncio.timeout(_FAREWELL_S):
                while rings := self._rings.pop(_MOST):
                    await self._send(rings, _FAREWELL_S)

    async def _send(self, rings: tuple[Ring | None, ...], within_s: float) -> None:
        self._refusal = ""
        self._settled.clear()
        self._unanswered = {f"{self._inbox}.{next(self._serial)}": ring for ring in rings}
        try:
            for reply, ring in tuple(self._unanswered.items()):
                message = (self._stream.probe, b"") if ring is None else self._stream.message(ring)
                await self._client.publish(*message, reply=reply)
            await self._clock.wait(self._settled, within_s)
            if self._refusal:
                raise RingsRefused(self._refusal)
            if self._unanswered:
                raise StreamSilent("the stream does not answer")
        finally:
            self._rings.put_back(ring for ring in self._unanswered.values() if ring is not None)
            self._unanswered = {}

    async def _take_in(self, message: Msg) -> None:
        if message.subject not in self._unanswered:
            return
        if message.headers and message.headers.get(Header.STATUS):
            self._refusal = "there is no stream"
            self._settled.set()  # and no answer to the others either
            return
        try:
            answer = msgspec.json.decode(message.data, type=_Answer)
        except msgspec.DecodeError:
            return
        if answer.error is not None:
            self._refusal = answer.error.description or "the stream refused a ring"
        del self._unanswered[message.subject]
        if not self._unanswered:
            self._settled.set()
