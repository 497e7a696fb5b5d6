"""Where the project's own files are, and its modules as syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
DOCS = ROOT / "docs"
TESTS = ROOT / "tests"


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def documents() -> Iterator[Path]:
    """Every page of prose that a reader may come across."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted(DOCS.rglob("*.md"))
    yield from sorted(path for path in TESTS.rglob("*.md"))


def test_names() -> set[str]:
    """Every test function as `tests/unit/test_x.py::test_y`."""
    names = set()
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names.add(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return names


test_names.__test__ = False  # type: ignore[attr-defined]  # it lists tests and is none
