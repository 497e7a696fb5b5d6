"""What rings look like on NATS: their stream, the consumer that all takers share, and one ring as a message.

A ring's subject ends in a fingerprint of its name, and the stream keeps one message per subject: of equal rings that
wait only the last is there, whoever rang. That is the de-duplication. It forgets a ring as soon as it is handed out,
so one for work that was committed later is never mistaken for a repeat, as it would be within the time window of
message ids. A ring that replaces an earlier one takes a place at the end, where the takers are at once, for takers do
no more than note the name.

Retention is by interest, with a consumer that needs no acknowledgement: a message goes when it is handed out, so what
the stream holds is what waits. (A work queue wants every message acknowledged, which would be one more message per
ring; nobody would make use of redelivery, for the leases in the journal are what redelivers.)
"""

import contextlib
from hashlib import blake2b
from typing import get_args

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.js.manager import JetStreamManager

from waypost.queue.base import MAX_NAME, Ring, RingKind

_API_S = 1.0  # an answer that takes longer will not come
_REPLICAS = 3  # one server may be lost
_KINDS: dict[str, RingKind] = {kind: kind for kind in get_args(RingKind)}
_SERVERS_CHOICE = {"duplicate_window"}  # nats-py says 0 for what we leave open


class RingStream:
    """The stream of one installation, named by its prefix."""

    def __init__(self, prefix: str) -> None:
        self.name = f"{prefix.upper()}_BELLS"
        self.consumer = "takers"
        self.probe = f"{prefix}.bell.probe"  # a message that rings nothing: shows that rings get through
        self._prefix = f"{prefix}.bell."

    def message(self, ring: Ring) -> tuple[str, bytes]:
        """Return a ring's subject and payload."""
        payload = ring.name.encode("utf-8", "surrogatepass")
        return f"{self._prefix}{ring.kind}.{blake2b(payload, digest_size=16).hexdigest()}", payload

    def ring(self, subject: str, payload: bytes) -> Ring | None:
        """Return the ring that a message is; None if it is none of ours."""
        kind = _KINDS.get(subject.removeprefix(self._prefix).partition(".")[0])
        try:
            name = payload.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None
        return None if kind is None or len(name) > MAX_NAME else Ring(kind=kind, name=name)

    async def ensure(self, client: Client) -> None:
        """Make stream and consumer if they are not there, or other than they should be.

        Raises nats.errors.Error if the server can't, does not answer, or has no JetStream.
        """
        manager = JetStreamManager(client, timeout=_API_S)
        await self._ensure_stream(manager)
        try:
            await manager.consumer_info(self.name, self.consumer)
        except NotFoundError:
            await manager.add_consumer(self.name, ConsumerConfig(durable_name=self.consumer, ack_policy=AckPolicy.NONE))

    async def remove(self, client: Client) -> None:
        """Remove the stream, if there is one, with all that waits in it."""
        with contextlib.suppress(NotFoundError):
            await JetStreamManager(client, timeout=_API_S).delete_stream(self.name)

    async def _ensure_stream(self, manager: JetStreamManager) -> None:
        try:
            there = (await manager.stream_info(self.name)).config
        except NotFoundError:
            await self._add(manager)
            return
        has, wants = there.as_dict(), self._config(_REPLICAS).as_dict()
        differing = {name for name, value in wants.items() if name in has and has[name] != value} - _SERVERS_CHOICE
        if differing:
            await self._change(manager, there.num_replicas or 1, only_replicas=differing == {"num_replicas"})

    async def _add(self, manager: JetStreamManager) -> None:
        try:
            await manager.add_stream(self._config(_REPLICAS))
        except APIError:  # no cluster, or a smaller one; if it is anything else, the next one tells
            await manager.add_stream(self._config(1))

    async def _change(self, manager: JetStreamManager, replicas: int, *, only_replicas: bool) -> None:
        """Have the settings of this version, and as many replicas as a cluster that has grown allows by now."""
        try:
            await manager.update_stream(self._config(_REPLICAS))
        except APIError:
            if not only_replicas:
                await manager.update_stream(self._config(replicas))

    def _config(self, replicas: int) -> StreamConfig:
        return StreamConfig(
            name=self.name,
            subjects=[f"{self._prefix}>"],
            retention=RetentionPolicy.INTEREST,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_msgs_per_subject=1,
            max_msgs=100_000,  # more names than that are the sweep's
            max_bytes=64 * 1024 * 1024,
            max_age=60,  # seconds: long before that a sweep has found the work
            num_replicas=replicas,
        )
