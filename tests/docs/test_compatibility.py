"""docs/compatibility.md answers every table row and example of the seed, and names a test that exists for each."""

import csv
import re
from collections import Counter

import pytest

from tests.docs.source import DOCS, TESTS, test_names
from tests.seed import CODES, EXAMPLES, RESPONSES

PAGE = (DOCS / "compatibility.md").read_text("utf-8")
ROWS = {row["row"]: row for row in csv.DictReader((TESTS / "seed" / "rows.csv").read_text("utf-8").splitlines())}
_QUOTED = re.compile(r"`([^`]+)`")


def answered() -> dict[str, list[str]]:
    """Each row that the page answers, with the tests that it names."""
    found = {}
    for line in PAGE.partition("\n## Row by row")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            for row in _QUOTED.findall(cells[0]):
                found[row] = _QUOTED.findall(cells[-1])
    return found


ANSWERED = answered()


def test_every_row_of_the_seed_is_answered_and_nothing_else() -> None:
    assert ANSWERED.keys() == ROWS.keys()


def test_no_row_is_answered_twice() -> None:
    first_cells = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `")]
    rows = Counter(row for cell in first_cells for row in _QUOTED.findall(cell))
    assert [row for row, times in rows.items() if times > 1 and row in ROWS] == []


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_held_by_tests_that_exist(row: str) -> None:
    names = ANSWERED.get(row, [])
    assert names, f"{row}: no test named"
    assert [name for name in names if f"tests/{name}" not in NAMES] == []


NAMES = test_names()


def test_every_test_that_is_named_on_the_page_exists() -> None:
    named = re.findall(r"`(\w+/\w+\.py::\w+)`", PAGE)
    assert len(named) > 100
    assert [name for name in named if f"tests/{name}" not in NAMES] == []


def test_every_deliberate_difference_has_a_reason() -> None:
    section = PAGE.partition("\n## Deliberate differences")[2].partition("\n## ")[0]
    rows = [
        line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ") and "---" not in line
    ]
    assert len(rows) > 10
    for cells in rows:
        assert len(cells) == 3, cells
        assert all(cell.strip() for cell in cells), cells


def test_the_list_of_rows_covers_the_examples_and_codes_that_were_cut_out() -> None:
    assert {f"example.{name}" for name in EXAMPLES} <= ROWS.keys()
    assert {f"answer_example.{name}" for name in RESPONSES} <= ROWS.keys()
    assert {f"code.{code}": text for code, text in CODES.items()}.items() <= {
        name: row["fact"] for name, row in ROWS.items()
    }.items()
