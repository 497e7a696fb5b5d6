"""What the bench sends as Meta is what Meta sends, and its receiver that hangs is as patient as it says."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.draining import Queue
from bench.failure import BenchFailed
from bench.isolation import Crowd
from bench.journal import Journal
from bench.load import Load
from bench.plan import Beside
from bench.posts import MOST_BYTES, MOST_UPDATES, bulk, largest, portions, single
from bench.process import StackProcess, check_queued
from bench.receiver import HangingReceiver
from bench.requests import APP_SECRET, BENCH, NEIGHBOUR, PHONES, Customer, Requests
from bench.sending import Sent
from bench.stacks import UNPINNED
from bench.upstream import LeanUpstream, meta_id
from bench.webhooks import measure_largest
from waypost.meta import webhooks
from waypost.meta.webhooks import Webhook
from waypost.protocol.messages import decode

PUSH = b"POST /callbacks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read(request: bytes) -> Webhook:
    """Take a POST in as the gateway does."""
    head, _, body = request.partition(b"\r\n\r\n")
    signature = head.partition(b"x-hub-signature-256: ")[2].partition(b"\r\n")[0].decode()
    assert webhooks.verify_signature(body, signature, APP_SECRET)
    assert f"content-length: {len(body)}".encode() in head
    return webhooks.parse(body, 0)


def test_the_phones_take_turns_so_that_none_sends_faster_than_it_may() -> None:
    bodies = [request.partition(b"\r\n\r\n")[2] for request in Requests().make(3 * PHONES)]
    senders = [decode(body).business_phone for body in bodies]
    assert senders == [*BENCH.phones.values()] * 3
    assert len(set(senders)) == PHONES


def test_posts_are_signed_as_meta_signs_and_report_one_status_each() -> None:
    phone = list(BENCH.phones)[3]
    (reported,) = read(single(BENCH, meta_id(phone, 7), "delivered")).statuses
    assert (reported.waba_id, reported.event.phone_number_id) == (BENCH.waba_id, phone)
    assert (reported.event.meta_message_id, reported.event.status) == (meta_id(phone, 7), "delivered")


def ids_of(customer: Customer, count: int) -> dict[str, str]:
    """Return ids of messages that the phones sent in turns, each with its phone."""
    phones = itertools.islice(itertools.cycle(customer.phones), count)
    return {meta_id(phone, number): phone for number, phone in enumerate(phones)}


@pytest.mark.parametrize(("customer", "count"), [(BENCH, 1), (NEIGHBOUR, 101), (NEIGHBOUR, MOST_UPDATES)])
def test_a_large_post_reports_every_message_once_of_the_phone_that_sent_it(customer: Customer, count: int) -> None:
    ids = ids_of(customer, count)
    webhook = read(bulk(customer, list(ids), "sent"))
    assert len(webhook.statuses) == count
    assert {reported.event.meta_message_id: reported.event.phone_number_id for reported in webhook.statuses} == ids
    assert (webhook.ignored, webhook.other) == (0, ())


@pytest.mark.parametrize("status", ["sent", "read"])
def test_the_largest_post_is_just_within_metas_limits(status: str) -> None:
    ids = list(ids_of(BENCH, MOST_UPDATES))
    request = largest(BENCH, ids, status)
    assert 0.95 * MOST_BYTES < len(request.partition(b"\r\n\r\n")[2]) <= MOST_BYTES
    webhook = read(request)
    assert len(request.split(b'"metadata"')) - 1 == 100  # ten entries of ten changes of ten statuses
    assert Counter(reported.event.meta_message_id for reported in webhook.statuses) == Counter(ids)
    assert all("delivery_hints" in reported.event.raw for reported in webhook.statuses)
    assert webhook.ignored == 0


def test_portions_hold_everything_in_order() -> None:
    assert portions([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]


class FullWhenTwoHang(HangingReceiver):
    """Says when two pushes hang."""

    def __init__(self) -> None:
        super().__init__(2)
        self.full = asyncio.Event()

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        super().take(transport, body)
        if self.hanging() == 2:
            self.full.set()


async def test_a_receiver_that_hangs_answers_only_while_it_has_free_places() -> None:
    receiver = FullWhenTwoHang()
    parts = urlsplit(await receiver.start())
    (reader, writer), (_, other) = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(2)]
    async with asyncio.timeout(10):
        writer.write(PUSH)
        assert await reader.readexactly(len(ANSWER)) == ANSWER  # it was alone
        writer.write(PUSH)
        other.write(PUSH)
        await receiver.full.wait()
        other.close()
        assert await reader.readexactly(len(ANSWER)) == ANSWER  # it is alone again
    assert receiver.hanging() == 0
    writer.close()
    await receiver.stop()


async def test_a_round_is_void_if_too_little_waits_or_nothing_is_tried(tmp_path: Path) -> None:
    process = await StackProcess.start("full", "http://127.0.0.1:1", tmp_path / "full", UNPINNED)
    journal = Journal(process.journal)
    receiver = HangingReceiver(2)
    with pytest.raises(BenchFailed, match="void round: 0 callbacks waited for an endpoint where 8 tries hung"):
        Crowd(journal, "neighbour http://127.0.0.1:1", receiver, 1).seen(8)
    nobody = Crowd(journal, "neighbour http://127.0.0.1:1", receiver, 0)
    with pytest.raises(BenchFailed, match="where 0 tries hung"):
        nobody.seen(0)
    assert nobody.seen(8) == Beside(overtaken=0, hanging=8)
    journal.close()
    await process.stop()


class OneShort(Sent):
    """Forgets one message."""

    async def more(self, count: int) -> list[str]:
        return await super().more(count - 1)


async def test_what_went_through_the_queue_is_told_and_is_no_result_where_nothing_should_wait(tmp_path: Path) -> None:
    upstream = LeanUpstream()
    process = await StackProcess.start("full", await upstream.start(), tmp_path / "full", UNPINNED)
    load, journal, requests = Load(process.url, 4), Journal(process.journal), Requests()
    await load.open()
    await Sent(load, requests, upstream).more(8)
    await check_queued(process)
    drained = await Queue(process, Sent(load, requests, upstream), upstream, journal).drain(PHONES)
    assert (drained.count, await upstream.count()) == (PHONES, PHONES + 8)
    assert min(drained.per_s, drained.cpu_us) > 0
    await check_queued(process, PHONES)
    with pytest.raises(BenchFailed, match=f"void run of full: {PHONES} attempts to send were made out of the queue"):
        await check_queued(process)
    with pytest.raises(BenchFailed, match="void round of queue: 8 to wait and then to leave, 7 waited"):
        await Queue(process, OneShort(load, requests, upstream), upstream, journal).drain(8)
    load.close()
    journal.close()
    await process.stop()
    await upstream.stop()


class Repeating(Sent):
    """Names one message twice and another never."""

    async def more(self, count: int) -> list[str]:
        ids = await super().more(count)
        return [*ids[:-1], ids[0]]


async def test_a_large_post_is_void_if_an_update_is_not_recorded(tmp_path: Path) -> None:
    upstream = LeanUpstream()
    process = await StackProcess.start("full", await upstream.start(), tmp_path / "full", UNPINNED)
    messages, posts, journal = Load(process.url, 4), Load(process.url, 1, b"ok"), Journal(process.journal)
    await messages.open()
    await posts.open()
    sent = Repeating(messages, Requests(), upstream)
    with pytest.raises(BenchFailed, match="void round of full: 999 of 1000 updates recorded"):
        await measure_largest(process, posts, sent, journal, 1)
    messages.close()
    posts.close()
    journal.close()
    await process.stop()
    await upstream.stop()
