"""What a shell hands over: arguments are bytes, and those that are no text must not get far."""

import functools
from collections.abc import Callable, Iterable

import typer


def text_only(command: Callable[..., object]) -> Callable[..., object]:
    """Return a command that is told as wrong usage if one of its texts is not UTF-8, before it does anything.

    The names of files may be any bytes: they come as paths, not as texts.
    """

    @functools.wraps(command)
    def checked(**given: object) -> object:
        for name, value in given.items():
            for text in value if isinstance(value, list | tuple) else (value,):
                if isinstance(text, str) and not _is_unicode(text):
                    raise typer.BadParameter(f"{name.replace('_', '-')} is not UTF-8")
        return command(**given)

    return checked


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)  # as which Python shows bytes that are no text


def check_texts(app: typer.Typer) -> None:
    """Make every command of an application, and of those below it, `text_only`."""
    for info in app.registered_commands:
        if info.callback is not None and not hasattr(info.callback, "__wrapped__"):
            info.callback = text_only(info.callback)
    for group in _groups(app):
        check_texts(group)


def _groups(app: typer.Typer) -> Iterable[typer.Typer]:
    return (group.typer_instance for group in app.registered_groups if group.typer_instance is not None)
