"""What Meta's Graph API is told: one of our messages as the JSON body of `POST /{phone_number_id}/messages`. Pure."""

from typing import Literal

import msgspec

from waypost.protocol.messages import MARKETING_API, MtRequest
from waypost.protocol.templates import wire_parameter

Endpoint = Literal["messages", "marketing_messages"]

_encoder = msgspec.json.Encoder(enc_hook=wire_parameter)


def endpoint(message: MtRequest) -> Endpoint:
    """Return which of Meta's two sending endpoints takes the message: `api_type` 1 is the Marketing Messages API."""
    return "marketing_messages" if message.api_type == MARKETING_API else "messages"


def send_body(message: MtRequest, *, context_meta_id: str | None, opaque: str | None) -> bytes:
    """Return Meta's JSON for a message.

    `context_meta_id` is Meta's id of the message replied to, None where this is no reply. `opaque` goes into
    `biz_opaque_callback_data`: the customer's own string, or the token of this attempt (decision D6).
    """
    body: dict[str, object] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        # Meta's rule: without the plus sign it may take the number for a national one and prepend a country code
        "to": f"+{message.to}",
        "type": message.type,
        message.type: message.content,
    }
    if context_meta_id:
        body["context"] = {"message_id": context_meta_id}
    if opaque:
        body["biz_opaque_callback_data"] = opaque
    return _encoder.encode(body)
