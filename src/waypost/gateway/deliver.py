"""Pushes callbacks: claims what is due endpoint by endpoint, so that one that is dead costs the others nothing.

What a crash leaves behind: a claimed callback becomes due again when its lease ends; one that was pushed but not yet
written down is pushed again, which is the only way in which a receiver gets one twice.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import structlog

from waypost.clock import Clock
from waypost.gateway import retries
from waypost.gateway.callback_headers import headers_of
from waypost.gateway.registry import Registry
from waypost.model import Attempt, AttemptOutcome, Callback, CallbackState, Noun
from waypost.net.safe_http import Pushed, SafeHttp
from waypost.store.base import Store, StoreUnavailable
from waypost.telemetry import Metrics

log = structlog.get_logger("waypost.deliver")

ORDER_WAIT_MS = 120_000  # how long a later status waits for an earlier one (decision D8)
PROBE_EVERY_MS = 3_600_000  # one try an hour while an endpoint is down
OPEN_AFTER = 10  # failures in a row
_LEASE_MARGIN_MS = 30_000
_LOOK_AGAIN_S = 1.0  # wall time may jump; nothing waits longer than this before it is looked at again
_TROUBLE_S = 1.0
_ABANDON_AT_ONCE = 500


class PushLimits(Noun, frozen=True, kw_only=True):
    """How many pushes may be under way at once, and how long one may take."""

    timeout_s: float
    per_endpoint: int = 8
    per_account: int = 32
    in_all: int = 256


class _Endpoint:
    """What is known of one endpoint; forgotten at a restart, which costs a few tries at most."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.account = name.partition(" ")[0]
        self.due_at_ms: int | None = None
        self.active = 0
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether it has failed so often that only a probe goes there."""
        return self.failures >= OPEN_AFTER

    def look_at(self, due_ms: int | None) -> None:
        """Look at it at this time, or sooner where somebody else wants that."""
        if due_ms is not None:
            self.due_at_ms = due_ms if self.due_at_ms is None else min(self.due_at_ms, due_ms)

    def room(self, limits: PushLimits) -> int:
        """How many more pushes may go there: one at a time after a failure."""
        return (1 if self.failures else limits.per_endpoint) - self.active


class Deliverer:
    """Delivers callbacks until its task is cancelled; `ring` tells it that an endpoint has something new."""

    def __init__(self, store: Store, http: SafeHttp, registry: Registry, clock: Clock, limits: PushLimits) -> None:
        self._store = store
        self._http = http
        self._registry = registry
        self._clock = clock
        self._limits = limits
        self._endpoints: dict[str, _Endpoint] = {}
        self._active_by_account: Counter[str] = Counter()
        self._pushes: set[asyncio.Task[None]] = set()
        self._in_flight: set[str] = set()  # callbacks; a clock that jumps ends their leases before their pushes
        self._wake = asyncio.Event()
        self._metrics = Metrics()

    def measured_by(self, metrics: Metrics) -> None:
        """Count pushes there from now on."""
        self._metrics = metrics

    def now_ms(self) -> int:
        """Return the time by which callbacks are due."""
        return self._clock.now_ms()

    def ring(self, endpoints: Iterable[str], *, probe: bool = False) -> None:
        """Look at these endpoints now; at one that is down only with `probe`."""
        for name in endpoints:
            endpoint = self._endpoint(name)
            if probe or not endpoint.is_open:
                endpoint.due_at_ms = self._clock.now_ms()
        self._wake.set()

    def is_down(self, endpoint: str) -> bool:
        """Tell whether an endpoint is only probed."""
        known = self._endpoints.get(endpoint)
        return known is not None and known.is_open

    async def run(self) -> None:
        """Deliver for ever; a journal that is away for a while only delays it."""
        try:
            await self._load()
            while True:
                self._wake.clear()
                for endpoint in self._in_turn():
                    await self._claim(endpoint)
                await self._wait()
        finally:
            if self._pushes:  # let them end and be written down, or their receivers would get them again
                await asyncio.wait(self._pushes, timeout=self._limits.timeout_s)
            for task in self._pushes:
                task.cancel()
            await asyncio.gather(*self._pushes, return_exceptions=True)

    async def _load(self) -> None:
        while True:
            try:
                for waiting in await self._store.due_endpoints():
                    self._endpoint(waiting.endpoint).look_at(waiting.due_at_ms)
                return
            except StoreUnavailable as error:
                log.warning("callbacks_delayed", reason=str(error))
                await self._clock.sleep(_TROUBLE_S)

    def _endpoint(self, name: str) -> _Endpoint:
        return self._endpoints.setdefault(name, _Endpoint(name))

    def _in_turn(self) -> list[_Endpoint]:
        """Return the endpoints to look at now: one of each account, then the next of each, and so on."""
        now = self._clock.now_ms()
        due = [item for item in self._endpoints.values() if item.due_at_ms is not None and item.due_at_ms <= now]
        due.sort(key=lambda item: item.due_at_ms or 0)
        seen: Counter[str] = Counter()
        turns: list[tuple[int, _Endpoint]] = []
        for item in due:
            turns.append((seen[item.account], item))
            seen[item.account] += 1
        turns.sort(key=lambda turn: turn[0])
        return [item for _, item in turns]

    async def _claim(self, endpoint: _Endpoint) -> None:
        limits = self._limits
        room = min(
            endpoint.room(limits),
            limits.per_account - self._active_by_account[endpoint.account],
            limits.in_all - len(self._pushes),
        )
        if room <= 0:
            return  # a push that ends wakes us, and its endpoint is still due
        now = self._clock.now_ms()
        lease = now + int(limits.timeout_s * 1000) + _LEASE_MARGIN_MS
        endpoint.due_at_ms = None  # a ring from here on counts beside what the journal says: it may know more
        claimed: tuple[Callback, ...] = ()
        try:
            claimed = await self._store.claim_callbacks(
                endpoint.name, now_ms=now, lease_until_ms=lease, limit=room, order_wait_ms=ORDER_WAIT_MS
            )
            due = now if len(claimed) == room else await self._store.next_due(endpoint.name)
            if endpoint.is_open and due is not None:
                due = max(due, now + PROBE_EVERY_MS)
        except Exception as error:  # whatever it is: the other endpoints go on
            log.warning("callbacks_delayed", endpoint=endpoint.name, reason=f"{type(error).__name__}: {error}")
            due = now + int(_TROUBLE_S * 1000)
        endpoint.look_at(due)
        for callback in claimed:
            if callback.id not in self._in_flight:
                self._start(endpoint, callback)
        if endpoint.due_at_ms is None and not endpoint.active and not endpoint.failures:
            del self._endpoints[endpoint.name]  # nothing waits and nothing is known: customers may name any number

    def _start(self, endpoint: _Endpoint, callback: Callback) -> None:
        endpoint.active += 1
        self._active_by_account[endpoint.account] += 1
        self._in_flight.add(callback.id)
        task = asyncio.create_task(self._push(endpoint, callback), name="push")
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _push(self, endpoint: _Endpoint, callback: Callback) -> None:
        at_ms = self._clock.now_ms()
        try:
            headers = headers_of(callback, self._registry.tenants, at_ms)
            pushed = await self._http.push(callback.url, callback.body, headers)
            outcome = self._outcome(callback, pushed, at_ms)
            self._note(endpoint, callback, pushed, outcome)
            await self._record(outcome)
            if endpoint.is_open:
                await self._give_up_old(endpoint)
        except Exception as error:  # its lease ends, and it is tried again; the other callbacks go on
            log.error("push_broke", callback_id=callback.id, reason=f"{type(error).__name__}: {error}")
        finally:
            endpoint.active -= 1
            self._active_by_account[endpoint.account] -= 1
            self._in_flight.discard(callback.id)
            # looked at again at once, or an hour after this probe began
            endpoint.due_at_ms = at_ms + PROBE_EVERY_MS if endpoint.is_open else self._clock.now_ms()
            self._wake.set()

    async def _record(self, outcome: AttemptOutcome) -> None:
        """Write down what an attempt came to, however long the journal is away: only this process knows of it."""
        while True:
            try:
                await self._store.record_attempts((outcome,))
            except StoreUnavailable as error:
                log.warning("attempt_not_journalled", callback_id=outcome.attempt.callback_id, reason=str(error))
                await self._clock.sleep(_TROUBLE_S)
            else:
                return

    async def _give_up_old(self, endpoint: _Endpoint) -> None:
        """Abandon what has waited as long as the schedule is, for a dead endpoint is not tried row by row."""
        now = self._clock.now_ms()
        while abandoned := await self._store.abandon_callbacks(
            endpoint.name, created_before_ms=now - retries.HORIZON_S * 1000, now_ms=now, limit=_ABANDON_AT_ONCE
        ):
            self._metrics.callbacks.labels(CallbackState.ABANDONED).inc(abandoned)

    def _outcome(self, callback: Callback, pushed: Pushed, at_ms: int) -> AttemptOutcome:
        attempt = Attempt(
            callback_id=callback.id,
            number=callback.attempts + 1,
            at_ms=at_ms,
            duration_ms=pushed.duration_ms,
            http_status=pushed.http_status,
            error=pushed.error,
            excerpt=pushed.excerpt,
        )
        if pushed.http_status == retries.ACCEPTED:
            return AttemptOutcome(attempt=attempt, state=CallbackState.DONE)
        wait_s = retries.wait_s(attempt.number, self._clock.chance(), pushed.retry_after_s)
        if wait_s is None:
            return AttemptOutcome(attempt=attempt, state=CallbackState.ABANDONED)
        due_at_ms = self._clock.now_ms() + int(wait_s * 1000)
        return AttemptOutcome(attempt=attempt, state=CallbackState.DUE, due_at_ms=due_at_ms)

    def _note(self, endpoint: _Endpoint, callback: Callback, pushed: Pushed, outcome: AttemptOutcome) -> None:
        """Count success and failure for the breaker, and write one line about the push."""
        was_open = endpoint.is_open
        endpoint.failures = 0 if outcome.state == CallbackState.DONE else endpoint.failures + 1
        self._metrics.callbacks.labels("retried" if outcome.state == CallbackState.DUE else outcome.state).inc()
        self._metrics.callback_seconds.observe(pushed.duration_ms / 1000)
        line: dict[str, Any] = {
            "callback_id": callback.id,
            "endpoint": endpoint.name,
            "kind": callback.kind,
            "message_id": callback.message_id,
            "status": callback.status,
            "attempt": outcome.attempt.number,
            "state": outcome.state,
            "http_status": pushed.http_status,
            "error": pushed.error,
            "duration_ms": pushed.duration_ms,
        }
        (log.info if outcome.state == CallbackState.DONE else log.warning)("push", **line)
        if endpoint.is_open and not was_open:
            log.error("endpoint_down", endpoint=endpoint.name, advice="only probed once an hour until it answers 200")
        elif was_open and not endpoint.is_open:
            log.info("endpoint_back", endpoint=endpoint.name)

    async def _wait(self) -> None:
        """Sleep until something may be due, something new was rung, or a push has ended."""
        now = self._clock.now_ms()
        dues = [item.due_at_ms for item in self._endpoints.values() if item.due_at_ms is not None]
        waiting = [due for due in dues if due > now]
        pause = min((min(waiting) - now) / 1000, _LOOK_AGAIN_S) if waiting else _LOOK_AGAIN_S
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return
