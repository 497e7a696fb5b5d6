"""What `/metrics` tells of the queue, put together when it is asked, so that a phone that has gone leaves no figure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from waypost.clock import Clock
from waypost.gateway import queue_names
from waypost.gateway.brakes import APP, APPLICATION, PHONE, WABA
from waypost.gateway.outcomes import UNREACHABLE
from waypost.gateway.queue_view import ITS_TURN, PhoneLine, QueueView
from waypost.gateway.registry import Registry
from waypost.gateway.resend import REASON
from waypost.gateway.sending import Sending
from waypost.gateway.turns import PAIR_REASON
from waypost.meta.errors import RANGES, TABLE
from waypost.store.base_queue import PRIORITY_ORDINARY, PRIORITY_PROMPT

_PHONE = ["phone_number_id"]
_OUR_REASONS = frozenset({ITS_TURN, PAIR_REASON, UNREACHABLE, REASON})
_METAS_REASON = re.compile(r"(\d{1,9}): ", re.ASCII)
OTHER_REASON = "other"
UNKNOWN = float("nan")


class QueueMetrics(Collector):
    """Figures by phone, for those of the tenants alone; in memory, but for what `look` counts in the journal."""

    def __init__(self, view: QueueView, registry: Registry, parts: Sending, clock: Clock, limit: int) -> None:
        self._view = view
        self._registry = registry
        self._parts = parts
        self._clock = clock
        self._limit = limit
        self._lines: dict[str, PhoneLine] | None = None  # by phone; None: it could not be counted

    @property
    def is_full(self) -> bool:
        """Whether as much waits as may: further messages are answered 9001."""
        return self._parts.further.backlog.total >= self._limit

    def forget(self) -> None:
        """Forget what was counted: what can't be counted must not be an old figure."""
        self._lines = None

    async def look(self) -> None:
        """Find out what waits for what, how long, and when it will have left; raises `StoreUnavailable`.

        Where nothing waits nothing is read.
        """
        phones = (await self._view.picture()).phones if self._parts.further.backlog.total else ()
        self._lines = {line.phone_number_id: line for line in phones}

    def collect(self) -> Iterator[Metric]:
        """Return the figures of this moment."""
        phones = sorted(self._registry.tenants.phones_by_id)
        yield self._queued(phones)
        yield from self._forecasts(phones)
        yield from self._reasons(phones)
        paces = GaugeMetricFamily("waypost_pace_per_second", "Messages a second at present.", labels=_PHONE)
        for phone in phones:
            paces.add_metric([phone], self._parts.turns.pace.number(phone).per_s)
        yield paces
        yield self._paused()
        brakes = self._parts.pauses.brakes
        silent = sum(brakes.breaker(waba_id).is_open for waba_id in self._registry.tenants.wabas)
        yield GaugeMetricFamily("waypost_meta_silent", "WABAs for which Meta does not answer.", value=silent)
        further = self._parts.further
        yield _counter("waypost_queue_attempts", "Attempts out of the queue.", "outcome", further.attempted)
        yield _counter("waypost_queue_ended", "Messages that ended while they waited.", "state", further.ended)

    def _queued(self, phones: list[str]) -> Metric:
        queued = GaugeMetricFamily("waypost_queued", "Messages that wait to be sent.", labels=[*_PHONE, "priority"])
        waiting = self._parts.further.backlog.waiting()
        for phone in phones:
            for priority in (PRIORITY_PROMPT, PRIORITY_ORDINARY):
                queued.add_metric([phone, queue_names.priority_name(priority)], waiting[phone, priority])
        return queued

    def _forecasts(self, phones: list[str]) -> Iterator[Metric]:
        """Say how long the oldest has waited and when the last will have left, phone by phone."""
        ages = GaugeMetricFamily("waypost_queue_oldest_seconds", "How long the oldest has waited.", labels=_PHONE)
        ends = GaugeMetricFamily(
            "waypost_queue_ends_seconds", "In how long the last of what waits in turn will have left.", labels=_PHONE
        )
        for phone in phones:
            age_s = end_s = UNKNOWN if self._lines is None else 0.0
            line = self._line(phone)
            if line is not None:
                age_s = line.oldest_seconds or 0.0
                end_s = UNKNOWN if line.ends_in_seconds is None else line.ends_in_seconds
            ages.add_metric([phone], age_s)
            ends.add_metric([phone], end_s)
        yield ages
        yield ends

    def _reasons(self, phones: list[str]) -> Iterator[Metric]:
        """Say how many wait for what, and for how long."""
        labels = [*_PHONE, "reason"]
        counts = GaugeMetricFamily("waypost_queue_waiting", "Messages that wait for this reason.", labels=labels)
        ages = GaugeMetricFamily(
            "waypost_queue_waiting_oldest_seconds", "How long the oldest of them has waited.", labels=labels
        )
        for phone in phones:
            line = self._line(phone)
            waiting: Counter[str] = Counter()
            oldest: dict[str, float] = {}
            for sort in () if line is None else line.sorts:
                reason = _bounded(sort.reason)
                waiting[reason] += sort.waiting
                oldest[reason] = max(oldest.get(reason, 0.0), sort.oldest_seconds)
            for reason in sorted(waiting):
                counts.add_metric([phone, reason], waiting[reason])
                ages.add_metric([phone, reason], oldest[reason])
        yield counts
        yield ages

    def _line(self, phone: str) -> PhoneLine | None:
        return None if self._lines is None else self._lines.get(phone)

    def _paused(self) -> Metric:
        paused = GaugeMetricFamily("waypost_paused", "What is paused until somebody lifts it.", labels=["kind"])
        holds = self._parts.pauses.brakes.holds(self._clock.now_ms())
        endless = [kind for (kind, _), hold in holds.items() if hold.until_ms is None]
        for kind in (PHONE, APPLICATION, WABA, APP):
            paused.add_metric([kind], endless.count(kind))
        return paused


def _bounded(reason: str) -> str:
    """Return a reason that is one of a few hundred: ours, or a code that Meta documents; an undocumented one is not."""
    named = _METAS_REASON.match(reason)
    if named is not None:
        code = int(named[1])
        is_known = code in TABLE or any(row.first <= code <= row.last for row in RANGES)
    else:
        is_known = reason in _OUR_REASONS
    return reason if is_known else OTHER_REASON


def _counter(name: str, words: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for value in sorted(counts):
        family.add_metric([value], counts[value])
    return family
