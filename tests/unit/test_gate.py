"""Whether a message goes ahead at once: one reason against it is enough, and each is looked at."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.bodies import body
from tests.conformance.journal_rows import SteppedClock, message
from tests.harness import APPKEY, PHONE, PHONE_ID, TENANTS, WABA
from waypost.gateway.attempt import SendLimits
from waypost.gateway.backlog import Sort
from waypost.gateway.brakes import OPEN_AFTER, Hold
from waypost.gateway.gate import Gate, GateLimits, priority_of, ttl_ms
from waypost.gateway.outbox import Outbox
from waypost.gateway.registry import Registry
from waypost.gateway.routing import Route, choose
from waypost.gateway.sending import Sending, SendingLimits, sending
from waypost.gateway.tenant_file import read
from waypost.gateway.vault import Vault
from waypost.meta.client import MetaClient
from waypost.model import Application
from waypost.protocol.errors import SystemBusy
from waypost.protocol.messages import MtRequest, decode
from waypost.store.base_queue import PRIORITY_ORDINARY, PRIORITY_PROMPT
from waypost.store.sqlite import SqliteStore

LIMITS = SendingLimits(
    SendLimits(connect_s=1, read_s=1, in_flight=10),
    GateLimits(answer_within_s=5, waiting=4, waiting_of_application=3),
)
RECIPIENT = "8613600009759"


class Stand:
    """The parts that send, around a journal in memory and a clock that stands; Meta is never called."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = SqliteStore(":memory:", self.clock)
        self.registry = Registry(self.store, Vault("0123456789abcdef" * 2), self.clock)
        outbox = Outbox(self.registry)
        meta = MetaClient("http://127.0.0.1:9", "v23.0")
        self.parts: Sending = sending(self.store, self.registry, outbox, meta, self.clock, LIMITS)
        self.gate = Gate(self.parts.turns, self.parts.further, self.parts.dispatcher, LIMITS.gate, self.clock)

    @property
    def request(self) -> MtRequest:
        return decode(body(appkey=APPKEY, business_phone=PHONE, to=RECIPIENT))

    @property
    def route(self) -> Route:
        account, _ = next(iter(self.registry.tenants.keys.values()))
        return choose(self.registry.tenants, account, self.request)

    def is_open(self) -> bool:
        return self.gate.is_open(self.request, self.route)

    def wait(self, number: int, *, phone: str = PHONE_ID, appkey: str = APPKEY, priority: int = 0) -> None:
        """Have so many messages wait."""
        for _ in range(number):
            self.parts.further.backlog.add(
                Sort(phone_number_id=phone, account="acme", appkey=appkey, priority=priority)
            )

    def check(self) -> None:
        account, _ = next(iter(self.registry.tenants.keys.values()))
        self.gate.check(account, self.request, self.route)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    await made.store.open()
    await made.registry.apply(read(TENANTS, {}))
    yield made
    await made.store.close()


async def test_it_is_open_where_nothing_is_against_it(stand: Stand) -> None:
    assert stand.is_open()


@pytest.mark.parametrize(
    ("phone", "priority", "is_open"),
    [(PHONE_ID, PRIORITY_PROMPT, False), (PHONE_ID, PRIORITY_ORDINARY, True), ("another", PRIORITY_PROMPT, True)],
)
async def test_nobody_of_its_phone_and_urgency_may_be_before_it(
    phone: str, priority: int, is_open: bool, stand: Stand
) -> None:
    stand.wait(1, phone=phone, priority=priority)
    assert stand.is_open() == is_open


@pytest.mark.parametrize(("kind", "key"), [("phone", PHONE_ID), ("waba", WABA), ("app", WABA), ("application", APPKEY)])
async def test_nothing_may_hold_it(kind: str, key: str, stand: Stand) -> None:
    stand.parts.pauses.brakes.put_on(
        kind, key, Hold(reason="for a second", until_ms=stand.clock.now_ms() + 1_000), now_ms=stand.clock.now_ms()
    )
    assert not stand.is_open()
    stand.clock.wall_ms += 1_000
    assert stand.is_open()


async def test_meta_must_have_answered_lately(stand: Stand) -> None:
    breaker = stand.parts.pauses.brakes.breaker(WABA)
    for _ in range(OPEN_AFTER):
        breaker.failed(stand.clock.now_ms())
    assert not stand.is_open()
    stand.clock.wall_ms += 3_600_000
    assert not stand.is_open(), "that is for a probe to find out"
    while breaker.is_wary:
        breaker.answered()
    assert stand.is_open()


async def test_the_recipient_must_not_owe_anything(stand: Stand) -> None:
    for _ in range(45):
        stand.parts.turns.pace.left(PHONE_ID, RECIPIENT)
    assert not stand.is_open()
    stand.parts.turns.pace.pairs.returned(PHONE_ID, RECIPIENT)
    assert stand.is_open()


async def test_its_slot_must_be_near(stand: Stand) -> None:
    pace = stand.parts.turns.pace
    taken = 0
    while stand.is_open():
        await pace.slot(PHONE_ID)
        taken += 1
    assert 50 < pace.forecast_ms(PHONE_ID, 0) <= 63
    assert taken == 5, "at 80 a second four slots lie within 50 ms, besides the one of this moment"


async def test_no_more_than_its_share_of_attempts_may_be_under_way(stand: Stand) -> None:
    place = stand.parts.turns.place(PHONE_ID)
    for _ in range(160):
        assert stand.is_open()
        stand.parts.turns.begin(place)
    assert not stand.is_open()
    stand.parts.turns.end(place)
    assert stand.is_open()


@pytest.mark.parametrize(
    ("appkey", "waiting", "complaint"),
    [(APPKEY, 2, None), (APPKEY, 3, "of this application"), ("other", 3, None), ("other", 4, "too many messages wait")],
)
async def test_one_too_many_is_refused_where_it_would_have_to_wait(
    appkey: str, waiting: int, complaint: str | None, stand: Stand
) -> None:
    stand.wait(waiting, appkey=appkey)
    if complaint is None:
        stand.check()
    else:
        with pytest.raises(SystemBusy, match=complaint):
            stand.check()


async def test_what_need_not_wait_is_let_through_however_much_waits(stand: Stand) -> None:
    stand.wait(10, phone="another")
    stand.check()


async def test_a_message_counts_from_before_its_commit_and_knows_its_place(stand: Stand) -> None:
    row = message(stand.clock)
    entry = stand.gate.entry_of(row, stand.request, stand.route.application)
    backlog = stand.parts.further.backlog
    with stand.gate.entering(row, entry) as first, stand.gate.entering(row, entry) as second:
        assert (first.ahead, second.ahead, backlog.total) == (0, 1, 2)
        second.stays = False
    assert backlog.total == 1
    with stand.gate.entering(row, None):
        assert backlog.total == 1, "what does not wait is not counted"


async def test_a_message_that_may_have_been_committed_counts_until_its_queue_was_looked_at(stand: Stand) -> None:
    row, backlog = message(stand.clock), stand.parts.further.backlog
    entry = stand.gate.entry_of(row, stand.request, stand.route.application)
    with pytest.raises(RuntimeError, match="commit"), stand.gate.entering(row, entry):
        raise RuntimeError("commit failed")
    assert backlog.total == 1
    async with asyncio.timeout(5):
        while backlog.total:
            await asyncio.sleep(0.01)


async def test_what_passes_without_being_posted_leaves_no_trace(stand: Stand) -> None:
    row, pace = message(stand.clock), stand.parts.turns.pace
    for _ in range(100):
        async with stand.gate.passage(row):
            assert stand.parts.turns.under_way(PHONE_ID) == 1
    assert (pace.forecast_ms(PHONE_ID, 0), len(pace.pairs), stand.parts.turns.under_way(PHONE_ID)) == (0, 0, 0)
    async with stand.gate.passage(row) as passage:
        passage.posted = True
    assert pace.forecast_ms(PHONE_ID, 0) > 0
    assert len(pace.pairs) == 1


async def test_a_journal_that_gives_no_slot_is_told_as_busy_and_leaves_no_trace(stand: Stand) -> None:
    await stand.store.close()
    with pytest.raises(SystemBusy, match="journal unavailable"):
        async with stand.gate.passage(message(stand.clock)):
            pytest.fail("it may not pass")
    assert (len(stand.parts.turns.pace.pairs), stand.parts.turns.under_way(PHONE_ID)) == (0, 0)


def test_passwords_and_replies_are_urgent_and_everything_else_is_not() -> None:
    urgent = {category: priority_of(category) for category in ("authentication", "service", "utility", "marketing")}
    assert urgent == {"authentication": 0, "service": 0, "utility": 1, "marketing": 1}


@pytest.mark.parametrize(
    ("category", "ttl", "lives_ms"),
    [
        ("authentication", {}, 600_000),
        ("authentication", {"authentication": 30}, 30_000),
        ("marketing", {}, None),
        ("marketing", {"marketing": 3_600, "utility": 60}, 3_600_000),
        ("service", {"marketing": 3_600}, None),
    ],
)
def test_a_message_lives_as_long_as_its_application_says_and_a_password_ten_minutes(
    category: str, ttl: dict[str, int], lives_ms: int | None
) -> None:
    assert ttl_ms(category, Application(appkey="shop", account="acme", ttl=ttl)) == lives_ms


async def test_how_a_message_waits_follows_from_its_content_and_its_age(stand: Stand) -> None:
    row = message(stand.clock, category="authentication")
    template = {"name": "otp", "language": {"code": "en_US", "policy": "deterministic"}}
    request = decode(body("template", appkey=APPKEY, business_phone=PHONE, template=template))
    stand.clock.wall_ms += 5_000
    entry = stand.gate.entry_of(row, request, stand.route.application)
    assert (entry.priority, entry.template) == (PRIORITY_PROMPT, "otp")
    assert (entry.due_at_ms, entry.expires_at_ms) == (row.created_at_ms, row.created_at_ms + 600_000)
