"""The reckoning of callbacks finds what it is for: what is missing, repeated, strange, or out of order."""

import random

import msgspec
import pytest

from tests.receiver import Received
from tests.soak import callback_books as books_of
from tests.soak.callback_books import CLAIM_LAG_MS, Arrival, CallbackBooks, Entry
from tests.soak.fast_clock import FastClock
from tests.soak.unsteady import MOST_IN_A_ROW, UnsteadyReceiver
from waypost.clock import Clock
from waypost.gateway.deliver import ORDER_WAIT_MS

START = 1_790_000_000_000


def entry(status: str, created_ms: int, state: str = "done", pushed_ms: int | None = None) -> Entry:
    return Entry("a", status, state, START + created_ms, 1, None if pushed_ms is None else START + pushed_ms)


def books(entries: list[Entry], *arrivals: tuple[str, int]) -> CallbackBooks:
    came = [Arrival("a", status, START + at_ms) for status, at_ms in arrivals]
    return CallbackBooks(["a"], {(item.meta_message_id, item.status): item for item in entries}, came)


ENTRIES = [entry("sent", 0), entry("delivered", 100), entry("read", 200)]


def test_books_without_fault_show_none() -> None:
    good = books(ENTRIES, ("sent", 500), ("delivered", 600), ("read", 700))
    for question in (books_of.missing, books_of.strange, books_of.disorder, books_of.waiting):
        assert question(good) == []
    assert books_of.repeats(good) == 0


def test_what_never_came_came_twice_or_was_never_reported_is_found() -> None:
    bad = books(ENTRIES, ("sent", 500), ("sent", 600), ("read", 700), ("played", 800))
    assert [text.split(",")[0] for text in books_of.missing(bad)] == ["delivered of a"]
    assert books_of.repeats(bad) == 1
    assert books_of.strange(bad) == ["played of a"]
    waits = books([entry("sent", 0, "due")])
    assert books_of.waiting(waits) == ["('a', 'sent') is due"]


@pytest.mark.parametrize(
    ("sent_created", "pushed", "overtakes"),
    [
        (0, 50_000, True),
        (0, ORDER_WAIT_MS + 200, False),
        (50_000, 50_000, False),
        (60_000 + CLAIM_LAG_MS, 60_000, False),
    ],
    ids=["known", "waited long enough", "reported at that moment", "reported later"],
)
def test_a_status_overtakes_only_one_that_it_should_have_waited_for(
    sent_created: int, pushed: int, overtakes: bool
) -> None:
    entries = [entry("sent", sent_created), entry("delivered", 100, pushed_ms=pushed)]
    found = books_of.disorder(books(entries, ("delivered", pushed + 10), ("sent", pushed + 200_000)))
    assert found == (["delivered before sent of a"] if overtakes else [])


def test_the_receiver_fails_three_times_of_ten_but_never_so_often_that_it_is_given_up() -> None:
    receiver = UnsteadyReceiver(random.Random(1), Clock())
    answers = []
    for index in range(5_000):
        body = msgspec.json.encode({"statuses": [{"meta_message_id": str(index), "status": "sent"}]})
        assert callable(receiver.answer)
        answers.append(receiver.answer(Received("/", {}, body)) == 200)
    assert 0.65 < sum(answers) / len(answers) < 0.75
    assert len(receiver.arrivals) == sum(answers)
    runs = "".join("." if good else "x" for good in answers).split(".")
    assert max(map(len, runs)) <= MOST_IN_A_ROW


def test_a_fast_clock_is_the_same_in_every_process() -> None:
    now = Clock().now_ms()
    one, other = FastClock(now - 1_000, 20), FastClock(now - 1_000, 20)
    assert now - 1_000 + 20_000 <= one.now_ms() <= other.now_ms()
