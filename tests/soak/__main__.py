"""`make soak`: prints its seed, a table and, in the last line, `N passed, N failed`; exit code 1 if anything failed.

`QUICK=1` is the short form for every change; without it everything takes up to an hour. `SEED=n` repeats a run's
choices; the moments at which they meet the gateway still differ a little.
"""

import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.soak.burst import BurstRun
from tests.soak.callbacks import CallbackRun
from tests.soak.cluster import LONG, QUICK, ClusterRun
from tests.soak.cluster_delay import DelayRun
from tests.soak.kills import Run, wrong
from tests.soak.outage import OutageRun

SENDS, SENDS_QUICK = 2000, 600
KILL_S, KILL_QUICK_S = (
    1200.0,
    100.0,
)  # how long the killing lasts at most; a slow machine gets fewer kills, not more time
CALLBACK_SENDS, CALLBACK_SENDS_QUICK = 10_000, 500
CALLBACK_KILL_S, CALLBACK_KILL_QUICK_S = 600.0, 40.0
# messages, and how many times as fast as the wall's the clock goes: as fast as two cores carry
BURST, BURST_QUICK = (20_000, 2.0), (2_000, 1.0)
OUTAGE, OUTAGE_QUICK = (3_000, 20.0), (400, 120.0)
DELAY_PHASE_S = 20.0  # of seven; the short form goes without
EXAMPLES, EXAMPLES_QUICK = 20_000, 1_000
PROPERTIES_S = 2200.0  # a bound on the long property run
SUITES = ("tests/flow", "tests/fault", "tests/property")
EVERY_QUICK = 3  # of the tests of a file, the short form runs every so many-th
SUITES_S = 1800.0  # a bound on the suites


def main() -> int:
    """Run everything and return the exit code."""
    quick = os.environ.get("QUICK", "") not in ("", "0")
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    console = Console(highlight=False)
    begun = time.monotonic()
    counts = [
        _kills(SENDS_QUICK if quick else SENDS, KILL_QUICK_S if quick else KILL_S, seed, console),
        _callbacks(
            CALLBACK_SENDS_QUICK if quick else CALLBACK_SENDS,
            CALLBACK_KILL_QUICK_S if quick else CALLBACK_KILL_S,
            seed,
            console,
        ),
        _queue(quick, seed, console),
        _cluster(quick, seed, console),
        _suites(EVERY_QUICK if quick else 1, console),
        _properties(EXAMPLES_QUICK if quick else EXAMPLES, console),
    ]
    passed, failed = (sum(numbers) for numbers in zip(*counts, strict=True))
    console.print(f"{time.monotonic() - begun:.0f} s; repeat the kills with SEED={seed}")
    console.print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _kills(sends: int, kill_s: float, seed: int, console: Console) -> tuple[int, int]:
    """Run the kills; each rule that holds counts as passed."""
    console.print(f"{sends} messages through a gateway that is killed all the time (SEED={seed})")
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        broken = asyncio.run(Run(sends, kill_s, seed, Path(folder), console).run())
    return _counted(broken, console)


def _callbacks(sends: int, kill_s: float, seed: int, console: Console) -> tuple[int, int]:
    """Run the callbacks; each rule that holds counts as passed."""
    console.print(
        f"callbacks of {sends} messages to a receiver that fails three times of ten, with kills (SEED={seed})"
    )
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        broken = asyncio.run(CallbackRun(sends, kill_s, seed, Path(folder), console).run())
    return _counted(broken, console)


def _queue(quick: bool, seed: int, console: Console) -> tuple[int, int]:
    """Run the blast and the outage; each rule that holds counts as passed."""
    sends, factor = BURST_QUICK if quick else BURST
    console.print(f"{sends} messages blasted at one number, on a clock {factor:g} times as fast (SEED={seed})")
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        burst = _counted(asyncio.run(BurstRun(sends, factor, seed, Path(folder), console).run()), console)
    sends, factor = OUTAGE_QUICK if quick else OUTAGE
    console.print(
        f"{sends} messages while Meta is gone for an hour, {factor:g} times as fast, with a kill (SEED={seed})"
    )
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        outage = _counted(asyncio.run(OutageRun(sends, factor, seed, Path(folder), console).run()), console)
    return burst[0] + outage[0], burst[1] + outage[1]


def _cluster(quick: bool, seed: int, console: Console) -> tuple[int, int]:
    """Run the installation whose servers and processes fail; each rule that holds counts as passed."""
    console.print(f"an installation of three web and two worker processes in which everything fails (SEED={seed})")
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        run = ClusterRun(QUICK if quick else LONG, seed, Path(folder), console)
        passed, failed = _counted(asyncio.run(run.run()), console)
    if quick:
        return passed, failed
    console.print("how late callbacks come while NATS servers are lost")
    with tempfile.TemporaryDirectory(prefix="waypost-soak-") as folder:
        delay = _counted(asyncio.run(DelayRun(DELAY_PHASE_S, seed, Path(folder), console).run()), console)
    return passed + delay[0], failed + delay[1]


def _counted(broken: dict[str, list[str]], console: Console) -> tuple[int, int]:
    """Print what was found wrong; return how many rules held and how many were broken."""
    for line in wrong(broken):
        console.print(line, style="red", markup=False, soft_wrap=True)
    failed = sum(bool(texts) for texts in broken.values())
    return len(broken) - failed, failed


def _properties(examples: int, console: Console) -> tuple[int, int]:
    """Run the property tests with many examples; return how many passed and failed."""
    console.print(f"the property tests, {examples} requests of any kind")
    arguments = ["-p", "tests.soak.long_profile", "--engine", "embedded", "tests/property"]
    return _pytest(arguments, PROPERTIES_S, console, WAYPOST_TEST_EXAMPLES=str(examples))


def _suites(every: int, console: Console) -> tuple[int, int]:
    """Run the tests of whole gateways on PostgreSQL and NATS; return how many passed and failed."""
    words = "the flow, fault and property tests" if every == 1 else f"every {every}rd flow, fault and property test"
    console.print(f"{words}, on PostgreSQL and NATS")
    at_once = ["-n", "3", "--dist", "worksteal"]
    return _pytest([*at_once, "--engine", "shared", "--every", str(every), *SUITES], SUITES_S, console)


def _pytest(arguments: list[str], within_s: float, console: Console, **variables: str) -> tuple[int, int]:
    """Run tests in a process of their own and print what they say; return how many passed and failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, **variables}
    try:
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=within_s)
    except subprocess.TimeoutExpired:
        console.print(f"not done within {within_s:g} s", style="red")
        return 0, 1
    console.print(run.stdout.strip(), markup=False, soft_wrap=True)
    found = {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|error)", run.stdout)}
    failed = found.get("failed", 0) + found.get("error", 0)
    return found.get("passed", 0), failed or int(run.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
