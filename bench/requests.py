"""What the load consists of: the tenants of the gateway under test, and signed requests, no two alike."""

import itertools
import time

import msgspec

from waypost.gateway.outbox import endpoint_of
from waypost.protocol.signing import SignedHeaders, sign


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """An account with one application and one number on a WABA of its own."""

    account: str
    access_key: str
    appkey: str
    waba_id: str
    business_phone: str
    phone_number_id: str


BENCH = Customer(
    account="bench",
    access_key="bench-key",
    appkey="benchapp",
    waba_id="102290129340398",
    business_phone="8615800001795",
    phone_number_id="106540352242922",
)
NEIGHBOUR = Customer(
    account="neighbour",
    access_key="neighbour-key",
    appkey="neighbourapp",
    waba_id="102290129340399",
    business_phone="8615800001796",
    phone_number_id="106540352242923",
)
ACCESS_SECRET = "bench-secret"
APP_SECRET = "bench-app-secret"
META_TOKEN = "EAAG" + "b" * 180  # as long as Meta's are
PATH = "/api/wa/mt"

_FIRST_RECIPIENT = 8613900000000
_TO = b"<to>"
_TEXTS = ("Ann", "No. 2024-118")
_TEMPLATE = {
    "name": "order_shipped",
    "language": "en_US",
    "category": "UTILITY",
    "components": [{"type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way."}],
}


def _waba(customer: Customer) -> dict[str, object]:
    return {
        "waba_id": customer.waba_id,
        "account": customer.account,
        "access_token": META_TOKEN,
        "app_secret": APP_SECRET,
        "phones": [{"number": customer.business_phone, "phone_number_id": customer.phone_number_id}],
        "templates": [_TEMPLATE],
    }


def _account(customer: Customer) -> dict[str, object]:
    application = {
        "appkey": customer.appkey,
        "name": customer.account,
        "phones": [customer.business_phone],
        "callback_signing": "md5",
    }
    return {
        "name": customer.account,
        "access_key": customer.access_key,
        "access_secret": ACCESS_SECRET,
        "applications": [application],
    }


TENANTS = {
    "wabas": [_waba(customer) for customer in (BENCH, NEIGHBOUR)],
    "accounts": [_account(customer) for customer in (BENCH, NEIGHBOUR)],
}


class Requests:
    """Makes whole HTTP requests of one customer, each to a recipient of its own, so that none is a repeat.

    With `dr_webhook` the statuses of the messages are to be called back there.
    """

    def __init__(self, dr_webhook: str | None = None, customer: Customer = BENCH) -> None:
        self.customer = customer
        self.endpoint = endpoint_of(customer.account, dr_webhook or "")
        self._recipients = itertools.count(_FIRST_RECIPIENT)
        self._body = msgspec.json.encode(_envelope(customer) | ({"dr_webhook": dr_webhook} if dr_webhook else {}))

    def make(self, count: int) -> list[bytes]:
        """Return that many requests, signed just now: they are good for a minute."""
        ts = str(time.time_ns() // 1_000_000)
        key = self.customer.access_key
        headers = SignedHeaders(access_key=key, action="mt", biz_type="2", ts=ts)
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccessKey: {key}\r\n"
            f"action: mt\r\nbizType: 2\r\nts: {ts}\r\ncontent-length: "
        ).encode()
        return [self._request(head, headers, recipient) for recipient in itertools.islice(self._recipients, count)]

    def _request(self, head: bytes, headers: SignedHeaders, recipient: int) -> bytes:
        body = self._body.replace(_TO, b"%d" % recipient)
        return b"%b%d\r\nsign: %b\r\n\r\n%b" % (head, len(body), sign(headers, body, ACCESS_SECRET).encode(), body)


def _envelope(customer: Customer) -> dict[str, object]:
    return {
        "appkey": customer.appkey,
        "business_phone": customer.business_phone,
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": _TO.decode(),
        "type": "template",
        "template": {
            "name": _TEMPLATE["name"],
            "language": {"code": "en_US", "policy": "deterministic"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": text} for text in _TEXTS]}],
        },
    }
