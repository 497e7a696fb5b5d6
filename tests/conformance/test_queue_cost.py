"""What a look at the queue and a step in it cost, in steps of SQLite's machine: the same, however much waits."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from tests.conformance.journal_rows import PHONE_ID, SteppedClock
from tests.conformance.queued_rows import entry, held
from tests.conformance.test_outbox_cost import steps
from waypost.model import State
from waypost.store import queue_rows, queueing, transactions
from waypost.store.base_queue import Ending, QueueFilter, Waiting
from waypost.store.connection import open_connection
from waypost.store.database_file import check_file, upgrade_file
from waypost.store.named_sql import queries
from waypost.store.outbox import Outbox
from waypost.store.sqlite_session import SqliteSession

MANY = 100_000
NOW_MS = 1_790_000_000_250

_MESSAGES = """
WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :number)
INSERT INTO message (
    id, account, appkey, access_key, business_phone, phone_number_id, waba_id, recipient, type, category, endpoint,
    body, trace_id, key, key_expires_ms, sign, fingerprint, state, rank, attempt, owner, lease_until_ms, created_at_ms
)
SELECT
    printf('wamid.%s%08x', :tag, n), 'acme', :appkey, 'k', '86', :phone, 'w',
    CASE WHEN :recipient = '' THEN printf('%s%09d', :tag, n) ELSE :recipient END, 'text', 'utility', 'messages',
    x'7b7d', 't', printf('sign:%s%x', :tag, n), 0, 's', 'f', 'queued', 0, 0, '', 0, :now_ms - 60000
FROM counted
"""
_QUEUED = """
INSERT INTO queued
SELECT id, phone_number_id, waba_id, account, appkey, recipient, 1, NULL, created_at_ms, created_at_ms, :now_ms, 0,
    NULL, CASE WHEN :recipient = '' OR id LIKE '%00000000' THEN 0 ELSE 1 END
FROM message WHERE id LIKE printf('wamid.%s%%', :tag)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "waypost.db"
    upgrade_file(path)
    yield path
    assert check_file(path) == []


@pytest.fixture
def session(path: Path) -> Iterator[SqliteSession]:
    connection = open_connection(str(path))
    yield SqliteSession(connection)
    connection.close()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def fill(
    session: SqliteSession, number: int, tag: str, *, phone: str = PHONE_ID, appkey: str = "crm", recipient: str = ""
) -> None:
    """Let that many messages wait, to as many recipients or all to one."""
    values: dict[str, str | int] = {
        "number": number,
        "tag": tag,
        "phone": phone,
        "appkey": appkey,
        "recipient": recipient,
        "now_ms": NOW_MS,
    }
    with session.connection:
        session.connection.execute(_MESSAGES, values)
        session.connection.execute(_QUEUED, values)


def heads(session: SqliteSession) -> tuple[Waiting, ...]:
    return queue_rows.heads(session, PHONE_ID, NOW_MS, 4)


def looks(session: SqliteSession) -> list[int]:
    """Count the steps of each look that is taken while sending."""
    works: list[Callable[[], object]] = [
        lambda: heads(session),
        lambda: queue_rows.phones(session),
        lambda: queue_rows.next_due(session, PHONE_ID),
        lambda: queue_rows.expired(session, NOW_MS, 4),
        lambda: session.rows("newest_queued", before="x", limit=4),
    ]
    return [steps(session, work) for work in works]


def lives(session: SqliteSession, clock: SteppedClock, recipient: str) -> list[int]:
    """Count the steps of two messages' ways through the queue: one that waits, and one sent without waiting before."""
    outbox = Outbox(clock, None)
    place = entry(clock, expires_at_ms=NOW_MS + 1)
    inline, row = held(clock, recipient=recipient, state=State.SENDING), held(clock, recipient=recipient)
    endings = [(Ending(message_id=one.id, state=State.CANCELLED),) for one in (inline, row)]
    transactions.accept(session, inline, None, None)
    works: list[Callable[[], object]] = [
        lambda: transactions.accept(session, row, place, None),
        lambda: queueing.requeue(session, inline.id, 0, place, 0, NOW_MS),
        lambda: queueing.begin_attempt(session, inline.id, "me", NOW_MS + 1, "wp1"),
        lambda: queueing.requeue(session, inline.id, 1, place, 0, NOW_MS),
        *(partial(queueing.end_queued, session, outbox, ending, NOW_MS) for ending in endings),
    ]
    return [steps(session, work) for work in works]


def test_looks_cost_the_same_however_much_waits_and_however_much_stands_behind(session: SqliteSession) -> None:
    fill(session, 8, "a")
    fill(session, 8, "b", appkey="shop", recipient="1")
    few = looks(session)
    assert len(heads(session)) == 5
    fill(session, MANY, "c")
    fill(session, MANY, "d", recipient="2")
    many = looks(session)
    assert len(heads(session)) == 5
    assert max(now - before for now, before in zip(many, few, strict=True)) < 40, (few, many)


def test_application_costs_a_look_no_more_than_a_few_rows(session: SqliteSession) -> None:
    fill(session, 1_000, "a")
    alone = steps(session, lambda: heads(session))
    fill(session, MANY, "b", appkey="shop")
    assert steps(session, lambda: heads(session)) < 2.2 * alone
    fill(session, MANY, "c", phone="1")
    assert steps(session, lambda: heads(session)) < 2.2 * alone


@pytest.mark.parametrize("lanes", [("", ""), ("1", "2")], ids=["to many recipients", "to one recipient"])
def test_way_through_the_queue_costs_the_same_however_much_waits(
    session: SqliteSession, clock: SteppedClock, lanes: tuple[str, str]
) -> None:
    cost = []
    for number, tag, recipient in ((3, "a", lanes[0]), (MANY, "b", lanes[1])):
        fill(session, number, tag, recipient=recipient)  # younger than what is made now: a letter follows every digit
        cost.append(lives(session, clock, recipient or tag))
    assert max(many - few for few, many in zip(*cost, strict=True)) < 20, cost


def test_who_comes_forward_is_found_at_once_however_many_stand_behind(
    session: SqliteSession, clock: SteppedClock
) -> None:
    outbox = Outbox(clock, None)
    cost = []
    for number in (2, MANY):
        fill(session, number, f"{number}x", recipient=str(number))
        (front,) = [row for row in heads(session) if row.recipient == str(number)]
        ending = Ending(message_id=front.message_id, state=State.CANCELLED)
        cost.append(steps(session, partial(queueing.end_queued, session, outbox, (ending,), NOW_MS)))
    assert cost[1] <= cost[0] + 20
    assert {row.message_id for row in heads(session)} == {"wamid.2x00000001", f"wamid.{MANY}x00000001"}


def test_message_sent_without_waiting_is_journalled_in_three_statements(
    session: SqliteSession, clock: SteppedClock
) -> None:
    said: list[str] = []

    def note(_: apsw.Cursor, sql: str, __: object) -> bool:
        said.append(sql)
        return True

    session.connection.exec_trace = note
    inline = held(clock, state=State.SENDING)
    transactions.accept(session, inline, None, None)
    session.connection.exec_trace = None
    assert said == [queries()[name] for name in ("take_key", "insert_message", "enter_work")]


def test_depths_are_counted_right_over_several_stretches(session: SqliteSession) -> None:
    number = 2 * queue_rows.STRETCH + 5
    fill(session, number, "a")
    fill(session, 3, "b", appkey="shop")
    assert [(depth.appkey, depth.count) for depth in queue_rows.depths(session)] == [("crm", number), ("shop", 3)]
    assert queue_rows.count(session, QueueFilter()) == number + 3


@pytest.mark.parametrize(
    ("name", "found_by"),
    [
        ("enter_queue", "queued_front (phone_number_id=? AND recipient=? AND appkey=? AND priority=?)"),
        ("step_back", "queued_front (phone_number_id=? AND recipient=? AND appkey=? AND priority=?)"),
        ("step_forward", "queued_behind (phone_number_id=? AND recipient=? AND appkey=? AND priority=?)"),
        ("heads_of_group", "queued_ready (phone_number_id=? AND priority=? AND appkey=? AND due_ms<?)"),
        ("next_ready_group", "queued_ready ((phone_number_id,priority,appkey,due_ms)>(?,?,?,?))"),
        ("expired_waiting", "queued_expiry (expires_ms<?)"),
        ("newest_queued", "PRIMARY KEY (message_id<?)"),
        ("count_queued", "COVERING INDEX queued_behind"),
        ("write_outcome", "queued USING PRIMARY KEY (message_id=?)"),
        ("advance", "queued USING PRIMARY KEY (message_id=?)"),
    ],
)
def test_statement_is_served_by_its_index_without_sorting(path: Path, name: str, found_by: str) -> None:
    plan = plan_of(path, queries()[name])
    assert any(found_by in step for step in plan)
    assert [step for step in plan if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize(
    "wanted", [QueueFilter(), QueueFilter(phone_number_id="1"), QueueFilter(appkey="a", account="b", template="c")]
)
def test_page_of_what_waits_begins_behind_the_one_before(path: Path, wanted: QueueFilter) -> None:
    where, _ = queue_rows.conditions(wanted, after="x")
    plan = plan_of(path, f"SELECT * FROM queued WHERE {where} ORDER BY message_id LIMIT 10")
    assert plan == ["SEARCH queued USING PRIMARY KEY (message_id>?)"]


def plan_of(path: Path, sql: str) -> list[str]:
    connection = apsw.Connection(str(path))
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "")
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
    connection.close()
    return plan
