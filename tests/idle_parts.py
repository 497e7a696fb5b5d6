"""The parts that send, around a journal that may not even be open: nothing is sent."""

from tests.harness import TENANTS
from waypost.clock import Clock
from waypost.gateway.attempt import SendLimits
from waypost.gateway.gate import GateLimits
from waypost.gateway.outbox import Outbox
from waypost.gateway.queue_view import QueueView
from waypost.gateway.registry import Registry
from waypost.gateway.sending import Sending, SendingLimits, sending
from waypost.gateway.tenant_file import objects, read
from waypost.gateway.tenants import snapshot
from waypost.store.base import Store
from waypost.telemetry import Metrics
from waypost.web.health import Health
from waypost.web.queue_metrics import QueueMetrics


def idle_health(store: Store, clock: Clock, metrics: Metrics) -> Health:
    """What `/metrics` is made of, with the usual tenants."""
    parts, queue = idle_queue(store, clock)
    return Health(store, parts.sender, metrics, queue)


def idle_queue(store: Store, clock: Clock) -> tuple[Sending, QueueMetrics]:
    """What sends, and what `/metrics` tells of its queue."""
    registry = Registry(store, None, clock)  # type: ignore[arg-type]  # no secret is sealed
    registry.tenants = snapshot(objects(read(TENANTS, {})))
    limits = SendingLimits(
        SendLimits(connect_s=1, read_s=1, in_flight=1),
        GateLimits(answer_within_s=1, waiting=1, waiting_of_application=1),
    )
    outbox = Outbox(registry)
    parts = sending(store, registry, outbox, None, clock, limits)  # type: ignore[arg-type]  # nothing is sent
    view = QueueView(store, registry, parts, clock, limit=1)
    return parts, QueueMetrics(view, registry, parts, clock, limit=1)
