"""What the bench sends as Meta is what Meta sends, and its receiver that hangs is as patient as it says."""

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.failure import BenchFailed
from bench.isolation import Crowd
from bench.journal import Journal
from bench.load import Load
from bench.plan import Beside
from bench.posts import MOST_BYTES, MOST_UPDATES, bulk, largest, portions, single
from bench.process import StackProcess
from bench.receiver import HangingReceiver
from bench.requests import APP_SECRET, BENCH, NEIGHBOUR, Customer, Requests
from bench.sending import Sent
from bench.stacks import UNPINNED
from bench.upstream import LeanUpstream, meta_id
from bench.webhooks import measure_largest
from waypost.meta import webhooks
from waypost.meta.webhooks import Webhook

PUSH = b"POST /callbacks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read(request: bytes) -> Webhook:
    """Take a POST in as the gateway does."""
    head, _, body = request.partition(b"\r\n\r\n")
    signature = head.partition(b"x-hub-signature-256: ")[2].partition(b"\r\n")[0].decode()
    assert webhooks.verify_signature(body, signature, APP_SECRET)
    assert f"content-length: {len(body)}".encode() in head
    return webhooks.parse(body, 0)


def test_posts_are_signed_as_meta_signs_and_report_one_status_each() -> None:
    (reported,) = read(single(BENCH, meta_id(7), "delivered")).statuses
    assert (reported.waba_id, reported.event.phone_number_id) == (BENCH.waba_id, BENCH.phone_number_id)
    assert (reported.event.meta_message_id, reported.event.status) == (meta_id(7), "delivered")


@pytest.mark.parametrize(("customer", "count"), [(BENCH, 1), (NEIGHBOUR, 101), (NEIGHBOUR, MOST_UPDATES)])
def test_a_large_post_reports_every_message_once(customer: Customer, count: int) -> None:
    ids = [meta_id(number) for number in range(count)]
    webhook = read(bulk(customer, ids, "sent"))
    assert [reported.event.meta_message_id for reported in webhook.statuses] == ids
    assert {reported.event.phone_number_id for reported in webhook.statuses} == {customer.phone_number_id}
    assert (webhook.ignored, webhook.other) == (0, ())


@pytest.mark.parametrize("status", ["sent", "read"])
def test_the_largest_post_is_just_within_metas_limits(status: str) -> None:
    ids = [meta_id(number) for number in range(MOST_UPDATES)]
    request = largest(BENCH, ids, status)
    assert 0.95 * MOST_BYTES < len(request.partition(b"\r\n\r\n")[2]) <= MOST_BYTES
    webhook = read(request)
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
