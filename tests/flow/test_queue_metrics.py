"""What readiness and `/metrics` tell of the queue, and the limits of what may wait."""

import math
from pathlib import Path

import aiohttp
import pytest

from tests.flow.queue_admin import TO, cancel, metrics, nothing_waits, pause, queue, resume, taken, until
from tests.flow.queue_admin import gateway as gateway
from tests.flow.queue_admin import tenants as tenants
from tests.flow.queue_stand import TEMPLATES, counted_gateway, settings, template
from tests.harness import PHONE, PHONE_ID, WAIT_S, Control, Customer, Gateway, ShiftableClock, text_message
from tests.idle_parts import idle_queue
from waypost.gateway.backlog import Sort
from waypost.gateway.tenant_file import read
from waypost.meta.errors import TABLE
from waypost.store.base import StoreUnavailable
from waypost.store.sqlite import SqliteStore


async def ready(gateway: Gateway) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/readyz") as answer:
        return answer.status, await answer.text()


async def test_a_full_queue_is_not_ready_and_says_so(tmp_path: Path, simulator: Control, clock: ShiftableClock) -> None:
    limited = settings(tmp_path, simulator, max_waiting=2)
    async with counted_gateway(limited, clock, TEMPLATES) as gateway, aiohttp.ClientSession() as http:
        customer = Customer(gateway.url, http, clock.now_ms)
        await pause(gateway)
        await taken(customer, text_message())
        assert await ready(gateway) == (200, "ready\n")
        await taken(customer, text_message())
        assert await ready(gateway) == (503, "too many messages wait to be sent\n")
        assert (await customer.send(text_message()))["code"] == 9001
        picture = await queue(gateway)
        assert (picture["waiting"], picture["limit"]) == (2, 2)
        assert await cancel(gateway, phone=PHONE) == {"cancelled": 2}
        assert await ready(gateway) == (200, "ready\n")


async def test_the_limits_of_an_account_come_from_the_tenant_file(customer: Customer, gateway: Gateway) -> None:
    await pause(gateway)
    tables = read(TEMPLATES, {})
    tables["accounts"][0] |= {"max_waiting": 1}
    changes = (await gateway.admin("POST", "apply", tables))["changes"]
    assert changes == [{"action": "changed", "kind": "account", "key": "acme"}]
    await taken(customer, text_message())
    assert (await customer.send(text_message()))["code"] == 9001
    tables["accounts"][0] |= {"max_waiting": 100, "requests_per_second": 1}
    await gateway.admin("POST", "apply", tables)
    codes = [(await customer.send(text_message()))["code"] for _ in range(3)]
    assert codes[0] == 0
    assert 9001 in codes


async def test_the_metrics_of_the_queue_name_phones_of_the_tenants_alone(
    customer: Customer, gateway: Gateway, clock: ShiftableClock
) -> None:
    await pause(gateway, "application", "second")
    await taken(customer, template("sale", appkey="second"), template("otp", appkey="second"))
    clock.advance(60)
    found = await metrics(gateway)
    assert (found[f"queued {PHONE_ID} ordinary"], found[f"queued {PHONE_ID} prompt"]) == (1, 1)
    assert 60 <= found[f"queue_oldest_seconds {PHONE_ID}"] < 60 + WAIT_S
    assert found[f"pace_per_second {PHONE_ID}"] == 20
    assert [found[f"paused {kind}"] for kind in ("phone", "application", "waba", "app")] == [0, 1, 0, 0]
    assert found["meta_silent"] == 0
    await gateway.admin("POST", "apply", {"accounts": [{"name": "acme"}]})
    assert not [name for name in await metrics(gateway) if PHONE_ID in name]
    picture = await queue(gateway)
    (phone,) = picture["phones"]
    assert (phone["number"], phone["configured_per_second"], phone["waiting"]) == (None, None, 2)
    assert "the phone is not among the tenants" in [held["reason"] for held in phone["held_by"]]
    await gateway.admin("POST", "apply", read(TEMPLATES, {}))
    assert (await metrics(gateway))[f"queued {PHONE_ID} ordinary"] == 1


async def test_attempts_out_of_the_queue_are_counted_by_outcome_and_ends_by_state(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await pause(gateway)
    await taken(customer, template("otp", cus_message_id="late"), template("sale", cus_message_id="refused", to=TO))
    clock.advance(601)
    await gateway.until("late", "expired")
    await simulator.fault("error", code=131026, match={"to": TO})
    await resume(gateway)
    await gateway.until("refused", "failed")
    found = await metrics(gateway)
    assert (found["queue_attempts_total refused"], found["queue_ended_total expired"]) == (1, 1)
    assert "queue_attempts_total accepted" not in found


async def test_the_metrics_tell_depth_and_age_by_number_and_reason_and_when_it_ends(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    found = await metrics(gateway)
    assert (found[f"queue_ends_seconds {PHONE_ID}"], found[f"queue_oldest_seconds {PHONE_ID}"]) == (0, 0)
    assert not [name for name in found if name.startswith("queue_waiting")]

    await simulator.fault("error", code=80007, times=1)
    await taken(customer, template("sale"))
    clock.advance(10)
    await taken(customer, template("sale"), text_message(appkey="second"))
    (limited, others) = (f"{PHONE_ID} 80007: {TABLE[80007].title}", f"{PHONE_ID} its turn")
    found = await metrics(gateway)
    assert (found[f"queue_waiting {limited}"], found[f"queue_waiting {others}"]) == (1, 2)
    assert 10 <= found[f"queue_waiting_oldest_seconds {limited}"] < 10 + WAIT_S
    assert 0 <= found[f"queue_waiting_oldest_seconds {others}"] < WAIT_S
    ends_s = found[f"queue_ends_seconds {PHONE_ID}"]
    assert 24 - 10 - WAIT_S < ends_s < 36 - 10 + 1, "the WABA's 30 s, with their jitter, and three slots"

    await pause(gateway)
    assert math.isnan((await metrics(gateway))[f"queue_ends_seconds {PHONE_ID}"]), "nobody knows"
    await resume(gateway)
    clock.advance(36)
    await nothing_waits(gateway)
    found = await metrics(gateway)
    assert found[f"queue_ends_seconds {PHONE_ID}"] == 0
    assert not [name for name in found if name.startswith("queue_waiting")]


async def test_reasons_that_nobody_has_documented_are_one_line_of_the_metrics(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    for number in range(3):
        await simulator.fault("error", code=987_000 + number, http_status=429, match={"to": TO[:-1] + str(number)})
        await taken(customer, template("sale", to=TO[:-1] + str(number)))
        await resume(gateway)  # such a refusal holds the number for a second
    await until(lambda phone: len({sort["reason"] for sort in phone["sorts"]} - {"its turn"}) == 3, gateway)
    await pause(gateway)
    await until(lambda phone: phone["waiting"] == 3, gateway)
    found = await metrics(gateway)
    assert [name for name in found if name.startswith("queue_waiting ")] == [f"queue_waiting {PHONE_ID} other"]
    assert found[f"queue_waiting {PHONE_ID} other"] == 3
    assert await cancel(gateway, phone=PHONE) == {"cancelled": 3}


async def test_where_nothing_waits_the_journal_is_not_read(tmp_path: Path, clock: ShiftableClock) -> None:
    parts, queued = idle_queue(SqliteStore(tmp_path / "never opened.db", clock), clock)
    await queued.look()
    found = {sample.name: sample.value for family in queued.collect() for sample in family.samples}
    assert (found["waypost_queue_oldest_seconds"], found["waypost_queue_ends_seconds"]) == (0, 0)
    parts.further.backlog.add(Sort(phone_number_id=PHONE_ID, account="acme", appkey="shop", priority=0))
    with pytest.raises(StoreUnavailable):
        await queued.look()
