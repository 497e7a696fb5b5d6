"""`waypost queue`: what waits to be sent, why and how long; pausing, resuming and cancelling it."""

import sys
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer

from waypost.cli.gateway_link import needed_gateway, read_answer
from waypost.cli.queue_tables import Page, Picture, show_page, show_picture
from waypost.cli.run import AsJson, CommandFailed, ConfigFile
from waypost.cli.terminal import printable

PATH = "/admin/v1/queue"
_PATIENCE_S = 3_600.0  # to cancel a million takes minutes

app = typer.Typer(rich_markup_mode=None)
Application = Annotated[str | None, typer.Option(help="Of one application, by its appkey.")]
Template = Annotated[str | None, typer.Option(help="Of one template, by its name.")]
Phone = Annotated[str | None, typer.Option(help="Of one business phone, by its number or phone number id.")]
Account = Annotated[str | None, typer.Option(help="Of one account.")]


class Kind(StrEnum):
    """What can be paused."""

    PHONE = "phone"
    APPLICATION = "application"
    WABA = "waba"


What = Annotated[Kind, typer.Argument(metavar="KIND", help="phone, application or waba.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its number or phone number id, appkey, or WABA id.")]


class Resumed(msgspec.Struct):
    """What came of a resumption."""

    resumed: bool


class Cancelled(msgspec.Struct):
    """What came of a cancellation, or of counting for one."""

    cancelled: int = 0
    count: int = 0


@app.callback(invoke_without_command=True)
def queue(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show how much waits to be sent, by phone and by reason, what holds it, and when it will have left.

    `waypost queue messages` lists the messages; `pause`, `resume` and `cancel` act on them.
    """
    if context.invoked_subcommand is not None:
        return
    answer = needed_gateway(config).call("GET", PATH)
    if as_json:
        print(answer)
    else:
        show_picture(read_answer(answer, Picture))


@app.command("messages")
def messages(
    phone: Phone = None,
    application: Application = None,
    account: Account = None,
    template: Template = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the messages that wait, oldest first, each with its reason and the time that is left."""
    query = _selection(phone, application, account, template) | {"limit": limit, "cursor": cursor}
    given = {name: value for name, value in query.items() if value is not None}
    answer = needed_gateway(config).call("GET", f"{PATH}/messages?{urlencode(given)}")
    if as_json:
        print(answer)
    else:
        show_page(read_answer(answer, Page))


@app.command("pause")
def pause(
    kind: What,
    key: Key,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at the queue.")] = "",
    config: ConfigFile = None,
) -> None:
    """Let nothing leave through a phone or a WABA, or of an application, until it is resumed.

    Messages are still taken, and wait in order. What is being sent at this moment is sent.
    """
    needed_gateway(config).call("POST", f"{PATH}/pause", {"kind": kind, "key": key, "reason": reason})
    print(f"{kind} {printable(key)} is paused until `waypost queue resume {kind} {printable(key)}`")


@app.command("resume")
def resume(kind: What, key: Key, config: ConfigFile = None) -> None:
    """Let a phone, an application or a WABA go on, whether an operator or the gateway itself paused it."""
    answer = needed_gateway(config).call("POST", f"{PATH}/resume", {"kind": kind, "key": key})
    held = read_answer(answer, Resumed).resumed
    print(f"{kind} {printable(key)} {'goes on' if held else 'was not held'}")


@app.command("cancel")
def cancel(
    phone: Phone = None,
    application: Application = None,
    account: Account = None,
    template: Template = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel messages that wait: they are never sent, and each has a `failed` callback with code 910003.

    Says how many that are and asks, before it does anything. What is being sent at this moment is sent.
    """
    wanted = _selection(phone, application, account, template)
    if not any(wanted.values()):
        raise typer.BadParameter("say which: --application, --template, --phone, --account")
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("--json asks nobody: add --yes, or --dry-run")
    link = needed_gateway(config)
    answer = link.call("POST", f"{PATH}/cancel", wanted | {"dry_run": True})
    count = read_answer(answer, Cancelled).count
    if not dry_run and (count or as_json):
        if not yes:
            _ask(count)
        answer = link.call("POST", f"{PATH}/cancel", wanted, patience_s=_PATIENCE_S)
    if as_json:
        print(answer)
    elif not count:
        print("nothing that waits fits")
    else:
        print(f"{count} would be cancelled" if dry_run else f"{read_answer(answer, Cancelled).cancelled} cancelled")


def _ask(count: int) -> None:
    """Go on only if the person in front says so."""
    number = "1 message" if count == 1 else f"{count} messages"
    print(f"{number} will never be sent, and the customers are told. Go on? [y/N] ", end="", flush=True)
    said = sys.stdin.buffer.readline().strip().lower()
    if said not in (b"y", b"yes"):
        print()
        raise CommandFailed("nothing was cancelled" if said else "nothing was cancelled: nobody said yes, nor --yes")


def _selection(
    phone: str | None, application: str | None, account: str | None, template: str | None
) -> dict[str, str | int | None]:
    return {"phone": phone, "appkey": application, "account": account, "template": template}
