"""`/admin/v1/queue`: what waits to be sent and why, and the operator's hand on it: pause, resume, cancel."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.gateway import queue_names
from waypost.gateway.queue_names import NameUnknown
from waypost.gateway.queue_orders import QueueOrders
from waypost.gateway.queue_view import QueueView
from waypost.gateway.registry import Registry
from waypost.web.admin_queries import MESSAGE_CURSOR, QueryInvalid, read_cancel, read_hold, read_page
from waypost.web.answers import reply
from waypost.web.token import Guard, Handler

OPERATOR = "admin"  # the admin token has no name
SELECTION = ("phone", "appkey", "account", "template")


class QueueAdmin:
    """Handlers for the queue; every one is behind the admin token."""

    def __init__(self, registry: Registry, view: QueueView, orders: QueueOrders, guard: Guard) -> None:
        self._registry = registry
        self._view = view
        self._orders = orders
        self._guard = guard

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/admin/v1/queue", self._guard(self.show_queue), methods=["GET"]),
            Route("/admin/v1/queue/messages", self._guard(self.list_messages), methods=["GET"]),
            Route("/admin/v1/queue/pause", self._guard(_named(self.pause)), methods=["POST"]),
            Route("/admin/v1/queue/resume", self._guard(_named(self.resume)), methods=["POST"]),
            Route("/admin/v1/queue/cancel", self._guard(_named(self.cancel)), methods=["POST"]),
        ]

    async def show_queue(self, _: Request) -> Response:
        """Answer how much waits where, for how long, what holds it, and when it will have left."""
        return reply(await self._view.picture())

    async def list_messages(self, request: Request) -> Response:
        """Answer what waits, oldest first: `?phone=` (number or id), `appkey=`, `account=`, `template=`; in pages."""
        query = request.query_params
        limit, cursor = read_page(query, MESSAGE_CURSOR, *SELECTION)
        wanted = queue_names.selection(self._registry.tenants, **{name: query.get(name) for name in SELECTION})
        return reply(await self._view.messages(wanted, limit=limit, cursor=cursor))

    async def pause(self, request: Request) -> Response:
        """Pause a phone, an application or a WABA, until it is resumed; answer the pause."""
        asked = await read_hold(request)
        return reply({"paused": await self._orders.pause(asked.kind, asked.key, asked.reason, who=OPERATOR)})

    async def resume(self, request: Request) -> Response:
        """Let a phone, an application or a WABA go on, whoever paused it; answer whether anything held it."""
        asked = await read_hold(request)
        return reply({"resumed": await self._orders.resume(asked.kind, asked.key, who=OPERATOR)})

    async def cancel(self, request: Request) -> Response:
        """Cancel what waits and fits a selection; `dry_run` only counts."""
        values = msgspec.structs.asdict(await read_cancel(request))
        dry_run = values.pop("dry_run")
        if not any(values.values()):
            raise QueryInvalid(f"name at least one of {', '.join(SELECTION)}")
        wanted = queue_names.selection(self._registry.tenants, **values)
        if dry_run:
            return reply({"count": await self._orders.count(wanted)})
        return reply({"cancelled": await self._orders.cancel(wanted, who=OPERATOR)})


def _named(handler: Handler) -> Handler:
    """Return a handler that answers 404 for a name that nobody has."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except NameUnknown as error:
            return reply({"error": str(error)}, 404)

    return answered
