"""A copy of the artefacts in which a test can make a slip."""

from pathlib import Path
from shutil import copy, copytree

import pytest

from tests.docs.source import ROOT

CHANGED = ("Dockerfile", ".dockerignore", "compose.yaml", "pyproject.toml")
LOOKED_AT = ("README.md", "LICENSE", "requirements", "src", "docs")


class Artefacts:
    """The artefacts in a folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def slip(self, file: str, old: str, new: str) -> None:
        """Put something else in the place of what a file says, which must be there."""
        path = self.root / file
        text = path.read_text("utf-8")
        assert old in text, f"{file} has no {old!r} any more: the slip would prove nothing"
        path.write_text(text.replace(old, new))


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    for name in CHANGED:
        copy(ROOT / name, tmp_path)
    for name in LOOKED_AT:
        (tmp_path / name).symlink_to(ROOT / name)
    copytree(ROOT / "deploy", tmp_path / "deploy")
    return Artefacts(tmp_path)
