"""What becomes of a message that nobody reports on: it is sent again or called failed, provisionally (decision D6)."""

import math

import structlog

from waypost.clock import Clock
from waypost.gateway.outbox import Outbox
from waypost.gateway.resend import Resender
from waypost.model import Message
from waypost.store.base import Judgement, Store

log = structlog.get_logger("waypost.judge")

CODE = 910_001
TITLE = "outcome unknown, may have been delivered"
GIVE_UP_MS = 24 * 3_600_000  # decision D6: without evidence that reports come in
ROUND_S = 20.0
_LIMIT = 200  # messages in one commit


class Judge:
    """Runs beside the gateway until it is cancelled; a journal that is away for a while only delays it.

    Silence means something only while reports do come in. So time counts in minutes in which Meta reported something
    about the message's phone, and only once a later message of that phone has a status. Where there is no such
    evidence, a day passes.
    """

    def __init__(
        self, store: Store, clock: Clock, outbox: Outbox, resender: Resender, settle_within_min: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._outbox = outbox
        self._resender = resender
        self._minutes = math.ceil(settle_within_min)

    async def run(self) -> None:
        """Do the rounds for ever."""
        while True:
            await self._clock.sleep(ROUND_S)  # first, because after a pause Meta's reports come in before anything else
            try:
                while await self.judge():
                    pass
            except Exception as error:  # whatever it is: the next round tries anew
                log.warning("judging_delayed", reason=f"{type(error).__name__}: {error}")

    async def judge(self) -> int:
        """Judge a bounded portion of what has been unknown long enough; return how many messages that changed."""
        now = self._clock.now_ms()
        messages = await self._store.judgeable(minutes=self._minutes, given_up_before_ms=now - GIVE_UP_MS, limit=_LIMIT)
        if not messages:
            return 0
        again = [message.id for message in messages if await self._resender.resend(message)]
        lost = [message for message in messages if message.id not in again]
        return len(again) + await self._fail(lost, now)

    async def _fail(self, messages: list[Message], now: int) -> int:
        judgements = tuple(
            Judgement(message_id=message.id, callback=self._outbox.draft_failure(message, CODE, TITLE, at_ms=now))
            for message in messages
        )
        failed = await self._store.fail_unknown(judgements, now_ms=now) if judgements else ()
        for message in failed:
            log.warning("message_judged", message_id=message.id, state=message.state, code=CODE)
        return len(failed)
