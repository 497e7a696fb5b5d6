"""`waypost apply`: make the tenants what a file says."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from waypost.cli.gateway_link import environment, read_answer, running_gateway
from waypost.cli.run import AsJson, CommandFailed, ConfigFile, plain_failures, read_settings, run
from waypost.gateway import tenant_file
from waypost.gateway.registry import Change
from waypost.service import apply_offline
from waypost.settings import Settings


class Applied(msgspec.Struct):
    """What the admin API answers."""

    changes: list[Change]


def apply(
    file: Annotated[Path, typer.Argument(help="The tenant file (TOML).")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make accounts, applications, phones, prices and templates what FILE says, and print what changed.

    The file is the whole truth about what it created: what it leaves out later is disabled, never erased. A running
    gateway uses the change from the next request on.
    """
    settings = read_settings(config)
    try:
        tables = tenant_file.read(file.read_text("utf-8"), environment())
        tenant_file.objects(tables)  # complain here, before anything is asked of a gateway
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {file}: {error}") from None
    except tenant_file.TenantFileInvalid as error:
        raise CommandFailed(f"{file}: {error}") from None
    with plain_failures():
        changes = _apply(settings, tables)
    if as_json:
        print(msgspec.json.encode({"changes": changes}).decode())
    else:
        _show(changes)


def _apply(settings: Settings, tables: dict[str, Any]) -> list[Change]:
    link = running_gateway(settings)
    if link is None:
        return run(apply_offline(settings, tables))
    return read_answer(link.call("POST", "/admin/v1/apply", tables), Applied).changes


def _show(changes: list[Change]) -> None:
    if not changes:
        print("nothing to change")
        return
    table = Table("what", "kind", "name", box=None)
    for change in changes:
        table.add_row(change.action, change.kind, change.key)
    Console().print(table)
