"""One message as its customer saw it, held against the journal and against what Meta has."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from tests.harness import WAIT_S, Control, Customer, Gateway, text_message
from waypost.model import State

AT_META = frozenset({State.ACCEPTED, State.SENT, State.DELIVERED, State.READ})
NOBODY_ANSWERED = (aiohttp.ClientError, OSError)


class Sent:
    """A message to a recipient of its own, its identical request, and every answer that its customer got."""

    def __init__(self, customer: Customer, *, keyed: bool) -> None:
        self.customer = customer
        self.message = text_message()
        if keyed:
            self.message["cus_message_id"] = f"order-{self.message['to']}"
        self.keyed = keyed
        self.body = msgspec.json.encode(self.message)
        self.headers = customer.signed(self.body)
        self.answers: list[dict[str, Any]] = []

    async def post(self) -> int | None:
        """Post the identical request; return the answer's code, or None where there was no answer."""
        return await self._post(self.headers)

    async def post_signed_anew(self) -> int | None:
        """Post the same message under a new signature."""
        return await self._post(self.customer.signed(self.body))

    async def insist(self) -> set[int | None]:
        """Do what customers do without an answer: repeat twice at once, and sign anew where the message has an id."""
        async with asyncio.timeout(WAIT_S):
            codes = list(await asyncio.gather(self.post(), self.post()))
            if self.keyed:
                codes.append(await self.post_signed_anew())
        return set(codes)

    async def _post(self, headers: dict[str, str]) -> int | None:
        try:
            answer = await self.customer.post(self.body, headers)
        except NOBODY_ANSWERED:
            return None
        self.answers.append(answer)
        code: int = answer["code"]
        return code

    async def at_meta(self, simulator: Control) -> list[dict[str, Any]]:
        """Return what Meta has for this recipient."""
        found: list[dict[str, Any]] = await simulator.call("GET", f"messages?to={self.message['to']}")
        return found

    async def rows(self, gateway: Gateway) -> list[dict[str, Any]]:
        """Return the journal's rows for this recipient, newest first."""
        page = await gateway.admin("GET", "messages?limit=500")
        return [row for row in page["messages"] if row["to"] == self.message["to"]]


async def until(what: str, true: Callable[[], Any]) -> None:
    """Wait until an awaited question is answered with yes."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not await true():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def settled(sent: Sent, gateway: Gateway, simulator: Control, at_meta: int, state: State) -> None:
    """Wait for a message's end; then nothing may be lost or doubled, and what nobody knows must be called unknown."""

    reports = ["delivered", "read", "sent"] if state == State.READ else []

    async def is_there() -> bool:
        rows = await sent.rows(gateway)
        if not rows or rows[0]["state"] != state:
            return False
        # also the reports behind the headline: one whose webhook had to be repeated comes after its successor
        seen = (await gateway.message(rows[0]["id"]))["statuses"]
        return sorted(item["status"] for item in seen) == reports

    await until(f"{sent.message['to']} is {state}, reported as {reports}", is_there)
    taken = await sent.at_meta(simulator)
    assert len(taken) == at_meta <= 1, "doubled, or not where it should be"
    ids = {answer["data"]["messages"][0]["id"] for answer in sent.answers if answer["code"] == 0}
    assert len(ids) == 1, "every yes names the same message"
    row = await gateway.message(ids.pop())  # a message that was answered 0 and isn't in the journal would be lost
    assert row["state"] == state
    assert (row["state"] in AT_META) == bool(taken)
    assert row["meta_message_id"] == (taken[0]["id"] if taken else None)
