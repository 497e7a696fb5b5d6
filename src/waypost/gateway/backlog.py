"""How much waits, kept in memory: whether a message may go ahead at once, and whether there is room for one more.

A count may be too high for a while (a row can leave the queue by a report of Meta's), never too low: a message that
waits its turn without need is late by a moment, one that jumps the queue breaks the order. What waits aside counts,
but is before nobody; if a report takes it from there it counts until the next start.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from waypost.model import Message, Noun
from waypost.store.base_queue import QueueDepth, Waiting


class Sort(Noun, frozen=True, kw_only=True):
    """What messages that wait are counted by."""

    phone_number_id: str
    account: str
    appkey: str
    priority: int
    aside: bool = False

    @staticmethod
    def of(row: Message | Waiting, priority: int, *, aside: bool = False) -> "Sort":
        """Return the sort of a message that waits with this priority."""
        return Sort(
            phone_number_id=row.phone_number_id,
            account=row.account,
            appkey=row.appkey,
            priority=priority,
            aside=aside,
        )


class Backlog:
    """Counts of what waits, by phone and priority, application and account."""

    def __init__(self) -> None:
        self._lanes: Counter[tuple[str, int]] = Counter()
        self._accounts: Counter[str] = Counter()
        self._applications: Counter[str] = Counter()
        self._sorts: defaultdict[str, Counter[Sort]] = defaultdict(Counter)  # by phone
        self._versions: Counter[str] = Counter()
        self._entering: Counter[str] = Counter()  # by phone: counted, and not committed yet
        self.total = 0

    def load(self, depths: Iterable[QueueDepth], before: Mapping[str, int]) -> None:
        """Count what waits, at the start or anew; `before` are the `versions` of the moment when it was looked up.

        For a phone for which something has come to wait since then, or is coming, no count is lowered.
        """
        found: defaultdict[str, Counter[Sort]] = defaultdict(Counter)
        for depth in depths:
            sort = Sort(
                phone_number_id=depth.phone_number_id,
                account=depth.account,
                appkey=depth.appkey,
                priority=depth.priority,
                aside=depth.aside,
            )
            found[depth.phone_number_id][sort] += depth.count
        for phone_number_id in {*found, *self._sorts}:
            moved = self._versions[phone_number_id] != before.get(phone_number_id, 0)
            there = self._sorts.get(phone_number_id, Counter())
            for sort in {*found[phone_number_id], *there}:
                change = found[phone_number_id][sort] - there[sort]
                if change > 0 or (change and not moved and not self._entering[phone_number_id]):
                    self._add(sort, change)

    def versions(self) -> dict[str, int]:
        """Return the versions of all phones."""
        return dict(self._versions)

    def ahead(self, phone_number_id: str, priority: int) -> int:
        """Return how many messages of a phone go before one of this priority that comes now."""
        if not self.total:  # as mostly
            return 0
        return sum(self._lanes[phone_number_id, before] for before in range(priority + 1))

    def before(self, coming: Sort, stands: Callable[[str], bool]) -> int:
        """Forecast how many messages leave before one that comes now; `stands` tells which applications don't send.

        Applications take turns, so of another one no more go before it than of its own, and one.
        """
        there: Mapping[Sort, int] = self._sorts.get(coming.phone_number_id, {})
        moving = {sort: number for sort, number in there.items() if not sort.aside and not stands(sort.appkey)}
        own = moving.get(coming, 0)
        urgent = sum(number for sort, number in moving.items() if sort.priority < coming.priority)
        turns = [number for sort, number in moving.items() if sort.priority == coming.priority and sort != coming]
        return urgent + own + sum(min(number, own + 1) for number in turns)

    def waiting(self) -> Counter[tuple[str, int]]:
        """Return how many messages wait by phone and priority: also those that are being sent, and those aside."""
        found: Counter[tuple[str, int]] = Counter()
        for sorts in self._sorts.values():
            for sort, number in sorts.items():
                found[sort.phone_number_id, sort.priority] += number
        return found

    def of_account(self, account: str) -> int:
        """Return how many messages of an account wait."""
        return self._accounts.get(account, 0)

    def of_application(self, appkey: str) -> int:
        """Return how many messages of an application wait."""
        return self._applications.get(appkey, 0)

    def enter(self, sort: Sort) -> None:
        """Count one that is about to wait: before its commit, so that none which comes later overtakes it.

        `entered` must follow.
        """
        self._entering[sort.phone_number_id] += 1
        self._add(sort, 1)

    def entered(self, sort: Sort, *, stays: bool) -> None:
        """Take in what became of one that was about to wait."""
        self._entering[sort.phone_number_id] -= 1
        self._versions[sort.phone_number_id] += 1  # whoever looked before its commit has not seen it
        if not stays:
            self.leave(sort)

    def add(self, sort: Sort) -> None:
        """Count one that waits already."""
        self._add(sort, 1)

    def leave(self, sort: Sort) -> None:
        """Count one that waits no more."""
        if self._sorts[sort.phone_number_id][sort] > 0:
            self._add(sort, -1)

    def suspect_back(self) -> None:
        """Count what waits aside as in its lane, because nobody knows whether it is back there."""
        aside = [(sort, number) for sorts in self._sorts.values() for sort, number in sorts.items() if sort.aside]
        for sort, number in aside:
            self._add(sort, -number)
            self._add(msgspec.structs.replace(sort, aside=False), number)

    def phones(self) -> set[str]:
        """Return the phones that anything is counted for in a lane."""
        return {phone for phone, sorts in self._sorts.items() if not all(sort.aside for sort in sorts)}

    def version(self, phone_number_id: str) -> int:
        """Return a number that changes with every message that comes to wait for a phone."""
        return self._versions[phone_number_id]

    def is_empty(self, phone_number_id: str, version: int) -> None:
        """Take in that a phone's lanes are empty, unless something came since `version` was read, or is coming."""
        if self._versions[phone_number_id] != version or self._entering[phone_number_id]:
            return
        for sort, number in tuple(self._sorts[phone_number_id].items()):
            if not sort.aside:
                self._add(sort, -number)

    def _add(self, sort: Sort, number: int) -> None:
        if not sort.aside:
            self._lanes[sort.phone_number_id, sort.priority] += number
        self._accounts[sort.account] += number
        self._applications[sort.appkey] += number
        self.total += number
        self._sorts[sort.phone_number_id][sort] += number
        if number > 0:
            self._versions[sort.phone_number_id] += 1
        if not self._sorts[sort.phone_number_id][sort]:
            del self._sorts[sort.phone_number_id][sort]
        if not self._sorts[sort.phone_number_id]:
            del self._sorts[sort.phone_number_id]
