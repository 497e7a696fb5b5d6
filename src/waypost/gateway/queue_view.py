"""What an operator sees of the queue: how much waits where and why, and when it will have left."""

from collections import defaultdict
from collections.abc import Iterable

from waypost.clock import Clock
from waypost.gateway import queue_names
from waypost.gateway.holds import Held, Holds, seconds, span, words
from waypost.gateway.registry import Registry
from waypost.gateway.sending import Sending
from waypost.model import Noun
from waypost.store.base import Store
from waypost.store.base_queue import QueueDepth, QueueFilter, Standing, Waiting

ITS_TURN = "its turn"
BEHIND = "an earlier message to this recipient"
_PER_SECOND_PLACES = 2


class SortLine(Noun, frozen=True, kw_only=True):
    """How many messages of one application, priority and reason wait to leave through a phone.

    The reason is what the message was told when it last tried to leave. `aside`: Meta takes them at a time of their
    own, perhaps tomorrow, and all others go on meanwhile.
    """

    account: str
    appkey: str
    priority: str
    reason: str
    aside: bool
    waiting: int
    oldest_seconds: float


class PhoneLine(Noun, frozen=True, kw_only=True):
    """What waits to leave through one phone, how fast it leaves, what holds it, and when the last of it will leave.

    `number`, `waba_id` and `configured_per_second` are None for a phone that is not among the tenants any more.
    `aside` of those that wait have a time of their own. They are no part of the forecast `ends_in_seconds`, which is
    None where nobody knows: something else that waits is held without a known end.
    """

    phone_number_id: str
    number: str | None
    waba_id: str | None
    waiting: int
    aside: int
    oldest_seconds: float | None
    under_way: int
    pace_per_second: float
    configured_per_second: int | None
    held_by: tuple[Held, ...]
    ends_in_seconds: float | None
    sorts: tuple[SortLine, ...]


class QueuePicture(Noun, frozen=True, kw_only=True):
    """The queue at one moment; `limit` is how many messages may wait, further ones are answered 9001."""

    waiting: int
    limit: int
    oldest_seconds: float | None
    under_way: int
    paused: tuple[Held, ...]
    phones: tuple[PhoneLine, ...]


class MessageLine(Noun, frozen=True, kw_only=True):
    """One message that waits, by the gateway's own id."""

    message_id: str
    phone_number_id: str
    number: str | None
    account: str
    appkey: str
    to: str
    priority: str
    template: str | None
    since_ms: int
    waiting_seconds: float
    due_in_seconds: float
    expires_in_seconds: float | None
    tries: int
    reason: str


class QueuedPage(Noun, frozen=True, kw_only=True):
    """One page of messages that wait, oldest first."""

    messages: tuple[MessageLine, ...]
    next_cursor: str | None


class QueueView:
    """Looks at the queue, and changes nothing."""

    def __init__(self, store: Store, registry: Registry, parts: Sending, clock: Clock, limit: int) -> None:
        self._store = store
        self._registry = registry
        self._parts = parts
        self._clock = clock
        self._limit = limit

    async def picture(self) -> QueuePicture:
        """Return what waits, for every phone of the tenants and every other one with a backlog.

        It counts the journal's rows, so it takes longer the more there are: half a second for a million.
        """
        depths: defaultdict[str, list[QueueDepth]] = defaultdict(list)
        for depth in await self._store.queue_depths():
            depths[depth.phone_number_id].append(depth)
        due = {phone.phone_number_id: phone.due_at_ms for phone in await self._store.queue_phones()}
        holds = await self._holds()
        ids = sorted({*self._registry.tenants.phones_by_id, *depths})
        phones = tuple(self._phone(phone_id, depths[phone_id], due.get(phone_id), holds) for phone_id in ids)
        ages = [phone.oldest_seconds for phone in phones if phone.oldest_seconds is not None]
        return QueuePicture(
            waiting=sum(phone.waiting for phone in phones),
            limit=self._limit,
            oldest_seconds=max(ages, default=None),
            under_way=sum(phone.under_way for phone in phones),
            paused=holds.paused(),
            phones=phones,
        )

    async def messages(self, wanted: QueueFilter, *, limit: int, cursor: str | None) -> QueuedPage:
        """Return a page of what waits, with the reason of each."""
        page = await self._store.waiting(wanted, limit=limit, cursor=cursor)
        holds = await self._holds()
        return QueuedPage(messages=tuple(self._message(row, holds) for row in page.rows), next_cursor=page.next_cursor)

    async def _holds(self) -> Holds:
        said = await self._store.pauses()
        return Holds(self._parts.pauses, self._registry.tenants, said, self._clock.now_ms())

    def _phone(self, phone_id: str, depths: list[QueueDepth], due_ms: int | None, holds: Holds) -> PhoneLine:
        now = self._clock.now_ms()
        phone = self._registry.tenants.phones_by_id.get(phone_id)
        turns = self._parts.turns
        per_s = turns.pace.number(phone_id).per_s
        of_phone = holds.of_phone(phone_id) if phone is not None or depths else ()
        in_lanes = [depth for depth in depths if not depth.aside]
        waiting, in_turn = _count(depths), _count(in_lanes)
        starts = [turns.pace.forecast_ms(phone_id, 0) / 1000, 0.0 if due_ms is None else (due_ms - now) / 1000]
        return PhoneLine(
            phone_number_id=phone_id,
            number=None if phone is None else phone.number,
            waba_id=None if phone is None else phone.waba_id,
            waiting=waiting,
            aside=waiting - in_turn,
            oldest_seconds=_oldest(depths, now),
            under_way=turns.under_way(phone_id),
            pace_per_second=round(per_s, _PER_SECOND_PLACES),
            configured_per_second=None if phone is None else phone.messages_per_second,
            held_by=(*of_phone, *_of_applications(depths, holds)),
            ends_in_seconds=forecast_s(in_turn, per_s, starts, (*of_phone, *_of_applications(in_lanes, holds))),
            sorts=tuple(_sort(depth, now) for depth in depths),
        )

    def _message(self, row: Waiting, holds: Holds) -> MessageLine:
        now = self._clock.now_ms()
        phone = self._registry.tenants.phones_by_id.get(row.phone_number_id)
        return MessageLine(
            message_id=row.message_id,
            phone_number_id=row.phone_number_id,
            number=None if phone is None else phone.number,
            account=row.account,
            appkey=row.appkey,
            to=row.recipient,
            priority=queue_names.priority_name(row.priority),
            template=row.template,
            since_ms=row.since_ms,
            waiting_seconds=seconds(now - row.since_ms),
            due_in_seconds=seconds(row.due_at_ms - now),
            expires_in_seconds=None if row.expires_at_ms is None else seconds(row.expires_at_ms - now),
            tries=row.tries,
            reason=reason_of(row, (*holds.of_phone(row.phone_number_id), *holds.of_application(row.appkey)), now),
        )


def forecast_s(waiting: int, per_s: float, starts: Iterable[float], held_by: Iterable[Held]) -> float | None:
    """Return in how many seconds the last of so many messages leaves, or None where a hold has no known end.

    The first leaves when the last of the `starts` and of the holds is over, the others at the pace. Messages that have
    to wait for their recipient, or are refused and come back, may take longer.
    """
    if not waiting:
        return 0.0
    ends = [held.seconds_left if held.has_end else None for held in held_by]
    if None in ends:
        return None
    first = max((0.0, *starts, *(end for end in ends if end is not None)))
    return round(first + waiting / per_s, 1)


def reason_of(row: Waiting, held_by: Iterable[Held], now_ms: int) -> str:
    """Return why a message waits, with the time that is left: of several reasons the one that lasts longest."""
    if row.standing == Standing.BEHIND:
        return BEHIND
    due_s = seconds(row.due_at_ms - now_ms)
    lasts = {words(held): held.seconds_left if held.has_end else float("inf") for held in held_by}
    if due_s:
        lasts[f"{row.reason or ITS_TURN}, {span(due_s)} left"] = due_s
    return max(lasts, key=lambda reason: lasts[reason] or 0.0, default=ITS_TURN)


def _count(depths: list[QueueDepth]) -> int:
    return sum(depth.count for depth in depths)


def _of_applications(depths: list[QueueDepth], holds: Holds) -> tuple[Held, ...]:
    """Return what holds the applications whose messages these are."""
    return tuple(held for appkey in sorted({depth.appkey for depth in depths}) for held in holds.of_application(appkey))


def _oldest(depths: list[QueueDepth], now_ms: int) -> float | None:
    return max((seconds(now_ms - depth.oldest_since_ms) for depth in depths), default=None)


def _sort(depth: QueueDepth, now_ms: int) -> SortLine:
    return SortLine(
        account=depth.account,
        appkey=depth.appkey,
        priority=queue_names.priority_name(depth.priority),
        reason=depth.reason or ITS_TURN,
        aside=depth.aside,
        waiting=depth.count,
        oldest_seconds=seconds(now_ms - depth.oldest_since_ms),
    )
