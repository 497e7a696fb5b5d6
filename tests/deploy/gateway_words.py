"""What artefacts may say to a gateway: settings that exist, values that fit, commands that can be parsed."""

from collections.abc import Mapping, Sequence

import msgspec
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from waypost import cli
from waypost.service import Service
from waypost.settings import PREFIX, Settings

HEALTH_PATHS = ("/healthz", "/readyz", "/metrics")  # the rehearsal asks a running gateway for each
SECRETS = frozenset(f"{PREFIX}{name}" for name in ("SECRET_KEY", "ADMIN_TOKEN", "META_VERIFY_TOKEN", "DATABASE_URL"))
SHARED = SECRETS | {f"{PREFIX}NATS_URL"}  # what all processes of one installation must have alike

_FIELDS = {f"{PREFIX}{field.name.upper()}": field for field in msgspec.structs.fields(Settings)}


def misfits(environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong with an environment: variables that are no setting, values that no setting takes."""
    found = []
    for name, value in environment.items():
        if name not in _FIELDS:
            if name.startswith(PREFIX):
                found.append(f"{name} is no setting")
            continue
        try:
            msgspec.convert(value, _FIELDS[name].type, strict=False)
        except msgspec.ValidationError as error:
            found.append(f"{name}: {error}")
    return found


def longest_request_s(environment: Mapping[str, str]) -> float:
    """Return how long a gateway with these settings may take to end once it is told to."""
    values = {
        field.name: msgspec.convert(environment[name], field.type, strict=False)
        for name, field in _FIELDS.items()
        if name in environment and name not in SHARED
    }
    settings = Settings(**values)
    return max(Service(settings)._longest_request_s(), settings.callback_timeout)


def grace_misfit(grace_s: float, environment: Mapping[str, str], pause_s: float = 0) -> str | None:
    """Return what is wrong with the time that a process has to end in; a pause before it is told takes part of it."""
    needed_s = longest_request_s(environment) + pause_s
    if grace_s > needed_s:
        return None
    return f"{grace_s:g} s to end in, and a request may take {needed_s:g} s: it would be cut"


def command_misfit(words: Sequence[str]) -> str | None:
    """Return what is wrong with the words after `waypost`, or None if it would run them."""
    group = typer.main.get_command(cli.application())
    assert isinstance(group, TyperGroup)
    if not words or words[0] not in group.commands:
        return f"waypost has no command {' '.join(words[:1])!r}"
    try:
        group.commands[words[0]].make_context(words[0], list(words[1:]))
    except TyperException as error:
        return f"waypost {' '.join(words)}: {error}"
    return None


def role(words: Sequence[str]) -> str:
    """Return which role a command of a gateway asks for."""
    return words[words.index("--role") + 1] if "--role" in words else "all"


def listens_everywhere(words: Sequence[str]) -> bool:
    """Whether others than this machine's own programs reach a command's server."""
    return "--host" in words and words[words.index("--host") + 1] in ("0.0.0.0", "::")
