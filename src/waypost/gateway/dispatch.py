"""Looks after the queues of all phones: starts them, finds what a lost ring left lying, ends what comes too late."""

import asyncio
from collections.abc import Coroutine

import structlog

from waypost.clock import Clock
from waypost.gateway.backlog import Sort
from waypost.gateway.further_attempts import FurtherAttempts
from waypost.gateway.outbox import Outbox
from waypost.gateway.phone_queue import PhoneQueue
from waypost.gateway.shares import AllQueues, Shares
from waypost.gateway.turns import Turns
from waypost.model import Message, State
from waypost.store.base import Store, StoreUnavailable
from waypost.store.base_queue import Ending, Waiting

log = structlog.get_logger("waypost.queue")

SWEEP_S = 5.0
_LEAST_REST_S = 0.1  # between two sweeps, however much is too late
TOO_LATE = 910_002
TOO_LATE_TITLE = "too late: its time to live passed while it waited"
_AT_ONCE = 500  # messages in one commit


class Dispatcher:
    """Runs beside the gateway until it is cancelled."""

    def __init__(self, store: Store, turns: Turns, further: FurtherAttempts, outbox: Outbox, clock: Clock) -> None:
        self._store = store
        self._turns = turns
        self._further = further
        self._outbox = outbox
        self._clock = clock
        self._queues: dict[str, PhoneQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.shares: Shares = AllQueues()

    def shared_by(self, shares: Shares) -> None:
        """Send only what other processes leave to this one."""
        self.shares = shares

    def ring(self, phone_number_id: str) -> None:
        """Have the queue of a phone looked at, by whichever process sends what waits there."""
        if not self.shares.sends:
            self.shares.ring(phone_number_id)
            return
        queue = self._queues.get(phone_number_id)
        if queue is not None:
            queue.ring()
        elif not self._closing:
            self._start(phone_number_id)

    def ring_all(self) -> None:
        """Have every queue looked at that waits for something."""
        for queue in self._queues.values():
            queue.ring()

    def entered(self, sort: Sort) -> None:
        """Take in that one more message waits that nobody counted before its commit."""
        self._further.backlog.add(sort)
        self.ring(sort.phone_number_id)

    def _start(self, phone_number_id: str) -> None:
        queue = self._queues[phone_number_id] = PhoneQueue(self._turns, self._further, self.shares, phone_number_id)
        task = asyncio.create_task(queue.run(), name=f"queue {phone_number_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(queue, done))

    def _ended(self, queue: PhoneQueue, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._queues[queue.phone_number_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("queue_broke", phone_number_id=queue.phone_number_id, reason=f"{type(error).__name__}: {error}")
        if queue.rung and not self._closing:  # by somebody who came as it was about to end
            self._start(queue.phone_number_id)

    def see_to(self, work: Coroutine[None, None, None]) -> None:
        """Have something done in the end that a request could not wait for."""
        if self._closing:
            work.close()
            return
        task = asyncio.create_task(work, name="afterwards")
        self._tasks.add(task)
        task.add_done_callback(self._seen_to)

    def _seen_to(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("afterwards_broke", reason=f"{type(error).__name__}: {error}")

    async def load(self) -> None:
        """Count what waits, also anew where other processes change it; raises `StoreUnavailable`."""
        backlog = self._further.backlog
        before = backlog.versions()
        backlog.load(await self._store.queue_depths(), before)

    async def run(self) -> None:
        """Look after the queues for ever; a journal that is away for a while only delays it."""
        try:
            while True:
                try:
                    if self.shares.sends:
                        await self._sweep()
                except Exception as error:  # whatever it is: the next round tries anew
                    log.warning("queue_delayed", reason=f"{type(error).__name__}: {error}")
                await self._rest()
        finally:
            self._closing = True
            under_way = tuple(self._tasks)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _rest(self) -> None:
        await self._clock.sleep(_LEAST_REST_S)
        sleeper = asyncio.ensure_future(self._clock.sleep(SWEEP_S - _LEAST_REST_S))
        waker = asyncio.ensure_future(self._further.too_late.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _sweep(self) -> None:
        self._further.too_late.clear()
        while late := await self._store.expired_waiting(self._clock.now_ms(), _AT_ONCE):
            if not await self._end(late):
                break  # all of them are just being sent
        while back := await self._bring_back():
            for waiting in back:
                self.entered(Sort.of(waiting, waiting.priority))
                self._further.left(waiting)
        ready = {phone.phone_number_id for phone in await self._store.queue_phones()}
        for phone_number_id in ready | self._further.backlog.phones():  # what is counted may have gone unnoticed
            self.ring(phone_number_id)

    async def _bring_back(self) -> tuple[Waiting, ...]:
        try:
            return await self._store.bring_back(self._clock.now_ms(), _AT_ONCE)
        except StoreUnavailable:
            self._further.backlog.suspect_back()
            raise

    async def _end(self, late: tuple[Waiting, ...]) -> bool:
        """End messages that it is too late to send, and tell their customers why; return whether any ended."""
        now = self._clock.now_ms()
        endings = []
        for message in await self._store.queued_messages(tuple(waiting.message_id for waiting in late)):
            callback = self._outbox.draft_failure(message, TOO_LATE, TOO_LATE_TITLE, at_ms=now)
            endings.append(Ending(message_id=message.id, state=State.EXPIRED, callback=callback))
        ended = await self._store.end_queued(tuple(endings), now_ms=now)
        self.forget(late, ended)
        return bool(ended)

    def forget(self, waiting: tuple[Waiting, ...], ended: tuple[Message, ...]) -> None:
        """Count messages that wait no more, and log the end of each."""
        rows = {row.message_id: row for row in waiting}
        for message in ended:
            log.warning("message_ended", message_id=message.id, state=message.state)
            self._further.ended[message.state] += 1
            self._further.heard(message)
            self._further.left(rows[message.id])
