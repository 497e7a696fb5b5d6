"""Everything that a process answers over HTTP, put together for its role."""

from typing import NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from waypost.clock import Clock
from waypost.gateway.checkup import Checkup
from waypost.gateway.deliver import Deliverer
from waypost.gateway.events import EventIntake
from waypost.gateway.outbox import Outbox
from waypost.gateway.queue_orders import QueueOrders
from waypost.gateway.queue_view import QueueView
from waypost.gateway.registry import Registry
from waypost.gateway.sending import Sending
from waypost.meta.client import MetaClient
from waypost.queue.base import Doorbell
from waypost.settings import Settings
from waypost.store.base import Store
from waypost.telemetry import Metrics
from waypost.web import mt
from waypost.web.admin import AdminApi
from waypost.web.admin_callbacks import CallbackAdmin
from waypost.web.admin_queue import QueueAdmin
from waypost.web.app import Application
from waypost.web.callback_query import CallbackQueryEndpoint
from waypost.web.customer_api import CustomerApi, Endpoint
from waypost.web.description import Description
from waypost.web.health import Health
from waypost.web.meta_webhook import MetaWebhook
from waypost.web.queue_metrics import QueueMetrics
from waypost.web.token import Guard


class Inside(NamedTuple):
    """The parts of a gateway that its HTTP side needs."""

    store: Store
    registry: Registry
    outbox: Outbox
    meta: MetaClient
    sending: Sending
    deliverer: Deliverer
    doorbell: Doorbell


class Site:
    """Builds what a process answers."""

    def __init__(self, inside: Inside, settings: Settings, clock: Clock) -> None:
        self._inside = inside
        self._settings = settings
        self._clock = clock
        self._metrics = Metrics()
        inside.deliverer.measured_by(self._metrics)
        self._metrics.doorbell.set_function(lambda: inside.doorbell.connected)
        self._view = QueueView(inside.store, inside.registry, inside.sending, clock, settings.max_waiting)

    def whole(self, admin_token: str, verify_token: str) -> Application:
        """Return what customers, Meta and operators call."""
        inside, clock = self._inside, self._clock
        guard = Guard(admin_token)
        endpoints: dict[str, Endpoint] = {
            "/api/wa/mt": mt.MtEndpoint(
                inside.registry, inside.sending.sender, log_recipients=self._settings.log_recipients
            ),
            "/api/wa/callback": CallbackQueryEndpoint(inside.registry, inside.store),
        }
        intake = EventIntake(inside.store, inside.outbox, inside.sending.lessons, clock)
        orders = QueueOrders(inside.store, inside.outbox, inside.sending, clock)
        checkup = Checkup(inside.registry, inside.meta)
        return Application(
            CustomerApi(endpoints, clock, self._metrics, receive_timeout_s=self._settings.receive_timeout),
            MetaWebhook(intake, clock, self._metrics, verify_token),
            [
                *AdminApi(inside.registry, inside.store, checkup, inside.sending.pauses, guard).routes(),
                *CallbackAdmin(inside.store, inside.deliverer, guard).routes(),
                *QueueAdmin(inside.registry, self._view, orders, guard).routes(),
                *self._health(),
                *Description().routes(),
            ],
        )

    def health_alone(self) -> Starlette:
        """Return what a process answers that no customer calls."""
        return Starlette(routes=self._health())

    def _health(self) -> list[BaseRoute]:
        inside = self._inside
        queue = QueueMetrics(self._view, inside.registry, inside.sending, self._clock, self._settings.max_waiting)
        return [*Health(inside.store, inside.sending.sender, self._metrics, queue).routes()]
