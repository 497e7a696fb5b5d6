"""The contract of the doorbell and of the broadcast: what both engines do, in this process and over NATS."""

from typing import Literal, Protocol

from waypost.model import Noun

RingKind = Literal["callbacks", "queue"]
MAX_NAME = 8_192  # characters; an account, a space and the origin of a URL are far shorter


class Ring(Noun, frozen=True, kw_only=True):
    """Tells that there may be committed work under a name: look there now."""

    kind: RingKind
    name: str  # of callbacks: an endpoint, any text; of the queue: a phone number id


class News(Noun, frozen=True, kw_only=True):
    """Something that another process told all others."""

    topic: str
    body: bytes = b""


MISSED = News(topic="")  # heard when listening begins, anew too, and when the listener is too slow: look everything up


class Doorbell(Protocol):
    """Wakes whoever does the work that was committed; a lost ring costs delay, for a sweep of the journal finds it."""

    @property
    def connected(self) -> bool:
        """Whether rings get through now."""

    async def start(self) -> None:
        """Begin, in the event loop that is running now; a server that is away is found as soon as it is there."""

    def put(self, ring: Ring) -> None:
        """Ring, from any thread: it never waits and never raises.

        Equal rings that still wait count once; of too many that wait the oldest are dropped, and so is one with a
        name of more than `MAX_NAME` characters.
        """

    async def take(self) -> tuple[Ring, ...]:
        """Wait for rings and return them: at least one, a bounded number, each to one taker among all processes.

        Closing does not end the wait: the task is for its owner to cancel.
        """

    async def close(self) -> None:
        """Stop, leaving nothing behind; what was rung or fetched but not taken is handed on if that is quick."""


class Broadcast(Protocol):
    """Tells every other process of a change, such as of the tenants.

    News can be lost. A listener that was away, or that is a thousand news behind, hears `MISSED`.
    """

    def publish(self, topic: str, body: bytes) -> None:
        """Tell all processes but this one, from any thread: it never waits and never raises.

        News keep their order. Too many that wait drop the oldest; what the server finds too large is dropped.
        """

    async def hear(self) -> tuple[News, ...]:
        """Wait for news of other processes and return them: at least one; for one listener per process."""


class Queue(Doorbell, Broadcast, Protocol):
    """What an engine is: a doorbell and a broadcast over one connection."""
