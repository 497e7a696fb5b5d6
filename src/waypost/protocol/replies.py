"""The answers of `/api/wa/*` as bytes: always `{code, message, data, traceId}`, whatever happened (decision D11)."""

from typing import Any

import msgspec

from waypost.protocol.errors import Failure

SUCCESS_TEXT = "Request successful"  # NxCloud's Send Message page, table of response codes


class Reply(msgspec.Struct, rename={"trace_id": "traceId"}):
    """One answer as it stands on the wire; `traceId` is 32 hex digits that name the request in the gateway's log."""

    code: int
    message: str
    data: Any
    trace_id: str


_encoder = msgspec.json.Encoder()


def success(message_id: str, trace_id: str) -> bytes:
    """Return the answer to an accepted message: code 0 and the id under which callbacks will name it."""
    return answered({"messaging_product": "whatsapp", "messages": [{"id": message_id}]}, trace_id)


def answered(data: object, trace_id: str) -> bytes:
    """Return the answer to any other request that was served: code 0 and its data."""
    return _encoder.encode(Reply(0, SUCCESS_TEXT, data, trace_id))


def failure(refusal: Failure, trace_id: str) -> bytes:
    """Return the answer to a refused request: its code and text, and under `data` what the code carries."""
    return _encoder.encode(Reply(refusal.code, refusal.text, refusal.data(), trace_id))
