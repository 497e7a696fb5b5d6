"""Pushes callbacks: claims what is due endpoint by endpoint, so that one that is dead costs the others nothing.

What a crash leaves behind: a claimed callback becomes due again when its lease ends; one that was pushed but not yet
written down is pushed again, which is the only way in which a receiver gets one twice.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

import structlog

from waypost.clock import Clock
from waypost.gateway import retries
from waypost.gateway.callback_headers import NotSignable, headers_of
from waypost.gateway.endpoints import Endpoint, Endpoints, PushLimits
from waypost.gateway.registry import Registry
from waypost.model import Attempt, AttemptOutcome, Callback, CallbackState
from waypost.net.safe_http import Pushed, SafeHttp
from waypost.store.base import Store, StoreUnavailable
from waypost.telemetry import Metrics

log = structlog.get_logger("waypost.deliver")

ORDER_WAIT_MS = 120_000  # how long a later status waits for an earlier one (decision D8)
_LEASE_MARGIN_MS = 30_000
_TROUBLE_S = 1.0
_ABANDON_AT_ONCE = 500
_SWEEP_S = 2.0


class PushNeighbours(Protocol):
    """Other processes that deliver from the same journal."""

    def tell(self, endpoint: str, *, is_down: bool) -> None:
        """Tell them that an endpoint went down or came back."""

    def probe(self, endpoints: Collection[str]) -> None:
        """Have them look at endpoints now."""


class Deliverer:
    """Delivers callbacks until its task is cancelled; `ring` tells it that an endpoint has something new."""

    def __init__(self, store: Store, http: SafeHttp, registry: Registry, clock: Clock, limits: PushLimits) -> None:
        self._store = store
        self._http = http
        self._registry = registry
        self._clock = clock
        self._timeout_s = limits.timeout_s
        self._endpoints = Endpoints(limits)
        self._pushes: set[asyncio.Task[None]] = set()
        self._in_flight: set[str] = set()  # callbacks; a replay, or a clock that jumps, ends their leases too early
        self._wake = asyncio.Event()
        self._metrics = Metrics()
        self._neighbours: PushNeighbours | None = None

    def measured_by(self, metrics: Metrics) -> None:
        """Count pushes there from now on."""
        self._metrics = metrics
        metrics.endpoints_down.set_function(lambda: self._endpoints.down)

    def shared_with(self, neighbours: "PushNeighbours") -> None:
        """Work beside other processes that deliver from the same journal: tell them, and look for what nobody rang."""
        self._neighbours = neighbours

    def now_ms(self) -> int:
        """Return the time by which callbacks are due."""
        return self._clock.now_ms()

    def ring(self, endpoints: Iterable[str], *, probe: bool = False) -> None:
        """Look at these endpoints now; at one that is down only with `probe`."""
        for name in endpoints:
            self._endpoints.ring(name, self._clock.now_ms(), probe=probe)
        self._wake.set()

    def replayed(self, endpoints: Collection[str]) -> None:
        """Have these endpoints looked at now by whichever process delivers, those that are down too."""
        self.ring(endpoints, probe=True)
        if self._neighbours is not None:
            self._neighbours.probe(endpoints)

    def heard(self, endpoint: str, *, is_down: bool) -> None:
        """Take from another process that an endpoint went down or came back: one probe serves all."""
        self._endpoints.learn(endpoint, self._clock.now_ms(), is_down=is_down)
        self._wake.set()

    def is_down(self, endpoint: str) -> bool:
        """Tell whether an endpoint is only probed."""
        return self._endpoints.is_down(endpoint)

    async def run(self) -> None:
        """Deliver for ever; a journal that is away for a while only delays it."""
        sweeper = asyncio.create_task(self._keep_looking(), name="callback sweep")
        try:
            await self._load()
            while True:
                self._wake.clear()
                while (turn := self._endpoints.next_turn(self._clock.now_ms())) is not None:
                    await self._claim(*turn)
                await self._wait()
        finally:
            sweeper.cancel()
            await asyncio.wait((sweeper,))
            if self._pushes:  # let them end and be written down, or their receivers would get them again
                await asyncio.wait(self._pushes, timeout=self._timeout_s)
            for task in self._pushes:
                task.cancel()
            await asyncio.gather(*self._pushes, return_exceptions=True)

    async def _keep_looking(self) -> None:
        """Find what other processes entered and no ring told of; alone there is nothing to find."""
        while self._neighbours is not None:
            await self._clock.sleep(_SWEEP_S)
            await self._load()

    async def _load(self) -> None:
        while True:
            try:
                for waiting in await self._store.due_endpoints():
                    self._endpoints.look_at(waiting.endpoint, waiting.due_at_ms)
                self._wake.set()
                return
            except StoreUnavailable as error:
                log.warning("callbacks_delayed", reason=str(error))
                await self._clock.sleep(_TROUBLE_S)

    async def _claim(self, endpoint: Endpoint, room: int) -> None:
        now = self._clock.now_ms()
        lease = now + int(self._timeout_s * 1000) + _LEASE_MARGIN_MS
        try:
            claimed = await self._store.claim_callbacks(
                endpoint.name, now_ms=now, lease_until_ms=lease, limit=room, order_wait_ms=ORDER_WAIT_MS
            )
            for callback in claimed:  # before anything else is awaited: a push that ends now was under way at the claim
                if callback.id not in self._in_flight:
                    self._start(endpoint, callback)
            due = now if len(claimed) == room else await self._store.next_due(endpoint.name)
            self._endpoints.looked_at(endpoint, due, now)
        except Exception as error:  # whatever it is: the other endpoints go on
            log.warning("callbacks_delayed", endpoint=endpoint.name, reason=f"{type(error).__name__}: {error}")
            self._endpoints.look_at(endpoint.name, now + int(_TROUBLE_S * 1000))

    def _start(self, endpoint: Endpoint, callback: Callback) -> None:
        self._endpoints.push_begins(endpoint)
        self._in_flight.add(callback.id)
        task = asyncio.create_task(self._push(endpoint, callback), name="push")
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _push(self, endpoint: Endpoint, callback: Callback) -> None:
        at_ms = self._clock.now_ms()
        try:
            pushed = await self._attempt(endpoint, callback, at_ms)
            outcome = self._outcome(callback, pushed, at_ms)
            self._tell(endpoint, callback, pushed, outcome)
            await self._record(outcome)
            if endpoint.is_open:
                await self._give_up_old(endpoint)
        except Exception as error:  # its lease ends, and it is tried again; the other callbacks go on
            log.error("push_broke", callback_id=callback.id, reason=f"{type(error).__name__}: {error}")
        finally:
            self._in_flight.discard(callback.id)
            self._endpoints.push_ended(endpoint, at_ms, self._clock.now_ms())
            self._wake.set()

    async def _attempt(self, endpoint: Endpoint, callback: Callback, at_ms: int) -> Pushed:
        """Push once; what is wrong with this callback alone is an attempt of it, but no failure of its endpoint."""
        try:
            headers = headers_of(callback, self._registry.tenants, at_ms)
            pushed = await self._http.push(callback.url, callback.body, headers, account=callback.account)
        except NotSignable as error:
            return _unsent(str(error))
        except Exception as error:  # one that always breaks has to come to an end like any other
            log.error("push_broke", callback_id=callback.id, reason=f"{type(error).__name__}: {error}")
            return _unsent(f"it could not be pushed: {type(error).__name__}")
        if self._endpoints.note(endpoint, succeeded=pushed.http_status == retries.ACCEPTED):
            if self._neighbours is not None:
                self._neighbours.tell(endpoint.name, is_down=endpoint.is_open)
            if endpoint.is_open:
                advice = "only probed, at last once an hour, until it answers 200"
                log.error("endpoint_down", endpoint=endpoint.name, advice=advice)
            else:
                log.info("endpoint_back", endpoint=endpoint.name)
        return pushed

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

    async def _give_up_old(self, endpoint: Endpoint) -> None:
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

    def _tell(self, endpoint: Endpoint, callback: Callback, pushed: Pushed, outcome: AttemptOutcome) -> None:
        """Measure the attempt, and write one line about it."""
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

    async def _wait(self) -> None:
        """Sleep until something may be due, something new was rung, or a push has ended."""
        await self._clock.wait(self._wake, self._endpoints.pause_s(self._clock.now_ms()))


def _unsent(reason: str) -> Pushed:
    return Pushed(http_status=None, error=reason, excerpt=None, duration_ms=0, retry_after_s=None)
