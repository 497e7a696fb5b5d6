"""Injected failures: on the answer, on the connection, on the port, on the webhooks; and whom they strike."""

import asyncio
import errno
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.simulator.conftest import PHONE, Meta, Receiver, text_to


async def raw_answer(meta: Meta, body: object) -> tuple[bytes, BaseException | None]:
    """Sends over a plain socket; gives all bytes until the connection ended, and what ended it."""
    address = urlsplit(meta.simulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    content = json.dumps(body).encode()
    head = (
        f"POST /v23.0/{PHONE}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: {len(content)}"
    )
    writer.write(head.encode() + b"\r\n\r\n" + content)
    received, problem = b"", None
    try:
        async with asyncio.timeout(10):
            while chunk := await reader.read(65536):
                received += chunk
    except OSError as error:
        problem = error
    writer.close()
    return received, problem


async def fault(meta: Meta, kind: str, **values: object) -> dict[str, Any]:
    made: dict[str, Any] = await meta.control("POST", "faults", {"kind": kind, **values})
    return made


async def accepted_count(meta: Meta) -> int:
    count: int = (await meta.control("GET", "count"))["messages"]
    return count


async def test_accept_then_drop_accepts_and_closes_without_a_byte(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "accept_then_drop", times=1)
    assert await raw_answer(sim_linked, text_to(biz_opaque_callback_data="lost")) == (b"", None)
    assert await accepted_count(sim_linked) == 1
    assert await sim_receiver.statuses(3) == ["sent", "delivered", "read"]
    assert sim_receiver.hooks[0].status["biz_opaque_callback_data"] == "lost"


async def test_truncate_accepts_and_closes_after_half_of_the_announced_body(sim_meta: Meta) -> None:
    await fault(sim_meta, "truncate", times=1)
    received, problem = await raw_answer(sim_meta, text_to())
    head, _, body = received.partition(b"\r\n\r\n")
    announced = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 ")
    assert problem is None
    assert len(body) == announced // 2
    assert body.startswith(b'{"messaging_product":"whatsapp"')
    assert await accepted_count(sim_meta) == 1


async def test_no_id_accepts_and_answers_without_messages(sim_meta: Meta) -> None:
    await fault(sim_meta, "no_id", times=1)
    status, answer = await sim_meta.send(text_to())
    assert (status, set(answer)) == (200, {"messaging_product", "contacts"})
    assert await accepted_count(sim_meta) == 1


async def test_reset_accepts_nothing_and_resets_the_connection(sim_meta: Meta) -> None:
    await fault(sim_meta, "reset", times=1)
    received, problem = await raw_answer(sim_meta, text_to())
    assert received == b""
    assert isinstance(problem, ConnectionResetError)
    assert problem.errno == errno.ECONNRESET
    assert await accepted_count(sim_meta) == 0
    await sim_meta.accepted(text_to())


async def test_http_500_and_html_502_accept_nothing(sim_meta: Meta) -> None:
    await fault(sim_meta, "http_500", times=1)
    status, answer = await sim_meta.send(text_to())
    assert (status, answer["error"]["code"]) == (500, 131000)
    await fault(sim_meta, "http_500", times=1, code=2, http_status=503)
    status, answer = await sim_meta.send(text_to())
    assert (status, answer["error"]["code"], answer["error"]["is_transient"]) == (503, 2, True)
    await fault(sim_meta, "html_502", times=1)
    url = f"{sim_meta.simulator.url}/v23.0/{PHONE}/messages"
    async with sim_meta.http.post(url, json=text_to(), headers={"Authorization": "Bearer t"}) as html:
        assert (html.status, html.content_type) == (502, "text/html")
        assert "Bad Gateway" in await html.text()
    assert await accepted_count(sim_meta) == 0


async def test_error_answers_with_the_given_code_subcode_status_and_details(sim_meta: Meta) -> None:
    await fault(sim_meta, "error", code=131056, times=1)
    status, answer = await sim_meta.send(text_to())
    assert (status, answer["error"]["code"]) == (400, 131056)
    assert answer["error"]["message"] == "(#131056) (Business Account, Consumer Account) pair rate limit hit"
    await fault(sim_meta, "error", code=4, subcode=99, http_status=429, details="wait", times=1)
    status, answer = await sim_meta.send(text_to())
    assert (status, answer["error"]["error_subcode"], answer["error"]["error_data"]["details"]) == (429, 99, "wait")
    assert await accepted_count(sim_meta) == 0


async def test_latency_accepts_at_once_and_answers_late(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "latency", latency_ms=60_000)
    answer = asyncio.create_task(sim_linked.send(text_to()))
    assert await sim_receiver.statuses(3) == ["sent", "delivered", "read"]
    assert not answer.done()
    assert await accepted_count(sim_linked) == 1
    answer.cancel()
    await asyncio.gather(answer, return_exceptions=True)


async def test_latency_joins_with_another_fault(sim_meta: Meta) -> None:
    await fault(sim_meta, "latency", latency_ms=5, times=1)
    await fault(sim_meta, "error", code=2, times=1)
    assert (await sim_meta.send(text_to()))[0] == 503
    (entry,) = await sim_meta.control("GET", "requests")
    assert entry["fault"] == "fault-2"


async def test_a_fault_strikes_whom_it_matches_and_as_often_as_it_says(sim_meta: Meta) -> None:
    match = {"to": "+86 138 0000 0002", "phone_number_id": PHONE, "endpoint": "messages"}
    made = await fault(sim_meta, "error", code=131026, times=2, match=match)
    assert made["id"] == "fault-1"
    await sim_meta.accepted(text_to("8613800000001"))
    await sim_meta.accepted(text_to("8613800000002"), phone="5550001")
    assert (await sim_meta.refused(text_to("8613800000002")))[0] == 131026
    (active,) = await sim_meta.control("GET", "faults")
    assert active["times"] == 1
    assert (await sim_meta.refused(text_to("+8613800000002")))[0] == 131026
    assert await sim_meta.control("GET", "faults") == []
    await sim_meta.accepted(text_to("8613800000002"))


async def test_a_fault_without_times_stays_until_deleted(sim_meta: Meta) -> None:
    await fault(sim_meta, "error", code=1)
    for _ in range(3):
        assert (await sim_meta.refused(text_to()))[0] == 1
    assert await sim_meta.control("DELETE", "faults") == {"faults": 0}
    await sim_meta.accepted(text_to())


async def test_an_accepting_fault_waits_for_a_message_that_is_accepted(sim_meta: Meta) -> None:
    await fault(sim_meta, "no_id", times=1)
    await sim_meta.refused(text_to("nobody"))
    assert "messages" not in (await sim_meta.send(text_to()))[1]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"kind": "explode"}, "Invalid enum value 'explode'"),
        ({"kind": "error"}, "needs `code`"),
        ({"kind": "latency"}, "needs `latency_ms`"),
        ({"kind": "webhook_delay"}, "needs `latency_ms`"),
        ({"kind": "down", "match": {"to": "1"}}, "takes no `match`"),
        ({"kind": "reset", "times": 0}, "Expected `int` >= 1"),
        ({"kind": "reset", "match": {"number": "1"}}, "unknown field `number`"),
        ({"kind": "reset", "code": "1"}, "Expected `int | null`, got `str`"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(body: object, text: str, sim_meta: Meta) -> None:
    assert text in (await sim_meta.control("POST", "faults", body, status=400))["error"]
    assert await sim_meta.control("GET", "faults") == []


async def test_down_closes_port_and_connections_until_deleted(sim_meta: Meta) -> None:
    address = urlsplit(sim_meta.simulator.url)
    idle_reader, idle_writer = await asyncio.open_connection(address.hostname, address.port)
    await sim_meta.accepted(text_to())
    await fault(sim_meta, "down")
    async with asyncio.timeout(10):
        assert await idle_reader.read() == b""
    idle_writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address.hostname, address.port)
    assert [item["kind"] for item in await sim_meta.control("GET", "faults")] == ["down"]
    await sim_meta.control("DELETE", "faults")
    await sim_meta.accepted(text_to())
    assert await accepted_count(sim_meta) == 2


async def test_down_answers_the_call_that_asked_for_it_and_can_end_by_itself(sim_meta: Meta) -> None:
    url = f"{sim_meta.simulator.url}/_simulator/faults"
    async with sim_meta.http.post(url, json={"kind": "down", "for_s": 60}) as answer:
        assert (answer.status, (await answer.json())["kind"]) == (200, "down")
    address = urlsplit(sim_meta.simulator.url)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address.hostname, address.port)
    await sim_meta.control("POST", "clock", {"advance_s": 61})
    async with asyncio.timeout(10):
        while await sim_meta.control("GET", "faults"):
            await asyncio.sleep(0)
    await sim_meta.accepted(text_to())


async def test_the_port_can_be_closed_and_opened_in_process(sim_meta: Meta) -> None:
    await sim_meta.simulator.down()
    await sim_meta.simulator.down()
    with pytest.raises(OSError):
        await sim_meta.send(text_to())
    await sim_meta.simulator.up()
    await sim_meta.simulator.up()
    await sim_meta.accepted(text_to())


async def test_a_stopped_simulator_may_be_down_and_leaves_no_answer_open(sim_meta: Meta) -> None:
    await fault(sim_meta, "latency", latency_ms=60_000)
    answer = asyncio.create_task(sim_meta.send(text_to()))
    async with asyncio.timeout(10):
        while await accepted_count(sim_meta) == 0:
            await asyncio.sleep(0)
    await sim_meta.simulator.stop()
    with pytest.raises(aiohttp.ClientError):
        await answer
    await sim_meta.simulator.stop()


async def test_a_webhook_comes_twice(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "webhook_duplicate", times=1)
    await sim_linked.accepted(text_to())
    assert sorted(await sim_receiver.statuses(4)) == ["delivered", "read", "sent", "sent"]


async def test_the_webhooks_of_a_message_come_in_reverse_order(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "webhook_reorder", times=1)
    await sim_linked.accepted(text_to())
    assert await sim_receiver.statuses(3) == ["read", "delivered", "sent"]
    await sim_linked.accepted(text_to())
    assert (await sim_receiver.statuses(6))[3:] == ["sent", "delivered", "read"]


async def test_a_webhook_is_dropped(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "webhook_drop", times=2, match={"to": "8613800000001"})
    await sim_linked.accepted(text_to())
    assert await sim_receiver.statuses(1) == ["read"]
    await sim_linked.accepted(text_to())
    assert await sim_receiver.statuses(4) == ["read", "sent", "delivered", "read"]


async def test_a_webhook_is_delayed_and_others_pass_it(sim_linked: Meta, sim_receiver: Receiver) -> None:
    await fault(sim_linked, "webhook_delay", times=1, latency_ms=3_600_000)
    await sim_linked.accepted(text_to())
    assert await sim_receiver.statuses(2) == ["delivered", "read"]
    await sim_linked.control("POST", "clock", {"advance_s": 3601})
    assert await sim_receiver.statuses(3) == ["delivered", "read", "sent"]
