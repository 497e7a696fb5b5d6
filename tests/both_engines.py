"""Which tests of a run go through which engine: the embedded one, or PostgreSQL and NATS JetStream.

By default all run on the embedded engine, and `SHORT` of them on the shared one too; `--engine` chooses otherwise. A
test about one engine alone is marked with it, and a run on the other says in its last lines that it was not run.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.engine import EMBEDDED, SHARED, VARIABLE

SHORT_FORM, BOTH = "short", "both"

# What the default run repeats on the shared engine: every so many-th test of a file.
SHORT = {
    "tests/flow/test_mt.py": 1,
    "tests/flow/test_codes.py": 1,
}
SUITES = ("tests/flow/", "tests/fault/", "tests/property/")

_left_out = pytest.StashKey["Counter[str]"]()
_LEFT_OUT = "not run on the shared engine"  # the name under which workers report it


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engine`; the variable of the same meaning serves programs that run programs."""
    parser.addoption(
        "--engine",
        choices=(SHORT_FORM, EMBEDDED, SHARED, BOTH),
        default=os.environ.get(VARIABLE, SHORT_FORM),
        help="what tests of whole gateways run on; short: all on the embedded engine and some on the shared one too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "embedded(reason): about the embedded engine alone")
    config.addinivalue_line("markers", "shared: about the shared engine alone")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(LeftOut(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test run on both engines where it should."""
    engines = _engines(metafunc.definition, metafunc.config.getoption("--engine"))
    if len(engines) > 1:
        metafunc.parametrize("engine", engines, indirect=True)


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


def _path(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine that the test's gateways are on."""
    name: str = getattr(request, "param", None) or _engines(request.node, request.config.getoption("--engine"))[0]
    with _chosen(name):
        yield name


@contextmanager
def _chosen(engine: str) -> Iterator[None]:
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = engine
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about an engine that this run is not about, and what the short form has enough of."""
    wanted = config.getoption("--engine")
    reasons: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    kept, others = [], []
    for item in items:
        mark = item.get_closest_marker("embedded")
        if _engine_given(item) not in (None, *_engines(item, BOTH)):
            continue  # one set of parameters of a test is about one engine alone
        if wanted == SHARED and mark is not None:
            reasons[mark.args[0]] += 1
            others.append(item)
        elif wanted == SHORT_FORM and _engine_given(item) == SHARED and not _is_in_sample(item, seen):
            others.append(item)
        else:
            kept.append(item)
    items[:] = kept
    config.stash[_left_out] = reasons
    if others:
        config.hook.pytest_deselected(items=others)


def _engine_given(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("engine")


def _is_in_sample(item: pytest.Item, seen: Counter[str]) -> bool:
    path = _path(item)
    seen[path] += 1
    return seen[path] % SHORT[path] == 1 or SHORT[path] == 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a worker report what it left out: all of them leave out the same."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        left_out: Counter[str] = session.config.stash[_left_out]
        output[_LEFT_OUT] = dict(left_out)


class LeftOut:
    """Hears of what workers left out, where there are workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker reported."""
        reported = getattr(node, "workeroutput", {}).get(_LEFT_OUT)
        if reported is not None:
            self._config.stash[_left_out] = Counter(reported)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was not run, and why."""
    reasons: Counter[str] | None = config.stash.get(_left_out, None)
    if reasons:
        terminalreporter.section(f"{reasons.total()} tests {_LEFT_OUT}, being about the embedded one alone")
        for reason, number in reasons.most_common():
            terminalreporter.line(f"{number:4} {reason}")
