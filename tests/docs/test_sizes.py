"""The house style that can be counted: small files, short functions, plain names, every public name explained."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.source import modules

MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 45
EMPTY_NAMES = {"utils", "util", "helpers", "common", "manager", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|\btime\.sleep\(")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef

MODULES = modules()


def definitions(tree: ast.Module) -> Iterator[tuple[str, Documented]]:
    """Top-level functions and classes, and the methods of those classes, by dotted name."""
    for node in tree.body:
        if isinstance(node, Documented):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Documented):
                    yield f"{node.name}.{inner.name}", inner


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def hands_on(node: Documented) -> bool:
    """Whether a method is an override that also calls what it overrides: its meaning stands there."""
    return any(
        isinstance(call, ast.Attribute) and call.attr == node.name and ast.unparse(call.value) == "super()"
        for call in ast.walk(node)
    )


def contract_methods() -> set[str]:
    """Methods that a contract (a Protocol or abstract class) explains once for whoever fulfils it."""
    found = set()
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in ("Protocol", "ABC") for base in node.bases):
                found |= {inner.name for inner in node.body if isinstance(inner, Function) and ast.get_docstring(inner)}
    return found


CONTRACTS = contract_methods()


def unexplained(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    for name, node in definitions(tree):
        by_contract = "." in name and node.name in CONTRACTS
        if is_public(name) and not ast.get_docstring(node) and not hands_on(node) and not by_contract:
            found.append(name)
    return found


def too_long(source: str) -> list[str]:
    """Functions over the limit, nested ones too; signatures do not count: a command's is its table of options."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function) and (node.end_lineno or 0) - node.body[0].lineno + 1 > MAX_FUNCTION_LINES
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_file_stays_small_and_its_functions_short(name: str) -> None:
    source = MODULES[name].read_text("utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    assert too_long(source) == []


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_explained(name: str) -> None:
    assert unexplained(MODULES[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_left_unfinished(name: str) -> None:
    assert UNFINISHED.findall(MODULES[name].read_text("utf-8")) == []


def test_no_module_is_named_after_nothing() -> None:
    assert [name for name in MODULES if EMPTY_NAMES & set(re.split(r"[._]", name))] == []


def test_what_breaks_the_rules_is_found() -> None:
    long = "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)
    assert too_long(long) == ["f"]
    assert unexplained("class A:\n    'x'\n    def b(self): ...\n    def _c(self): ...\ndef d(): ...") == [
        "the module",
        "A.b",
        "d",
    ]
    assert unexplained("'m'\nclass A(B):\n    'x'\n    def b(self):\n        super().b()") == []
    assert UNFINISHED.search("# TODO: later")
