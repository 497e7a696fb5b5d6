"""CHANGELOG.md says what is in the version that is being built."""

import re
import tomllib

from tests.docs.source import ROOT

PAGE = (ROOT / "CHANGELOG.md").read_text("utf-8")
HEADINGS = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)


def test_the_newest_section_is_this_version_and_says_something() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    newest = PAGE.split("\n## ")[1]
    assert HEADINGS[0].startswith((version, "Unreleased"))
    assert len(re.findall(r"^- ", newest, re.MULTILINE)) >= 5


def test_every_section_names_a_version_and_a_day() -> None:
    for heading in HEADINGS:
        assert re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)|\d+\.\d+\.\d+ \(not released\)", heading)
