"""The names that a transaction has for itself (see `Session.exclusive`), as locks of the server."""

from hashlib import blake2b

import asyncpg

# The server's table of locks has some thousand places for all transactions together. Whoever needs more than this takes
# one lock that keeps everybody else away who wants any name; a full POST of Meta's needs 2,000.
MOST_NAMES = 2_500
EVERYTHING = ""

_WAIT = """
SELECT pg_advisory_xact_lock_shared($1)
UNION ALL SELECT pg_advisory_xact_lock(one) FROM unnest($2::bigint[]) AS one
"""
_WAIT_FOR_ALL = "SELECT pg_advisory_xact_lock($1)"
_TRY = """
SELECT pg_try_advisory_xact_lock_shared($1) AND bool_and(pg_try_advisory_xact_lock(one))
FROM unnest($2::bigint[]) AS one
"""


class InTheWay(Exception):
    """Another process has a name that a transaction wants besides what it has already: it has to be done again."""


class Names:
    """What one transaction has for itself.

    It holds what many operations need, each at another point of its work; so there is no order in which two such
    transactions could wait for each other's names and never in a circle. Therefore one waits before it does anything,
    for all names that are known by then, in the order of the names; and never again. What turns out to be needed later
    is had at once or not at all: then the transaction is undone, and done again with those names known.
    """

    def __init__(self, connection: asyncpg.Connection, known: set[str]) -> None:
        """The names that are `known` from an earlier try are taken, too; what this one asks for is added to them."""
        self._known = known
        self._connection = connection
        self._held: set[str] = set()
        self._may_wait = True

    async def take(self, names: set[str]) -> None:
        """Have these names, too; raises `InTheWay`."""
        self._known.update(names)
        first, self._may_wait = self._may_wait, False
        if EVERYTHING in self._held:
            return
        new = (self._known if first else names) - self._held
        if EVERYTHING in new or len(self._held) + len(new) > MOST_NAMES:
            self._known.add(EVERYTHING)
            if not first:
                raise InTheWay
            await self._connection.fetch(_WAIT_FOR_ALL, _number_of(EVERYTHING))
            self._held.add(EVERYTHING)
        elif new:
            locks = [_number_of(name) for name in sorted(new)]
            if first:
                await self._connection.fetch(_WAIT, _number_of(EVERYTHING), locks)
            elif not await self._connection.fetchval(_TRY, _number_of(EVERYTHING), locks):
                raise InTheWay
            self._held.update(new)

    def held(self) -> frozenset[str]:
        """Return what the transaction has."""
        return frozenset(self._held)

    def only(self, names: frozenset[str]) -> None:
        """Hear that the transaction went back to where it had these names."""
        self._held = set(names)


def _number_of(name: str) -> int:
    """Return the number of a lock: equal names have equal ones, and others nearly never."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)
