"""`waypost callbacks`: what was pushed to customers' receivers, what was not, and pushing it again."""

import re
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.table import Table

from waypost.cli.gateway_link import needed_gateway, read_answer
from waypost.cli.run import AsJson, CommandFailed, ConfigFile
from waypost.cli.terminal import ago, printable, short, show
from waypost.clock import Clock

PATH = "/admin/v1/callbacks"
_AGO = re.compile(r"(\d{1,6})(m|h|d)", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}

app = typer.Typer(
    help="Callbacks to customers' receivers: list, show one, replay.", no_args_is_help=True, rich_markup_mode=None
)
State = Annotated[str | None, typer.Option(help="due, done or abandoned.")]
Account = Annotated[str | None, typer.Option(help="Of one account.")]
Appkey = Annotated[str | None, typer.Option(help="Of one application.")]
Message = Annotated[str | None, typer.Option("--message", help="Of one message, by the gateway's own id.")]
Since = Annotated[
    str | None, typer.Option(help="Not older than this: 30m, 6h, 2d; with --state abandoned, not given up before.")
]


class Row(msgspec.Struct):
    """What the admin API tells of a callback in a list."""

    id: str
    kind: str
    state: str
    url: str
    created_at_ms: int
    attempts: int
    status: str | None = None
    http_status: int | None = None
    error: str | None = None
    endpoint_down: bool = False


class Listed(msgspec.Struct):
    """One page of the list."""

    callbacks: list[Row]
    next_cursor: str | None = None


class Try(msgspec.Struct):
    """One attempt to push a callback."""

    number: int
    at_ms: int
    duration_ms: int
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None


class Shown(msgspec.Struct):
    """What the admin API tells of one callback; the payload is not taken apart."""

    id: str
    state: str
    url: str
    payload: msgspec.Raw
    attempts: list[Try]


class Replayed(msgspec.Struct):
    """What came of a replay."""

    replayed: int = 0
    count: int = 0
    unknown_ids: tuple[str, ...] = ()


@app.command("list")
def list_callbacks(
    state: State = None,
    account: Account = None,
    appkey: Appkey = None,
    message: Message = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List callbacks, oldest first."""
    query = _selection(state, account, appkey, message, since) | {"limit": limit, "cursor": cursor}
    given = {name: value for name, value in query.items() if value is not None}
    answer = needed_gateway(config).call("GET", f"{PATH}?{urlencode(given)}")
    if as_json:
        print(answer)
    else:
        _show_list(read_answer(answer, Listed))


def _show_list(listed: Listed) -> None:
    if not listed.callbacks:
        print("no callbacks")
        return
    now_ms = Clock().now_ms()
    table = Table("created", "state", "tries", "what", "answer", "to", "id", box=None, pad_edge=False)
    for row in listed.callbacks:
        down = " (down: probed hourly)" if row.endpoint_down else ""
        answered = str(row.http_status) if row.http_status is not None else short(row.error or "", 60)
        cells = (row.state, str(row.attempts), row.status or row.kind, answered, row.url + down, row.id)
        table.add_row(ago(row.created_at_ms, now_ms), *map(printable, cells))
    show(table)
    if listed.next_cursor:
        print(f"more: --cursor {printable(listed.next_cursor)}")


@app.command("show")
def show_callback(
    callback_id: Annotated[str, typer.Argument(metavar="ID", help="The callback's id.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one callback: its payload and the attempts to push it."""
    answer = needed_gateway(config).call("GET", f"{PATH}/{quote(callback_id, safe='')}")
    if as_json:
        print(answer)
        return
    shown = read_answer(answer, Shown)
    print(f"{printable(shown.id)}  {printable(shown.state)}  to {printable(shown.url)}")
    table = Table("try", "when", "took", "answer", box=None, pad_edge=False)
    now_ms = Clock().now_ms()
    for item in shown.attempts:
        said = item.error or f"{item.http_status} {item.excerpt or ''}"
        table.add_row(str(item.number), ago(item.at_ms, now_ms), f"{item.duration_ms} ms", short(said, 200))
    show(table)
    print(printable(bytes(shown.payload).decode()))


@app.command("replay")
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which, by id; or a selection.")] = None,
    state: State = None,
    account: Account = None,
    appkey: Appkey = None,
    message: Message = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Push callbacks again, with the same id and payload: by id, or a selection such as --state abandoned.

    A selection takes what is done or was given up; --state due takes what waits for its next try, and pushes it now.
    """
    wanted = _selection(state, account, appkey, message, since) | {"ids": ids or None}
    body = {name: value for name, value in wanted.items() if value is not None}
    if not body:
        raise typer.BadParameter("name ids, or a selection: --state, --account, --appkey, --message, --since")
    answer = needed_gateway(config).call("POST", f"{PATH}/replay", body | {"dry_run": dry_run})
    told = read_answer(answer, Replayed)
    number = told.count if dry_run else told.replayed
    if as_json:
        print(answer)
    elif number:
        print(f"{number} would be pushed again" if dry_run else f"{number} are pushed again")
    else:
        print("there is nothing to push again")
    if told.unknown_ids:
        raise CommandFailed(f"no callback has the id {short(', '.join(told.unknown_ids), 300)}")


def _selection(
    state: str | None, account: str | None, appkey: str | None, message: str | None, since: str | None
) -> dict[str, Any]:
    since_ms = None
    if since is not None:
        match = _AGO.fullmatch(since)
        if match is None:
            raise typer.BadParameter("expected minutes, hours or days: 30m, 6h, 2d", param_hint="--since")
        since_ms = Clock().now_ms() - int(match[1]) * _UNIT_MS[match[2]]
        if since_ms < 0:
            raise typer.BadParameter("that is before 1970", param_hint="--since")
    return {"state": state, "account": account, "appkey": appkey, "message_id": message, "since_ms": since_ms}
