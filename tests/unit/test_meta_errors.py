"""Meta's error table: complete, consistent, and what unlisted codes are taken for."""

import csv
from pathlib import Path

import pytest

from waypost.meta.errors import RANGES, TABLE, UNKNOWN_OBJECT, MetaError, classify, render_table

DATA = Path(__file__).parent / "data" / "meta_error_rows.csv"
DOCUMENT = Path(__file__).parents[2] / "docs" / "operate" / "meta-errors.md"
EVERY_ROW: list[MetaError] = [*TABLE.values(), *(row.error for row in RANGES), UNKNOWN_OBJECT]


def documented_rows() -> dict[str, str]:
    with DATA.open(newline="") as file:
        return {row["code"]: row["class"] for row in csv.DictReader(file)}


def test_every_documented_code_is_in_the_table_with_its_class_and_no_other() -> None:
    ours = {str(code): error.retry_class for code, error in TABLE.items()}
    ours |= {f"{row.first}-{row.last}": row.error.retry_class for row in RANGES}
    expected: dict[str, str] = documented_rows()
    assert ours == expected
    assert len(ours) == 134


def test_the_key_of_a_row_is_its_code() -> None:
    assert all(error.code == code for code, error in TABLE.items())
    assert all(row.error.code == row.first < row.last for row in RANGES)


def test_exactly_the_three_codes_of_a_broken_service_leave_the_outcome_open() -> None:
    assert {error.code for error in EVERY_ROW if error.uncertain} == {1, 2, 131000}


def test_what_is_retried_is_exactly_what_meta_refused_for_a_while() -> None:
    retried = {error.code for error in EVERY_ROW if error.retryable}
    assert retried == {4, 17, 32, 341, 613, 80007, 80008, 130429, 131016, 131056, 131057, 134101}


def test_nothing_is_both_uncertain_and_retried() -> None:
    assert not [error.code for error in EVERY_ROW if error.uncertain and error.retryable]


def test_every_advice_is_one_sentence_and_every_title_a_phrase() -> None:
    for error in EVERY_ROW:
        assert error.advice.endswith("."), error
        assert error.advice[0].isupper(), error
        assert error.advice.count(". ") == 0, error
        assert error.title, error
        assert not error.title.endswith("."), error


@pytest.mark.parametrize(
    ("code", "scope", "retry_class"),
    [
        (131056, "pair", "RATE"),
        (130429, "number", "RATE"),
        (80007, "waba", "RATE"),
        (4, "app", "RATE"),
        (190, "waba", "CONF"),
        (133010, "number", "CONF"),
        (3, "waba", "CONF"),
        (132001, "template", "TPL"),
        (132000, "message", "PERM"),  # one wrong message says nothing against the template
        (131050, "recipient", "USER"),
        (131049, "recipient", "LATER"),
        (2388039, "management", "MGMT"),
    ],
)
def test_scope_and_class_of_codes_that_decide_what_stops(code: int, scope: str, retry_class: str) -> None:
    error = classify(code, 400, is_transient=False)
    assert (error.code, error.scope, error.retry_class) == (code, scope, retry_class)


@pytest.mark.parametrize("http_status", [200, 400, 403, 429, 500, 503])
@pytest.mark.parametrize("is_transient", [True, False])
def test_a_listed_code_means_the_same_whatever_the_status_says(http_status: int, is_transient: bool) -> None:
    for code, error in TABLE.items():
        assert classify(code, http_status, is_transient) is error


@pytest.mark.parametrize(
    ("code", "expected"),
    [(201, "authorization"), (299, "authorization"), (138024, "calling"), (139004, "flows"), (2494179, "migration")],
)
def test_a_code_within_a_documented_range_keeps_its_own_number(code: int, expected: str) -> None:
    error = classify(code, 500, is_transient=True)
    assert (error.code, error.family) == (code, expected)


@pytest.mark.parametrize(
    ("code", "http_status", "is_transient", "expected"),
    [
        (132999, 400, False, ("TPL", False)),
        (132999, 503, False, ("TPL", False)),
        (132999, 400, True, ("TRANS", False)),
        (133999, 400, False, ("CONF", False)),
        (2388999, 400, False, ("MGMT", False)),
        (2494999, 400, False, ("MGMT", False)),
        (2593999, 400, False, ("MGMT", False)),
        (999999, 400, False, ("PERM", False)),
        (999999, 403, True, ("TRANS", False)),
        (999999, 429, False, ("RATE", True)),
        (132999, 429, True, ("RATE", True)),
        (999999, 500, False, ("TRANS", False)),
        (300, 200, False, ("PERM", False)),
    ],
)
def test_an_unlisted_code_is_read_by_range_then_transience_then_status(
    code: int, http_status: int, is_transient: bool, expected: tuple[str, bool]
) -> None:
    error = classify(code, http_status, is_transient)
    assert (error.retry_class, error.retryable) == expected
    assert error.code == code
    assert not error.uncertain


def test_an_unknown_phone_number_id_is_a_matter_of_configuration() -> None:
    assert classify(100, 400, False, 33).retry_class == "CONF"
    assert classify(100, 400, False, 2018001).retry_class == "PERM"
    assert classify(100, 400, False).retry_class == "PERM"
    assert classify(190, 401, False, 33) is TABLE[190]


def test_the_operators_page_holds_the_table_as_it_is() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    head, marker, table = page.partition("<!-- generated from waypost.meta.errors -->\n\n")
    assert marker, "the marker before the generated part is gone"
    assert "910001" in head
    assert table == render_table(), "write render_table() after the marker again"


def test_the_rendered_table_has_one_line_per_row() -> None:
    lines = [line for line in render_table().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(lines) == len(TABLE) + len(RANGES)
    assert "| 138000–138024 | MGMT | management | a call was refused |" in render_table()
    assert "| 131000 | TRANS (outcome unknown) |" in render_table()
    assert "| 131056 | RATE (tried again) | pair |" in render_table()
