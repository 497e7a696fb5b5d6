"""What the commands write to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.cli.terminal import after, ago, moment, printable, short

NOON_MS = 1_795_415_468_322


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 你好", "plain 你好"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("turned \u202e around", "turned \\u202e around"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_could_move_a_cursor_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_one_harmless_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert len(short(text, 20)) <= 20


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"
    assert short("\n" * 9, 6) == "\\n\\n\\…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7199, "1 h ago"), (172_800, "2 d ago"), (-5, "in 5 s")],
)
def test_how_long_ago_is_one_number_and_unit(seconds: int, words: str) -> None:
    assert ago(NOON_MS - seconds * 1000, NOON_MS) == words


@pytest.mark.parametrize(
    ("ms", "words"), [(0, "+0.00 s"), (350, "+0.35 s"), (-1200, "-1.20 s"), (61_000, "+1 min"), (-61_000, "-1 min")]
)
def test_how_long_after_a_start_has_a_sign(ms: int, words: str) -> None:
    assert after(NOON_MS + ms, NOON_MS) == words


def test_a_moment_is_utc_and_never_fails() -> None:
    assert moment(NOON_MS) == "2026-11-23 06:31:08.322"
    assert moment(10**18) == "1000000000000000000 ms"
