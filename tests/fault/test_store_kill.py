"""The process is killed just before and just after each commit: what was answered is there, and nothing is half."""

import signal
import subprocess
import sys

import pytest

from tests.conformance.journal_rows import SteppedClock
from tests.fault.engines import problems_at, store_at
from waypost.model import Message, State

# One message's life; the process prints what it was told, as a customer would see it, and dies at the named effect.
LIFE = """
import asyncio, os, signal, sys
from tests.conformance.journal_rows import SteppedClock, accepted, message, receipt, status
from tests.fault.engines import store_at

class Death:
    def before(self, name):
        if name == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    clock = SteppedClock()
    store = store_at(sys.argv[1], clock, effects=Death())
    await store.open()
    row = message(clock)
    print(row.id, flush=True)
    await store.accept(row)
    print("accepted", flush=True)
    await store.record_outcome(accepted(row))
    print("outcome", flush=True)
    await store.record_webhook(receipt(clock, status(row, "delivered")))
    print("webhook", flush=True)
    await store.close()

asyncio.run(main())
"""

STEPS = ("accept_commit", "outcome_commit", "webhook_commit")


def die_at(effect: str, place: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIFE, place, effect], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.split()


async def after_restart(place: str, message_id: str) -> tuple[Message | None, list[str]]:
    clock = SteppedClock()
    store = store_at(place, clock)
    await store.open()
    await store.expire_leases(clock.now_ms(), all_owners=True)
    found = await store.find(message_id)
    statuses = [record.status for record in await store.statuses(message_id)]
    counted = await store.count_by_state()
    await store.close()
    in_doubt = found is not None and found.state == State.UNKNOWN
    assert counted == {"lease": 0, "unsettled": int(in_doubt), "queued": 0}
    return found, statuses


@pytest.mark.parametrize("when", ["", "after:"], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_commit(place: str, step: str, when: str) -> None:
    message_id, *told = die_at(when + step, place)
    committed = STEPS.index(step) + (when != "")
    assert len(told) == STEPS.index(step), "nobody was told anything before its commit"
    assert await problems_at(place) == []
    found, statuses = await after_restart(place, message_id)
    if committed == 0:
        assert found is None
    else:
        assert found is not None
        assert found.state == (State.UNKNOWN, State.ACCEPTED, State.DELIVERED)[committed - 1]
    assert statuses == (["delivered"] if committed == 3 else [])
    assert await problems_at(place) == []
