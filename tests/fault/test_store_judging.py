"""Judging unknown messages when the commit fails or a status is faster: told once, or not at all."""

import asyncio

import pytest

from tests.conformance.journal_rows import SteppedClock, message, receipt, status
from tests.conformance.judging_suite import MINUTES, doubtful, judgeable, judged, received, reported
from tests.conformance.status_suite import state_of
from tests.fault.test_store_outbox import FailOnce, opened
from waypost.model import State
from waypost.store.base import StoreUnavailable


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


async def test_judgement_whose_commit_fails_changes_nothing_and_tells_nobody(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock, FailOnce("judge_commit")) as outlet:
        row = await doubtful(outlet.store, message(clock))
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await judged(outlet.store, clock, row)
        assert await state_of(outlet.store, row) == State.UNKNOWN
        assert await outlet.claim() == ()
        await judged(outlet.store, clock, row)
        assert await outlet.statuses() == ["failed"]


async def test_judgement_that_was_written_and_reported_as_failed_is_told_once(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock, FailOnce("after:judge_commit")) as outlet:
        row = await doubtful(outlet.store, message(clock))
        with pytest.raises(StoreUnavailable):
            await judged(outlet.store, clock, row)
        assert await judged(outlet.store, clock, row) == ()
        assert await outlet.statuses() == ["failed"]


@pytest.mark.parametrize("status_first", [True, False])
async def test_status_and_judgement_at_the_same_moment_agree(
    place: str, clock: SteppedClock, status_first: bool
) -> None:
    async with opened(place, clock) as outlet:
        row = await doubtful(outlet.store, message(clock))
        both = [outlet.store.record_webhook(receipt(clock, status(row, "sent"))), judged(outlet.store, clock, row)]
        await asyncio.gather(*(both if status_first else reversed(both)))
        assert await state_of(outlet.store, row) == State.SENT
        clock.wall_ms += 1_000
        told = await outlet.drain()
        if place.endswith(".db"):  # the other engine writes what may take long beside the rest
            assert told == (["sent"] if status_first else ["failed", "sent"])
        assert told in (["sent"], ["failed", "sent"])


async def test_what_was_counted_is_there_after_the_store_is_opened_again(place: str, clock: SteppedClock) -> None:
    async with opened(place, clock) as outlet:
        row = await doubtful(outlet.store, message(clock))
        await reported(outlet.store, clock)
        await received(outlet.store, clock, MINUTES)
    async with opened(place, clock) as outlet:
        assert await judgeable(outlet.store, clock) == {row.id}
