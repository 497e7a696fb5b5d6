"""Moving up: everything in an embedded journal, row by row, into an empty shared one; and held side by side.

The copy may be killed at any moment and begun again. It goes table by table and within each by its key, a batch a
commit, so that what is there says where to go on. Until all of it has been read back and found equal, the target is
marked as unfinished and no gateway opens it.
"""

import asyncio
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

from waypost.clock import MESSAGE_ID_PREFIX, Clock
from waypost.model import Noun
from waypost.store.base import StoreUnavailable
from waypost.store.copying_source import Source, opened_source
from waypost.store.copying_tables import BATCH_ROWS, Content, CopyRefused, Table, Tally
from waypost.store.copying_target import Target, opened_target
from waypost.store.effects import Effects
from waypost.store.postgres_partitions import Piece

_TIME_DIGITS = 12  # of a message id, behind its prefix: milliseconds in hex
_ID = re.compile(rf"{re.escape(MESSAGE_ID_PREFIX)}[0-9a-f]{{{_TIME_DIGITS}}}")

_ANEW = "make the target database anew (dropdb, createdb), or name another"


class Phase(StrEnum):
    """What a copy is at: it reads the source, then copies, then reads the target."""

    READ = "reading"
    COPY = "copying"
    CHECK = "checking"


class Report(Protocol):
    """Who is told how far a copy is."""

    def __call__(self, phase: Phase, table: str, rows: int, total: int) -> None:
        """Hear that so many of a table's rows are done."""


class CopiedTable(Noun, frozen=True, kw_only=True):
    """What is in one table on both sides."""

    name: str
    source: Content
    target: Content

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return self.source == self.target


class Copied(Noun, frozen=True, kw_only=True):
    """What came of a copy: the tables, and how many rows were written by this run (none: all were there before)."""

    tables: tuple[CopiedTable, ...]
    written: int

    @property
    def differing(self) -> tuple[str, ...]:
        """The tables that are not equal on both sides; the target can't be used then."""
        return tuple(table.name for table in self.tables if not table.is_equal)


async def copy(path: Path, url: str, clock: Clock, report: Report, effects: Effects | None = None) -> Copied:
    """Copy the journal in a file into the one at a URL, and return what is in both.

    Goes on where an earlier run was stopped; where all has been copied before, it only compares. Nobody may write
    either of them meanwhile. Raises `CopyRefused` and `StoreUnavailable` with a line that says why and what to do.
    """
    copying: _Copy | None = None
    try:
        with opened_source(path) as source:
            async with opened_target(url, clock) as target:
                copying = _Copy(source, target, report, effects)
                return await copying.run()
    except StoreUnavailable as error:
        if copying is None or not copying.is_begun:
            raise
        raise StoreUnavailable(f"{error}; nothing is lost: run the same command again and it goes on") from error


class _Copy:
    def __init__(self, source: Source, target: Target, report: Report, effects: Effects | None) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._effects = effects
        self._tables = source.tables()
        self.is_begun = False

    async def run(self) -> Copied:
        """Find out what there is to do, and do it."""
        begun_with = await self._target.begun_with()
        self.is_begun = begun_with is not None
        if begun_with is None and (filled := await self._target.filled(self._tables)):
            return await self._compare(filled)
        contents = {table.name: await self._read(table) for table in self._tables}
        if begun_with is None:
            await self._target.prepare(list(_pieces(self._source)))
            await self._target.begin(contents)
            self.is_begun = True
        elif begun_with != contents:
            raise CopyRefused(
                "an unfinished copy of another journal is in the target, or the source has changed since it was begun: "
                + _ANEW
            )
        return await self._copy_all(contents)

    async def _compare(self, filled: str) -> Copied:
        """Hold both sides against each other where the target is no empty journal."""
        refusal = CopyRefused(f"the target holds rows that are not of this copy (table {filled}): {_ANEW}")
        if not await self._target.is_current():
            raise refusal
        for table in self._tables:
            if await self._target.count(table) != self._source.count(table):
                raise refusal
        copied = await self._both({table.name: await self._read(table) for table in self._tables}, written=0)
        if copied.differing:
            raise refusal
        return copied

    async def _copy_all(self, contents: dict[str, Content]) -> Copied:
        written = 0
        for table in self._tables:
            written += await self._copy(table, contents[table.name].rows)
        await self._target.analyze(self._tables)
        copied = await self._both(contents, written)
        if self._source.was_written():
            raise CopyRefused(f"the source was written while it was copied: stop whoever did it, then {_ANEW}")
        if not copied.differing:
            await self._target.finish()
        return copied

    async def _read(self, table: Table) -> Content:
        tally, total = Tally(), self._source.count(table)
        for row in self._source.walk(table):
            if tally.rows % BATCH_ROWS == 0:
                self._report(Phase.READ, table.name, tally.rows, total)
                await asyncio.sleep(0)  # so that Ctrl-C is heard
            tally.add(row)
        return tally.content()

    async def _copy(self, table: Table, total: int) -> int:
        after = await self._target.last_key(table)
        before = 0 if after is None else await self._target.count(table)
        written = 0
        for batch in self._source.batches(table, after):
            self._report(Phase.COPY, table.name, before + written, total)
            self._announce("copy_commit")
            await self._target.insert(table, batch)
            self._announce("after:copy_commit")
            written += len(batch)
        return written

    async def _both(self, contents: dict[str, Content], written: int) -> Copied:
        """Read the target back and set what is there beside what the source holds."""
        tables = []
        for table in self._tables:
            source = contents[table.name]
            so_far = partial(self._report, Phase.CHECK, table.name, total=source.rows)
            target = await self._target.read_back(table, so_far)
            tables.append(CopiedTable(name=table.name, source=source, target=target))
        return Copied(tables=tuple(tables), written=written)

    def _announce(self, effect: str) -> None:
        if self._effects is not None:
            self._effects.before(effect)


def _pieces(source: Source) -> Iterator[Piece]:
    """Give the pieces that the messages of a journal belong to, without walking through them.

    From an id that no gateway has made they end: whatever is behind it goes to the default piece.
    """
    message_id = source.first_message_from(MESSAGE_ID_PREFIX)
    while message_id is not None and _ID.match(message_id):
        piece = Piece.of(int(message_id.removeprefix(MESSAGE_ID_PREFIX)[:_TIME_DIGITS], 16))
        yield piece
        message_id = source.first_message_from(piece.next_id)
