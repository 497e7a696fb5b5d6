"""Whose turn it is: accounts take turns, nobody takes more than a share, and nobody who waits is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS, PROBE_WAITS_MS, Endpoint, Endpoints, PushLimits

LIMITS = PushLimits(timeout_s=10)
NOW_MS = 1_790_000_000_000


def named(account: str, number: int = 0) -> str:
    return f"{account} https://n{number}.example"


def turn(endpoints: Endpoints, now_ms: int = NOW_MS) -> tuple[str, int]:
    taken = endpoints.next_turn(now_ms)
    assert taken is not None
    return taken[0].name, taken[1]


def begin(endpoints: Endpoints, number: int, name: str, now_ms: int = NOW_MS) -> Endpoint:
    """Take the turn of an endpoint, which must be next, and begin so many pushes there."""
    taken = endpoints.next_turn(now_ms)
    assert taken is not None
    endpoint, room = taken
    assert endpoint.name == name
    assert number <= room
    for _ in range(number):
        endpoints.push_begins(endpoint)
    return endpoint


def brought_down(endpoints: Endpoints, name: str) -> Endpoint:
    """Let so many pushes fail that an endpoint is only probed."""
    endpoints.look_at(name, NOW_MS)
    endpoint = begin(endpoints, 1, name)
    for number in range(OPEN_AFTER):
        assert endpoints.note(endpoint, succeeded=False) == (number == OPEN_AFTER - 1)
    return endpoint


# --- turns ---------------------------------------------------------------------------------------------------------


def test_an_account_with_ten_thousand_endpoints_due_holds_another_up_for_one_turn() -> None:
    endpoints = Endpoints(LIMITS)
    for number in range(10_000):
        endpoints.look_at(named("acme", number), NOW_MS - 60_000)
    assert turn(endpoints)[0].startswith("acme ")
    endpoints.look_at(named("globex"), NOW_MS)
    names = [turn(endpoints)[0].partition(" ")[0] for _ in range(3)]
    assert sorted(names[:2]) == ["acme", "globex"]
    assert names[2] == "acme"


def test_accounts_take_turns_and_each_ones_endpoints_go_by_their_time() -> None:
    endpoints = Endpoints(LIMITS)
    for number, account in enumerate(("acme",) * 3 + ("globex",) * 2 + ("initech",)):
        endpoints.look_at(named(account, number), NOW_MS - number)
    told = [turn(endpoints)[0] for _ in range(6)]
    assert [name.partition(" ")[0] for name in told] == [
        "initech", "globex", "acme", "globex", "acme", "acme"
    ]  # fmt: skip
    assert [name for name in told if name.startswith("acme")] == [named("acme", number) for number in (2, 1, 0)]
    assert endpoints.next_turn(NOW_MS) is None


def test_what_is_not_due_has_no_turn_and_the_sooner_of_two_times_counts() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS + 500)
    endpoints.look_at(named("acme"), NOW_MS + 90_000)
    assert endpoints.next_turn(NOW_MS + 499) is None
    assert turn(endpoints, NOW_MS + 500) == (named("acme"), 8)
    assert endpoints.next_turn(NOW_MS + 90_000) is None, "once looked at, only what the look finds counts"


def test_a_clock_that_goes_back_loses_nobody_who_is_in_line() -> None:
    endpoints = Endpoints(LIMITS)
    for number in range(2):
        endpoints.look_at(named("acme", number), NOW_MS)
    turn(endpoints)
    assert endpoints.next_turn(NOW_MS - 3_600_000) is None
    assert turn(endpoints)[0] == named("acme", 1)


# --- shares --------------------------------------------------------------------------------------------------------


def test_an_endpoint_gets_eight_pushes_at_once_and_one_after_a_failure() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS)
    endpoint = begin(endpoints, 8, named("acme"))
    endpoints.look_at(endpoint.name, NOW_MS)
    assert endpoints.next_turn(NOW_MS) is None
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    assert turn(endpoints) == (endpoint.name, 1)
    endpoints.note(endpoint, succeeded=False)
    for _ in range(7):
        assert endpoints.next_turn(NOW_MS) is None
        endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    assert turn(endpoints) == (endpoint.name, 1)
    endpoints.note(endpoint, succeeded=True)
    endpoints.look_at(endpoint.name, NOW_MS)
    assert turn(endpoints) == (endpoint.name, 8)


def test_an_account_gets_no_more_than_its_share_and_goes_on_when_a_push_ends() -> None:
    endpoints = Endpoints(LIMITS)
    for number in range(8):
        endpoints.look_at(named("acme", number), NOW_MS + number)
    rooms = enumerate((8, 8, 8, 4, 2, 1, 1))  # each leaves as many places as it takes, as far as there are any
    running = [begin(endpoints, room, named("acme", number), NOW_MS + 9) for number, room in rooms]
    assert endpoints.next_turn(NOW_MS + 9) is None, "one waits for the account's 33rd push"
    endpoints.look_at(named("globex"), NOW_MS)
    assert turn(endpoints) == (named("globex"), 8)
    endpoints.push_ended(running[0], NOW_MS, NOW_MS + 9)
    assert turn(endpoints, NOW_MS + 9) == (named("acme", 7), 1)


def test_twenty_accounts_that_all_hang_leave_every_other_account_its_share() -> None:
    endpoints = Endpoints(LIMITS)
    begun = 0
    for hung in range(20):
        for number in range(8):
            endpoints.look_at(named(f"hung{hung}", number), NOW_MS)
    while (taken := endpoints.next_turn(NOW_MS)) is not None:
        endpoint, room = taken
        begun += room
        for _ in range(room):
            endpoints.push_begins(endpoint)
    assert begun == LIMITS.in_all
    for account in ("acme", "globex"):
        endpoints.look_at(named(account), NOW_MS)
        assert turn(endpoints) == (named(account), LIMITS.guaranteed)


# --- endpoints that are down -----------------------------------------------------------------------------------------


def test_an_endpoint_that_is_down_is_probed_after_minutes_at_first_and_then_once_an_hour() -> None:
    endpoints = Endpoints(LIMITS)
    endpoint = brought_down(endpoints, named("acme"))
    at_ms = NOW_MS
    for minutes in (1, 5, 15, 30, 60, 60, 60):
        endpoints.push_ended(endpoint, at_ms, at_ms + 10_000)
        assert (endpoints.down, endpoints.is_down(endpoint.name)) == (1, True)
        endpoints.ring(endpoint.name, at_ms + 10_001, probe=False)
        assert endpoints.next_turn(at_ms + 60_000 * minutes - 1) is None
        at_ms += 60_000 * minutes
        assert turn(endpoints, at_ms) == (endpoint.name, 1)
        endpoints.push_begins(endpoint)
        assert not endpoints.note(endpoint, succeeded=False)
    assert endpoints.note(endpoint, succeeded=True), "it is back"
    assert (endpoints.down, endpoints.is_down(endpoint.name)) == (0, False)


def test_what_the_journal_says_of_an_endpoint_that_is_down_waits_for_the_probe() -> None:
    endpoints = Endpoints(LIMITS)
    endpoint = brought_down(endpoints, named("acme"))
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    at_ms = NOW_MS + PROBE_WAITS_MS[0]
    assert turn(endpoints, at_ms)[0] == endpoint.name
    endpoints.looked_at(endpoint, at_ms + 5_000, at_ms)
    assert endpoints.next_turn(at_ms + PROBE_WAITS_MS[0] - 1) is None
    assert turn(endpoints, at_ms + PROBE_WAITS_MS[0])[0] == endpoint.name


def test_a_replay_rung_during_a_push_to_a_dead_endpoint_is_probed_when_that_ends() -> None:
    endpoints = Endpoints(LIMITS)
    endpoint = brought_down(endpoints, named("acme"))
    endpoints.ring(endpoint.name, NOW_MS + 100, probe=True)
    assert endpoints.next_turn(NOW_MS + 100) is None, "one at a time"
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS + 10_000)
    assert turn(endpoints, NOW_MS + 10_000) == (endpoint.name, 1)
    endpoints.push_begins(endpoint)
    endpoints.push_ended(endpoint, NOW_MS + 10_000, NOW_MS + 20_000)
    assert endpoints.next_turn(NOW_MS + 20_000) is None, "the wish is fulfilled"


# --- forgetting --------------------------------------------------------------------------------------------------


def is_known(endpoints: Endpoints, name: str) -> bool:
    return name in vars(endpoints)["_known"]


def test_an_endpoint_that_never_failed_is_forgotten_when_nothing_waits_there() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS)
    endpoint = begin(endpoints, 1, named("acme"))
    endpoints.looked_at(endpoint, None, NOW_MS)
    assert is_known(endpoints, endpoint.name), "a push is under way"
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    assert turn(endpoints)[0] == endpoint.name
    endpoints.looked_at(endpoint, None, NOW_MS)
    assert not is_known(endpoints, endpoint.name)


def test_an_endpoint_that_failed_is_forgotten_when_nothing_has_waited_there_for_an_hour() -> None:
    endpoints = Endpoints(LIMITS)
    endpoint = brought_down(endpoints, named("acme"))
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    at_ms = NOW_MS + PROBE_EVERY_MS
    assert turn(endpoints, at_ms)[0] == endpoint.name
    endpoints.looked_at(endpoint, None, at_ms)  # all was given up
    assert endpoints.is_down(endpoint.name), "a replay within the hour finds what is known of it"
    assert endpoints.next_turn(at_ms + PROBE_EVERY_MS - 1) is None
    at_ms += PROBE_EVERY_MS
    assert turn(endpoints, at_ms)[0] == endpoint.name
    endpoints.looked_at(endpoint, None, at_ms)
    assert (is_known(endpoints, endpoint.name), endpoints.down) == (False, 0)
    assert endpoints.next_turn(at_ms + 10 * PROBE_EVERY_MS) is None


def test_the_hour_begins_anew_when_something_waits_again() -> None:
    endpoints = Endpoints(LIMITS)
    endpoint = brought_down(endpoints, named("acme"))
    endpoints.push_ended(endpoint, NOW_MS, NOW_MS)
    at_ms = NOW_MS
    for next_due_ms in (None, NOW_MS, None):
        at_ms += PROBE_EVERY_MS
        assert turn(endpoints, at_ms)[0] == endpoint.name
        endpoints.looked_at(endpoint, next_due_ms, at_ms)
        assert is_known(endpoints, endpoint.name)


def test_one_that_is_rung_while_the_journal_is_asked_is_not_forgotten() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS)
    endpoint = begin(endpoints, 0, named("acme"))
    endpoints.ring(endpoint.name, NOW_MS + 1, probe=False)
    endpoints.looked_at(endpoint, None, NOW_MS)
    assert turn(endpoints, NOW_MS + 1)[0] == endpoint.name


def test_times_that_count_no_more_take_up_no_memory() -> None:
    endpoints = Endpoints(LIMITS)
    for number in range(20_000):
        endpoints.look_at(named("acme"), NOW_MS + 86_400_000)
        endpoints.look_at(named("acme"), NOW_MS + number)
        assert turn(endpoints, NOW_MS + number)[0] == named("acme")
    assert len(vars(endpoints)["_later"]) < 3_000


# --- how long to sleep -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead_ms", "pause_s"), [(1, 0.001), (300, 0.3), (999, 0.999), (1_000, 1), (86_400_000, 1)])
def test_the_pause_ends_when_the_first_is_due_and_after_a_second_for_a_clock_that_jumps(
    ahead_ms: int, pause_s: float
) -> None:
    endpoints = Endpoints(LIMITS)
    assert endpoints.pause_s(NOW_MS) == 1
    endpoints.look_at(named("acme"), NOW_MS + ahead_ms)
    endpoints.look_at(named("acme", 1), NOW_MS + 2 * ahead_ms)
    assert endpoints.pause_s(NOW_MS) == pause_s


def test_what_became_due_since_the_last_turn_is_not_slept_over() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS + 5)
    assert endpoints.next_turn(NOW_MS + 4) is None
    assert endpoints.pause_s(NOW_MS + 9) == 0


def test_who_waits_for_a_push_to_end_keeps_nobody_awake() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS)
    endpoint = begin(endpoints, 8, named("acme"))
    endpoints.look_at(endpoint.name, NOW_MS)
    assert endpoints.next_turn(NOW_MS) is None
    assert endpoints.pause_s(NOW_MS) == 1


# --- whatever happens --------------------------------------------------------------------------------------------

NAMES = st.sampled_from([named(account, number) for account in ("a", "b", "c") for number in range(3)])
STEPS = st.one_of(
    st.tuples(st.just("look"), NAMES, st.integers(-1_000, 10_000)),
    st.tuples(st.just("ring"), NAMES, st.booleans()),
    st.tuples(st.just("move"), st.integers(-2_000, 5_000)),
    st.tuples(st.just("turn"), st.none() | st.integers(0, 10_000), st.integers(0, 8)),
    st.tuples(st.just("end"), st.booleans(), st.integers(0, 50)),
)


class Office:
    """Endpoints under whatever happens, and what must hold of them."""

    def __init__(self) -> None:
        self.limits = PushLimits(timeout_s=10, per_endpoint=3, per_account=4, in_all=6, guaranteed=2)
        self.endpoints = Endpoints(self.limits)
        self.now_ms = NOW_MS
        self.under_way: list[tuple[Endpoint, int]] = []
        self.owed: set[str] = set()

    def look(self, name: str, ahead_ms: int) -> None:
        self.endpoints.look_at(name, self.now_ms + ahead_ms)
        self.owed.add(name)

    def ring(self, name: str, probe: bool) -> None:
        if probe or not self.endpoints.is_down(name):
            self.owed.add(name)
        self.endpoints.ring(name, self.now_ms, probe=probe)

    def move(self, ahead_ms: int) -> None:
        self.now_ms += ahead_ms

    def turn(self, next_due_ms: int | None, number: int) -> bool:
        taken = self.endpoints.next_turn(self.now_ms)
        if taken is None:
            return False
        endpoint, room = taken
        assert room > 0
        self.owed.discard(endpoint.name)
        due_at_ms = None if next_due_ms is None else self.now_ms + next_due_ms
        self.endpoints.looked_at(endpoint, due_at_ms, self.now_ms)
        if due_at_ms is not None:
            self.owed.add(endpoint.name)
            for _ in range(min(number, room)):
                self.endpoints.push_begins(endpoint)
                self.under_way.append((endpoint, self.now_ms))
        self.check_shares()
        return True

    def end(self, succeeded: bool, which: int) -> None:
        if self.under_way:
            endpoint, began_at_ms = self.under_way.pop(which % len(self.under_way))
            self.endpoints.note(endpoint, succeeded=succeeded)
            self.endpoints.push_ended(endpoint, began_at_ms, self.now_ms)

    def check_shares(self) -> None:
        accounts = [endpoint.account for endpoint, _ in self.under_way]
        names = [endpoint.name for endpoint, _ in self.under_way]
        assert all(names.count(name) <= self.limits.per_endpoint for name in names)
        assert all(accounts.count(account) <= self.limits.per_account for account in accounts)
        assert len(accounts) <= self.limits.in_all + self.limits.guaranteed * len(set(accounts))


@given(st.lists(STEPS, max_size=60))
def test_whatever_happens_nobody_exceeds_a_share_and_everybody_who_waits_gets_a_turn(
    steps: list[tuple[str, object, object]],
) -> None:
    office = Office()
    for step, *values in steps:
        getattr(office, step)(*values)
    while office.under_way:
        office.end(True, 0)
    office.move(2 * PROBE_EVERY_MS)
    while office.turn(None, 0):
        pass
    assert office.owed == set()
    assert office.endpoints.down <= 9


def test_a_few_endpoints_that_hang_leave_places_of_their_account_to_another() -> None:
    endpoints = Endpoints(LIMITS)
    for number in range(6):
        endpoints.look_at(named("acme", number), NOW_MS)
    held = []
    while (taken := endpoints.next_turn(NOW_MS)) is not None:
        endpoint, room = taken
        held.append(room)
        for _ in range(room):
            endpoints.push_begins(endpoint)
        endpoints.look_at(endpoint.name, NOW_MS)  # there is always more to push
    assert sum(held) < LIMITS.per_account
    endpoints.look_at(named("acme", 99), NOW_MS)
    assert turn(endpoints) == (named("acme", 99), 1)


def test_one_endpoint_alone_has_its_full_number() -> None:
    endpoints = Endpoints(LIMITS)
    endpoints.look_at(named("acme"), NOW_MS)
    assert turn(endpoints) == (named("acme"), LIMITS.per_endpoint)
