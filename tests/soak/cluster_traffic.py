"""Two customers of one installation, what they send, and what Meta knows of their numbers."""

import hashlib
import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import aiohttp

from tests.harness import APP_SECRET, META_TOKEN, Customer
from tests.soak.traffic import FIRST_RECIPIENT, LANGUAGE, Json, Wish
from waypost.clock import Clock

FAST_PER_S, SLOW_PER_S = 80, 8
SLOW_SHARE = 0.3  # of the messages, through the number that can't keep up whenever they come quickly
KEYED, SIGNS_ANEW = 0.5, 0.5


class Phone(NamedTuple):
    """A business phone of a customer's, and how many messages a second Meta lets it send."""

    number: str
    id: str
    per_s: int


class Party(NamedTuple):
    """A customer: one account with one application, a WABA with two numbers, and a receiver's path of its own."""

    name: str
    access_key: str
    access_secret: str
    appkey: str
    waba: str
    signing: str
    callback_secret: str
    phones: tuple[Phone, ...]

    @property
    def path(self) -> str:
        return f"/{self.name}/dr"

    def program(self, url: str, http: aiohttp.ClientSession) -> Customer:
        """Return the program with which it sends."""
        return _Program(url, http, self)


class _Program(Customer):
    """Signs as `Customer` does, with a party's keys."""

    def __init__(self, url: str, http: aiohttp.ClientSession, party: Party) -> None:
        super().__init__(url, http, Clock().now_ms)
        self._party = party

    def signed(self, body: bytes, **changes: str) -> dict[str, str]:
        keys = {"accessKey": self._party.access_key, "secret": self._party.access_secret}
        return super().signed(body, **(keys | changes))


PARTIES = (
    Party(
        "acme", "acme-key-0001", "acme-secret-0001", "acmeshop", "102290129340398", "sha256", "acme-hook-secret",
        (Phone("8615800001795", "106540352242922", FAST_PER_S), Phone("8615800001796", "106540352242923", SLOW_PER_S)),
    ),
    Party(
        "globex", "globex-key-0001", "globex-secret-0001", "globexshop", "202290129340398", "md5", "globex-hook-secret",
        (Phone("8615900001795", "206540352242922", FAST_PER_S), Phone("8615900001796", "206540352242923", SLOW_PER_S)),
    ),
)  # fmt: skip


def tenant_tables(receiver_url: str) -> dict[str, Any]:
    """Return the tenant file's tables."""
    return {
        "wabas": [
            {
                "waba_id": party.waba,
                "account": party.name,
                "inbound_application": party.appkey,
                "access_token": META_TOKEN,
                "app_secret": APP_SECRET,
                "phones": [
                    {"number": phone.number, "phone_number_id": phone.id, "messages_per_second": phone.per_s}
                    for phone in party.phones
                ],
                "templates": [
                    {"name": "order_update", "language": "en_US", "category": "UTILITY"},
                    {"name": "otp", "language": "en_US", "category": "AUTHENTICATION"},
                ],
            }
            for party in PARTIES
        ],
        "accounts": [
            {
                "name": party.name,
                "access_key": party.access_key,
                "access_secret": party.access_secret,
                "applications": [
                    {
                        "appkey": party.appkey,
                        "webhook": receiver_url + party.path,
                        "phones": [phone.number for phone in party.phones],
                        "callback_signing": party.signing,
                        "callback_secret": party.callback_secret,
                    }
                ],
            }
            for party in PARTIES
        ],
    }


def meta_wabas() -> list[Json]:
    """Return the same numbers as the simulator takes them."""
    return [
        {
            "waba_id": party.waba,
            "phones": [
                {"id": phone.id, "display_phone_number": phone.number, "messages_per_second": phone.per_s}
                for phone in party.phones
            ],
        }
        for party in PARTIES
    ]


def endless_wishes(party: Party, rng: random.Random) -> Iterator[Wish]:
    """Make what a customer sends: text and templates, a fifth of them passwords, each to a recipient of its own."""
    first = FIRST_RECIPIENT + 1_000_000 * PARTIES.index(party)
    fast, slow = party.phones
    for index in itertools.count():
        phone = slow if rng.random() < SLOW_SHARE else fast
        message: Json = {
            "appkey": party.appkey,
            "business_phone": phone.number,
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": str(first + index),
            **_content(rng, index),
        }
        if rng.random() < KEYED:
            message["cus_message_id"] = f"{party.name}-{index}"
        yield Wish(message, signs_anew=rng.random() < SIGNS_ANEW)


def _content(rng: random.Random, index: int) -> Json:
    kind = rng.choice(("text", "text", "order_update", "order_update", "otp"))
    if kind == "text":
        return {"type": "text", "text": {"body": f"your order {index} is on its way", "preview_url": False}}
    parameters = [{"type": "text", "text": f"B{index}"}]
    components = [{"type": "body", "parameters": parameters}]
    return {"type": "template", "template": {"name": kind, "language": LANGUAGE, "components": components}}


def callback_signature(party: Party, headers: dict[str, str], body: bytes) -> str:
    """Return the signature that a callback must carry, as NxCloud's pages say, by code of the tests' own."""
    start = "&".join(f"{name}={headers.get(name.lower(), '')}" for name in ("accessKey", "action", "bizType", "ts"))
    text = start.encode() + b"&body=" + body + f"&accessSecret={party.access_secret}".encode()
    digest = hashlib.sha256(text) if party.signing == "sha256" else hashlib.md5(text)
    return digest.hexdigest()
