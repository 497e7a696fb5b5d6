"""The concrete engines that the settings ask for: where the journal is, and who rings the doorbell."""

from pathlib import Path

from waypost.clock import Clock
from waypost.data_dir import DataDir
from waypost.queue.base import Queue
from waypost.queue.embedded import EmbeddedQueue
from waypost.queue.jetstream import JetStreamQueue
from waypost.settings import Settings, database_path, is_shared
from waypost.store.effects import Effects
from waypost.store.engine import Entered
from waypost.store.outbox import Draft
from waypost.store.postgres import PostgresStore
from waypost.store.sqlite import SqliteStore

AnyStore = SqliteStore | PostgresStore


class EngineUnusable(Exception):
    """An engine can't be what the settings say; the message names the setting."""


def journal(
    settings: Settings,
    clock: Clock,
    *,
    effects: Effects | None = None,
    draft: Draft | None = None,
    entered: Entered | None = None,
) -> AnyStore:
    """Return the journal, not open yet."""
    if is_shared(settings):
        return PostgresStore(settings.database_url, clock, effects=effects, draft=draft, entered=entered)
    return SqliteStore(database_path(settings), clock, effects=effects, draft=draft, entered=entered)


def doorbell(settings: Settings, clock: Clock) -> Queue:
    """Return what rings between processes, or inside this one.

    Raises `EngineUnusable` for an address that can't be right.
    """
    if not settings.nats_url:
        return EmbeddedQueue()
    try:
        return JetStreamQueue(settings.nats_url, clock, settings.nats_prefix)
    except ValueError as error:
        raise EngineUnusable(f"WAYPOST_NATS_URL: {error}") from None


def folders_to_own(settings: Settings) -> list[DataDir]:
    """Return the folders that one process must own (decision D18): none where the journal is a server's."""
    if is_shared(settings):
        return []
    return DataDir(Path(settings.data_dir)).with_that_of(database_path(settings))
