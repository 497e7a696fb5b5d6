"""The queue as an operator sees it: what waits and why, for how long, and when it will have left."""

import asyncio

import pytest

from tests.flow.queue_admin import (
    TO,
    cancel,
    listed,
    metrics,
    nothing_waits,
    pause,
    queue,
    resume,
    taken,
    the_phone,
    until,
)
from tests.flow.queue_admin import gateway as gateway
from tests.flow.queue_admin import tenants as tenants
from tests.flow.queue_stand import at_meta, template
from tests.harness import (
    APPKEY,
    PHONE,
    PHONE_ID,
    WABA,
    WAIT_S,
    Control,
    Customer,
    Gateway,
    ShiftableClock,
    text_message,
)


async def test_what_waits_is_told_by_application_priority_and_reason_with_what_holds_it(
    customer: Customer, gateway: Gateway, clock: ShiftableClock
) -> None:
    before = await queue(gateway)
    assert (before["waiting"], before["oldest_seconds"], before["paused"]) == (0, None, [])
    assert before["phones"][0]["ends_in_seconds"] == 0

    told = await pause(gateway)
    assert told["paused"] | {"since_ms": 0} == {
        "kind": "phone", "key": PHONE_ID, "reason": "stock-taking", "since_ms": 0, "until_ms": None, "by": "operator",
    }  # fmt: skip
    await taken(customer, template("sale", appkey="second"), template("sale", appkey="second"), template("otp"))
    clock.advance(90)
    picture = await queue(gateway)
    (phone,) = picture["phones"]
    assert (picture["waiting"], picture["limit"], picture["under_way"]) == (3, 1_000_000, 0)
    assert 90 <= picture["oldest_seconds"] < 90 + WAIT_S
    assert (phone["phone_number_id"], phone["number"], phone["waba_id"]) == (PHONE_ID, PHONE, WABA)
    assert (phone["pace_per_second"], phone["configured_per_second"]) == (20, 20)
    assert phone["ends_in_seconds"] is None, "nobody knows when it is resumed"
    (held,) = phone["held_by"]
    assert held == {
        "kind": "phone", "key": PHONE_ID, "reason": "paused by an operator: stock-taking", "by": "operator",
        "has_end": False, "seconds_left": None,
    }  # fmt: skip
    assert picture["paused"] == [held]
    assert [(sort["appkey"], sort["priority"], sort["reason"], sort["waiting"]) for sort in phone["sorts"]] == [
        (APPKEY, "prompt", "its turn", 1),
        ("second", "ordinary", "its turn", 2),
    ]

    assert await resume(gateway) == {"resumed": True}
    await nothing_waits(gateway)


async def test_a_backlog_without_a_hold_says_when_it_will_have_left(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await pause(gateway)
    await asyncio.gather(*(taken(customer, text_message()) for _ in range(20)))
    await resume(gateway)
    phone = await the_phone(gateway)
    assert phone["waiting"] / 20 <= phone["ends_in_seconds"] <= phone["waiting"] / 20 + 1
    await at_meta(simulator, 20)
    await nothing_waits(gateway)


async def test_a_meta_that_does_not_answer_is_told_with_its_next_probe(
    customer: Customer, gateway: Gateway, simulator: Control
) -> None:
    await simulator.simulator.down()
    for _ in range(6):
        await taken(customer, text_message())
    phone = await until(lambda phone: phone["held_by"], gateway)
    (held,) = phone["held_by"]
    assert (held["kind"], held["key"], held["by"], held["has_end"]) == ("waba", WABA, "gateway", False)
    assert held["reason"].startswith("Meta does not answer: ")
    assert held["seconds_left"] <= 30
    assert phone["ends_in_seconds"] is None
    assert (await metrics(gateway))["meta_silent"] == 1
    assert all(row["reason"].startswith("Meta does not answer: ") for row in await listed(gateway))
    await simulator.simulator.up()
    await at_meta(simulator, 6)
    await nothing_waits(gateway)
    assert (await metrics(gateway))["meta_silent"] == 0


async def test_every_message_says_what_it_waits_for_and_how_long(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=131056, match={"to": TO})
    await taken(customer, text_message(to=TO), text_message(to=TO))
    async with asyncio.timeout(WAIT_S):
        while not (rows := await listed(gateway)) or rows[0]["tries"] < 3:  # from then on it waits 16 s
            clock.advance(rows[0]["due_in_seconds"] if rows else 0)
            await asyncio.sleep(0.02)
    first, second = rows
    assert first["reason"].startswith("131056: ")
    assert first["reason"].endswith(" s left")
    assert 5 < first["due_in_seconds"] <= 16 * 1.2
    assert second["reason"] == "an earlier message to this recipient"
    assert (first["to"], first["number"], first["priority"], first["template"]) == (TO, PHONE, "prompt", None)
    assert first["expires_in_seconds"] is None
    (sort, behind) = sorted((await the_phone(gateway))["sorts"], key=lambda sort: str(sort["reason"]))
    assert (sort["waiting"], behind["waiting"]) == (1, 1)
    assert sort["reason"] == first["reason"].split(",")[0]


async def test_the_list_is_filtered_and_paged_and_ends(customer: Customer, gateway: Gateway) -> None:
    await pause(gateway, key=PHONE_ID)
    await taken(
        customer,
        template("sale", to=TO),
        template("otp", appkey="second"),
        template("sale", appkey="second"),
        text_message(),
    )
    whole = await listed(gateway)
    assert [row["template"] for row in whole] == ["sale", "otp", "sale", None]
    assert 0 < whole[1]["expires_in_seconds"] <= 600
    for query, numbers in (
        (f"?phone={PHONE}", [0, 1, 2, 3]),
        (f"?phone=%2B{PHONE}", [0, 1, 2, 3]),
        (f"?phone={PHONE_ID}&appkey=second", [1, 2]),
        ("?template=sale", [0, 2]),
        ("?template=sale&appkey=second&account=acme", [2]),
        ("?account=nobody", []),
        ("?phone=8600000000", []),
    ):
        ids = [row["message_id"] for row in await listed(gateway, query)]
        assert ids == [whole[number]["message_id"] for number in numbers], query
    page = await gateway.admin("GET", "queue/messages?limit=3")
    assert [row["message_id"] for row in page["messages"]] == [row["message_id"] for row in whole[:3]]
    page = await gateway.admin("GET", f"queue/messages?limit=3&cursor={page['next_cursor']}")
    assert ([row["message_id"] for row in page["messages"]], page["next_cursor"]) == ([whole[3]["message_id"]], None)


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("queue/messages?application=second", "limit, cursor, phone, appkey, account, template"),
        ("messages?stat=unknown", "limit, cursor, state"),
        ("callbacks?application=second", "limit, cursor, account, appkey, message_id, state, since_ms, until_ms"),
        (
            "events?deliverd=false",
            "limit, cursor, account, appkey, message_id, state, since_ms, until_ms, since, deliv",
        ),
        ("audit?cursor=0190f3c2a4b87d10a3f5c6d7e8f90a1b", "limit"),
    ],
)
async def test_a_list_that_is_narrowed_by_a_slip_is_refused_instead_of_showing_everything(
    query: str, known: str, gateway: Gateway
) -> None:
    answer = await gateway.admin("GET", query, status=400)
    _, _, name = query.partition("?")
    assert answer["error"].startswith(f"nobody knows {name.split('=')[0]!r} here: the query may have {known}")


async def test_what_meta_withholds_for_a_day_is_told_as_aside_and_delays_no_forecast(
    customer: Customer, gateway: Gateway, simulator: Control, clock: ShiftableClock
) -> None:
    await simulator.fault("error", code=131049, times=2)
    await taken(customer, template("sale", to=TO), template("sale", appkey="second"))
    phone = await until(lambda phone: phone["waiting"] == 2, gateway)
    assert (phone["aside"], phone["ends_in_seconds"], phone["held_by"]) == (2, 0, [])
    assert [(sort["aside"], sort["reason"][:7], sort["waiting"]) for sort in phone["sorts"]] == [
        (True, "131049:", 1)
    ] * 2
    for row in await listed(gateway):
        assert row["reason"].endswith("h left")
        assert row["due_in_seconds"] > 86_000
    found = await metrics(gateway)
    assert (found[f"queued {PHONE_ID} ordinary"], found[f"queue_ends_seconds {PHONE_ID}"]) == (2, 0)

    await pause(gateway, "application", "second")
    await simulator.fault("error", code=80007, times=1)
    await taken(customer, text_message())
    phone = await until(lambda phone: phone["waiting"] == 3, gateway)
    assert 0 < phone["ends_in_seconds"] < 40, "the application that is paused has nothing that waits in turn"
    await pause(gateway)
    phone = await the_phone(gateway)
    assert (phone["waiting"], phone["aside"], phone["ends_in_seconds"]) == (3, 2, None)
    await resume(gateway)
    await resume(gateway, "waba", WABA)
    phone = await until(lambda phone: phone["waiting"] == phone["aside"], gateway)
    assert (phone["waiting"], phone["ends_in_seconds"]) == (2, 0)
    assert await cancel(gateway, template="sale") == {"cancelled": 2}
    assert (await metrics(gateway))[f"queued {PHONE_ID} ordinary"] == 0
