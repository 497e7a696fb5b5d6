"""What was measured as medians, ranges and ratios, beside the targets: a table for people, a struct for programs."""

import statistics
from collections.abc import Callable

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.plan import Beside, Bulk, Measured, Measurement, Paced, Plan
from bench.rounds import Results


class Spread(msgspec.Struct, frozen=True):
    """The median of a figure over the rounds, and its range."""

    median: float
    low: float
    high: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One stack over all rounds; no latencies where none are seen from outside.

    `beside` has the least of any round, None where nothing else waited.
    """

    per_s: Spread
    cpu_us: Spread
    count: int
    p50_ms: Spread | None
    p99_ms: Spread | None
    beside: Beside | None


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


class Summary(msgspec.Struct, frozen=True):
    """One measurement summed up."""

    stacks: dict[str, Figures]
    ratios: list[Ratio]
    paced: Paced | None
    bulk: Bulk | None


class Report(msgspec.Struct, frozen=True):
    """A whole bench, as `--json` prints it."""

    plan: Plan
    results: Results
    summaries: dict[str, Summary]


# From measurements of a prototype of this design, on the same server (uvicorn), with a leaner HTTP client.
TARGETS = {
    "send": (
        Target(figure="per_s", over="full", under="no-op", aim=0.30, floor=0.20),
        Target(figure="per_s", over="full", under="proxy", aim=0.50, floor=0.40),
        Target(figure="cpu_us", over="full", under="no-op", aim=3.5, floor=4.5, more_is_better=False),
        Target(figure="cpu_us", over="full", under="proxy", more_is_better=False),
    ),
    "queue": (
        Target(figure="per_s", over="queue", under="inline"),
        Target(figure="cpu_us", over="queue", under="inline", more_is_better=False),
    ),
    "webhooks": (
        Target(figure="per_s", over="full", under="no-op"),
        Target(figure="cpu_us", over="full", under="no-op", more_is_better=False),
    ),
    "callbacks": (
        Target(figure="per_s", over="full", under="pushes"),
        Target(figure="cpu_us", over="full", under="pushes", more_is_better=False),
    ),
    "isolation": tuple(
        target
        for beside in ("other account", "same account")
        for target in (
            Target(figure="per_s", over=beside, under="alone", aim=0.95, floor=0.85),
            Target(figure="cpu_us", over=beside, under="alone", aim=1.05, floor=1.15, more_is_better=False),
            Target(figure="p50_ms", over=beside, under="alone", more_is_better=False),
        )
    ),
}
MEDIAN_GOAL_MS = 250  # Meta's rule: answer webhooks within 250 ms in the median,
OVER_1_S_GOAL = 0.01  # and fewer than this share later than 1 s
_UNITS = {
    "send": "message",
    "queue": "message",
    "webhooks": "webhook",
    "callbacks": "callback",
    "isolation": "callback",
}
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
    return Report(plan, results, {name: _summary(name, one) for name, one in results.measurements.items()})


def _summary(name: str, measurement: Measurement) -> Summary:
    stacks = {
        stack: Figures(
            per_s=spread([one.per_s for one in measured]),
            cpu_us=spread([one.cpu_us for one in measured]),
            count=sum(one.count for one in measured),
            p50_ms=_spread_if_seen([one.p50_ms for one in measured]),
            p99_ms=_spread_if_seen([one.p99_ms for one in measured]),
            beside=_least([one.beside for one in measured if one.beside is not None]),
        )
        for stack, measured in measurement.rounds.items()
    }
    ratios = [ratio(target, measurement.rounds) for target in TARGETS[name]]
    return Summary(stacks, ratios, measurement.paced, measurement.bulk)


def show(report: Report, console: Console) -> None:
    """Print the report for people."""
    for line in _preamble(report):
        console.print(line, highlight=False)
    for name, summary in report.summaries.items():
        console.print()
        console.print(_stacks_table(name, summary))
        if lines := _lines(summary):
            for line in lines:
                console.print(f" {line}", highlight=False)
            console.print()
        console.print(_ratios_table(name, summary))


def _stacks_table(name: str, summary: Summary) -> Table:
    unit = _UNITS[name]
    title = f"{name}: median of the rounds (lowest-highest)"
    table = Table("stack", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in (f"{unit}s/s", "p50 ms", "p99 ms", f"CPU µs/{unit}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stack, figures in summary.stacks.items():
        table.add_row(
            stack,
            _shown(figures.per_s, "{:.0f}".format),
            _shown(figures.p50_ms, "{:.1f}".format),
            _shown(figures.p99_ms, "{:.1f}".format),
            _shown(figures.cpu_us, "{:.0f}".format),
        )
    return table


def _ratios_table(name: str, summary: Summary) -> Table:
    title = "median of the per-round ratios (lowest-highest)"
    table = Table("ratio", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("measured", "aim", "floor", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    names = {"per_s": f"{_UNITS[name]}s/s", "cpu_us": f"CPU per {_UNITS[name]}", "p50_ms": "median delay"}
    for one in summary.ratios:
        sign = "≥" if one.target.more_is_better else "≤"
        table.add_row(
            f"{names[one.target.figure]}, {one.target.over} / {one.target.under}",
            _shown(one.measured, "{:.2f}".format),
            *("" if limit is None else f"{sign} {limit:.2f}" for limit in (one.target.aim, one.target.floor)),
            _VERDICTS.get(one.verdict, ""),
        )
    return table


def _lines(summary: Summary) -> list[str]:
    """Return what no table holds."""
    lines = [] if summary.paced is None else [paced_line(summary.paced)]
    if summary.bulk is not None:
        lines.append(bulk_line(summary.bulk))
    for stack, figures in summary.stacks.items():
        if figures.beside is not None:
            lines.append(
                f"{stack}: {figures.beside.overtaken} due callbacks overtaken in each round at least, "
                f"while up to {figures.beside.hanging} tries hung"
            )
    return lines


def bulk_line(bulk: Bulk) -> str:
    """Return how long the largest POSTs took, beside Meta's goal."""
    return (
        f"{bulk.posts} POSTs of {bulk.updates} updates and {bulk.post_bytes / 1e6:.2f} MB: "
        f"median {bulk.median_ms:.0f} ms (goal ≤ {MEDIAN_GOAL_MS}), longest {bulk.max_ms:.0f} ms, "
        f"CPU {bulk.cpu_us:.0f} µs/update: {'met' if bulk.median_ms <= MEDIAN_GOAL_MS else 'MISSED'}"
    )


def paced_line(paced: Paced) -> str:
    """Return the figures of a steady load beside Meta's goals, and whether those are met."""
    met = paced.median_ms <= MEDIAN_GOAL_MS and paced.over_1_s < OVER_1_S_GOAL
    return (
        f"at {paced.per_s:.0f}/s: median {paced.median_ms:.1f} ms (goal ≤ {MEDIAN_GOAL_MS}), "
        f"p99 {paced.p99_ms:.1f} ms, {paced.over_250_ms:.1%} above 250 ms, "
        f"{paced.over_1_s:.1%} above 1 s (goal < {OVER_1_S_GOAL:.0%}): "
        f"{'met' if met else 'MISSED'}"
    )


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
        f"{plan.rounds} rounds of about {plan.seconds:g} s per stack, {plan.concurrency} connections to send on, "
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


def _least(seen: list[Beside]) -> Beside | None:
    if not seen:
        return None
    return Beside(overtaken=min(one.overtaken for one in seen), hanging=min(one.hanging for one in seen))


def _spread_if_seen(values: list[float | None]) -> Spread | None:
    seen = [value for value in values if value is not None]
    return spread(seen) if seen else None


def _shown(values: Spread | None, form: Callable[[float], str]) -> str:
    if values is None:
        return ""
    return f"{form(values.median)} ({form(values.low)}-{form(values.high)})"
