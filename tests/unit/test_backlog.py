"""What waits is counted: never too low, for then a message would overtake another."""

from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.backlog import Backlog, Sort
from waypost.store.base_queue import PRIORITY_ORDINARY, PRIORITY_PROMPT, QueueDepth

PHONE, OTHER_PHONE = "1", "2"


def sort(phone: str = PHONE, *, account: str = "acme", appkey: str = "shop", priority: int = PRIORITY_ORDINARY) -> Sort:
    return Sort(phone_number_id=phone, account=account, appkey=appkey, priority=priority)


ASIDE = Sort(phone_number_id=PHONE, account="acme", appkey="shop", priority=PRIORITY_ORDINARY, aside=True)


def depth(of: Sort, count: int, reason: str | None = None) -> QueueDepth:
    return QueueDepth(
        phone_number_id=of.phone_number_id,
        account=of.account,
        appkey=of.appkey,
        priority=of.priority,
        reason=reason,
        count=count,
        oldest_since_ms=0,
        aside=of.aside,
    )


def test_it_counts_by_phone_and_priority_by_application_by_account_and_in_all() -> None:
    backlog = Backlog()
    elsewhere = depth(sort(OTHER_PHONE, account="other", appkey="c"), 4)
    here = [depth(sort(), 5), depth(sort(), 2, "pair limit"), depth(sort(appkey="b", priority=0), 3)]
    backlog.load([*here, elsewhere], {})
    assert backlog.total == 14
    assert backlog.ahead(PHONE, PRIORITY_PROMPT) == 3
    assert backlog.ahead(PHONE, PRIORITY_ORDINARY) == 10, "what is urgent goes before"
    assert backlog.waiting() == {(PHONE, 0): 3, (PHONE, 1): 7, (OTHER_PHONE, 1): 4}
    assert (backlog.of_application("shop"), backlog.of_application("b"), backlog.of_application("?")) == (7, 3, 0)
    assert (backlog.of_account("acme"), backlog.of_account("other")) == (10, 4)


def test_one_that_is_about_to_wait_counts_before_its_commit_and_no_more_if_it_fails() -> None:
    backlog = Backlog()
    backlog.enter(sort())
    assert backlog.ahead(PHONE, PRIORITY_ORDINARY) == 1
    backlog.entered(sort(), stays=False)
    assert backlog.total == 0
    backlog.enter(sort())
    backlog.entered(sort(), stays=True)
    assert backlog.total == 1
    backlog.leave(sort())
    assert backlog.total == 0


def test_what_may_be_back_from_aside_counts_in_its_lane_until_that_is_empty() -> None:
    backlog = Backlog()
    backlog.add(ASIDE)
    assert (backlog.ahead(PHONE, PRIORITY_ORDINARY), backlog.phones()) == (0, set())
    backlog.suspect_back()
    assert (backlog.ahead(PHONE, PRIORITY_ORDINARY), backlog.total, backlog.phones()) == (1, 1, {PHONE})
    backlog.is_empty(PHONE, backlog.version(PHONE))
    assert (backlog.total, backlog.phones()) == (0, set())


def test_it_never_falls_below_nothing() -> None:
    backlog = Backlog()
    backlog.leave(sort())
    backlog.add(sort())
    backlog.leave(sort())
    backlog.leave(sort())
    assert (backlog.total, backlog.ahead(PHONE, PRIORITY_ORDINARY), backlog.of_account("acme")) == (0, 0, 0)


def test_an_empty_queue_sets_the_count_of_its_phone_right() -> None:
    backlog = Backlog()
    backlog.load([depth(sort(), 3), depth(sort(priority=0), 2), depth(sort(OTHER_PHONE), 1)], {})
    backlog.is_empty(PHONE, backlog.version(PHONE))
    assert (backlog.total, backlog.ahead(PHONE, PRIORITY_ORDINARY), backlog.ahead(OTHER_PHONE, 1)) == (1, 0, 1)


def test_a_queue_that_was_seen_empty_before_a_message_came_is_not_empty() -> None:
    backlog = Backlog()
    before = backlog.version(PHONE)
    backlog.add(sort())
    backlog.is_empty(PHONE, before)
    assert backlog.total == 1


def test_a_queue_that_was_seen_empty_while_a_message_was_being_committed_is_not_empty() -> None:
    backlog = Backlog()
    backlog.enter(sort())
    during = backlog.version(PHONE)
    backlog.is_empty(PHONE, during)
    assert backlog.total == 1
    backlog.entered(sort(), stays=True)
    backlog.is_empty(PHONE, during)
    assert backlog.total == 1, "it was looked at before the commit"
    backlog.is_empty(PHONE, backlog.version(PHONE))
    assert backlog.total == 0


def test_a_count_taken_anew_is_what_other_processes_left() -> None:
    backlog = Backlog()
    backlog.load([depth(sort(), 3), depth(sort(OTHER_PHONE), 2)], {})
    backlog.load([depth(sort(), 1)], backlog.versions())
    assert (backlog.total, backlog.ahead(PHONE, PRIORITY_ORDINARY), backlog.ahead(OTHER_PHONE, 1)) == (1, 1, 0)


def test_a_count_taken_anew_does_not_forget_what_came_meanwhile() -> None:
    backlog = Backlog()
    before = backlog.versions()
    backlog.add(sort())
    backlog.enter(sort(OTHER_PHONE))
    backlog.load([], before)
    assert backlog.total == 2
    backlog.load([depth(sort(), 1)], backlog.versions())
    assert backlog.total == 2, "one is still being committed"
    backlog.entered(sort(OTHER_PHONE), stays=False)
    assert (backlog.total, backlog.ahead(PHONE, PRIORITY_ORDINARY)) == (1, 1)


def test_of_other_applications_no_more_go_before_a_message_than_of_its_own_and_one() -> None:
    backlog = Backlog()
    there = [depth(sort(appkey="campaign"), 100_000), depth(sort(appkey="paused"), 500), depth(ASIDE, 7)]
    there += [depth(sort(OTHER_PHONE, appkey="campaign"), 3)]
    backlog.load(there, {})
    assert backlog.before(sort(), lambda appkey: appkey == "paused") == 1
    there += [depth(sort(), 4)]
    backlog.load(there, backlog.versions())
    assert backlog.before(sort(), lambda appkey: appkey == "paused") == 4 + 5
    assert backlog.before(sort(), lambda _: False) == 4 + 5 + 5
    there += [depth(sort(appkey="campaign", priority=PRIORITY_PROMPT), 20)]
    backlog.load(there, backlog.versions())
    assert backlog.before(sort(), lambda appkey: appkey == "paused") == 20 + 4 + 5, "what is urgent goes before"
    assert backlog.before(sort(priority=PRIORITY_PROMPT), lambda _: False) == 1


def test_what_waits_aside_counts_but_is_before_nobody() -> None:
    backlog = Backlog()
    backlog.load([depth(ASIDE, 2), depth(sort(), 1)], {})
    assert backlog.waiting() == {(PHONE, PRIORITY_ORDINARY): 3}
    assert (backlog.total, backlog.of_account("acme"), backlog.of_application("shop")) == (3, 3, 3)
    assert backlog.ahead(PHONE, PRIORITY_ORDINARY) == 1
    backlog.is_empty(PHONE, backlog.version(PHONE))
    assert (backlog.total, backlog.ahead(PHONE, PRIORITY_ORDINARY)) == (2, 0), "its lanes are empty"
    backlog.leave(ASIDE)
    assert backlog.total == 1


sorts = st.builds(
    sort,
    st.sampled_from([PHONE, OTHER_PHONE]),
    account=st.sampled_from(["acme", "other"]),
    appkey=st.sampled_from(["a", "b", "c"]),
    priority=st.sampled_from([PRIORITY_PROMPT, PRIORITY_ORDINARY]),
)


@given(st.lists(st.tuples(sorts, st.booleans())))
def test_all_counts_agree_whatever_comes_and_goes(moves: list[tuple[Sort, bool]]) -> None:
    backlog, there = Backlog(), list[Sort]()
    for moved, comes in moves:
        if comes:
            backlog.add(moved)
            there.append(moved)
        elif moved in there:
            backlog.leave(moved)
            there.remove(moved)
    assert backlog.total == len(there)
    for phone in (PHONE, OTHER_PHONE):
        for priority in (PRIORITY_PROMPT, PRIORITY_ORDINARY):
            ahead = [one for one in there if one.phone_number_id == phone and one.priority <= priority]
            assert backlog.ahead(phone, priority) == len(ahead)
    for account in ("acme", "other"):
        assert backlog.of_account(account) == sum(one.account == account for one in there)
    for appkey in ("a", "b", "c"):
        assert backlog.of_application(appkey) == sum(one.appkey == appkey for one in there)
