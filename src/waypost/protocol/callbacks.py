"""What a customer receives: a status, an inbound message or an event as JSON, and the headers that sign it.

This is the door to the rooms beside it: `callback_bodies` (statuses), `callback_inbound`, `callback_events`,
`callback_calls`, `callback_signing`. Everything behind it is pure and takes whatever Meta or a customer wrote without
raising.
"""

from urllib.parse import urlsplit

from waypost.protocol.callback_bodies import own_failure_body, status_body
from waypost.protocol.callback_calls import call_body, ended_calls
from waypost.protocol.callback_events import SUBSCRIPTIONS, event_body, event_field, read_event, subscription_of
from waypost.protocol.callback_inbound import Inbound, inbound_body, read_inbound
from waypost.protocol.callback_signing import nxcloud_headers, standard_headers

__all__ = [
    "SUBSCRIPTIONS",
    "Inbound",
    "call_body",
    "ended_calls",
    "event_body",
    "event_field",
    "inbound_body",
    "nxcloud_headers",
    "origin_of",
    "own_failure_body",
    "read_event",
    "read_inbound",
    "standard_headers",
    "status_body",
    "subscription_of",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Return what a URL leads to, as `scheme://host:port` in lower case and with the port spelt out; "" if nowhere.

    Two URLs of one origin fail together. Names and passwords in a URL are no part of it.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    port = port if port is not None else _DEFAULT_PORTS.get(parts.scheme)
    if not host or port is None:
        return ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
