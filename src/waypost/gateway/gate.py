"""Whether a message goes ahead at once or waits its turn, and whether there is room to wait (decision D3)."""

import contextlib
from collections.abc import Coroutine, Iterator
from types import TracebackType

from waypost.clock import Clock
from waypost.gateway.allowances import Allowances
from waypost.gateway.backlog import Sort
from waypost.gateway.dispatch import Dispatcher
from waypost.gateway.further_attempts import FurtherAttempts
from waypost.gateway.routing import Route
from waypost.gateway.turns import Turns
from waypost.model import Account, Application, Message, Noun
from waypost.protocol.errors import SystemBusy
from waypost.protocol.messages import MtRequest, TemplateMessage
from waypost.store.base import StoreUnavailable
from waypost.store.base_queue import PRIORITY_ORDINARY, PRIORITY_PROMPT, QueueEntry

AUTHENTICATION, FREE_FORM = "authentication", "service"
OTP_S = 600  # Meta's own time to live of authentication templates
_AT_ONCE_MS = 50  # a slot that comes within this is waited for inside the request


class GateLimits(Noun, frozen=True, kw_only=True):
    """How long a request may wait for its outcome, and how many messages may wait in all and of one application."""

    answer_within_s: float
    waiting: int
    waiting_of_application: int


class Entered:
    """A message that was counted as waiting: how many go before it, and whether it does wait."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self.stays = True  # also if the journal does not tell: better one too many is counted than one too few


class Passage:
    """A message that leaves at once, while this is entered: counted for its recipient and its WABA, in its slot.

    If it is not `posted` in the end, such as a repeat, its recipient was not written to. Entering it waits for the slot
    and raises `SystemBusy` if the journal gives none.
    """

    def __init__(self, turns: Turns, message: Message) -> None:
        self.posted = False
        self._turns = turns
        self._message = message
        self._place = turns.place(message.phone_number_id)

    async def __aenter__(self) -> "Passage":
        self._turns.pace.left(self._message.phone_number_id, self._message.recipient)
        self._turns.begin(self._place)
        try:
            await self._turns.slot(self._message.phone_number_id)
        except BaseException as error:
            self._end()
            if isinstance(error, StoreUnavailable):
                raise SystemBusy(f"journal unavailable: {error}") from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and not self.posted:
            self._turns.pace.give_back(self._message.phone_number_id)
        self._end()

    def _end(self) -> None:
        self._turns.end(self._place)
        if not self.posted:
            self._turns.pace.returned(self._message)


class Gate:
    """Every message passes here before it is journalled."""

    def __init__(
        self, turns: Turns, further: FurtherAttempts, dispatcher: Dispatcher, limits: GateLimits, clock: Clock
    ) -> None:
        self.turns = turns
        self.further = further
        self._backlog = further.backlog
        self._dispatcher = dispatcher
        self._limits = limits
        self._clock = clock
        self._allowances = Allowances()

    def entry_of(self, message: Message, request: MtRequest, application: Application) -> QueueEntry:
        """Say how a message would wait: how urgent it is, and until when it is worth sending."""
        lives_ms = ttl_ms(message.category, application)
        return QueueEntry(
            priority=priority_of(message.category),
            template=request.template.name if isinstance(request, TemplateMessage) else None,
            due_at_ms=message.created_at_ms,
            expires_at_ms=None if lives_ms is None else message.created_at_ms + lives_ms,
        )

    def is_open(self, request: MtRequest, route: Route) -> bool:
        """Tell whether a message may go ahead at once: nothing holds it, nobody is before it, and its slot is near."""
        turns, phone_number_id = self.turns, route.phone.phone_number_id
        place, priority = turns.place(phone_number_id), priority_of(route.category)
        return (
            not self._backlog.ahead(phone_number_id, priority)
            and turns.is_free(place, request.appkey, priority)
            and not turns.pace.pair_wait_ms(phone_number_id, request.to)
            and turns.pace.forecast_ms(phone_number_id, 0) <= _AT_ONCE_MS
        )

    def admit(self, account: Account) -> None:
        """Count a request, whatever is wrong with it; raise `SystemBusy` where its account asks too often."""
        if not self._allowances.take(account, self._clock.now_ms()):
            raise SystemBusy("too many requests of this account a second; send more slowly")

    def check(self, account: Account, request: MtRequest, route: Route) -> None:
        """Raise `SystemBusy` where no more may wait; nothing is journalled or sent then.

        What would not have to wait is let through, however much waits elsewhere.
        """
        whose = self._who_may_not_wait(account, request.appkey)
        if whose is not None and not self.is_open(request, route):
            raise SystemBusy(f"too many messages{whose} wait to be sent; try again later")

    def _who_may_not_wait(self, account: Account, appkey: str) -> str | None:
        """Say of whom as many messages wait as may, or return None."""
        backlog, limits = self._backlog, self._limits
        if backlog.total >= limits.waiting:
            return ""
        if backlog.of_application(appkey) >= limits.waiting_of_application:
            return " of this application"
        if account.max_waiting is not None and backlog.of_account(account.name) >= account.max_waiting:
            return " of this account"
        return None

    def entering(self, message: Message, entry: QueueEntry | None) -> contextlib.AbstractContextManager[Entered]:
        """Count a message as one that waits, before that is committed, and no more if it does not stay.

        Where nobody knows whether it was committed it counts until its queue has been looked at. Without an entry it
        does not wait.
        """
        if entry is None:
            return contextlib.nullcontext(Entered(0))
        return self._entering(message, entry)

    @contextlib.contextmanager
    def _entering(self, message: Message, entry: QueueEntry) -> Iterator[Entered]:
        sort = Sort.of(message, entry.priority, aside=entry.aside)
        entered = Entered(self._backlog.before(sort, self._stands))
        self._backlog.enter(sort)
        try:
            yield entered
        except BaseException:
            self.ring(message)
            raise
        finally:
            self._backlog.entered(sort, stays=entered.stays)

    def behind(self, entry: QueueEntry) -> QueueEntry | None:
        """Say how a message waits that could leave at once, if another process has put an earlier one into its lane."""
        return None if self._dispatcher.shares.are_alone else entry

    def passage(self, message: Message) -> Passage:
        """Let a message leave at once."""
        return Passage(self.turns, message)

    def _stands(self, appkey: str) -> bool:
        return self.turns.hold_of_application(appkey) is not None

    def see_to(self, work: Coroutine[None, None, None]) -> None:
        """Have something done in the end that a request could not wait for."""
        self._dispatcher.see_to(work)

    def ring(self, message: Message) -> None:
        """Have the queue of a message's phone looked at."""
        self._dispatcher.ring(message.phone_number_id)

    async def outcome_of(self, message: Message, ahead: int) -> Message:
        """Ring for a message that waits behind so many.

        Return its outcome where that is to be had in time, else the row as it is.
        """
        turns = self.turns
        self.ring(message)
        if not await self._is_sent_here(message):
            return message  # another process sends it, and its fate is a callback
        place = turns.place(message.phone_number_id)
        held = turns.hold_of(place) or turns.hold_of_application(message.appkey)
        within_ms = self._limits.answer_within_s * 1000
        wait_ms: float = turns.pace.forecast_ms(message.phone_number_id, ahead)
        wait_ms = max(wait_ms, turns.pace.pair_wait_ms(message.phone_number_id, message.recipient))
        if held is not None:
            wait_ms = max(wait_ms, turns.seconds_until(held.until_ms) * 1000)
        if wait_ms > within_ms or turns.is_wary(place):
            return message
        return await self.further.outcome_of(message, self._limits.answer_within_s)

    async def _is_sent_here(self, message: Message) -> bool:
        try:
            return await self._dispatcher.shares.has(message.phone_number_id)
        except StoreUnavailable:
            return False


def priority_of(category: str) -> int:
    """Return how urgent a message is: somebody waits for a one-time password, and for a reply."""
    return PRIORITY_PROMPT if category in (AUTHENTICATION, FREE_FORM) else PRIORITY_ORDINARY


def ttl_ms(category: str, application: Application) -> int | None:
    """Return how long a message may wait, in milliseconds; None: as long as it takes."""
    seconds = application.ttl.get(category, OTP_S if category == AUTHENTICATION else None)
    return None if seconds is None else seconds * 1000
