"""From the options of `waypost send` to the content of a message: which of them belong to which type."""

from pathlib import Path
from typing import Any

import msgspec
import typer

from waypost.cli.run import CommandFailed
from waypost.sdk.core import Content

_SOURCE = ("link", "id")
# For each type: the options of which one is required, and the others. A type without any takes --content alone.
_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("body",), ("preview_url",)),
    "image": (_SOURCE, ("caption",)),
    "video": (_SOURCE, ("caption",)),
    "audio": (_SOURCE, ()),
    "document": (_SOURCE, ("caption", "filename")),
    "sticker": (_SOURCE, ()),
    "location": (("latitude",), ("longitude", "name", "address")),
    "template": (("template",), ("language", "param", "components")),
    "interactive": ((), ()),
    "contacts": ((), ()),
    "reaction": ((), ()),
    "reacticon": ((), ()),
}
TYPES = tuple(_OPTIONS)
DEFAULT_LANGUAGE = "en_US"

Json = dict[str, Any]


class Given(msgspec.Struct, kw_only=True):
    """What was given on the command line about the content; None where it was not."""

    content: str | None = None
    body: str | None = None
    preview_url: bool | None = None
    link: str | None = None
    id: str | None = None
    caption: str | None = None
    filename: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    address: str | None = None
    template: str | None = None
    language: str | None = None
    param: list[str] | None = None
    components: str | None = None

    def present(self) -> Json:
        """Return what was given, by the name of the option."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value not in (None, [])}


def content_of(message_type: str, given: Given) -> Content:
    """Return the object for a message of this type; raises `typer.BadParameter` where options don't fit it."""
    if message_type not in _OPTIONS:
        raise typer.BadParameter(f"TYPE must be one of {', '.join(TYPES)}")
    options = given.present()
    if "content" in options:
        others = [_flag(name) for name in options if name != "content"]
        if others:
            raise typer.BadParameter(f"--content is the whole content, {others[0]} can't stand beside it")
        whole: Content = _json("--content", given.content or "")
        return whole
    required, optional = _OPTIONS[message_type]
    if foreign := [_flag(name) for name in options if name not in (*required, *optional)]:
        raise typer.BadParameter(f"{foreign[0]} does not belong to a message of type {message_type}")
    if not required:
        raise typer.BadParameter(f"a message of type {message_type} takes --content JSON or --content @FILE")
    if not any(name in options for name in required):
        raise typer.BadParameter(f"a message of type {message_type} needs {' or '.join(map(_flag, required))}")
    if message_type == "location" and given.longitude is None:
        raise typer.BadParameter("a message of type location needs --latitude and --longitude")
    return _template(given) if message_type == "template" else options


def _template(given: Given) -> Json:
    content: Json = {
        "name": given.template,
        "language": {"code": given.language or DEFAULT_LANGUAGE, "policy": "deterministic"},
    }
    components = _json("--components", given.components) if given.components is not None else []
    if not isinstance(components, list):
        raise typer.BadParameter("--components must be a JSON list")
    if given.param:
        if any(str(component.get("type")).lower() == "body" for component in components):
            raise typer.BadParameter("--param fills the body: leave the body out of --components, or leave out --param")
        parameters = [{"type": "text", "text": value} for value in given.param]
        components = [*components, {"type": "body", "parameters": parameters}]
    return {**content, "components": components} if components else content


def _json(option: str, text: str) -> Any:
    """Return the JSON object, or list of objects, that an option holds or that the file named with @ holds."""
    if text.startswith("@"):
        try:
            raw = Path(text[1:]).read_bytes()
        except (OSError, ValueError) as error:
            raise CommandFailed(f"cannot read the file of {option}: {error}") from None
    else:
        raw = text.encode("utf-8", "surrogateescape")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any] | list[dict[str, Any]])
    except msgspec.ValidationError:
        raise typer.BadParameter(f"{option} must be a JSON object or a list of objects") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise typer.BadParameter(f"{option} is not JSON: {error}") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
