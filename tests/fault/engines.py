"""A journal on either engine, named by one text: the path of a file, or the URL of a database."""

import asyncpg

from waypost.clock import Clock
from waypost.store.database_file import check_file
from waypost.store.effects import Effects
from waypost.store.outbox import Draft
from waypost.store.postgres import PostgresStore
from waypost.store.sqlite import SqliteStore

# What becomes of a call with text that isn't Unicode, and with a whole number beyond 64 bits.
NOT_TEXT = (UnicodeEncodeError, asyncpg.DataError)
TOO_LARGE = (OverflowError, asyncpg.DataError)


def store_at(
    place: str, clock: Clock, *, effects: Effects | None = None, draft: Draft | None = None
) -> SqliteStore | PostgresStore:
    """Build the journal that is there; it is not open yet."""
    engine = PostgresStore if place.startswith("postgresql://") else SqliteStore
    return engine(place, clock, effects=effects, draft=draft)


async def problems_at(place: str) -> list[str]:
    """Check a journal that nobody has open."""
    if not place.startswith("postgresql://"):
        return check_file(place)
    store = PostgresStore(place, Clock())
    await store.open()
    try:
        return await store.check()
    finally:
        await store.close()
