"""Callbacks: what waits in the journal is delivered, beside the same pushes without a journal."""

import asyncio
import contextlib
import time
from collections import Counter

import msgspec

from bench.contender import take_turns
from bench.failure import BenchFailed
from bench.journal import Journal
from bench.load import Load
from bench.plan import Measured, Measurement, Place, Plan
from bench.posts import MOST_UPDATES, bulk, portions, single
from bench.process import StackProcess, check_queued, start_stacks
from bench.receiver import Receiver
from bench.requests import ACCESS_SECRET, BENCH, Requests
from bench.sending import Sent
from bench.stacks import PUSHES_AT_ONCE, WantedPushes
from bench.upstream import LeanUpstream
from bench.webhooks import CONCURRENCY
from waypost.protocol import callbacks

_LEAST = 4 * PUSHES_AT_ONCE
_MOST = 5_000  # they all come in while the first pushes wait for their answer, which must not take them 10 s
_AFTER_OUTCOME_S = 0.6  # a callback is due half a second after the message was answered at the earliest
_ARRIVE_LIMIT_S = 60.0


class _Status(msgspec.Struct):
    meta_message_id: str


class _Callback(msgspec.Struct):
    statuses: list[_Status]


class _Delivering:
    """A stack that delivers to the receiver, as many as it is measured for."""

    def __init__(self, process: StackProcess, receiver: Receiver) -> None:
        self._process = process
        self._receiver = receiver
        self._rate = 0.0

    @property
    def name(self) -> str:
        """The name of the stack."""
        return self._process.name

    async def warm_up(self, seconds: float) -> None:
        """Deliver ever more for about that long, and learn how fast this stack is."""
        size = _LEAST
        spent = 0.0
        while spent < seconds:
            measured = await self.deliver(size)
            self._rate = measured.per_s
            spent += size / measured.per_s
            size = max(_LEAST, min(4 * size, _MOST, int(self._rate * (seconds - spent))))

    async def measure(self, seconds: float) -> Measured:
        """Measure about that many seconds' worth of callbacks."""
        measured = await self.deliver(max(_LEAST, min(_MOST, int(self._rate * seconds))))
        self._rate = measured.per_s
        return measured

    async def deliver(self, count: int) -> Measured:
        """Deliver that many; raises `BenchFailed` if not every one arrived, or one twice."""
        raise BenchFailed(f"the stack {self.name} delivers nothing")

    async def _measured(self, began_s: float, cpu_before_s: float, count: int) -> Measured:
        """Wait for the last one, and return the figures."""
        await self._arrived(count)
        elapsed_s = time.perf_counter() - began_s
        await self._at_rest()
        cpu_s = await self._process.cpu_s() - cpu_before_s
        return Measured(count=count, per_s=count / elapsed_s, cpu_us=cpu_s / count * 1e6)

    async def _arrived(self, count: int) -> None:
        try:
            async with asyncio.timeout(_ARRIVE_LIMIT_S):
                await self._receiver.arrived(count)
        except TimeoutError:
            raise self._void(count, f"{len(self._receiver.bodies)} arrived in time") from None

    async def _at_rest(self) -> None:
        """Wait until the stack has nothing more to do."""

    def _void(self, count: int, reason: str) -> BenchFailed:
        return BenchFailed(f"void round of {self.name}: {count} to deliver, {reason}")


class Gateway(_Delivering):
    """The gateway: statuses come in while the receiver holds its answers, then the receiver goes on."""

    def __init__(self, process: StackProcess, receiver: Receiver, sent: Sent, webhooks: Load, journal: Journal) -> None:
        super().__init__(process, receiver)
        self._sent = sent
        self._webhooks = webhooks
        self._journal = journal

    async def deliver(self, count: int) -> Measured:
        """Have that many callbacks entered, then delivered; each must arrive exactly once."""
        ids = await self.send(count)
        await asyncio.sleep(_AFTER_OUTCOME_S)
        done_before = self._journal.done(self._sent.endpoint)
        self._receiver.hold()
        customer = self._sent.customer
        await self._webhooks.send([bulk(customer, some, "sent") for some in portions(ids, MOST_UPDATES)])
        await self._arrived(PUSHES_AT_ONCE)
        if (waiting := self._journal.waiting(self._sent.endpoint)) != count:
            raise self._void(count, f"{waiting} waited in the journal")
        cpu_s = await self._process.cpu_s()
        began_s = time.perf_counter()
        self._receiver.go_on()
        measured = await self._measured(began_s, cpu_s, count)
        self._check(ids, done_before)
        return measured

    async def send(self, count: int) -> list[str]:
        """Have that many messages sent that can be reported about a little later."""
        return await self._sent.more(count)

    async def delays_ms(self, ids: list[str], per_s: float) -> list[float]:
        """Report statuses evenly spaced, and return how long after each 200 the callback arrived."""
        done_before = self._journal.done(self._sent.endpoint)
        self._receiver.hold()
        self._receiver.go_on()
        block = await self._webhooks.send([single(self._sent.customer, one, "sent") for one in ids], per_s)
        await self._arrived(len(ids))
        await self._at_rest()
        self._check(ids, done_before)
        came_s = dict(zip(map(_id_of, self._receiver.bodies), self._receiver.came_s, strict=True))
        return [(came_s[one] - answered_s) * 1000 for one, answered_s in zip(ids, block.answered_s, strict=True)]

    def _check(self, ids: list[str], done_before: int) -> None:
        seen = Counter(map(_id_of, self._receiver.bodies))
        if seen != Counter(ids):
            raise self._void(len(ids), f"{len(seen.keys() & set(ids))} arrived, in {seen.total()} pushes")
        if (done := self._journal.done(self._sent.endpoint) - done_before) != len(ids):
            raise self._void(len(ids), f"{done} are done in the journal")

    async def _at_rest(self) -> None:
        await self._journal.settled(self._sent.endpoint)


def _id_of(body: bytes) -> str:
    return msgspec.json.decode(body, type=_Callback).statuses[0].meta_message_id


class Pushes(_Delivering):
    """The gateway's HTTP client alone: the same body each time, nothing read and nothing written down."""

    def __init__(self, process: StackProcess, receiver: Receiver, url: str, body: bytes) -> None:
        super().__init__(process, receiver)
        self._url = url
        self._body = body

    async def deliver(self, count: int) -> Measured:
        """Have the body pushed that many times."""
        headers = callbacks.nxcloud_headers(
            self._body,
            access_key=BENCH.access_key,
            secret=ACCESS_SECRET,
            algorithm="md5",
            ts_ms=time.time_ns() // 1_000_000,
        )
        wanted = WantedPushes(url=self._url, body=self._body.decode(), headers=headers, count=count)
        body = msgspec.json.encode(wanted)
        request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        load = Load(self._process.url, 1)
        await load.open()
        self._receiver.hold()
        self._receiver.go_on()
        cpu_s = await self._process.cpu_s()
        began_s = time.perf_counter()
        answered = asyncio.create_task(load.send([request]))
        try:
            measured = await self._measured(began_s, cpu_s, count)
            await answered
        finally:
            answered.cancel()
            load.close()
        if len(self._receiver.bodies) != count:
            raise self._void(count, f"{len(self._receiver.bodies)} arrived")
        return measured


async def measure(plan: Plan, place: Place) -> Measurement:
    """Measure deliveries in turns; raises `BenchFailed` if any round is void."""
    upstream = LeanUpstream()
    receiver = Receiver()
    async with contextlib.AsyncExitStack() as running:
        meta_url = await upstream.start()
        running.push_async_callback(upstream.stop)
        url = await receiver.start()
        running.push_async_callback(receiver.stop)
        alone, full = await start_stacks(("pushes", "full"), meta_url, place, running)
        journal = Journal(full.journal)
        running.callback(journal.close)
        messages = Load(full.url, plan.concurrency)
        webhooks = Load(full.url, min(CONCURRENCY, plan.concurrency), b"ok")
        for load in (messages, webhooks):
            await load.open()
            running.callback(load.close)
        gateway = Gateway(full, receiver, Sent(messages, Requests(url), upstream), webhooks, journal)
        await gateway.deliver(_LEAST)  # one of them is what the other stack pushes
        pushes = Pushes(alone, receiver, url, receiver.bodies[0])
        rounds = await take_turns((pushes, gateway), plan)
        await check_queued(full)
        return Measurement(rounds)
