"""The generated pages are up to date and leave nothing out."""

import msgspec
import pytest
from typer.core import TyperArgument, TyperOption

from tests.docs.generate import PAGES, Command, commands
from tests.docs.source import DOCS
from waypost.protocol.errors import FAILURES, Failure
from waypost.settings import Settings, describe


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    path = DOCS / name
    written = path.read_text("utf-8") if path.exists() else ""
    assert written == PAGES[name](), f"docs/{name} is stale: run make docs"


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_explained(field: msgspec.structs.FieldInfo) -> None:
    row = next(line for line in PAGES["settings.md"]().splitlines() if f"`WAYPOST_{field.name.upper()}`" in line)
    assert describe(field.name).endswith(".")
    assert describe(field.name) in row
    assert ("empty" if field.default == "" else str(field.default).lower()) in row.lower()


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_every_option_is_explained(name: str, command: Command) -> None:
    assert command.help
    section = PAGES["cli.md"]().partition(f"\n## {name}")[2].partition("\n## ")[0]
    for item in command.params:
        if isinstance(item, TyperArgument | TyperOption):
            shown = (
                f"`{item.opts[0]}`"
                if isinstance(item, TyperOption)
                else (item.metavar or str(item.name).upper()).strip("[]")
            )
            row = next(line for line in section.splitlines() if line.startswith("| ") and shown in line)
            assert item.help, f"{name}: {item.name} has no help text"
            assert " ".join(item.help.split()).replace("|", "\\|") in row


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
def test_every_answer_code_is_listed(failure: type[Failure]) -> None:
    row = next(line for line in PAGES["api/errors.md"]().splitlines() if line.startswith(f"| {failure.code} |"))
    for words in (failure.text, failure.meaning, failure.advice):
        assert words in row
