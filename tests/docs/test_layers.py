"""Who may import whom: downwards only (docs/architecture.md); a forbidden import fails here by name."""

import ast
from collections.abc import Iterator

import pytest

from tests.docs.source import modules

LAYERS = (
    {"cli"},
    {"service"},
    {"site"},
    {"web"},
    {"gateway"},
    {"meta", "store", "queue", "net"},
    {"protocol"},
    {"model", "clock"},
)
SIDE = {  # parts beside the layers: what each may import of ours
    "__main__": {"cli"},
    "settings": set[str](),
    "telemetry": set[str](),
    "data_dir": {"model"},
    "engines": {"store", "queue", "data_dir", "settings", "clock"},
    "open_files": set[str](),
    "simulator": set[str](),
    "sdk": {"protocol", "clock"},
    "store": {"model", "clock"},
}
USERS = {  # parts that only some may use
    "settings": {"cli", "service", "site", "engines"},
    "data_dir": {"cli", "service", "engines"},
    "engines": {"cli", "service"},
    "open_files": {"cli"},
    "telemetry": {"cli", "service", "site", "web", "gateway"},
    "sdk": {"cli"},
    "simulator": {"cli"},
}
ENGINE_USERS = (
    "waypost.engines",
    "waypost.service",
    "waypost.cli.db",
    "waypost.cli.doctor",
)  # all others know the contract
CONTRACT = ("waypost.store.base.", "waypost.store.base_queue.")


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def allowed(part: str) -> set[str]:
    """The parts that a part may import."""
    depth = next((index for index, layer in enumerate(LAYERS) if part in layer), len(LAYERS))
    below = set().union(*LAYERS[depth + 1 :]) if depth < len(LAYERS) else set()
    lent = {name for name, users in USERS.items() if part in users}
    return SIDE.get(part, below | lent) | {part}


def imports(source: str) -> Iterator[str]:
    """The modules of ours that a source text imports; a name taken from a package counts as its module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "waypost")
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module.startswith((".", "waypost")):
                yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    found = []
    for target in imports(source):
        is_engine = part_of(target) == "store" and not f"{target}.".startswith(CONTRACT)
        if target.startswith(".") or part_of(target) not in allowed(part_of(module)):
            found.append(f"{module} must not import {target}")
        elif is_engine and part_of(module) != "store" and not module.startswith(ENGINE_USERS):
            found.append(f"{module} must not name an engine: {target}")
    return found


def test_every_import_leads_downwards() -> None:
    assert [found for name, path in modules().items() for found in violations(name, path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("waypost.protocol.errors", "from waypost.gateway.auth import identify"),
        ("waypost.gateway.send", "import waypost.settings"),
        ("waypost.gateway.send", "def late():\n    from waypost.store.sqlite import SqliteStore"),
        ("waypost.web.admin", "from waypost.data_dir import DataDir"),
        ("waypost.store.sqlite", "from waypost.protocol import messages"),
        ("waypost.store.base", "from waypost import telemetry"),
        ("waypost.meta.client", "from waypost.store.base import Store"),
        ("waypost.simulator.app", "from waypost.clock import Clock"),
        ("waypost.sdk.client", "from waypost.model import Message"),
        ("waypost.service", "from waypost import sdk"),
        ("waypost.model", "from . import clock"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str) -> None:
    assert len(violations(module, line)) == 1
