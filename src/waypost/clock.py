"""Time, identifiers and chance: the only source of each, so that a test can replace all three."""

import asyncio
import contextlib
import os
import time
from threading import Lock

MESSAGE_ID_PREFIX = "wamid."  # what WhatsApp message ids look like to the customers' programs


class Clock:
    """The real clock: wall time in milliseconds, fresh identifiers and unguessable tokens."""

    def __init__(self) -> None:
        self._entropy = Entropy()
        self._ids = Uuid7Sequence(self._entropy)
        self._followed_from_ns: int | None = None

    def now_ms(self) -> int:
        """Return wall time as milliseconds since 1970."""
        if self._followed_from_ns is not None:
            return (self._followed_from_ns + time.monotonic_ns()) // 1_000_000
        return time.time_ns() // 1_000_000

    def follow(self, now_us: int) -> None:
        """Take wall time from somebody else from now on: it is so many microseconds since 1970 there now.

        Whatever happens to this machine's own wall time then changes nothing. To be repeated now and then.
        """
        if (
            self._followed_from_ns is None
        ):  # identifiers made before, by a clock that was ahead, don't draw others along
            self._ids = Uuid7Sequence(self._entropy)
        self._followed_from_ns = now_us * 1000 - time.monotonic_ns()

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never steps back; only differences mean something."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait until an event is set, that many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    def message_id(self) -> str:
        """Return a new message id: `wamid.` and the 32 hex digits of a UUIDv7 that never steps back (decision D4)."""
        return MESSAGE_ID_PREFIX + self.uuid7_hex()

    def uuid7_hex(self) -> str:
        """Return the 32 hex digits of a new UUIDv7, larger than every earlier one of this clock."""
        return self._ids.next_hex(self.now_ms())

    def token(self) -> str:
        """Return 128 unguessable bits as 32 hex digits."""
        return self._entropy.take(16).hex()

    def chance(self) -> float:
        """Return a random number from 0 up to but not including 1."""
        return int.from_bytes(self._entropy.take(6)) / (1 << 48)


def first_id_of(at_ms: int) -> str:
    """Return what sorts before every UUIDv7 made at or after a time: the time that stands in front of it."""
    return f"{max(0, at_ms):012x}"


class Entropy:
    """Hands out unguessable bytes from a block read ahead: one system call serves hundreds of messages.

    Each byte is given out once; a forked process starts with a block of its own.
    """

    _BLOCK = 4096

    def __init__(self) -> None:
        self._lock = Lock()  # the writer thread of a store may ask too
        self._block = b""
        os.register_at_fork(after_in_child=self._forget)

    def take(self, number: int) -> bytes:
        """Return that many bytes, at most 4,096."""
        with self._lock:
            if len(self._block) < number:
                self._block = os.urandom(self._BLOCK)
            taken, self._block = self._block[:number], self._block[number:]
        return taken

    def _forget(self) -> None:
        self._lock = Lock()
        self._block = b""


class Uuid7Sequence:
    """Makes UUIDv7 values (RFC 9562) that strictly increase even if wall time steps back.

    The 12 bits after the time are a counter; when it runs over, or when the clock went back, the last time is kept
    or moved on by a millisecond.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._lock = Lock()
        self._last_ms = 0
        self._counter = 0

    def next_hex(self, now_ms: int) -> str:
        """Return the next value for a wall time in milliseconds, as 32 hex digits."""
        chance = int.from_bytes(self._entropy.take(10))
        with self._lock:
            if now_ms > self._last_ms:
                self._last_ms, self._counter = now_ms, chance >> 69  # 11 bits: room to count on within a millisecond
            elif self._counter < 0xFFF:
                self._counter += 1
            else:
                self._last_ms, self._counter = self._last_ms + 1, 0
            ms, counter = self._last_ms, self._counter
        value = ms << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | chance & 0x3FFF_FFFF_FFFF_FFFF
        return f"{value:032x}"
