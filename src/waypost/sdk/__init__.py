"""Send WhatsApp messages from Python through a gateway: `Client` for threads, `AsyncClient` for asyncio."""

from waypost.sdk.client import AsyncClient, Client
from waypost.sdk.core import BadAnswer, PreparedRequest, Refused, SendError, Sent, Unreachable

__all__ = ["AsyncClient", "BadAnswer", "Client", "PreparedRequest", "Refused", "SendError", "Sent", "Unreachable"]
