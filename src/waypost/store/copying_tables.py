"""What the copying of a journal speaks of: its tables, what is in each, and why a copy is refused."""

from hashlib import blake2b

import msgspec

from waypost.model import Noun
from waypost.store.session import Row

BATCH_ROWS = 5_000  # of one commit: enough to fill a flush, and a copy that was killed has little to do again
BATCH_BYTES = 8 * 1_048_576  # the same where rows are large: what is held in memory

_encode = msgspec.msgpack.Encoder().encode

_DIGEST_BYTES = 16
_SUMS = 1 << 8 * _DIGEST_BYTES


class CopyRefused(Exception):
    """A copy can't be begun, or can't go on; the message says why and what to do."""


class Table(Noun, frozen=True, kw_only=True):
    """One table: its columns, what they hold by the schema's words, and those that tell its rows apart."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]  # of each column: "TEXT", "BIGINT" or "BLOB"
    key: tuple[str, ...]

    @property
    def all_columns(self) -> str:
        """The columns as a statement names them."""
        return ", ".join(self.columns)

    def key_of(self, row: Row) -> Row:
        """Return what tells a row apart."""
        return tuple(row[self.columns.index(column)] for column in self.key)


class Content(Noun, frozen=True, kw_only=True):
    """What is in a table: how many rows, and a checksum of all of them in any order, as hex digits."""

    rows: int
    checksum: str


class Tally:
    """Counts rows and sums up their digests: the same for the same rows, in whatever order and on whichever engine."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, row: Row) -> int:
        """Count a row in, and return about how many bytes it has."""
        encoded = _encode(row)
        self.rows += 1
        self._sum += int.from_bytes(blake2b(encoded, digest_size=_DIGEST_BYTES).digest())
        return len(encoded)

    def content(self) -> Content:
        """Return what was counted."""
        return Content(rows=self.rows, checksum=f"{self._sum % _SUMS:0{2 * _DIGEST_BYTES}x}")


def size_of(row: Row) -> int:
    """Return about how many bytes a row has."""
    return len(_encode(row))
