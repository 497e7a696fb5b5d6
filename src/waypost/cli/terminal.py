"""What the commands write to a terminal: other people's words made harmless, tables that can be piped, times."""

import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

_PIPE_COLUMNS = 400  # nobody sees an edge in a pipe, and an id that is broken in two can't be searched for
_STEPS = ((1, "s", 60), (60, "min", 60), (3600, "h", 48), (86_400, "d", 0))


def printable(text: str) -> str:
    """Return a text on one line, with everything that could move a cursor or recolour a screen shown as an escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def short(text: str, length: int) -> str:
    """Return a printable text that is no longer than `length`; what was cut off is shown as an ellipsis."""
    shown = printable(text[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def moment(at_ms: int) -> str:
    """Return a time in milliseconds since 1970 as date and time of day, in UTC."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"  # further away than a calendar reaches


def ago(at_ms: int, now_ms: int) -> str:
    """Return how long ago a time was, in one unit: `12 s ago`, `3 h ago`; `in 5 s` where the clocks disagree."""
    words = span(abs(now_ms - at_ms) / 1000)
    return f"in {words}" if at_ms > now_ms else f"{words} ago"


def after(at_ms: int, start_ms: int) -> str:
    """Return how long after a start a time was, like `+0.35 s`."""
    seconds = (at_ms - start_ms) / 1000
    return f"{seconds:+.2f} s" if abs(seconds) < 60 else f"{'+' if seconds > 0 else '-'}{span(abs(seconds))}"


def show(table: Table) -> None:
    """Print a table; in a pipe every row stays on one line."""
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, markup=False, emoji=False, highlight=False).print(
        table
    )


def span(seconds: float) -> str:
    """Return a length of time in one unit, cut off: `12 s`, `3 h`."""
    for size, unit, limit in _STEPS:
        count = int(seconds / size)
        if count < limit or not limit:
            return f"{count} {unit}"
    raise AssertionError("the last step has no limit")
