"""The simulator's own time and chance: one clock that can be moved forward, one dice that a seed repeats."""

import base64
import hashlib
import random
import secrets
import time

DEVICE_TO_BUSINESS = 0x12
BUSINESS_TO_DEVICE = 0x11


class Clock:
    """The simulated time: the machine's time plus what tests added to it; it never steps back.

    Built on the monotonic clock, so that a correction of the machine's time can't stall due statuses.
    """

    def __init__(self) -> None:
        self._started_ms = time.time_ns() // 1_000_000
        self._started_ns = time.monotonic_ns()
        self._advanced_ms = 0

    def now_ms(self) -> int:
        """The simulated time in Unix milliseconds."""
        return self._started_ms + (time.monotonic_ns() - self._started_ns) // 1_000_000 + self._advanced_ms

    def advance(self, seconds: float) -> None:
        """Moves the simulated time forward by `seconds`."""
        self._advanced_ms += round(seconds * 1000)

    def reset(self) -> None:
        """Takes back all that was added."""
        self._advanced_ms = 0


class Dice:
    """The source of every random thing of one simulator; the same seed gives the same ids in the same order."""

    def __init__(self, seed: int | None = None) -> None:
        self.reseed(secrets.randbelow(2**32) if seed is None else seed)

    def reseed(self, seed: int) -> None:
        """Starts the sequence of `seed` from its beginning."""
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable is the point here

    def wamid(self, number: str, direction: int = BUSINESS_TO_DEVICE) -> str:
        """A message id of the shape that Meta's ids are seen to have: the person's number and 20 hex digits inside."""
        digits, unique = number.encode(), f"{self._random.getrandbits(80):020X}".encode()
        packed = b"\x1c\x18" + bytes([len(digits)]) + digits + b"\x15\x02\x00" + bytes([direction])
        return "wamid." + base64.b64encode(packed + b"\x18" + bytes([len(unique)]) + unique + b"\x00").decode()

    def trace_id(self) -> str:
        """An `fbtrace_id`: `A` and 22 letters of base64url."""
        return "A" + base64.urlsafe_b64encode(self._random.getrandbits(128).to_bytes(16, "big")).decode()[:22]

    def hex_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._random.getrandbits(128):032x}"

    def object_id(self) -> str:
        """A decimal id as Meta's objects have it."""
        return str(self._random.randrange(10**14, 10**15))


def user_id_of(number: str) -> str:
    """The business-scoped user id of a person: the same for the same number, and nothing of the number in it.

    Meta's ids begin with the person's country; here it is always `US`, because nothing may be read out of them.
    """
    return "US." + str(int.from_bytes(hashlib.sha256(number.encode()).digest()[:7], "big")).zfill(17)
