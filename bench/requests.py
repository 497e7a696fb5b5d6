"""What the load consists of: the tenants of the gateway under test, and signed requests, no two alike."""

import itertools
import time

import msgspec

from waypost.protocol.signing import SignedHeaders, sign

ACCESS_KEY = "bench-key"
ACCESS_SECRET = "bench-secret"
APPKEY = "benchapp"
BUSINESS_PHONE = "8615800001795"
WABA_ID = "102290129340398"
PHONE_NUMBER_ID = "106540352242922"
APP_SECRET = "bench-app-secret"
META_TOKEN = "EAAG" + "b" * 180  # as long as Meta's are
PATH = "/api/wa/mt"

_FIRST_RECIPIENT = 8613900000000
_TO = b"<to>"
_TEXTS = ("Ann", "No. 2024-118")

TENANTS = {
    "wabas": [
        {
            "waba_id": WABA_ID,
            "account": "bench",
            "access_token": META_TOKEN,
            "app_secret": APP_SECRET,
            "phones": [{"number": BUSINESS_PHONE, "phone_number_id": PHONE_NUMBER_ID}],
            "templates": [
                {
                    "name": "order_shipped",
                    "language": "en_US",
                    "category": "UTILITY",
                    "components": [{"type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way."}],
                }
            ],
        }
    ],
    "accounts": [
        {
            "name": "bench",
            "access_key": ACCESS_KEY,
            "access_secret": ACCESS_SECRET,
            "applications": [
                {"appkey": APPKEY, "name": "bench", "phones": [BUSINESS_PHONE], "callback_signing": "md5"}
            ],
        }
    ],
}

_ENVELOPE = {
    "appkey": APPKEY,
    "business_phone": BUSINESS_PHONE,
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "to": _TO.decode(),
    "type": "template",
    "template": {
        "name": "order_shipped",
        "language": {"code": "en_US", "policy": "deterministic"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": text} for text in _TEXTS]}],
    },
}


class Requests:
    """Makes whole HTTP requests, each to a recipient of its own, so that none is a repeat.

    With `dr_webhook` the statuses of the messages are to be called back there.
    """

    def __init__(self, dr_webhook: str | None = None) -> None:
        self._recipients = itertools.count(_FIRST_RECIPIENT)
        self._body = msgspec.json.encode(_ENVELOPE | ({"dr_webhook": dr_webhook} if dr_webhook else {}))

    def make(self, count: int) -> list[bytes]:
        """Return that many requests, signed just now: they are good for a minute."""
        ts = str(time.time_ns() // 1_000_000)
        headers = SignedHeaders(access_key=ACCESS_KEY, action="mt", biz_type="2", ts=ts)
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccessKey: {ACCESS_KEY}\r\n"
            f"action: mt\r\nbizType: 2\r\nts: {ts}\r\ncontent-length: "
        ).encode()
        return [self._request(head, headers, recipient) for recipient in itertools.islice(self._recipients, count)]

    def _request(self, head: bytes, headers: SignedHeaders, recipient: int) -> bytes:
        body = self._body.replace(_TO, b"%d" % recipient)
        return b"%b%d\r\nsign: %b\r\n\r\n%b" % (head, len(body), sign(headers, body, ACCESS_SECRET).encode(), body)
