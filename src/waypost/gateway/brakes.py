"""Why nothing may leave right now: somebody paused it, Meta said to wait, or Meta does not answer. Without I/O."""

from waypost.model import Noun

OPEN_AFTER = 5  # attempts in a row that got no answer; one message that always fails can't reach it among others
FIRST_PROBE_MS = 1_000
LONGEST_PROBE_MS = 30_000
_WIDE_OPEN = 64  # attempts under way from which on a WABA counts as recovered

PHONE, APPLICATION, WABA, APP = "phone", "application", "waba", "app"


class Hold(Noun, frozen=True, kw_only=True):
    """A reason to wait, in words for people, and until when; None: until somebody lifts it."""

    reason: str
    until_ms: int | None


class Place(Noun, frozen=True, kw_only=True):
    """What a message leaves through: a phone, its WABA, and the Meta app whose calls are counted together."""

    phone_number_id: str
    waba_id: str
    app: str


class Breaker:
    """Whether Meta answers for one WABA: opens after failures in a row, lets a probe through, closes step by step.

    Once Meta answers again, the number of attempts that may be under way doubles with each answer, so that what has
    gathered does not fall on Meta at once.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._probe_at_ms = 0
        self._wait_ms = 0
        self._room: int | None = None  # None: closed, no bound of ours

    @property
    def is_open(self) -> bool:
        """Whether attempts are only probes."""
        return self._wait_ms > 0

    @property
    def is_wary(self) -> bool:
        """Whether Meta did not answer lately, and has not been trusted with everything again."""
        return self._room is not None

    def hold(self, now_ms: int) -> Hold | None:
        """Return until when to wait before the next probe, or None where an attempt may be made now."""
        if self.is_open and now_ms < self._probe_at_ms <= now_ms + LONGEST_PROBE_MS:  # else wall time was put back
            return Hold(reason="Meta does not answer", until_ms=self._probe_at_ms)
        return None

    def room(self, under_way: int) -> int:
        """Return how many more attempts may begin now."""
        return _WIDE_OPEN if self._room is None else max(0, self._room - under_way)

    def failed(self, now_ms: int) -> bool:
        """Count an attempt that got no answer; return whether that opened the breaker."""
        self.failures += 1
        if self.failures < OPEN_AFTER:
            return False
        opened = not self.is_open
        if opened or self.hold(now_ms) is None:  # those that left before it opened tell nothing new
            self._wait_ms = min(LONGEST_PROBE_MS, max(FIRST_PROBE_MS, 2 * self._wait_ms))
            self._probe_at_ms = now_ms + self._wait_ms
        self._room = 1
        return opened

    def answered(self) -> bool:
        """Count an answer of Meta's, also a refusal; return whether that closed the breaker."""
        closed = self.is_open
        self.failures = 0
        self._wait_ms = 0
        if self._room is not None:
            self._room = None if self._room >= _WIDE_OPEN else 2 * self._room
        return closed


class Brakes:
    """All reasons to wait of one process, by what they are about."""

    def __init__(self) -> None:
        self._holds: dict[tuple[str, str], tuple[Hold, int]] = {}  # and when each was put on
        self._breakers: dict[str, Breaker] = {}
        self._taken_off_ms: dict[tuple[str, str], int] = {}

    def breaker(self, waba_id: str) -> Breaker:
        """Return the breaker of a WABA."""
        breaker = self._breakers.get(waba_id)
        if breaker is None:
            breaker = self._breakers[waba_id] = Breaker()
        return breaker

    def are_off(self, waba_id: str) -> bool:
        """Tell whether nothing at all is held and Meta answers for a WABA, as mostly."""
        return not self._holds and not self.breaker(waba_id).is_wary

    def put_on(self, kind: str, key: str, hold: Hold, *, now_ms: int, began_ms: int | None = None) -> bool:
        """Hold something, unless a longer hold is there already; return whether this one is new.

        `began_ms` is when the attempt began that says so: what began before a hold was taken off tells of the time
        before, such as the token that was replaced.
        """
        off_ms = self._taken_off_ms.get((kind, key), -1)
        if began_ms is not None and began_ms <= off_ms <= now_ms:  # else wall time was put back
            return False
        there = self._hold(kind, key, now_ms)
        if there is not None and (
            there.until_ms is None or (hold.until_ms is not None and hold.until_ms <= there.until_ms)
        ):
            return False
        self._holds[kind, key] = hold, now_ms
        return True

    def take_off(self, kind: str, key: str, now_ms: int) -> bool:
        """Let go of something; return whether it was held."""
        self._taken_off_ms[kind, key] = now_ms
        return self._holds.pop((kind, key), None) is not None

    def hold_of(self, place: Place, now_ms: int) -> Hold | None:
        """Return why nothing may leave through a place now: the reason that holds longest."""
        silent = self.breaker(place.waba_id).hold(now_ms)
        if not self._holds:  # as mostly
            return silent
        about = ((PHONE, place.phone_number_id), (WABA, place.waba_id), (APP, place.app))
        found = [hold for kind, key in about if (hold := self._hold(kind, key, now_ms)) is not None]
        if silent is not None:
            found.append(silent)
        return max(found, key=lambda hold: float("inf") if hold.until_ms is None else hold.until_ms, default=None)

    def hold_of_application(self, appkey: str, now_ms: int) -> Hold | None:
        """Return why nothing of an application may leave now."""
        return self._hold(APPLICATION, appkey, now_ms)

    def holds(self, now_ms: int) -> dict[tuple[str, str], Hold]:
        """Return everything that is held now, by kind and key; Meta's silence is the breakers' to tell."""
        return {name: hold for name in tuple(self._holds) if (hold := self._hold(*name, now_ms)) is not None}

    def _hold(self, kind: str, key: str, now_ms: int) -> Hold | None:
        hold, since_ms = self._holds.get((kind, key), (None, 0))
        if hold is None or hold.until_ms is None or since_ms <= now_ms < hold.until_ms:
            return hold
        del self._holds[kind, key]  # it is over; or wall time was put back, and nobody knows when it is
        return None
