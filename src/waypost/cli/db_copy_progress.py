"""How far a copy is, for whoever waits for it: a bar on a terminal, else a line now and then. On stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from waypost.clock import Clock
from waypost.store.copying import Phase, Report

LINE_EVERY_S = 5.0


@contextmanager
def shown_progress(clock: Clock) -> Iterator[Report]:
    """Give what is to be told how far a copy is; the bar is gone afterwards."""
    if not sys.stderr.isatty():
        yield Lines(clock)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, clock)


class Rate:
    """How many rows a second go by; counted anew for each table and phase."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: tuple[Phase, str] | None = None
        self._from_s = 0.0
        self._from_rows = 0

    def at(self, phase: Phase, table: str, rows: int) -> int | None:
        """Return the rate up to now, or None where a table only begins."""
        now_s = self._clock.monotonic_s()
        if self._of != (phase, table):
            self._of, self._from_s, self._from_rows = (phase, table), now_s, rows
            return None
        return round((rows - self._from_rows) / max(now_s - self._from_s, 0.001))


class Lines:
    """Says how far a copy is in a line of its own, every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate = Rate(clock)
        self._next_s = clock.monotonic_s() + LINE_EVERY_S

    def __call__(self, phase: Phase, table: str, rows: int, total: int) -> None:
        rate = self._rate.at(phase, table, rows)
        now_s = self._clock.monotonic_s()
        if rate is not None and now_s >= self._next_s:
            self._next_s = now_s + LINE_EVERY_S
            print(f"{phase} {table}: {rows} of {total} rows, {rate} rows/s", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._rate = Rate(clock)
        self._task: TaskID | None = None

    def __call__(self, phase: Phase, table: str, rows: int, total: int) -> None:
        rate = self._rate.at(phase, table, rows)
        if rate is None or self._task is None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(f"{phase} {table}", total=total, rate="")
        self._progress.update(self._task, completed=rows, rate=f"{rate or 0} rows/s")
