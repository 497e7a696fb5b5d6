"""Which path leads where: the hot routes at once, everything else through Starlette."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from waypost.web import meta_webhook
from waypost.web.asgi import Receive, Scope, Send
from waypost.web.customer_api import CustomerApi
from waypost.web.meta_webhook import MetaWebhook

CUSTOMER_PREFIX = "/api/wa/"


class Application:
    """The gateway as one ASGI application."""

    def __init__(self, customer_api: CustomerApi, webhook: MetaWebhook, routes: list[BaseRoute]) -> None:
        self._customer_api = customer_api
        self._webhook = webhook
        self._rest = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to whom its path names."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith(CUSTOMER_PREFIX):
            await self._customer_api(scope, receive, send)
        elif path == meta_webhook.PATH or path.startswith(meta_webhook.PATH + "/"):
            await self._webhook(scope, receive, send)
        else:
            await self._rest(scope, receive, send)
