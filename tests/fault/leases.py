"""What a process leaves in flight: on the embedded engine its successor knows that it is gone, else its lease tells."""

from tests.engine import is_shared
from tests.harness import Gateway, ShiftableClock
from waypost.model import State

LEASE_S = 56.0  # a connection to Meta may take 10 s and its answer 30, and a lease lasts 15 s longer
# Settings with which it lasts less than the minute in which the same signed request is taken, and how long that is.
SHORT: dict[str, object] = {"meta_connect_timeout": 5, "meta_read_timeout": 10}
SHORT_S = 31.0


async def given_up(gateway: Gateway, name: str, clock: ShiftableClock, lease_s: float = LEASE_S) -> None:
    """See that a message which a process that is gone was just sending is called unknown, and no earlier than it may.

    A journal that processes share can't tell one that is gone from one that is slow: until its lease has ended the
    message is its.
    """
    if is_shared():
        assert (await gateway.message(name))["state"] == State.SENDING
        clock.advance(lease_s)
        await gateway.until(name, State.UNKNOWN)
    assert (await gateway.message(name))["state"] == State.UNKNOWN
