"""Whatever the order in which Meta's reports and our own outcome arrive, a message ends up the same (decision D7)."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.journal_rows import SteppedClock, accepted, message, receipt, status, unknown
from tests.conformance.outbox_rows import Outlet, draft
from waypost.model import RANK_ACCEPTED, STATUS_RANK, Message, State
from waypost.store.outbox import HOLD_MS
from waypost.store.sqlite import SqliteStore

VALUES = (*STATUS_RANK, "warning")
OUTCOME = "(our outcome)"


@st.composite
def posts(draw: st.DrawFn) -> list[list[str]]:
    """Draw the statuses of one message, some twice, and its outcome, in any order and grouped into any POSTs."""
    events = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=8))
    order = draw(st.permutations([*events, OUTCOME]))
    cuts = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    groups: list[list[str]] = [[]]
    for value, cut in zip(order, cuts, strict=True):
        if cut or value == OUTCOME or groups[-1] == [OUTCOME]:
            groups.append([])
        groups[-1].append(value)
    return [group for group in groups if group]


async def life(
    groups: list[list[str]], with_token: bool, answer_arrives: bool
) -> tuple[Message, list[str], list[str | None]]:
    clock = SteppedClock()
    store = SqliteStore(":memory:", clock, draft=draft)
    await store.open()
    row = message(clock)
    await store.accept(row)
    latest = row
    for group in groups:
        if group == [OUTCOME]:
            await store.record_outcome(accepted(row) if answer_arrives else unknown(row))
        else:
            events = [status(row, value, opaque=row.token if with_token else None) for value in group]
            await store.record_webhook(receipt(clock, *events))
        found = await store.find(row.id)
        assert found is not None
        assert found.rank >= latest.rank, "the headline moved back"
        latest = found
    recorded = [record.status for record in await store.statuses(row.id)]
    clock.wall_ms += HOLD_MS
    told = await Outlet(store, clock).drain()
    await store.close()
    return latest, recorded, told


@settings(max_examples=100, deadline=None)
@given(groups=posts(), with_token=st.booleans(), answer_arrives=st.booleans())
def test_headline_is_the_highest_and_each_status_is_kept_and_told_once_in_order(
    groups: list[list[str]], with_token: bool, answer_arrives: bool
) -> None:
    if not with_token and not answer_arrives:
        answer_arrives = True  # one of the two has to tell whose statuses these are
    found, recorded, told = asyncio.run(life(groups, with_token, answer_arrives))
    seen = {value for group in groups for value in group} - {OUTCOME}
    state, rank = max(
        [STATUS_RANK[value] for value in seen if value in STATUS_RANK] + [(State.ACCEPTED, RANK_ACCEPTED)],
        key=lambda reached: reached[1],
    )
    assert (found.state, found.rank, found.meta_message_id) == (state, rank, "wamid.META1")
    assert sorted(recorded) == sorted(seen)
    ranks = [STATUS_RANK[value][1] for value in told if value is not None]
    assert ranks == sorted(ranks)
    assert {*told} == seen - {"warning"}
    assert len(told) == len({*told})
