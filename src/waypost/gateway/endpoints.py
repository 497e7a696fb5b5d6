"""What is known of each endpoint that callbacks are pushed to, and whose turn it is."""

import heapq
from collections import Counter, deque

from waypost.model import Noun

OPEN_AFTER = 10  # failures in a row, which a busy endpoint collects in the second that its restart takes
PROBE_WAITS_MS = tuple(60_000 * minutes for minutes in (1, 5, 15, 30, 60))  # until the next try while it is down
PROBE_EVERY_MS = PROBE_WAITS_MS[-1]  # in the long run
_LOOK_AGAIN_S = 1.0  # wall time may jump; nothing waits longer than this before it is looked at again
_OUTDATED = 1_000  # entries of the heap that are worth a clean-up


class PushLimits(Noun, frozen=True, kw_only=True):
    """How many pushes may be under way at once, and how long one may take."""

    timeout_s: float
    per_endpoint: int = 8
    per_account: int = 32
    in_all: int = 256
    guaranteed: int = 4  # of each account, however many the others have


class Endpoint:
    """What is known of one endpoint; forgotten at a restart, which costs a few tries at most."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.account = name.partition(" ")[0]
        self.due_at_ms: int | None = None
        self.is_in_line = False
        self.is_probe_wanted = False
        self.active = 0
        self.failures = 0
        self.rests_since_ms: int | None = None  # nothing waits there, but that it has failed is still known

    @property
    def is_open(self) -> bool:
        """Whether it has failed so often that only a probe goes there."""
        return self.failures >= OPEN_AFTER

    @property
    def probe_wait_ms(self) -> int:
        """How long after the last failure the next probe goes there, if it is open."""
        return PROBE_WAITS_MS[min(self.failures - OPEN_AFTER, len(PROBE_WAITS_MS) - 1)]


class Endpoints:
    """Every endpoint of which something is known, and the line in which they wait for their turn.

    Accounts take turns, and within an account its endpoints in the order in which they became due. So one that has
    thousands of them due holds another up for one claim, and what is not due costs nothing.
    """

    def __init__(self, limits: PushLimits) -> None:
        self._limits = limits
        self._known: dict[str, Endpoint] = {}
        self._later: list[tuple[int, str]] = []  # a heap; an entry whose time isn't its endpoint's any more is void
        self._lines: dict[str, deque[Endpoint]] = {}  # by account; the account in front is next
        self._active: Counter[str] = Counter()  # pushes under way, by account
        self._active_in_all = 0
        self._open: set[str] = set()

    @property
    def down(self) -> int:
        """How many are only probed."""
        return len(self._open)

    def is_down(self, name: str) -> bool:
        """Tell whether an endpoint is only probed."""
        return name in self._open

    def look_at(self, name: str, due_at_ms: int) -> None:
        """Look at an endpoint at this time, or sooner where somebody else wants that."""
        endpoint = self._known.get(name) or self._known.setdefault(name, Endpoint(name))
        earlier = endpoint.due_at_ms
        self._plan(endpoint, due_at_ms if earlier is None else min(earlier, due_at_ms))

    def ring(self, name: str, now_ms: int, *, probe: bool) -> None:
        """Look at an endpoint now; at one that is down only with `probe`, and then after the push that is under way."""
        if probe or not self.is_down(name):
            self.look_at(name, now_ms)
            self._known[name].is_probe_wanted |= probe

    def next_turn(self, now_ms: int) -> tuple[Endpoint, int] | None:
        """Take the endpoint whose turn it is out of the line, with the number of pushes that may begin there.

        None where nothing is due, or everything that is has to wait for a push to end.
        """
        self._line_up(now_ms)
        for account in tuple(self._lines):
            of_account = self._room_of(account)
            line = self._lines[account] if of_account > 0 else ()
            while line:
                endpoint = line.popleft()
                endpoint.is_in_line = False
                room = self._room_at(endpoint, of_account)
                due_at_ms = endpoint.due_at_ms
                if due_at_ms is not None and due_at_ms > now_ms:  # it failed meanwhile, or the clock went back
                    self._plan(endpoint, due_at_ms)
                elif room > 0:  # without room it is looked at again when a push there ends
                    self._lines[account] = self._lines.pop(account)
                    endpoint.due_at_ms, endpoint.is_probe_wanted = None, False
                    return endpoint, room
            if not self._lines[account]:
                del self._lines[account]
        return None

    def looked_at(self, endpoint: Endpoint, next_due_ms: int | None, now_ms: int) -> None:
        """Note what the journal says of an endpoint: when the next callback there is due, or that none waits.

        One at which nothing waits is forgotten; one that has failed not before that has been so for an hour, for
        customers may name any number of them.
        """
        if next_due_ms is not None:
            endpoint.rests_since_ms = None
            earliest_ms = now_ms + endpoint.probe_wait_ms if endpoint.is_open else next_due_ms
            self.look_at(endpoint.name, max(next_due_ms, earliest_ms))
        elif not endpoint.active and endpoint.due_at_ms is None:  # nobody has rung meanwhile
            if endpoint.rests_since_ms is None:
                endpoint.rests_since_ms = now_ms
            if endpoint.failures and now_ms - endpoint.rests_since_ms < PROBE_EVERY_MS:
                self.look_at(endpoint.name, endpoint.rests_since_ms + PROBE_EVERY_MS)
            else:
                del self._known[endpoint.name]
                self._open.discard(endpoint.name)

    def push_begins(self, endpoint: Endpoint) -> None:
        """Count a push that begins."""
        endpoint.rests_since_ms = None
        endpoint.active += 1
        self._active[endpoint.account] += 1
        self._active_in_all += 1

    def push_ended(self, endpoint: Endpoint, began_at_ms: int, now_ms: int) -> None:
        """Count a push that has ended; its endpoint is looked at again at once, or when it is to be probed."""
        endpoint.active -= 1
        self._active[endpoint.account] -= 1
        self._active_in_all -= 1
        is_left_alone = endpoint.is_open and not endpoint.is_probe_wanted
        self._plan(endpoint, began_at_ms + endpoint.probe_wait_ms if is_left_alone else now_ms)

    def note(self, endpoint: Endpoint, *, succeeded: bool) -> bool:
        """Count a success or a failure; return whether the endpoint went down, or came back, by it."""
        was_open = endpoint.is_open
        endpoint.failures = 0 if succeeded else endpoint.failures + 1
        (self._open.add if endpoint.is_open else self._open.discard)(endpoint.name)
        return was_open != endpoint.is_open

    def learn(self, name: str, now_ms: int, *, is_down: bool) -> None:
        """Take over what another process found out about an endpoint that is known here too."""
        endpoint = self._known.get(name)
        if endpoint is None:
            return
        if is_down:
            endpoint.failures = max(endpoint.failures, OPEN_AFTER)
            self._open.add(name)
            self._plan(endpoint, now_ms + endpoint.probe_wait_ms)
        else:
            endpoint.failures = 0
            self._open.discard(name)
            self._plan(endpoint, now_ms)

    def pause_s(self, now_ms: int) -> float:
        """Return how long nothing becomes due, one second at most."""
        while self._later and self._is_void(self._later[0]):
            heapq.heappop(self._later)
        if not self._later:
            return _LOOK_AGAIN_S
        return min(max(self._later[0][0] - now_ms, 0) / 1000, _LOOK_AGAIN_S)

    def _room_of(self, account: str) -> int:
        limits, active = self._limits, self._active[account]
        return min(limits.per_account - active, max(limits.in_all - self._active_in_all, limits.guaranteed - active))

    def _room_at(self, endpoint: Endpoint, of_account: int) -> int:
        """Return how many pushes may begin at an endpoint: it leaves as many places of its account as it holds.

        So a few endpoints that hang can't take all of them, and one alone has its full number.
        """
        most = 1 if endpoint.failures else self._limits.per_endpoint
        left = self._limits.per_account - self._active[endpoint.account]
        return min(of_account, most - endpoint.active, (left - endpoint.active + 1) // 2)

    def _line_up(self, now_ms: int) -> None:
        while self._later and self._later[0][0] <= now_ms:
            entry = heapq.heappop(self._later)
            if not self._is_void(entry):
                endpoint = self._known[entry[1]]
                endpoint.is_in_line = True
                self._lines.setdefault(endpoint.account, deque()).append(endpoint)

    def _plan(self, endpoint: Endpoint, due_at_ms: int) -> None:
        endpoint.due_at_ms = due_at_ms
        if endpoint.is_in_line:
            return
        heapq.heappush(self._later, (due_at_ms, endpoint.name))
        if len(self._later) > 2 * len(self._known) + _OUTDATED:
            self._later = [entry for entry in set(self._later) if not self._is_void(entry)]
            heapq.heapify(self._later)

    def _is_void(self, entry: tuple[int, str]) -> bool:
        due_at_ms, name = entry
        endpoint = self._known.get(name)
        return endpoint is None or endpoint.is_in_line or endpoint.due_at_ms != due_at_ms
