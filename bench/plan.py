"""What a bench is asked for, and what it measures."""

from pathlib import Path

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a bench is run; `seconds` is about how long each stack is measured in each round."""

    rounds: int
    seconds: float
    warm_up_s: float
    concurrency: int
    upstream: str  # "lean" or "simulator"
    folder: Path | None  # where the journal is put; None: the system's temporary folder
    only: str | None = None  # one of the measurements; None: all
    waiting: int = 100_000  # callbacks of the endpoint that hangs, for isolation


class Place(msgspec.Struct, frozen=True):
    """Where the stacks of one measurement run: their folder, their core, and the core of the load (None: any)."""

    folder: Path
    core: int | None
    load_core: int | None


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that hangs, at the end of a round: how many due callbacks were overtaken, how many tries hung."""

    overtaken: int
    hanging: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One stack in one round; no latencies where none are seen from outside, `beside` where something else waits."""

    count: int
    per_s: float
    cpu_us: float  # of the server process, for each
    p50_ms: float | None = None
    p99_ms: float | None = None
    beside: Beside | None = None


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway under a steady load, in milliseconds from the time at which each request fell due."""

    per_s: float
    count: int
    median_ms: float
    p99_ms: float
    over_250_ms: float  # share of the requests, 0 to 1
    over_1_s: float


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """POSTs of Meta's with as many updates as they may have, one after the other."""

    posts: int
    updates: int  # in each
    post_bytes: int  # the body of the smallest
    median_ms: float
    max_ms: float
    cpu_us: float  # of the server process, for each update


class Measurement(msgspec.Struct, frozen=True):
    """A list of rounds for each stack, all of the same length."""

    rounds: dict[str, list[Measured]]
    paced: Paced | None = None
    bulk: Bulk | None = None
