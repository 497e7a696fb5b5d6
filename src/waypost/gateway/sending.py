"""Puts together everything that sends: inside requests, out of the queue, and once more what stayed unknown."""

from typing import NamedTuple

from waypost.clock import Clock
from waypost.gateway.attempt import Attempts, SendLimits
from waypost.gateway.dispatch import Dispatcher
from waypost.gateway.further_attempts import FurtherAttempts
from waypost.gateway.gate import Gate, GateLimits
from waypost.gateway.lessons import Lessons
from waypost.gateway.outbox import Outbox
from waypost.gateway.outcomes import Outcomes
from waypost.gateway.pace_keeper import PaceKeeper
from waypost.gateway.pauses import Pauses
from waypost.gateway.registry import Registry
from waypost.gateway.resend import Resender
from waypost.gateway.send import Sender
from waypost.gateway.turns import Turns
from waypost.meta.client import MetaClient
from waypost.store.base import Store


class SendingLimits(NamedTuple):
    """The limits of one attempt, and those of waiting."""

    send: SendLimits
    gate: GateLimits


class Sending(NamedTuple):
    """The parts that others need; `load` first, then run the dispatcher beside the server."""

    sender: Sender
    resender: Resender
    dispatcher: Dispatcher
    turns: Turns
    pauses: Pauses
    lessons: Lessons
    further: FurtherAttempts

    async def load(self) -> None:
        """Take over what the journal holds of the queue; raises `StoreUnavailable`."""
        await self.pauses.load()
        await self.dispatcher.load()


def sending(
    store: Store, registry: Registry, outbox: Outbox, meta: MetaClient, clock: Clock, limits: SendingLimits
) -> Sending:
    """Build the parts around one journal."""
    attempts = Attempts(meta, clock, limits.send)
    pauses = Pauses(store, registry, clock)
    pace = PaceKeeper(store, registry, clock)
    turns = Turns(store, registry, pace, pauses, clock)
    outcomes = Outcomes(store, outbox, pauses, pace, clock)
    further = FurtherAttempts(store, attempts, outcomes, registry, clock)
    dispatcher = Dispatcher(store, turns, further, outbox, clock)
    pauses.answered_by(dispatcher.ring_all)
    gate = Gate(turns, further, dispatcher, limits.gate, clock)
    return Sending(
        sender=Sender(store, attempts, outcomes, gate, clock),
        resender=Resender(store, outbox, dispatcher, clock),
        dispatcher=dispatcher,
        turns=turns,
        pauses=pauses,
        lessons=Lessons(pace, pauses, clock),
        further=further,
    )
