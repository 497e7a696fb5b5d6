"""What the load consists of: the tenants of the gateway under test, and signed requests, no two alike."""

import itertools
import time

import msgspec

from waypost.gateway.outbox import endpoint_of
from waypost.protocol.signing import SignedHeaders, sign

PHONES = 50  # so many that no message waits for its slot: twenty times what goes through them
PER_PHONE_S = 1000  # the most that Meta allows


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """An account with one application and many phones on a WABA of its own."""

    account: str
    access_key: str
    appkey: str
    waba_id: str
    phones: dict[str, str]  # the numbers by phone number id


def _phones(first: int) -> dict[str, str]:
    return {f"1065403522{number:05}": f"86158000{number:05}" for number in range(first, first + PHONES)}


BENCH = Customer(
    account="bench",
    access_key="bench-key",
    appkey="benchapp",
    waba_id="102290129340398",
    phones=_phones(42_000),
)
NEIGHBOUR = Customer(
    account="neighbour",
    access_key="neighbour-key",
    appkey="neighbourapp",
    waba_id="102290129340399",
    phones=_phones(43_000),
)
ACCESS_SECRET = "bench-secret"
ADMIN_TOKEN = "bench-admin-token"
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
        "phones": [
            {"number": number, "phone_number_id": phone_number_id, "messages_per_second": PER_PHONE_S}
            for phone_number_id, number in customer.phones.items()
        ],
        "templates": [_TEMPLATE],
    }


def _account(customer: Customer) -> dict[str, object]:
    application = {
        "appkey": customer.appkey,
        "name": customer.account,
        "phones": list(customer.phones.values()),
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

    The customer's phones take turns, so that none sends so much that its pace would delay it. With `dr_webhook` the
    statuses of the messages are to be called back there.
    """

    def __init__(self, dr_webhook: str | None = None, customer: Customer = BENCH) -> None:
        self.customer = customer
        self.endpoint = endpoint_of(customer.account, dr_webhook or "")
        self._recipients = itertools.count(_FIRST_RECIPIENT)
        told = {"dr_webhook": dr_webhook} if dr_webhook else {}
        self._bodies = itertools.cycle(
            [msgspec.json.encode(_envelope(customer, number) | told) for number in customer.phones.values()]
        )

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
        body = next(self._bodies).replace(_TO, b"%d" % recipient)
        return b"%b%d\r\nsign: %b\r\n\r\n%b" % (head, len(body), sign(headers, body, ACCESS_SECRET).encode(), body)


def _envelope(customer: Customer, business_phone: str) -> dict[str, object]:
    return {
        "appkey": customer.appkey,
        "business_phone": business_phone,
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
