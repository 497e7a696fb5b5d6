"""Tests that PostgreSQL can't be asked to pass are few, say why, and are listed here."""

import ast
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent

# How many marks each file has; a mark on a file counts as one.
EMBEDDED_ALONE = {
    "flow/test_cli_db.py": 1,
    "flow/test_cli_messages.py": 3,
    "flow/test_cli_doctor.py": 4,
    "flow/test_tenants.py": 1,
    "fault/test_journal_trouble.py": 4,
    "fault/test_rolling_restart.py": 1,
}


def marks(source: str) -> list[ast.Call]:
    """Return the marks `embedded` in a source text."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "pytest.mark.embedded"]


def test_the_tests_about_the_embedded_engine_alone_are_these_and_each_says_why() -> None:
    found: Counter[str] = Counter()
    for file in TESTS.rglob("*.py"):
        for mark in marks(file.read_text("utf-8")):
            (reason,) = mark.args
            assert isinstance(reason, ast.Constant), file
            assert len(str(reason.value)) > 10, file
            found[file.relative_to(TESTS).as_posix()] += 1
    assert found == EMBEDDED_ALONE
