"""The bytes of Meta's webhooks: envelope, escaping, signature."""

import hashlib
import hmac
import json

from waypost.simulator.config import Phone, Waba
from waypost.simulator.fields import Json
from waypost.simulator.world import number_of

USER_AGENT = "facebookexternalua"


def messages_value(phone: Phone, **members: object) -> Json:
    """The `value` of a change of the field `messages`: with `contacts` and either `statuses` or `messages`."""
    metadata = {"display_phone_number": number_of(phone), "phone_number_id": phone.id}
    return {"messaging_product": "whatsapp", "metadata": metadata, **members}


def contact(number: str, user_id: str, name: str = "Simulated person") -> Json:
    """One element of `contacts`; without `wa_id` for a person known by the user id alone."""
    person: Json = {"profile": {"name": name}, "user_id": user_id}
    return person | {"wa_id": number} if number else person


def webhook_body(waba: Waba, value: Json, field: str = "messages") -> bytes:
    """The whole body, escaped as Meta escapes it: ASCII only, lower-case hex digits, every slash with a backslash.

    A receiver that signs what it parsed and serialised again, instead of the bytes it got, fails on this form.
    """
    change = {"value": value, "field": field}
    envelope = {"object": "whatsapp_business_account", "entry": [{"id": waba.waba_id, "changes": [change]}]}
    # in JSON a slash can only stand inside a string
    return json.dumps(envelope, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def webhook_headers(body: bytes, app_secret: str) -> dict[str, str]:
    """The headers of a webhook: both signatures are over exactly these bytes, keyed with the app secret."""
    key = app_secret.encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
