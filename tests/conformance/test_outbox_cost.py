"""What a look at the outbox costs, in steps of SQLite's machine: the same, however much waits elsewhere or here."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tests.conformance.outbox_rows import ENDPOINT, LEASE_MS, ORDER_WAIT_MS, WEBHOOK
from waypost.model import CallbackKind, CallbackState
from waypost.store import deliveries, outbox_rows
from waypost.store.base import CallbackFilter
from waypost.store.connection import open_connection
from waypost.store.database_file import check_file, upgrade_file
from waypost.store.sqlite_session import SqliteSession

DEAD = "acme https://dead.example"
NOW_MS = 1_790_000_000_000
MANY = 100_000

_CALLBACKS = """
WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :number)
INSERT INTO callback (
    id, account, appkey, url, endpoint, kind, body, message_id, status, rank, state, created_at_ms, attempts,
    waits_since_ms
)
SELECT
    printf('%012x%s%08x', :at_ms + n / 4096, :tag, n), 'acme', 'app', :url, :endpoint, 'status', x'7b7d', :message_id,
    'sent', CASE WHEN n = 0 THEN 40 ELSE 60 END, 'due', :at_ms, 0, :at_ms
FROM counted
"""
_WORK = """
INSERT INTO work (kind, scope, priority, due_ms, id)
SELECT 'callback', endpoint, 0, created_at_ms, id FROM callback WHERE endpoint = :endpoint
ON CONFLICT (kind, id) DO NOTHING
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


def fill(session: SqliteSession, endpoint: str, number: int, *, message_id: str | None = None, tag: str = "a") -> None:
    """Let that many callbacks of an endpoint be due; those of a message wait for its first."""
    values = {
        "endpoint": endpoint,
        "number": number,
        "message_id": message_id,
        "tag": tag,
        "at_ms": NOW_MS - 60_000,
        "url": WEBHOOK,
    }
    with session.connection:
        session.connection.execute(_CALLBACKS, values)
        session.connection.execute(_WORK, values)


def steps(session: SqliteSession, work: Callable[[], object]) -> int:
    """Count the steps of SQLite's machine that some work takes."""
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 1
        return False

    session.connection.set_progress_handler(count, 1)
    try:
        work()
    finally:
        session.connection.set_progress_handler(None)
    return taken


def claim(session: SqliteSession, endpoint: str, limit: int = 16) -> list[str]:
    with session.connection:
        claimed = deliveries.claim(session, endpoint, NOW_MS, NOW_MS + LEASE_MS, limit, ORDER_WAIT_MS)
    return [callback.id for callback in claimed]


def test_a_dead_endpoint_with_a_hundred_thousand_due_callbacks_costs_others_nothing(session: SqliteSession) -> None:
    fill(session, ENDPOINT, 64)
    claim(session, ENDPOINT)
    alone = steps(session, lambda: claim(session, ENDPOINT))
    fill(session, DEAD, MANY, tag="b")
    assert abs(steps(session, lambda: claim(session, ENDPOINT)) - alone) < 16  # a position or two in other pages
    assert steps(session, lambda: deliveries.next_due(session, ENDPOINT)) < 100
    assert len(claim(session, ENDPOINT, limit=1_000)) == 16


def test_claim_and_look_cost_the_same_however_many_wait_there(session: SqliteSession) -> None:
    fill(session, ENDPOINT, 64)
    fill(session, DEAD, MANY, tag="b")
    claimed: list[str] = []
    few = steps(session, lambda: claimed.extend(claim(session, ENDPOINT)))
    many = steps(session, lambda: claimed.extend(claim(session, DEAD)))
    assert len(set(claimed)) == 32
    assert many <= few * 1.1
    assert steps(session, lambda: deliveries.due_endpoints(session)) < 300


def test_callbacks_that_wait_for_another_are_looked_at_once(session: SqliteSession) -> None:
    fill(session, ENDPOINT, 500, message_id="wamid.group")
    first: list[str] = []
    expensive = steps(session, lambda: first.extend(claim(session, ENDPOINT)))
    assert len(first) == 1, "the others wait for it"
    assert steps(session, lambda: claim(session, ENDPOINT)) < expensive / 100


def test_one_claim_passes_over_a_bounded_number(session: SqliteSession) -> None:
    fill(session, ENDPOINT, 3 * deliveries.LOOK_AHEAD, message_id="wamid.group")
    with session.connection:
        session.connection.execute("UPDATE work SET due_ms = due_ms + 1 WHERE id = (SELECT MIN(id) FROM work)")
    assert claim(session, ENDPOINT) == []
    assert deliveries.next_due(session, ENDPOINT) == NOW_MS - 60_000, "more is due, and that is told"
    looks = [len(claim(session, ENDPOINT)) for _ in range(3)]
    assert sum(looks) == 1


def test_giving_up_walks_only_what_is_old(session: SqliteSession) -> None:
    fill(session, ENDPOINT, 10)
    fill(session, DEAD, MANY, tag="b")
    horizon = NOW_MS - 70_000
    assert steps(session, lambda: deliveries.abandon(session, ENDPOINT, horizon, NOW_MS, 500)) < 100
    given_up: list[int] = []
    cost = [
        steps(session, lambda: given_up.append(deliveries.abandon(session, DEAD, NOW_MS, NOW_MS, 100)))
        for _ in range(3)
    ]
    assert given_up == [100, 100, 100]
    assert max(cost) < 2 * min(cost)


def test_a_replay_of_what_waits_costs_by_the_portion(session: SqliteSession) -> None:
    fill(session, DEAD, MANY)
    wanted = CallbackFilter(state=CallbackState.DUE)
    found: list[str] = []
    first = steps(session, lambda: found.extend(outbox_rows.ids(session, wanted, NOW_MS, 100, None)))
    middle = f"{NOW_MS - 60_000 + MANY // 8192:012x}"
    later = steps(session, lambda: found.extend(outbox_rows.ids(session, wanted, NOW_MS, 100, middle)))
    assert len(set(found)) == 200
    assert later < 2 * first  # not the fifty thousand that were passed by


@pytest.mark.parametrize(
    ("wanted", "found_by"),
    [
        (CallbackFilter(ids=("a",)), "(id=?)"),
        (CallbackFilter(state=CallbackState.DUE), "work"),
        (CallbackFilter(state=CallbackState.DUE, ids=("a",)), "(id=?)"),
        (CallbackFilter(state=CallbackState.DUE, message_id="wamid.1"), "callback_message (message_id=?)"),
        (CallbackFilter(state=CallbackState.ABANDONED, account="acme"), "callback_abandoned"),
        (CallbackFilter(state=CallbackState.ABANDONED, since_ms=NOW_MS), "callback_abandoned"),
        (CallbackFilter(message_id="wamid.1", state=CallbackState.DONE), "callback_message (message_id=?)"),
        (CallbackFilter(since_ms=NOW_MS, appkey="app"), "(id>?)"),
        *(
            (CallbackFilter(kind=kind, appkey="app", since_ms=NOW_MS), f"callback_{kind} (appkey=? AND id>?)")
            for kind in CallbackKind
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(k for k, v in _given(value).items() if v is not None),
)
@pytest.mark.parametrize("further", [{}, {"after": "x"}, {"made_by_ms": 0}], ids=["first page", "page", "replay"])
def test_list_walks_no_more_than_it_must(
    path: Path, wanted: CallbackFilter, found_by: str, further: dict[str, str | int]
) -> None:
    sql, _ = outbox_rows.statement("*", wanted, "LIMIT 10", **further)
    connection = apsw.Connection(str(path))
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "")
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
    connection.close()
    assert found_by in plan[0] or (further == {"after": "x"} and "callback_abandoned (id>?)" in plan[0])


def _given(wanted: CallbackFilter) -> dict[str, object]:
    return {name: getattr(wanted, name) for name in wanted.__struct_fields__}
