"""What the journal runs on: an engine that runs transactions and reads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from waypost.clock import Clock
from waypost.store.outbox import Draft, Outbox
from waypost.store.session import Row, Session, Value

Result = TypeVar("Result")

# Is told, in any thread, which endpoints have something new that has just been committed; it may not fail.
Entered = Callable[[Iterable[str]], None]


class Engine(ABC):
    """Runs work, which is a function of a session; each call may raise `StoreUnavailable`."""

    def __init__(self, clock: Clock, draft: Draft | None) -> None:
        self._clock = clock
        self._outbox = Outbox(clock, draft)

    @abstractmethod
    async def _write(self, effect: str, work: Callable[[Session], Result], *, is_long: bool = False) -> Result:
        """Run work in a transaction and return its result once that is durable; the effect is the commit's name.

        Where an engine can, what is long goes another way, so that nobody who sends waits for it.
        The work may be run again from its start where the transaction has to be, so it does nothing else.
        """

    @abstractmethod
    async def _read(self, work: Callable[[Session], Result]) -> Result:
        """Run a short look-up on what has been committed."""

    @abstractmethod
    async def _walk(self, work: Callable[[Session], Result]) -> Result:
        """Run a read that may take long, on the journal as it is at one moment; no look-up waits for it."""

    async def _rows(self, query: str, **values: Value) -> Sequence[Row]:
        return await self._read(lambda session: session.rows(query, **values))
