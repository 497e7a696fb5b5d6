"""Which tests of a run go through which engine: the embedded one, or PostgreSQL and NATS JetStream.

By default all run on the embedded engine, and `SHORT` of them on the shared one too; `--engine` chooses otherwise. A
test about one engine alone is marked with it, and a run on the other says in its last lines that it was not run.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.engine import EMBEDDED, SHARED, VARIABLE, chosen

SHORT_FORM, BOTH = "short", "both"

# What the default run repeats on the shared engine: every so many-th test of a file.
SHORT = {
    "tests/flow/test_mt.py": 2,
    "tests/flow/test_codes.py": 3,
    "tests/flow/test_repeats.py": 2,
    "tests/flow/test_callbacks.py": 3,
    "tests/flow/test_queueing.py": 3,
    "tests/flow/test_meta_webhook.py": 2,
    "tests/flow/test_unknown.py": 3,
    "tests/property/test_event_isolation.py": 1,
    "tests/fault/test_effects.py": 8,
    "tests/fault/test_queue_effects.py": 8,
    "tests/fault/test_queue_kills.py": 6,
    "tests/fault/test_callback_faults.py": 5,
    "tests/fault/test_callback_kills.py": 4,
}
SUITES = ("tests/flow/", "tests/fault/", "tests/property/")


class Notes:
    """What is told in the last lines of a run; workers report theirs to the process that prints them."""

    _REPORT = "both engines"

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()  # tests that were not run on the shared engine, by reason
        self.on_shared = 0  # tests that had a journal on the shared engine

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Report what was noted here, where this is a worker."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[self._REPORT] = (dict(self.left_out), self.on_shared)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was not run, and why."""
        if self.on_shared:
            terminalreporter.line(f"{self.on_shared} tests had their journal in PostgreSQL and their doorbell on NATS")
        if self.left_out:
            total = self.left_out.total()
            terminalreporter.line(f"{total} tests were not run there:")
        for reason, number in self.left_out.most_common():
            terminalreporter.line(f"  {number:4} {reason}")


class WorkersNotes:
    """Adds up what the workers have noted, where there are workers."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker reports: all have left out the same, and each has run tests of its own."""
        reported = getattr(node, "workeroutput", {}).get(Notes._REPORT)
        if reported is not None:
            self._notes.left_out = Counter(reported[0])
            self._notes.on_shared += reported[1]


_notes = pytest.StashKey[Notes]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engine`; the variable of the same meaning serves programs that run programs."""
    parser.addoption(
        "--engine",
        choices=(SHORT_FORM, EMBEDDED, SHARED, BOTH),
        default=os.environ.get(VARIABLE, SHORT_FORM),
        help="what tests of whole gateways run on; short: all on the embedded engine and some on the shared one too",
    )
    parser.addoption("--every", type=int, default=1, help="with --engine shared: only every so many-th test of a file")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and what keeps notes."""
    config.addinivalue_line("markers", "embedded(reason): about the embedded engine alone")
    config.addinivalue_line("markers", "shared: about the shared engine alone")
    notes = config.stash[_notes] = Notes()
    config.pluginmanager.register(notes)
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(WorkersNotes(notes))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test run on both engines where it should."""
    engines = _engines(metafunc.definition, metafunc.config.getoption("--engine"))
    if len(engines) > 1:
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine that the test's gateways are on."""
    name = _given(request.node) or _engines(request.node, request.config.getoption("--engine"))[0]
    with chosen(name) as was_used:
        yield name
        request.config.stash[_notes].on_shared += was_used()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about an engine that this run is not about, and what the short form has enough of."""
    wanted, every = config.getoption("--engine"), config.getoption("--every")
    seen: Counter[str] = Counter()
    kept, others = [], []
    for item in items:
        if _given(item) not in (None, *_engines(item, BOTH)):
            continue  # one set of parameters of a test is about one engine alone
        mark = item.get_closest_marker("embedded")
        if wanted == SHARED and mark is not None:
            config.stash[_notes].left_out[f"about the embedded engine alone: {mark.args[0]}"] += 1
            others.append(item)
        elif wanted == SHORT_FORM and _given(item) == SHARED and not _is_in_sample(item, SHORT[_path(item)], seen):
            others.append(item)
        elif wanted == SHARED and not _is_in_sample(item, every, seen):
            config.stash[_notes].left_out[f"left out by --every {every}"] += 1
            others.append(item)
        else:
            kept.append(item)
    items[:] = kept
    if others:
        config.hook.pytest_deselected(items=others)


def _engines(item: pytest.Item, wanted: str) -> Sequence[str]:
    if item.get_closest_marker("embedded"):
        return (EMBEDDED,)
    if item.get_closest_marker("shared"):
        return (SHARED,)
    if wanted == BOTH:
        return (EMBEDDED, SHARED) if item.nodeid.startswith(SUITES) else (EMBEDDED,)
    if wanted == SHORT_FORM:
        return (EMBEDDED, SHARED) if _path(item) in SHORT else (EMBEDDED,)
    return (wanted,)


def _given(item: pytest.Item) -> str | None:
    """Return the engine that a test was given for this one of its runs, if it has several."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("engine")


def _is_in_sample(item: pytest.Item, every: int, seen: Counter[str]) -> bool:
    path = _path(item)
    seen[path] += 1
    return (seen[path] - 1) % every == 0


def _path(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
