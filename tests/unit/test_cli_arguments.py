"""Arguments that are no text are wrong usage, in every command and before it does anything."""

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from waypost import cli
from waypost.cli.arguments import text_only

NO_TEXT = os.fsdecode(b"caf\xe9")


def commands(app: typer.Typer) -> Iterator[Callable[..., object]]:
    for info in app.registered_commands:
        assert info.callback is not None
        yield info.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance)


def kinds(annotation: Any) -> set[Any]:
    return {annotation}.union(*map(kinds, get_args(annotation)))


TEXTS = [
    (command, name, [NO_TEXT] if list[str] in kinds(hint) else NO_TEXT)
    for command in commands(cli.application())
    for name, hint in get_type_hints(inspect.unwrap(command)).items()
    if str in kinds(hint)
]


def test_the_commands_were_found() -> None:
    assert len(TEXTS) > 40
    assert {"callback_id", "ids", "cursor", "since", "message_id", "header", "host", "body"} <= {
        name for _, name, _ in TEXTS
    }


@pytest.mark.parametrize(
    ("command", "name", "value"), TEXTS, ids=[f"{command.__name__}-{name}" for command, name, _ in TEXTS]
)
def test_an_argument_that_is_no_text_is_wrong_usage(command: Callable[..., object], name: str, value: object) -> None:
    with pytest.raises(typer.BadParameter, match=f"^{name.replace('_', '-')} is not UTF-8$"):
        command(**{name: value})


def test_any_text_and_any_name_of_a_file_is_handed_on() -> None:
    given = {"text": "Grüße ☕ \U0001f389 \0", "file": Path(NO_TEXT), "texts": ("a", "ü"), "number": 7, "nothing": None}

    def command(**received: object) -> object:
        return received

    assert text_only(command)(**given) == given
