"""Pushing callbacks again through the admin API: what fits, in which order, and what the audit trail says of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.effects import full_disk, gateway_on
from tests.flow.test_callbacks import callbacks, until_state
from tests.flow.test_meta_webhook import post, status
from tests.harness import APPKEY, WAIT_S, Control, Customer, Gateway, ShiftableClock, connect, text_message
from tests.receiver import Received, Receiver
from waypost.gateway import retries
from waypost.gateway.endpoints import OPEN_AFTER, PROBE_EVERY_MS
from waypost.web import admin_callbacks
from waypost.web.admin_callbacks import MAX_IDS

ORDER = ["sent", "delivered", "read"]


class Disk:
    """Fails every commit of one name, from the n-th on, once it is armed."""

    def __init__(self) -> None:
        self._name = ""
        self._good = 0

    def arm(self, name: str, good: int = 0) -> None:
        self._name, self._good = name, good

    def before(self, name: str) -> None:
        if name == self._name:
            if self._good == 0:
                raise full_disk()
            self._good -= 1


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def gateway(tmp_path: Path, simulator: Control, clock: ShiftableClock, disk: Disk) -> AsyncIterator[Gateway]:
    """A gateway that may push to loopback; Meta reports nothing by itself."""
    async with gateway_on(
        tmp_path / "data", simulator.url, clock=clock, effects=disk, allow_private_callbacks=True
    ) as running:
        await connect(simulator, running)
        await simulator.config(auto_statuses=False)
        yield running


async def told(customer: Customer, gateway: Gateway, name: str, url: str, *values: str) -> None:
    await customer.send(text_message(cus_message_id=name, dr_webhook=f"{url}/{name}"))
    meta_id = (await gateway.message(name))["meta_message_id"]
    assert await post(gateway, *(status(meta_id, value) for value in values or ("sent",))) == 200


async def replay(gateway: Gateway, **wanted: Any) -> int:
    number: int = (await gateway.admin("POST", "callbacks/replay", wanted))["replayed"]
    return number


async def until_tried(gateway: Gateway, number: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while sum(item["attempts"] for item in await callbacks(gateway)) < number:
            await asyncio.sleep(0.01)


def fails_first_sent(receiver: Receiver) -> None:
    """Let the receiver refuse each message's `sent` once."""
    seen: set[str] = set()

    def answer(item: Received) -> int:
        if item.status == "sent" and item.path not in seen:
            seen.add(item.path)
            return 500
        return 200

    receiver.answer = answer


def accepted(receiver: Receiver) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for item in receiver.accepted:
        found.setdefault(item.path, []).append(item.status)
    return found


# --- what is pushed again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["state", "id"])
async def test_what_waits_a_day_for_a_repaired_endpoint_is_pushed_at_once(
    by: str, customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = 500
    for index in range(OPEN_AFTER):
        await told(customer, gateway, f"m{index}", receiver.url)
    await until_tried(gateway, OPEN_AFTER)
    assert (await callbacks(gateway))[0]["endpoint_down"]
    receiver.answer = 200  # it is repaired, an hour before it would be noticed
    waiting = await callbacks(gateway, "?state=due")
    wanted: dict[str, Any] = {"state": "due"} if by == "state" else {"ids": [item["id"] for item in waiting]}
    assert (await gateway.admin("POST", "callbacks/replay", wanted | {"dry_run": True}))["count"] == OPEN_AFTER
    assert await replay(gateway, **wanted) == OPEN_AFTER
    done = await until_state(gateway, "done", OPEN_AFTER)
    assert {item["attempts"] for item in done} == {2}
    assert not done[0]["endpoint_down"]


async def test_a_selection_that_names_no_state_leaves_alone_what_waits(
    customer: Customer, gateway: Gateway, receiver: Receiver
) -> None:
    await told(customer, gateway, "done", receiver.url)
    await until_state(gateway, "done")
    receiver.answer = 500
    await told(customer, gateway, "waits", receiver.url)
    await until_tried(gateway, 2)
    receiver.answer = 200
    wanted = {"account": "acme", "since_ms": 0}
    assert (await gateway.admin("POST", "callbacks/replay", wanted | {"dry_run": True}))["count"] == 1
    assert await replay(gateway, **wanted) == 1
    await receiver.until(3)
    assert [item.path for item in receiver.received] == ["/done", "/waits", "/done"]


async def test_replayed_an_hour_later_the_statuses_of_a_message_come_in_order_again(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    names = [f"m{index}" for index in range(5)]
    for name in names:
        await told(customer, gateway, name, receiver.url, *ORDER)
    await until_state(gateway, "done", 15)
    receiver.accepted.clear()
    clock.advance(3600)
    fails_first_sent(receiver)
    assert await replay(gateway, state="done") == 15
    await until_tried(gateway, 15 + 5)
    clock.advance(retries.SCHEDULE_S[2])
    await until_state(gateway, "done", 15)
    assert accepted(receiver) == {f"/{name}": ORDER for name in names}


async def test_what_was_given_up_since_yesterday_is_found_although_it_is_days_old(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    receiver.answer = 500
    for index in range(OPEN_AFTER):
        await told(customer, gateway, f"m{index}", receiver.url)
    await until_tried(gateway, OPEN_AFTER)
    clock.advance(retries.HORIZON_S + PROBE_EVERY_MS / 1000 + 1)
    found = await until_state(gateway, "abandoned", OPEN_AFTER)
    assert len({item["settled_at_ms"] for item in found}) == 1
    abandoned = found[0]
    assert abandoned["settled_at_ms"] - abandoned["created_at_ms"] > 3 * 86_400_000
    given_up_ms = abandoned["settled_at_ms"]

    assert await callbacks(gateway, f"?state=abandoned&since_ms={given_up_ms}") == found
    assert await callbacks(gateway, f"?state=abandoned&since_ms={given_up_ms + 1}") == []
    assert await callbacks(gateway, f"?since_ms={given_up_ms}") == []
    assert await replay(gateway, state="abandoned", since_ms=given_up_ms + 1) == 0
    receiver.answer = 200
    assert await replay(gateway, state="abandoned", since_ms=given_up_ms) == OPEN_AFTER
    await until_state(gateway, "done", OPEN_AFTER)


# --- what is written down of it ------------------------------------------------------------------------------------


async def trail(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await gateway.admin("GET", f"audit{query}"))["entries"]
    return entries


async def test_every_replay_leaves_an_entry_that_says_who_when_what_and_how_many(
    customer: Customer, gateway: Gateway, receiver: Receiver, clock: ShiftableClock
) -> None:
    await told(customer, gateway, "m", receiver.url, *ORDER)
    done = await until_state(gateway, "done", 3)
    assert await trail(gateway) == []
    await gateway.admin("POST", "callbacks/replay", {"state": "done", "dry_run": True})
    assert await trail(gateway) == [], "a preview changes nothing"
    began_ms = clock.now_ms()
    assert await replay(gateway, state="done", appkey=APPKEY, since_ms=0) == 3
    await until_state(gateway, "done", 3)
    assert await replay(gateway, ids=[done[0]["id"], "nobody"]) == 1

    by_ids, by_selection = await trail(gateway)
    assert by_selection["selection"] == {"state": "done", "appkey": APPKEY, "since_ms": 0}
    assert (by_selection["who"], by_selection["action"], by_selection["affected"]) == ("admin", "replay", 3)
    assert began_ms <= by_selection["at_ms"] <= by_ids["at_ms"] <= clock.now_ms()
    assert by_ids["selection"] == {"ids": [done[0]["id"], "nobody"]}
    assert by_ids["affected"] == 1
    assert await trail(gateway, "?limit=1") == [by_ids]
    assert [line["audit_id"] for line in gateway.log.lines("callbacks_replayed")] == [by_selection["id"], by_ids["id"]]
    for bad in ("0", "501", "x"):
        assert "limit" in (await gateway.admin("GET", f"audit?limit={bad}", status=400))["error"]


async def test_a_replay_that_breaks_off_has_said_how_far_it_came(
    customer: Customer, gateway: Gateway, receiver: Receiver, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_callbacks, "REPLAY_AT_ONCE", 1)
    await told(customer, gateway, "m", receiver.url, *ORDER)
    await until_state(gateway, "done", 3)
    disk.arm("replay_commit", good=2)
    refused = await gateway.admin("POST", "callbacks/replay", {"state": "done"}, status=503)
    assert "disk is full" in refused["error"]
    (entry,) = await trail(gateway)
    assert (entry["selection"], entry["affected"]) == ({"state": "done"}, 2)
    await receiver.until(5)


async def test_without_an_entry_nothing_is_replayed(
    customer: Customer, gateway: Gateway, receiver: Receiver, disk: Disk
) -> None:
    await told(customer, gateway, "m", receiver.url)
    await until_state(gateway, "done")
    disk.arm("audit_commit")
    await gateway.admin("POST", "callbacks/replay", {"state": "done"}, status=503)
    assert [item["state"] for item in await callbacks(gateway)] == ["done"]


@pytest.mark.parametrize("ids", [["x"] * (MAX_IDS + 1), ["x" * 65]], ids=["too many", "too long"])
async def test_ids_that_would_make_a_huge_entry_are_refused(ids: list[str], gateway: Gateway) -> None:
    answer = await gateway.admin("POST", "callbacks/replay", {"ids": ids}, status=400)
    assert "500 at most" in answer["error"]
    assert await trail(gateway) == []
    assert await replay(gateway, ids=["x"] * MAX_IDS) == 0
