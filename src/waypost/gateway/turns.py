"""Whether a message may leave now: what holds its place, its application or its recipient, and when its slot comes."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Iterator

from waypost.clock import Clock
from waypost.gateway.brakes import Hold, Place
from waypost.gateway.pace_keeper import PaceKeeper
from waypost.gateway.pauses import Pauses
from waypost.gateway.registry import Registry
from waypost.store.base import Store
from waypost.store.base_queue import PRIORITY_PROMPT, QueueFilter, Waiting

_FOR_EVER_S = 3_600.0
PAIR_REASON = "pair limit"
_SECONDS_UNDER_WAY = 2  # attempts under way at once, as seconds of the pace: Meta takes a few hundred milliseconds
_LEAST_UNDER_WAY = 16
_NEVER_TOO_MANY = _LEAST_UNDER_WAY * 3 // 4
_MOST_UNDER_WAY = 400  # of one number: a thousand a second need 350
MOST_IN_ALL = 2_000  # connections to Meta; a WABA leaves as many as it takes


class Turns:
    """Answers for every phone of this process."""

    def __init__(self, store: Store, registry: Registry, pace: PaceKeeper, pauses: Pauses, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self.pace = pace
        self._pauses = pauses
        self._clock = clock
        self._in_all = 0  # attempts under way
        self._under_way: Counter[str] = Counter()  # the same by WABA
        self._of_phone: Counter[str] = Counter()  # and by phone
        self._waiting_for_room: deque[asyncio.Event] = deque()
        self._cancelled: list[tuple[QueueFilter, str]] = []  # with the id that is later than all that are meant
        self._places: dict[str, Place] = {}  # those of these tenants, for they are asked for all the time
        self._places_of = registry.tenants

    def place(self, phone_number_id: str) -> Place:
        """Say what a message of a phone leaves through now, also one that came when the phone was another WABA's."""
        if self._places_of is not self._registry.tenants:
            self._places_of, self._places = self._registry.tenants, {}
        place = self._places.get(phone_number_id)
        if place is None:
            phone = self._registry.tenants.phones_by_id.get(phone_number_id)
            waba_id = "" if phone is None else phone.waba_id  # an unknown phone is held, see `hold_of`
            place = Place(phone_number_id=phone_number_id, waba_id=waba_id, app=self._pauses.app_of(waba_id))
            self._places[phone_number_id] = place
        return place

    def is_free(self, place: Place, appkey: str, priority: int) -> bool:
        """Tell whether a message may leave now as far as its place and its application are concerned.

        Every message asks: the usual case is told without looking at each reason to wait.
        """
        if not self._pauses.brakes.are_off(place.waba_id):
            held = self.hold_of(place) or self.hold_of_application(appkey)
            return held is None and not self.is_wary(place) and self.room(place, priority)
        tenants = self._registry.tenants
        application = tenants.applications.get(appkey)
        return (
            place.waba_id in tenants.wabas
            and place.phone_number_id in tenants.phones_by_id
            and application is not None
            and application.enabled
            and self.room(place, priority)
        )

    def hold_of(self, place: Place) -> Hold | None:
        """Return why nothing may leave through a place now."""
        if place.phone_number_id not in self._registry.tenants.phones_by_id:
            return Hold(reason="the phone is not among the tenants", until_ms=None)
        if place.waba_id not in self._registry.tenants.wabas:
            return Hold(reason="the WABA is not among the tenants", until_ms=None)
        return self._pauses.brakes.hold_of(place, self._clock.now_ms())

    def hold_of_application(self, appkey: str) -> Hold | None:
        """Return why nothing of an application may leave now."""
        application = self._registry.tenants.applications.get(appkey)
        if application is None or not application.enabled:
            return Hold(reason="the application is disabled", until_ms=None)
        return self._pauses.brakes.hold_of_application(appkey, self._clock.now_ms())

    def is_wary(self, place: Place) -> bool:
        """Tell whether Meta did not answer for a place lately, so that nobody knows when a message will leave."""
        return self._pauses.brakes.breaker(place.waba_id).is_wary

    def room(self, place: Place, priority: int) -> bool:
        """Tell whether one more attempt may begin for a phone and its WABA.

        Few may at first when Meta has just come back. Where Meta is slow, one number must not take all of the
        connections to it; and a campaign that hangs there leaves a part of its number's places to what is urgent.
        """
        under_way = self._of_phone[place.phone_number_id]
        if under_way >= _NEVER_TOO_MANY:
            most = int(_SECONDS_UNDER_WAY * self.pace.number(place.phone_number_id).per_s)
            most = min(max(_LEAST_UNDER_WAY, most), _MOST_UNDER_WAY)
            if under_way >= (most if priority == PRIORITY_PROMPT else most * 3 // 4):
                return False
        if self._under_way[place.waba_id] >= MOST_IN_ALL - self._in_all:
            return False
        return self._pauses.brakes.breaker(place.waba_id).room(self._under_way[place.waba_id]) > 0

    def begin(self, place: Place) -> None:
        """Count an attempt that begins."""
        self._in_all += 1
        self._under_way[place.waba_id] += 1
        self._of_phone[place.phone_number_id] += 1

    def end(self, place: Place) -> None:
        """Count an attempt that has ended."""
        self._in_all -= 1
        self._under_way[place.waba_id] -= 1
        self._of_phone[place.phone_number_id] -= 1
        if self._waiting_for_room:
            self._waiting_for_room.popleft().set()

    def wait_for_room(self, wake: asyncio.Event) -> None:
        """Have one woken when an attempt of any phone ends: one for each that ends, whoever has waited longest."""
        if wake not in self._waiting_for_room:
            self._waiting_for_room.append(wake)

    def under_way(self, phone_number_id: str) -> int:
        """Return how many attempts of a phone are being made, inside requests and out of the queue."""
        return self._of_phone[phone_number_id]

    async def slot(self, phone_number_id: str) -> None:
        """Wait for the next slot of a number; raises `StoreUnavailable`."""
        wait_s = await self.pace.slot(phone_number_id)
        if wait_s:
            await self._clock.sleep(wait_s)

    async def heads(self, phone_number_id: str, per_application: int) -> tuple[Waiting, ...]:
        """Return what is due of a phone, the first few of each application."""
        return await self._store.queue_heads(
            phone_number_id, now_ms=self._clock.now_ms(), per_application=per_application
        )

    async def next_due(self, phone_number_id: str) -> int | None:
        """Return when the next message of a phone is due."""
        return await self._store.next_queued(phone_number_id)

    async def lanes_stand(self, phone_number_id: str) -> bool:
        """Tell whether anything stands in the lanes of a phone, also behind an attempt whose end nobody knows."""
        return await self._store.lanes_stand(phone_number_id)

    @contextlib.contextmanager
    def cancelling(self, wanted: QueueFilter, before_id: str) -> Iterator[None]:
        """Let nothing leave that is cancelled, also what comes back from an attempt that was under way."""
        self._cancelled.append((wanted, before_id))
        try:
            yield
        finally:
            self._cancelled.remove((wanted, before_id))

    def is_stuck(self, waiting: Waiting) -> bool:
        """Tell whether a message stays where it is, whatever its number does.

        Its application is held, its name belongs to another account by now, or it is being cancelled.
        """
        application = self._registry.tenants.applications.get(waiting.appkey)
        return (
            application is None
            or application.account != waiting.account
            or self.hold_of_application(waiting.appkey) is not None
            or any(waiting.message_id < before_id and wanted.fits(waiting) for wanted, before_id in self._cancelled)
        )

    def is_too_late(self, waiting: Waiting) -> bool:
        """Tell whether a message is not worth sending any more."""
        return waiting.expires_at_ms is not None and waiting.expires_at_ms <= self._clock.now_ms()

    async def may_leave(self, waiting: Waiting) -> bool:
        """Tell whether a message that is due leaves now; if it is its recipient's turn later, it is due then."""
        now = self._clock.now_ms()
        wait_ms = self.pace.pair_wait_ms(waiting.phone_number_id, waiting.recipient)
        if not wait_ms:
            self.pace.left(waiting.phone_number_id, waiting.recipient)
            return True
        await self._store.defer_queued(waiting.message_id, due_at_ms=now + wait_ms, reason=PAIR_REASON)
        return False

    def seconds_until(self, at_ms: int | None) -> float:
        """Return the seconds until a time; None is one that nobody knows."""
        return _FOR_EVER_S if at_ms is None else max(0.0, (at_ms - self._clock.now_ms()) / 1000)

    async def sleep(self, seconds: float) -> None:
        """Wait by the clock of the gateway."""
        await self._clock.sleep(seconds)
