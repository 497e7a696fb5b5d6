"""What holds messages up at present, in words for people, with the seconds that are left."""

import math
from collections.abc import Iterable
from typing import Literal

from waypost.gateway.brakes import APP, APPLICATION, PHONE, WABA, Breaker, Hold
from waypost.gateway.pauses import Pauses
from waypost.gateway.tenants import Tenants
from waypost.model import Noun
from waypost.store.base_queue import Pause, PausedBy

HeldKind = Literal["phone", "application", "waba", "app"]


class Held(Noun, frozen=True, kw_only=True):
    """A reason why something waits.

    With an end, `seconds_left` counts to it; without one to the next probe of a Meta that does not answer, and None is
    until somebody lifts it.
    """

    kind: HeldKind
    key: str
    reason: str
    by: PausedBy
    has_end: bool
    seconds_left: float | None


class Holds:
    """Everything that is held at one moment."""

    def __init__(self, pauses: Pauses, tenants: Tenants, said: Iterable[Pause], now_ms: int) -> None:
        """`said` is what the journal keeps of pauses: it knows who paused something."""
        self._pauses = pauses
        self._tenants = tenants
        self._said: dict[tuple[str, str], Pause] = {(pause.kind, pause.key): pause for pause in said}
        self._now_ms = now_ms
        self._held = {name: self._in_words(*name, hold) for name, hold in pauses.brakes.holds(now_ms).items()}

    def paused(self) -> tuple[Held, ...]:
        """Return what is held until somebody lifts it, by kind and key."""
        return tuple(self._held[name] for name in sorted(self._held) if self._held[name].seconds_left is None)

    def of_phone(self, phone_number_id: str) -> tuple[Held, ...]:
        """Return what holds all messages of a phone."""
        phone = self._tenants.phones_by_id.get(phone_number_id)
        if phone is None:
            return (_until_applied(PHONE, phone_number_id, "the phone is not among the tenants"),)
        if phone.waba_id not in self._tenants.wabas:
            return (_until_applied(WABA, phone.waba_id, "the WABA is not among the tenants"),)
        names = ((PHONE, phone_number_id), (WABA, phone.waba_id), (APP, self._pauses.app_of(phone.waba_id)))
        found = [self._held[name] for name in names if name in self._held]
        return (*found, *self._silence(phone.waba_id, self._pauses.brakes.breaker(phone.waba_id)))

    def of_application(self, appkey: str) -> tuple[Held, ...]:
        """Return what holds all messages of an application."""
        application = self._tenants.applications.get(appkey)
        if application is None or not application.enabled:
            return (_until_applied(APPLICATION, appkey, "the application is disabled"),)
        name = (APPLICATION, appkey)
        return (self._held[name],) if name in self._held else ()

    def _in_words(self, kind: str, key: str, hold: Hold) -> Held:
        pause = self._said.get((kind, key))
        by: PausedBy = "gateway" if pause is None else pause.by
        reason = hold.reason if pause is None else pause.reason
        if by == "operator":
            reason = f"paused by an operator: {reason}" if reason else "paused by an operator"
        left = None if hold.until_ms is None else seconds(hold.until_ms - self._now_ms)
        return _held(kind, key, reason, by=by, has_end=left is not None, seconds_left=left)

    def _silence(self, waba_id: str, breaker: Breaker) -> tuple[Held, ...]:
        if not breaker.is_open:
            return ()
        probe = breaker.hold(self._now_ms)
        left = 0.0 if probe is None or probe.until_ms is None else seconds(probe.until_ms - self._now_ms)
        soon = f"next probe in {span(left)}" if left else "it is being probed"
        return (_held(WABA, waba_id, f"Meta does not answer: {soon}", seconds_left=left),)


def _until_applied(kind: str, key: str, reason: str) -> Held:
    return _held(kind, key, reason)


def _held(
    kind: str,
    key: str,
    reason: str,
    *,
    by: PausedBy = "gateway",
    has_end: bool = False,
    seconds_left: float | None = None,
) -> Held:
    return Held(kind=kind, key=key, reason=reason, by=by, has_end=has_end, seconds_left=seconds_left)  # type: ignore[arg-type]  # the kinds of brakes


def words(held: Held) -> str:
    """Return a reason with the time that it still holds."""
    left = held.seconds_left
    return f"{held.reason}, {span(left)} left" if held.has_end and left is not None else held.reason


def seconds(milliseconds: float) -> float:
    """Return milliseconds as seconds to the tenth, never below 0."""
    return max(0, round(milliseconds / 100)) / 10


def span(seconds_long: float) -> str:
    """Return a time as people say it, rounded up to one unit: `4 s`, `12 min`, `3 h`."""
    for size, unit in ((1, "s"), (60, "min")):
        if seconds_long <= 120 * size:
            return f"{math.ceil(seconds_long / size)} {unit}"
    return f"{math.ceil(seconds_long / 3600)} h"
