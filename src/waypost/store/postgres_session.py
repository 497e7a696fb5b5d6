"""Transactions side by side on one PostgreSQL connection: what several ask for in the same words travels together.

A transaction is plain code that asks for one statement after the other. Each runs in a greenlet of its own, which
stops where it asks; once all have stopped, the questions are sorted by their statement, and each statement is sent once
with the values of all who asked for it (one round trip for many). So a group of transactions costs as many round trips
as the longest of them has statements, and not as many as all of them together.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import asyncpg
import msgspec
from greenlet import GreenletExit, getcurrent, greenlet

from waypost.store.exclusion import is_local
from waypost.store.postgres_names import Names
from waypost.store.postgres_sql import Statement, put_together, statements
from waypost.store.session import Row, Session, Value

Work = Callable[[Session], object]


class Entangled(Exception):
    """Transactions of a group wait for each other; one after the other they don't."""


class _Asked(msgspec.Struct):
    """A statement that somebody waits for, its values, and whether only the number of changed rows is wanted."""

    statement: Statement
    values: tuple[Value, ...]
    counted: bool = False


class _Excluding(msgspec.Struct):
    """Names that somebody wants for himself."""

    names: tuple[str, ...]


class PostgresSession(Session):
    """What a transaction in a greenlet sees: every call stops it until the answer is there."""

    def __init__(self) -> None:
        self._statements = statements()
        self.noted: set[tuple[str, tuple[Value, ...]]] = set()
        self.endpoints: set[str] = set()

    def rows(self, query: str, /, **values: Value) -> Sequence[Row]:
        statement = self._statements[query]
        return _ask(_Asked(statement, statement.arguments(values)))  # type: ignore[return-value]  # as it was asked

    def changed(self, query: str, /, **values: Value) -> int:
        statement = self._statements[query]
        return _ask(_Asked(statement, statement.arguments(values), counted=True))  # type: ignore[return-value]  # above

    def select(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        statement = put_together(sql)
        return _ask(_Asked(statement, statement.arguments(values)))  # type: ignore[return-value]  # above

    def exclusive(self, *names: str) -> None:
        if names:
            _ask(_Excluding(names))

    def entered(self, endpoint: str) -> None:
        self.endpoints.add(endpoint)

    def note(self, query: str, /, **values: Value) -> None:
        self.noted.add((query, self._statements[query].arguments(values)))


def _ask(question: _Asked | _Excluding) -> object:
    hub = getcurrent().parent
    assert hub is not None
    return hub.switch(question)


class Group:
    """Runs works together, inside a transaction that somebody else begins and commits."""

    def __init__(self, connection: asyncpg.Connection, names: Names, works: Sequence[Work]) -> None:
        self._connection = connection
        self._names = names
        self._fibers = [greenlet(work) for work in works]
        self._results: dict[greenlet, object] = {}
        self._asked: list[tuple[greenlet, _Asked]] = []
        self._excluding: list[tuple[greenlet, _Excluding]] = []
        self._holder: dict[str, greenlet] = {}
        self._session = PostgresSession()

    @property
    def endpoints(self) -> set[str]:
        """Those that have something new once this is committed."""
        return self._session.endpoints

    async def run(self) -> list[object]:
        """Run all to their end and return their results; raises what one of them raises, `Entangled`, `InTheWay`."""
        try:
            for fiber in self._fibers:
                self._resume(fiber, self._session)
            await self._take(name for _, question in self._excluding for name in question.names)
            while self._asked or self._excluding:
                await self._round()
            await self._write_noted()
        finally:
            for fiber in self._fibers:
                if fiber and not fiber.dead:
                    fiber.throw(GreenletExit)
        return [self._results[fiber] for fiber in self._fibers]

    def _resume(self, fiber: greenlet, answer: object) -> None:
        """Let a transaction go on until it asks the next question or has ended."""
        question = fiber.switch(answer)
        if fiber.dead:
            self._results[fiber] = question
            for name in [name for name, holder in self._holder.items() if holder is fiber]:
                del self._holder[name]
        elif isinstance(question, _Asked):
            self._asked.append((fiber, question))
        else:
            assert isinstance(question, _Excluding)
            self._excluding.append((fiber, question))

    async def _round(self) -> None:
        """Answer what is asked now: first who gets what for himself, then every statement."""
        if self._excluding and not await self._exclude() and not self._asked:
            raise Entangled
        asked, self._asked = self._asked, []
        same: defaultdict[tuple[Statement, bool], list[tuple[greenlet, _Asked]]] = defaultdict(list)
        for fiber, question in asked:
            same[question.statement, question.counted].append((fiber, question))
        answers: list[tuple[greenlet, object]] = []
        for (statement, counted), group in same.items():
            if counted:
                answers += [(fiber, await self._changed(statement, one.values)) for fiber, one in group]
            else:
                answers += await self._answers(statement, group)
        for fiber, answer in answers:
            self._resume(fiber, answer)

    async def _exclude(self) -> bool:
        """Give names to those who can have all that they want; return whether anybody could."""
        waiting, self._excluding = self._excluding, []
        granted: list[greenlet] = []
        wanted: set[str] = set()
        for fiber, question in waiting:
            if any(self._holder.get(name, fiber) is not fiber for name in question.names):
                self._excluding.append((fiber, question))
                continue
            self._holder.update(dict.fromkeys(question.names, fiber))
            wanted.update(question.names)
            granted.append(fiber)
        await self._take(wanted)
        for fiber in granted:
            self._resume(fiber, None)
        return bool(granted)

    async def _take(self, names: Iterable[str]) -> None:
        await self._names.take({name for name in names if not is_local(name)})

    async def _changed(self, statement: Statement, values: tuple[Value, ...]) -> int:
        said: str = await self._connection.execute(statement.text, *values)
        return int(said.rpartition(" ")[2])

    async def _answers(
        self, statement: Statement, group: list[tuple[greenlet, _Asked]]
    ) -> list[tuple[greenlet, object]]:
        if not statement.gives_rows:
            # in one order everywhere, for the rows that several processes write
            values = sorted((question.values for _, question in group), key=_by_first)
            if statement.many is not None and len(values) > 1:
                await self._connection.execute(statement.many, *map(list, zip(*values, strict=True)))
            else:
                await self._connection.executemany(statement.text, values)
            return [(fiber, ()) for fiber, _ in group]
        if len(group) == 1:
            fiber, question = group[0]
            found = await self._connection.fetch(statement.text, *question.values)
            return [(fiber, [tuple(row) for row in found])]
        numbered = [(*question.values, number) for number, (_, question) in enumerate(group)]
        rows: list[list[Row]] = [[] for _ in group]
        for row in await self._connection.fetchmany(statement.tagged, sorted(numbered, key=_by_first)):
            *columns, number = row
            rows[number].append(tuple(columns))
        return [(fiber, rows[number]) for number, (fiber, _) in enumerate(group)]

    async def _write_noted(self) -> None:
        noted: defaultdict[str, list[tuple[Value, ...]]] = defaultdict(list)
        for query, values in self._session.noted:
            noted[query].append(values)
        for query in sorted(noted):
            await self._connection.executemany(statements()[query].text, sorted(noted[query], key=_by_first))


def _by_first(values: tuple[Value, ...]) -> str:
    return str(values[0]) if values else ""
