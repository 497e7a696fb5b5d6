"""The admin token: who may use the admin API."""

import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from waypost.store.base import StoreUnavailable
from waypost.web.admin_queries import QueryInvalid
from waypost.web.answers import reply

Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """Wraps handlers so that they are reached with the token only; what they can't read, or a lost journal, is told."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __call__(self, handler: Handler) -> Handler:
        """Return the handler behind the token."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
                return reply({"error": "the header Authorization must be: Bearer <admin token>"}, 401)
            try:
                return await handler(request)
            except QueryInvalid as error:
                return reply({"error": str(error)}, error.status)
            except StoreUnavailable as error:
                return reply({"error": f"the journal is unavailable: {error}"}, 503)

        return guarded
