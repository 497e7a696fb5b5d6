"""Check what Waypost is deployed with: `python -m tests.deploy.check [NAME …]`, all of it without a name."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.deploy import balancer, compose, image, kubernetes, monitoring, rehearsal, units
from tests.deploy.report import Report
from tests.docs.source import ROOT

CHECKS: dict[str, Callable[[Path, Report], None]] = {
    "image": image.check,
    "rehearsal": rehearsal.check,
    "compose": compose.check,
    "balancer": balancer.check,
    "kubernetes": kubernetes.check,
    "units": units.check,
    "monitoring": monitoring.check,
}


def run(name: str, root: Path) -> Report:
    """Make one check; an artefact that is not of the shape that the check knows is wrong, too."""
    report = Report()
    try:
        CHECKS[name](root, report)
    except Exception as error:  # whatever an artefact may hold
        report.bad(f"it could not be looked at to the end: {type(error).__name__}: {error}")
    return report


def main(names: list[str]) -> int:
    """Make the checks that are named, or all; return the exit code: 0 fine, 1 something is wrong, 2 no such check."""
    if unknown := set(names) - set(CHECKS):
        print(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    chosen = names or list(CHECKS)
    with ThreadPoolExecutor() as threads:
        reports = list(threads.map(lambda name: run(name, ROOT), chosen))
    for name, report in zip(chosen, reports, strict=True):
        print("\n".join(report.lines(name)))
    return int(any(report.wrong for report in reports))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
