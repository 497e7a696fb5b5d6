"""What was measured as medians, ranges and ratios, beside the targets: a table for people, a struct for programs."""

import statistics
from collections.abc import Callable

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.rounds import Measured, Plan, Results


class Spread(msgspec.Struct, frozen=True):
    """The median of a figure over the rounds, and its range."""

    median: float
    low: float
    high: float


class Figures(msgspec.Struct, frozen=True):
    """One stack over all rounds."""

    messages_per_s: Spread
    p50_ms: Spread
    p99_ms: Spread
    cpu_us: Spread
    messages: int


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio of two stacks; `aim` is what we want, `floor` what must hold; None where nothing was set."""

    figure: str
    over: str
    under: str
    aim: float | None = None
    floor: float | None = None
    more_is_better: bool = True


class Ratio(msgspec.Struct, frozen=True):
    """A ratio measured: the median of the per-round ratios, so that a slow minute hits both sides."""

    target: Target
    measured: Spread
    verdict: str  # "aim", "floor", "below", or "" without a target


class Report(msgspec.Struct, frozen=True):
    """A whole bench, as `--json` prints it."""

    plan: Plan
    results: Results
    stacks: dict[str, Figures]
    ratios: list[Ratio]


# From measurements of a prototype of this design, on the same server (uvicorn), with a leaner HTTP client.
TARGETS = (
    Target(figure="messages_per_s", over="full", under="no-op", aim=0.30, floor=0.20),
    Target(figure="messages_per_s", over="full", under="proxy", aim=0.50, floor=0.40),
    Target(figure="cpu_us", over="full", under="no-op", aim=3.5, floor=4.5, more_is_better=False),
    Target(figure="cpu_us", over="full", under="proxy", more_is_better=False),
)
_NAMES = {"messages_per_s": "messages/s", "cpu_us": "CPU per message"}
_VERDICTS = {"aim": "[green]aim met[/]", "floor": "[yellow]floor met[/]", "below": "[red]below floor[/]"}


def spread(values: list[float]) -> Spread:
    """Return median and range."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(target: Target, rounds: dict[str, list[Measured]]) -> Ratio:
    """Compare two stacks round by round."""
    pairs = zip(rounds[target.over], rounds[target.under], strict=True)
    measured = spread([_figure(over, target.figure) / _figure(under, target.figure) for over, under in pairs])
    return Ratio(target, measured, _verdict(target, measured.median))


def build(plan: Plan, results: Results) -> Report:
    """Sum up what was measured."""
    stacks = {
        name: Figures(
            messages_per_s=spread([one.messages_per_s for one in measured]),
            p50_ms=spread([one.p50_ms for one in measured]),
            p99_ms=spread([one.p99_ms for one in measured]),
            cpu_us=spread([one.cpu_us for one in measured]),
            messages=sum(one.messages for one in measured),
        )
        for name, measured in results.rounds.items()
    }
    return Report(plan, results, stacks, [ratio(target, results.rounds) for target in TARGETS])


def show(report: Report, console: Console) -> None:
    """Print the report for people."""
    for line in _preamble(report):
        console.print(line, highlight=False)
    console.print()
    console.print(_stacks_table(report))
    console.print(_ratios_table(report))


def _stacks_table(report: Report) -> Table:
    table = Table("stack", title="median of the rounds (lowest-highest)", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("messages/s", "p50 ms", "p99 ms", "CPU µs/message"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in report.stacks.items():
        table.add_row(
            name,
            _shown(figures.messages_per_s, "{:.0f}".format),
            _shown(figures.p50_ms, "{:.1f}".format),
            _shown(figures.p99_ms, "{:.1f}".format),
            _shown(figures.cpu_us, "{:.0f}".format),
        )
    return table


def _ratios_table(report: Report) -> Table:
    table = Table(
        "ratio", title="median of the per-round ratios (lowest-highest)", title_justify="left", box=box.SIMPLE_HEAD
    )
    for heading in ("measured", "aim", "floor", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in report.ratios:
        sign = "≥" if one.target.more_is_better else "≤"
        table.add_row(
            f"{_NAMES[one.target.figure]}, {one.target.over} / {one.target.under}",
            _shown(one.measured, "{:.2f}".format),
            *("" if limit is None else f"{sign} {limit:.2f}" for limit in (one.target.aim, one.target.floor)),
            _VERDICTS.get(one.verdict, ""),
        )
    return table


def _preamble(report: Report) -> list[str]:
    plan, results = report.plan, report.results
    on = results.machine
    steal = "unknown" if results.steal_percent is None else f"{results.steal_percent:.1f} %"
    pinned = "server on one core, load and upstream on another" if results.pinned else "not pinned to cores"
    return [
        f"{on.processor}, {on.cores} cores, {on.system}, Python {on.python}",
        ", ".join(f"{name} {number}" for name, number in on.versions.items()),
        f"load before {on.load_before:.2f}, CPU time stolen meanwhile {steal}, "
        f"one page written and flushed in {on.flush_us:.0f} µs",
        f"{plan.rounds} rounds of about {plan.seconds:g} s per stack, {plan.concurrency} connections, "
        f"upstream {plan.upstream}, {pinned}",
    ]


def _figure(measured: Measured, name: str) -> float:
    value: float = getattr(measured, name)
    return value


def _verdict(target: Target, median: float) -> str:
    if target.aim is None or target.floor is None:
        return ""
    way = 1 if target.more_is_better else -1
    if way * median >= way * target.aim:
        return "aim"
    return "floor" if way * median >= way * target.floor else "below"


def _shown(values: Spread, form: Callable[[float], str]) -> str:
    return f"{form(values.median)} ({form(values.low)}-{form(values.high)})"
