"""A receiver of callbacks as an ASGI application: checks Standard Webhooks signatures, stores, answers 200.

    CALLBACK_SECRET=whsec_… uvicorn --factory receiver_asgi:from_environment

During a rotation put both secrets into the variable, separated by a space.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from waypost.sdk.callbacks import CallbackInvalid, Parsed, StatusCallback, parse, verify_standard

MAX_BYTES = 1_000_000

Store = Callable[[str, Parsed], None]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Receiver:
    """Hands every genuine callback to `store(callback_id, callback)`, which must have kept it when it returns.

    A callback may come again, under the same id: `store` keeps it once.
    """

    def __init__(self, secrets: Iterable[str], store: Store) -> None:
        self._secrets = tuple(secrets)
        self._store = store

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            status = await self._take(scope, receive)
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    async def _take(self, scope: MutableMapping[str, Any], receive: Receive) -> int:
        if scope["method"] != "POST":
            return 405
        body = b""
        more = True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return 400
            body += part.get("body", b"")
            more = part.get("more_body", False)
            if len(body) > MAX_BYTES:
                return 413
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not verify_standard(headers, body, self._secrets, now_s=int(time.time())):
            return 401
        try:
            callback = parse(body)
        except CallbackInvalid:
            return 400
        self._store(headers["webhook-id"], callback)
        return 200  # and nothing else: only 200 means that it arrived


def log(callback_id: str, callback: Parsed) -> None:
    """Write a callback to the log: put your database here."""
    if isinstance(callback, StatusCallback):
        for status in callback.statuses:
            logging.info("%s: message %s is %s", callback_id, status.id, status.status)
    else:
        logging.info("%s: %r", callback_id, callback)


def from_environment() -> Receiver:
    """Build the receiver with the secrets of the environment."""
    logging.basicConfig(level=logging.INFO)
    return Receiver(os.environ["CALLBACK_SECRET"].split(), log)
