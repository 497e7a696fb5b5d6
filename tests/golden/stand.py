"""The way of a webhook through the gateway without its HTTP: verified, read, routed, journalled, callbacks entered."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.journal_rows import SteppedClock
from waypost.gateway.events import EventIntake, Intake
from waypost.gateway.lessons import Lessons
from waypost.gateway.outbox import Outbox
from waypost.gateway.pace_keeper import PaceKeeper
from waypost.gateway.pauses import Pauses
from waypost.gateway.registry import Registry
from waypost.gateway.vault import Vault
from waypost.model import Callback, CallbackDraft, Message, StatusEvent
from waypost.store.base import CallbackFilter
from waypost.store.sqlite import SqliteStore

APP_SECRET = "meta-app-secret-0001"
LIMIT = 10_000


class Stand:
    """A gateway's inside with a journal in memory; its clock stands at when Meta's POSTs come in."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = SqliteStore(":memory:", self.clock, draft=self._draft, entered=self._note)
        self.registry = Registry(self.store, Vault("0123456789abcdef" * 2), self.clock)
        self.rung: set[str] = set()
        self.outbox = Outbox(self.registry)
        pace, pauses = PaceKeeper(self.store, self.registry, self.clock), Pauses(self.store, self.registry, self.clock)
        self.intake = EventIntake(self.store, self.outbox, Lessons(pace, pauses, self.clock), self.clock)

    def _note(self, endpoints: Iterable[str]) -> None:
        self.rung.update(endpoints)

    def _draft(self, message: Message, event: StatusEvent) -> CallbackDraft | None:
        return self.outbox.draft(message, event)

    async def post(self, raw: bytes, secret: str = APP_SECRET) -> Intake:
        """Let Meta post a webhook, signed with the secret of an app."""
        signature = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        return await self.intake.take_in(raw, signature)

    async def callbacks(self, account: str | None = None) -> tuple[Callback, ...]:
        """What has been entered for an account, or for all, oldest first."""
        page = await self.store.callbacks(CallbackFilter(account=account), limit=LIMIT, cursor=None)
        assert page.next_cursor is None
        return page.callbacks


@asynccontextmanager
async def standing(tables: Mapping[str, Any]) -> AsyncIterator[Stand]:
    """Open a stand with the tables of a tenant file."""
    stand = Stand()
    await stand.store.open()
    try:
        await stand.registry.apply(tables)
        yield stand
        assert await stand.store.check() == []
    finally:
        await stand.store.close()
