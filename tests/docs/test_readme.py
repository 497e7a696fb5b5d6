"""What a reader can type or click exists: commands, links between pages; and no page tells where it was written."""

import re
from pathlib import Path

import pytest

from tests.docs.generate import commands
from tests.docs.source import ROOT, documents

PAGES = list(documents())
# a path of the machine on which a page was written means nothing anywhere else
FORBIDDEN = re.compile(r"(?<![\w.}])/(?:home|root|tmp|Users)/")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^|`)make ([a-z]+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|`|\$ )waypost ((?:[a-z]+ ?)+)", re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
COMMANDS = {name.removeprefix("waypost ") for name, _ in commands()}


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_link_between_pages_resolves(path: Path) -> None:
    for link in LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text("utf-8"), flags=re.DOTALL)):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (path.parent / target) if target else path
        assert found.exists(), link
        if anchor:
            assert anchor in anchors(found.read_text("utf-8")), link


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    assert set(MAKE.findall(path.read_text("utf-8"))) <= TARGETS


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_command_that_is_named_exists(path: Path) -> None:
    for words in COMMAND.findall(path.read_text("utf-8")):
        assert any(f"{words.strip()} ".startswith(f"{name} ") or name.startswith(words.strip()) for name in COMMANDS), (
            words
        )


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_no_page_tells_where_it_was_written(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text("utf-8")) == []


def test_the_readme_leads_to_every_page() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in LINK.findall(page.read_text("utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                waiting.append(target)
    assert [page_id(path) for path in PAGES if "docs" in path.parts and path.resolve() not in reached] == []
