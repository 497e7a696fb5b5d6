"""A receiver of callbacks as a WSGI application: checks NxCloud's signature, stores, answers 200.

    ACCESS_KEY=… ACCESS_SECRET=… gunicorn 'receiver_wsgi:from_environment()'

or, to try it out, `python receiver_wsgi.py` on port 8000.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import make_server

from waypost.sdk.callbacks import CallbackInvalid, InboundCallback, Parsed, parse, verify_nxcloud

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

MAX_BYTES = 1_000_000

Store = Callable[[Parsed], None]


class Receiver:
    """Hands every genuine callback to `store(callback)`, which must have kept it when it returns.

    A callback may come again: `store` keeps a status once by message id and status, an inbound message by its id.
    """

    def __init__(self, secrets: Mapping[str, str], store: Store) -> None:
        self._secrets = secrets  # by accessKey
        self._store = store

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        start_response(self._take(environ), [("Content-Length", "0")])
        return [b""]

    def _take(self, environ: Mapping[str, Any]) -> str:
        if environ["REQUEST_METHOD"] != "POST":
            return "405 Method Not Allowed"
        length = str(environ.get("CONTENT_LENGTH") or "0")
        if not length.isdigit() or int(length) > MAX_BYTES:
            return "413 Content Too Large"
        body = environ["wsgi.input"].read(int(length))
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        if not verify_nxcloud(headers, body, self._secrets):
            return "401 Unauthorized"
        try:
            callback = parse(body)
        except CallbackInvalid:
            return "400 Bad Request"
        self._store(callback)
        return "200 OK"  # and nothing else: only 200 means that it arrived


def log(callback: Parsed) -> None:
    """Write a callback to the log: put your database here."""
    if isinstance(callback, InboundCallback):
        for message in callback.messages:
            logging.info("%s wrote a %s: %r", message.sender, message.type, message.content)
    else:
        logging.info("%r", callback)


def from_environment() -> Receiver:
    """Build the receiver with the key pair of the environment."""
    logging.basicConfig(level=logging.INFO)
    return Receiver({os.environ["ACCESS_KEY"]: os.environ["ACCESS_SECRET"]}, log)


if __name__ == "__main__":
    make_server("127.0.0.1", 8000, from_environment()).serve_forever()
