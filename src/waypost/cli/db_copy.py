"""`waypost db copy`: everything in the embedded database, into a PostgreSQL database."""

import contextlib
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from waypost.cli.db_copy_progress import shown_progress
from waypost.cli.run import AsJson, CommandFailed, plain_failures, run
from waypost.cli.terminal import printable, show
from waypost.clock import Clock
from waypost.data_dir import DataDir, DataDirBusy
from waypost.store.copying import Copied, Report
from waypost.store.copying import copy as copy_journal
from waypost.store.copying_tables import CopyRefused
from waypost.store.postgres_connection import without_password

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_KEY_FILE = "secret-key"  # in a data folder
_SHOWN_DIGITS = 12  # of a checksum


def copy(
    source: Annotated[str, typer.Argument(help="sqlite:///PATH: a gateway's database, or a backup of one.")],
    target: Annotated[
        str,
        typer.Argument(
            help="postgresql://USER@HOST:PORT/DATABASE, an empty database. The password can be in the environment "
            "variable PGPASSWORD, where nobody sees it in the list of processes."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Copy everything from SOURCE to TARGET, and prove by counts and checksums that it is the same there.

    No gateway may be running on either. SOURCE is only read. A copy that was stopped, however it was, goes on when the
    same command is run again; until it is complete no gateway opens TARGET. docs/operate/move.md has the whole move.
    """
    path = _path_of(source)
    if not target.startswith(_POSTGRESQL):
        raise typer.BadParameter("the second one, TARGET, must be postgresql://USER@HOST:PORT/DATABASE")
    clock = Clock()
    begun_s = clock.monotonic_s()
    with plain_failures(), shown_progress(clock) as report:
        try:
            copied = run(_copy_alone(path, target, report, clock))
        except CopyRefused as refused:
            raise CommandFailed(str(refused)) from None
    seconds = clock.monotonic_s() - begun_s
    if as_json:
        print(msgspec.json.encode(_as_json(path, target, copied, seconds)).decode())
    else:
        _print(path, target, copied, seconds)
    if copied.differing:
        raise CommandFailed(
            f"what was read back differs in {', '.join(copied.differing)}: the target can't be used; make it anew "
            "(dropdb, createdb) and run the command again"
        )


def _path_of(source: str) -> Path:
    path = source.removeprefix(_SQLITE)
    if path == source or not path:
        raise typer.BadParameter("the first one, SOURCE, must be sqlite:///PATH; a copy goes from SQLite to PostgreSQL")
    return Path(path)


async def _copy_alone(path: Path, target: str, report: Report, clock: Clock) -> Copied:
    """Copy while owning the folder that the file is in, if it is one that gateways run on; a backup's is not."""
    with contextlib.ExitStack() as owned:
        for folder in _known_folders(path):
            await _own(folder)
            owned.callback(folder.release)
        return await copy_journal(path, target, clock, report)


def _known_folders(path: Path) -> list[DataDir]:
    """Return the folders by which a gateway may know the file, if it is one, and if anybody has owned them."""
    try:
        if not path.is_file():
            return []
        folders = [DataDir(folder) for folder in sorted({path.parent, path.resolve().parent})]
        return [folder for folder in folders if folder.is_known()]
    except OSError as error:
        raise CommandFailed(f"cannot look at {path}: {error.strerror}") from None


async def _own(folder: DataDir) -> None:
    try:
        await folder.lock()
    except DataDirBusy as busy:
        where = f" at {busy.owner.url}" if busy.owner else ""
        raise CommandFailed(
            f"a gateway or another command works on {folder.path}{where}: stop the gateway first; to try with a "
            "backup while it runs, put that into another folder"
        ) from None


def _print(path: Path, target: str, copied: Copied, seconds: float) -> None:
    table = Table("table", "rows", "checksum", "")
    for one in copied.tables:
        found = "ok" if one.is_equal else f"DIFFERS: {one.target.rows} rows, {one.target.checksum[:_SHOWN_DIGITS]}"
        table.add_row(one.name, str(one.source.rows), one.source.checksum[:_SHOWN_DIGITS], found)
    show(table)
    if copied.differing:
        return
    rows = sum(one.source.rows for one in copied.tables)
    print(
        f"{printable(without_password(target))} holds what {printable(str(path))} does: {rows} rows, of which "
        f"{copied.written} were copied now; {seconds:.0f} s in all"
    )
    key = _key_file(path) or f"the file {_KEY_FILE} in its data folder"
    print(
        "Secrets in it stay sealed: every process needs WAYPOST_SECRET_KEY as the old gateway had it, or where it had "
        f"none, the content of {printable(str(key))}."
    )


def _as_json(path: Path, target: str, copied: Copied, seconds: float) -> dict[str, object]:
    key = _key_file(path)
    return {
        "source": str(path),
        "target": without_password(target),
        "written": copied.written,
        "seconds": round(seconds, 3),
        "secret_key_file": None if key is None else str(key),
        "tables": [
            {
                "table": one.name,
                "rows": one.source.rows,
                "checksum": one.source.checksum,
                "target_rows": one.target.rows,
                "target_checksum": one.target.checksum,
                "ok": one.is_equal,
            }
            for one in copied.tables
        ],
    }


def _key_file(path: Path) -> Path | None:
    """Return the file with the key that the secrets in a database are sealed under, if it lies beside it."""
    file = path.parent / _KEY_FILE
    return file if file.is_file() else None
