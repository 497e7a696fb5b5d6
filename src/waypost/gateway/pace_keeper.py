"""Hands out the right to send: a slot of the number and a turn of the recipient, leased from the journal."""

import asyncio
import math
from collections import Counter, defaultdict

import structlog

from waypost.clock import Clock
from waypost.gateway.pacing import NumberPace
from waypost.gateway.pair_pace import PairPace
from waypost.gateway.registry import Registry
from waypost.model import BusinessPhone, Message
from waypost.store.base import Store

log = structlog.get_logger("waypost.pace")

UNKNOWN_PER_S = 80  # Meta's rule for every number that is not upgraded


class PaceKeeper:
    """The paces of all numbers that this process sends through."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._numbers: dict[str, NumberPace] = {}
        self._asking: Counter[str] = Counter()  # who waits for a lease, and will have the slots before others
        self._leasing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.pairs = PairPace()
        self._is_shared = False

    def share(self) -> None:
        """Leave slots to other processes; to be said before any is taken."""
        self._is_shared = True

    def number(self, phone_number_id: str) -> NumberPace:
        """Return the pace of a number, at the rate that the tenants give it now."""
        phone = self._registry.tenants.phones_by_id.get(phone_number_id)
        per_s = phone.messages_per_second if phone is not None else UNKNOWN_PER_S
        pace = self._numbers.get(phone_number_id)
        if pace is None:
            pace = self._numbers[phone_number_id] = NumberPace(per_s, is_shared=self._is_shared)
        if per_s != pace.configured_per_s:
            pace.configure(per_s)
        return pace

    async def slot(self, phone_number_id: str) -> float:
        """Take the next slot of a number and return the seconds until it may be used; raises `StoreUnavailable`."""
        pace = self.number(phone_number_id)
        if (wait_us := pace.take(self._now_us())) is not None:
            return wait_us / 1e6
        self._asking[phone_number_id] += 1
        try:
            while (wait_us := pace.take(self._now_us())) is None:
                async with self._leasing[phone_number_id]:
                    await self._lease(phone_number_id, pace)
        finally:
            self._asking[phone_number_id] -= 1
        return wait_us / 1e6

    def give_back(self, phone_number_id: str) -> None:
        """Take back a slot that was not used after all."""
        self.number(phone_number_id).give_back()

    async def _lease(self, phone_number_id: str, pace: NumberPace) -> None:
        if count := pace.wanted(self._now_us(), self._asking[phone_number_id]):
            first_us = await self._store.lease_slots(
                phone_number_id, interval_us=pace.interval_us, count=count, now_us=self._now_us()
            )
            pace.granted(first_us, count, self._now_us())

    def forecast_ms(self, phone_number_id: str, ahead: int) -> int:
        """Return in how many milliseconds a message with so many before it may leave."""
        ahead += self._asking[phone_number_id]
        return math.ceil(self.number(phone_number_id).wait_us(ahead, self._now_us()) / 1000)

    def pair_wait_ms(self, phone_number_id: str, recipient: str) -> int:
        """Return how long to wait for a recipient's sake."""
        return self.pairs.wait_ms(phone_number_id, recipient, self._clock.now_ms())

    def left(self, phone_number_id: str, recipient: str) -> None:
        """Count a message that leaves now."""
        self.pairs.left(phone_number_id, recipient, self._clock.now_ms())

    def returned(self, message: Message) -> None:
        """Learn that a message never left."""
        self.pairs.returned(message.phone_number_id, message.recipient)

    def accepted(self, message: Message) -> None:
        """Learn that Meta took a message."""
        self.number(message.phone_number_id).accepted(self._now_us())
        self.pairs.accepted(message.phone_number_id, message.recipient)

    def inbound(self, phone_number_id: str, count: int) -> None:
        """Count messages that recipients wrote to a number."""
        self.number(phone_number_id).inbound(count, self._now_us())

    def upgraded(self, phone: BusinessPhone) -> None:
        """Learn that Meta raised the limit of a number; what the tenants allow stays what is used."""
        self.number(phone.phone_number_id).upgraded()
        log.warning(
            "number_upgraded",
            phone_number_id=phone.phone_number_id,
            messages_per_second=phone.messages_per_second,
            advice="if that is less than the number should send, raise it in the tenant file",
        )

    def number_throttled(self, phone_number_id: str) -> float | None:
        """Learn from a 130429; return the new rate if it was lowered."""
        pace = self.number(phone_number_id)
        return pace.per_s if pace.throttled(self._now_us()) else None

    def pair_throttled(self, message: Message) -> int:
        """Learn from a 131056; return the milliseconds to wait."""
        return self.pairs.throttled(message.phone_number_id, message.recipient, self._clock.now_ms())

    def _now_us(self) -> int:
        return self._clock.now_ms() * 1000
