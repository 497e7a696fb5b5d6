"""Webhooks: Meta's reports to the gateway, beside a no-op server; and whether Meta would be content."""

import contextlib
import hashlib
import hmac
import itertools
import time

import msgspec

from bench.contender import Served, take_turns
from bench.journal import Journal
from bench.load import CODE_0, Load
from bench.plan import Measurement, Place, Plan
from bench.process import StackProcess, start_stacks
from bench.requests import APP_SECRET, BUSINESS_PHONE, PHONE_NUMBER_ID, WABA_ID, Requests
from bench.sending import Sent
from bench.upstream import LeanUpstream, meta_id

CONCURRENCY = 16
PACED_PER_S = 300.0
_PACED_ROUNDS = 3  # as long as so many rounds
_STATUSES = ("sent", "delivered", "read")
_CHARGED = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}


def post(meta_message_id: str, status: str) -> bytes:
    """Return Meta's signed POST of one status as a whole HTTP request."""
    body = msgspec.json.encode(
        {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": WABA_ID,
                    "changes": [{"value": _value(meta_message_id, status), "field": "messages"}],
                }
            ],
        }
    )
    return (
        b"POST /meta/webhook HTTP/1.1\r\nhost: localhost\r\nuser-agent: facebookexternalua\r\naccept: */*\r\n"
        b"content-type: application/json\r\nx-hub-signature-256: sha256=%b\r\ncontent-length: %d\r\n\r\n%b"
    ) % (hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest().encode(), len(body), body)


def _value(meta_message_id: str, status: str) -> dict[str, object]:
    told: dict[str, object] = {
        "id": meta_message_id,
        "status": status,
        "timestamp": str(int(time.time())),
        "recipient_id": "8613900000000",
    }
    if status != "read":  # Meta's rule: with sent, and with delivered or read, whichever comes first
        told |= {"pricing": _CHARGED}
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": BUSINESS_PHONE, "phone_number_id": PHONE_NUMBER_ID},
        "statuses": [told],
    }


class MadeUp:
    """POSTs about messages that nobody sent, for a server that does not look."""

    effect = "recorded"
    has_effect = False

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def make(self, count: int) -> list[bytes]:
        """Return that many POSTs."""
        return _posts([meta_id(number) for number in itertools.islice(self._numbers, _messages(count))], count)

    async def seen(self) -> int:
        """Return 0: there is no journal."""
        return 0


class Reports:
    """POSTs about messages that the gateway has just sent, counted in its journal."""

    effect = "recorded"
    has_effect = True

    def __init__(self, sent: Sent, journal: Journal) -> None:
        self._sent = sent
        self._journal = journal

    async def make(self, count: int) -> list[bytes]:
        """Send messages, and return that many POSTs about them: sent of all, delivered of all, read of all."""
        return _posts(await self._sent.more(_messages(count)), count)

    async def seen(self) -> int:
        """Return how many statuses are recorded."""
        return self._journal.statuses()


def _messages(posts: int) -> int:
    return -(-posts // len(_STATUSES))


def _posts(ids: list[str], count: int) -> list[bytes]:
    return [post(one, status) for status in _STATUSES for one in ids][:count]


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure webhooks in turns, then at a steady rate; raises `BenchFailed` if any round is void."""
    concurrency = min(CONCURRENCY, plan.concurrency)
    upstream = LeanUpstream()
    async with contextlib.AsyncExitStack() as running:
        url = await upstream.start()
        running.push_async_callback(upstream.stop)
        floor, full = await start_stacks(("no-op", "full"), url, place, running)
        journal = Journal(full.journal)
        running.callback(journal.close)

        async def load(process: StackProcess, connections: int, accepted: bytes) -> Load:
            made = Load(process.url, connections, accepted)
            await made.open()
            running.callback(made.close)
            return made

        sent = Sent(await load(full, plan.concurrency, CODE_0), Requests(), upstream)
        reports = Reports(sent, journal)
        contenders = (
            Served(floor, await load(floor, concurrency, CODE_0), MadeUp(), concurrency),
            Served(full, await load(full, concurrency, b"ok"), reports, concurrency),
        )
        rounds = await take_turns(contenders, plan)
        steady = Served(full, await load(full, plan.concurrency, b"ok"), reports, 1)
        return Measurement(rounds, await steady.pace(PACED_PER_S, _PACED_ROUNDS * plan.seconds))
