"""What Meta's webhooks teach about how fast numbers may send, and about what has to stand still."""

from collections import Counter
from collections.abc import Iterable, Sequence

from waypost.clock import Clock
from waypost.gateway.brakes import PHONE, WABA, Hold
from waypost.gateway.event_routing import phone_named
from waypost.gateway.pace_keeper import PaceKeeper
from waypost.gateway.pauses import Pauses
from waypost.gateway.retry_policy import THROTTLED, rule_of
from waypost.gateway.tenants import Tenants
from waypost.meta import webhooks
from waypost.meta.errors import classify
from waypost.model import StatusEvent

FRESH_MS = 600_000  # what happened longer ago (Meta repeats for days) may have been dealt with
_SECOND_MS = 1_000  # Meta dates by whole seconds: what happened in the second of a change is news
_FAILED_LATER = 200  # the HTTP status of a message that Meta took at first


class Lessons:
    """Passes on to paces and pauses what they have to know.

    A POST that Meta repeats counts again: that makes a number a little slower for a second, never too fast.
    """

    def __init__(self, pace: PaceKeeper, pauses: Pauses, clock: Clock) -> None:
        self._pace = pace
        self._pauses = pauses
        self._clock = clock

    async def learn(
        self,
        tenants: Tenants,
        statuses: Iterable[webhooks.ReportedStatus],
        messages: Iterable[webhooks.ReportedMessage],
        others: Sequence[webhooks.OtherEvent],
    ) -> None:
        """Take in a journalled POST: what used up limits, what Meta raised, and what it restricts from now on."""
        for phone_number_id, count in Counter(message.phone_number_id for message in messages).items():
            self._pace.inbound(phone_number_id, count)
        for event in others:
            phone = phone_named(tenants, event) if webhooks.tells_of_upgrade(event) else None
            if phone is not None:
                self._pace.upgraded(phone)
        for status in statuses:
            if status.error_codes and status.event.timestamp_ms >= self._clock.now_ms() - FRESH_MS:
                for code in status.error_codes:
                    await self._learn_of_failure(tenants, status.event, code)

    async def _learn_of_failure(self, tenants: Tenants, event: StatusEvent, code: int) -> None:
        """Slow down, or stop what Meta restricts, where Meta failed a message that it had taken at first.

        Nothing else stops for such a failure: the next message will be told of what concerns it in Meta's answer.
        """
        phone = tenants.phones_by_id.get(event.phone_number_id)
        error = classify(code, _FAILED_LATER, is_transient=False)
        brake = rule_of(error).brake
        if phone is None or brake is None:
            return
        if code == THROTTLED:
            self._pace.number_throttled(phone.phone_number_id)
        elif brake.restricted:
            key = {PHONE: phone.phone_number_id, WABA: phone.waba_id}[brake.kind]
            hold = Hold(reason=brake.words_of(error), until_ms=None)
            await self._pauses.hold(brake.kind, key, hold, began_ms=event.timestamp_ms + _SECOND_MS, by="meta")
