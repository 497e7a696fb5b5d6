"""The customers' receiver: checks every signature, fails three times of ten, and notes what it accepted."""

import base64
import collections
import hashlib
import hmac
import random
from typing import NamedTuple

from tests.receiver import RESET, Received, Receiver
from tests.soak.cluster_traffic import PARTIES, Party, callback_signature
from tests.soak.unsteady import FAILS, HOW, MOST_IN_A_ROW
from waypost.clock import Clock


class Told(NamedTuple):
    """A callback that was accepted: of whose message, what it said, and when it came."""

    party: str
    wire_id: str
    meta_message_id: str | None
    status: str
    recipient: str
    at_ms: int


class ClusterReceiver(Receiver):
    """Serves all parties, each under its path."""

    def __init__(self, rng: random.Random, *, most_of_one: int) -> None:
        """`most_of_one` is how often one callback is refused at most: each time it comes later."""
        super().__init__()
        self.answer = self._decide
        self.told: list[Told] = []
        self.failed = 0
        self.forged: list[str] = []
        self.is_steady = False
        self._rng = rng
        self._most_of_one = most_of_one
        self._time = Clock()
        self._in_a_row: collections.Counter[str] = collections.Counter()
        self._failed: collections.Counter[bytes] = collections.Counter()

    def _decide(self, item: Received) -> int:
        party = next((party for party in PARTIES if party.path == item.path), None)
        if party is None or (wrong := _wrong(party, item)):
            self.forged.append(f"{item.path}: {wrong if party else 'nobody has this path'}")
            return 401
        may_fail = self._in_a_row[party.name] < MOST_IN_A_ROW and self._failed[item.body] < self._most_of_one
        if not self.is_steady and may_fail and self._rng.random() < FAILS:
            self._in_a_row[party.name] += 1
            self._failed[item.body] += 1
            self.failed += 1
            return self._rng.choice((*HOW, RESET))
        self._in_a_row[party.name] = 0
        (status,) = item.content["statuses"]
        self.told.append(
            Told(
                party.name,
                status["id"],
                status.get("meta_message_id"),
                status["status"],
                status["recipient_id"],
                self._time.now_ms(),
            )
        )
        return 200


def _wrong(party: Party, item: Received) -> str:
    """Say what is wrong with a callback's signatures, NxCloud's and that of Standard Webhooks; "" if nothing is."""
    if item.headers.get("accesskey") != party.access_key:
        return "not the access key that sent the message"
    if not hmac.compare_digest(item.headers.get("sign", ""), callback_signature(party, item.headers, item.body)):
        return "NxCloud's signature is wrong"
    signed = f"{item.headers.get('webhook-id')}.{item.headers.get('webhook-timestamp')}.".encode() + item.body
    digest = hmac.digest(party.callback_secret.encode(), signed, hashlib.sha256)
    if item.headers.get("webhook-signature") != f"v1,{base64.b64encode(digest).decode()}":
        return "the signature of Standard Webhooks is wrong"
    return ""
