"""Sends what waits for one business phone: in order, at its pace, fair between the applications that share it."""

import asyncio
from collections import deque
from functools import partial

import structlog

from waypost.gateway.brakes import Place
from waypost.gateway.further_attempts import FurtherAttempts, Made
from waypost.gateway.shares import Shares
from waypost.gateway.turns import Turns
from waypost.store.base import StoreUnavailable
from waypost.store.base_queue import Waiting

log = structlog.get_logger("waypost.queue")

_PER_APPLICATION = 20  # read ahead, beyond those whose attempt is just being committed: these are still in front
_LOOK_AGAIN_S = 5.0  # wall time may jump, and a pause may be lifted elsewhere
_NO_ROOM_S = 1.0  # an attempt that ends wakes one of those that wait for room
_TROUBLE_S = 1.0
_ASK_AGAIN_S = 1.0  # who has the queue may just be giving it up


class PhoneQueue:
    """Runs as long as something waits for its phone; `ring` tells that there is something new."""

    def __init__(self, turns: Turns, attempts: FurtherAttempts, shares: Shares, phone_number_id: str) -> None:
        self._turns = turns
        self._attempts = attempts
        self._shares = shares
        self.phone_number_id = phone_number_id
        self._heads: dict[int, dict[str, deque[Waiting]]] = {}  # by priority and application
        self._order: dict[int, list[str]] = {}  # whose turn it is, by priority
        self._stale = True
        self._under_way: dict[str, asyncio.Task[Made]] = {}
        self._beginning: set[str] = set()  # of these, those that the journal does not know of yet
        self._wake = asyncio.Event()

    def ring(self) -> None:
        """Look at the queue now."""
        self._stale = True
        self._wake.set()

    @property
    def rung(self) -> bool:
        """Whether somebody rang since the queue was read."""
        return self._stale

    async def run(self) -> None:
        """Send until nothing waits any more; a journal that is away for a while only delays it."""
        try:
            while True:
                self._wake.clear()
                try:
                    is_ours = await self._shares.has(self.phone_number_id)
                    pause_s = await self._step() if is_ours else await self._stand_by()
                except StoreUnavailable as error:
                    log.warning("queue_delayed", phone_number_id=self.phone_number_id, reason=str(error))
                    pause_s = _TROUBLE_S
                if pause_s is None:
                    return
                await self._nap(pause_s)
        finally:
            if under_way := tuple(self._under_way.values()):
                # what was posted is written down, for nobody else knows of it
                await asyncio.wait(under_way, timeout=self._attempts.longest_s)
                for task in under_way:
                    task.cancel()
            await self._shares.give_up(self.phone_number_id)

    async def _stand_by(self) -> float | None:
        """Leave the queue to the process that has it; return when to ask again, None once nothing waits there."""
        was_rung, self._stale = self._stale, False
        self._heads = {}
        if was_rung:
            self._attempts.let_go(self.phone_number_id, None)
            self._shares.tell_owner(self.phone_number_id)
        if not self._under_way and not await self._turns.lanes_stand(self.phone_number_id):
            return None
        return _ASK_AGAIN_S if was_rung else _LOOK_AGAIN_S

    async def _step(self) -> float | None:
        """Begin one attempt if one may begin; return the seconds to wait before the next step, None at the end."""
        turns = self._turns
        version = self._attempts.backlog.version(self.phone_number_id)
        if (self._stale or not self._has_heads()) and not await self._refill():
            return await self._seconds_until_due(version)
        if not self._has_heads():
            return _LOOK_AGAIN_S  # all of it is under way or paused; an attempt that ends wakes us
        place = turns.place(self.phone_number_id)
        hold = turns.hold_of(place)
        if hold is not None:
            self._attempts.let_go(self.phone_number_id, None if turns.is_wary(place) else hold.until_ms)
            return turns.seconds_until(hold.until_ms)
        if not turns.room(place, self._most_urgent()):
            turns.wait_for_room(self._wake)
            return _NO_ROOM_S
        await turns.slot(self.phone_number_id)
        if self._stale:
            await self._refill()  # somebody more urgent may have come
        # another phone of the WABA may have been faster, and made the probe
        if turns.hold_of(place) is None and (waiting := await self._pick(place)) is not None:
            self._begin(waiting, place)
        return 0

    async def _seconds_until_due(self, version: int) -> float | None:
        due_ms = await self._turns.next_due(self.phone_number_id)
        if due_ms is not None:
            return self._turns.seconds_until(due_ms)
        if self._under_way:
            return _LOOK_AGAIN_S  # what stands behind them becomes ready when they end
        if not await self._turns.lanes_stand(self.phone_number_id):  # else a sweep goes on, when a lease has ended
            self._attempts.backlog.is_empty(self.phone_number_id, version)
        return None if self._attempts.backlog.version(self.phone_number_id) == version else 0

    def _has_heads(self) -> bool:
        return any(heads for apps in self._heads.values() for heads in apps.values())

    def _most_urgent(self) -> int:
        return min(priority for priority, apps in self._heads.items() if any(apps.values()))

    async def _refill(self) -> bool:
        """Read anew what is due; return whether there was anything."""
        self._stale = False
        rows = await self._turns.heads(self.phone_number_id, _PER_APPLICATION + len(self._beginning))
        found: dict[int, dict[str, deque[Waiting]]] = {}
        for row in rows:
            if self._turns.is_too_late(row):
                self._attempts.too_late.set()  # they are in the way of others
            elif row.message_id not in self._under_way and not self._turns.is_stuck(row):
                found.setdefault(row.priority, {}).setdefault(row.appkey, deque()).append(row)
        for priority, apps in found.items():
            order = [appkey for appkey in self._order.get(priority, ()) if appkey in apps]  # whose turn it was stays so
            found[priority] = {appkey: apps[appkey] for appkey in [*order, *apps]}
        self._heads = found
        return bool(rows)

    async def _pick(self, place: Place) -> Waiting | None:
        """Take the next message that may leave now: by priority, then each application in its turn."""
        for priority in sorted(self._heads):
            if not self._turns.room(place, priority):
                return None
            apps = self._heads[priority]
            for appkey in list(apps):
                heads = apps.pop(appkey)
                apps[appkey] = heads  # behind the others from now on
                self._order[priority] = list(apps)
                while heads:
                    waiting = heads.popleft()  # read a moment ago: it may have been paused since
                    stays = self._turns.is_stuck(waiting) or self._turns.is_too_late(waiting)
                    if not stays and await self._turns.may_leave(waiting):
                        return waiting
        return None

    def _begin(self, waiting: Waiting, place: Place) -> None:
        self._turns.begin(place)
        self._beginning.add(waiting.message_id)
        begun = partial(self._beginning.discard, waiting.message_id)
        task = asyncio.create_task(self._attempts.make(waiting, begun), name="attempt")
        self._under_way[waiting.message_id] = task
        task.add_done_callback(lambda done: self._ended(waiting, place, done))

    def _ended(self, waiting: Waiting, place: Place, task: asyncio.Task[Made]) -> None:
        del self._under_way[waiting.message_id]
        self._beginning.discard(waiting.message_id)
        self._turns.end(place)
        self._wake.set()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("attempt_broke", message_id=waiting.message_id, reason=f"{type(error).__name__}: {error}")
            return
        made = task.result()
        if not made.posted:
            self._turns.pace.pairs.returned(waiting.phone_number_id, waiting.recipient)
        if made.waits:
            self._stale = True  # it is the oldest still, and those that were read behind it are not

    async def _nap(self, seconds: float) -> None:
        if not seconds:
            return
        waker = asyncio.ensure_future(self._wake.wait())
        sleeper = asyncio.ensure_future(self._turns.sleep(min(seconds, _LOOK_AGAIN_S)))
        try:
            await asyncio.wait((waker, sleeper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waker.cancel()
            sleeper.cancel()
