"""`/healthz`, `/readyz` and `/metrics`: is it alive, can it take messages, how is it doing."""

import asyncio
import contextlib

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from waypost.gateway.send import Sender
from waypost.store.base import Store, StoreUnavailable
from waypost.telemetry import Metrics
from waypost.web.queue_metrics import UNKNOWN, QueueMetrics

COUNT_WITHIN_S = 5.0  # half of what Prometheus waits: callbacks are counted behind whatever list is being read


class Health:
    """Handlers for load balancers and Prometheus."""

    def __init__(self, store: Store, sender: Sender, metrics: Metrics, queue: QueueMetrics) -> None:
        self._store = store
        self._sender = sender
        self._metrics = metrics
        self._queue = queue
        metrics.registry.register(queue)

    def routes(self) -> list[Route]:
        """Return the routes; none needs a token, none tells about tenants."""
        return [
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.measure, methods=["GET"]),
        ]

    async def alive(self, _: Request) -> Response:
        """Answer 200 as long as the process answers at all."""
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """Answer 200 if a message could be taken right now, else 503 with the reason."""
        if self._queue.is_full:
            return PlainTextResponse("too many messages wait to be sent\n", 503)
        try:
            await self._store.ping()
        except StoreUnavailable as error:
            return PlainTextResponse(f"journal unavailable: {error}\n", 503)
        return PlainTextResponse("ready\n")

    async def measure(self, _: Request) -> Response:
        """Answer the metrics in Prometheus' text format; what can't be counted in time is NaN, not an old number."""
        self._metrics.in_flight.set(self._sender.in_flight)
        self._metrics.unsettled.set(UNKNOWN)
        self._metrics.callbacks_due.set(UNKNOWN)
        self._queue.forget()
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(COUNT_WITHIN_S):
                self._metrics.unsettled.set(await self._store.count_unsettled())
                self._metrics.callbacks_due.set(await self._store.count_due_callbacks())
                await self._queue.look()
        return Response(generate_latest(self._metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})
