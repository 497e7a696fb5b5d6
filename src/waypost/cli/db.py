"""`waypost db`: bring the database up to date, look for damage, copy it, move it to PostgreSQL."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from waypost.cli.db_copy import copy
from waypost.cli.run import AsJson, CommandFailed, ConfigFile, plain_failures, read_settings, run
from waypost.cli.terminal import printable
from waypost.data_dir import DataDir, DataDirBusy
from waypost.settings import Settings, database_path, is_shared
from waypost.store.base import StoreUnavailable
from waypost.store.database_file import backup_file, check_file, schema_version, upgrade_file
from waypost.store.postgres_connection import without_password
from waypost.store.postgres_database import check_database, upgrade_database

_COPY = "copy.db"

app = typer.Typer(help="The database: upgrade, check, backup, copy.", no_args_is_help=True, rich_markup_mode=None)


@app.command("upgrade")
def upgrade(config: ConfigFile = None) -> None:
    """Bring the database's schema to what this program expects; makes the database if there is none.

    `waypost serve` does the same when it starts, so this is for doing it beforehand. No gateway may be running on an
    embedded database; one in PostgreSQL waits for whoever is upgrading it, and processes of before go on.
    """
    settings = read_settings(config)
    with plain_failures():
        if is_shared(settings):
            before, now = run(upgrade_database(settings.database_url))
        else:
            before, now = run(_upgrade(settings, database_path(settings)))
    print(f"schema version {now}, nothing to do" if before == now else f"schema version {before} became {now}")


async def _upgrade(settings: Settings, path: Path) -> tuple[int, int]:
    """Upgrade while owning the folders; return the schema's version before and after."""
    with contextlib.ExitStack() as owned:
        for folder in DataDir(Path(settings.data_dir)).with_that_of(path):
            try:
                await folder.lock()
            except DataDirBusy as busy:
                where = f" at {busy.owner.url}" if busy.owner else ""
                raise CommandFailed(
                    f"a gateway runs on {folder.path}{where}: it upgraded the database when it started; to upgrade for "
                    "a newer program, stop the gateway first"
                ) from None
            owned.callback(folder.release)
        return await asyncio.to_thread(lambda: (schema_version(path) if path.exists() else 0, upgrade_file(path)))


@app.command("check")
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for damaged pages and for rows that hang on nothing; also while a gateway is running. Exits 1 if any.

    In PostgreSQL pages are left to its own `pg_amcheck`.
    """
    settings = read_settings(config)
    with plain_failures():
        if is_shared(settings):
            name = without_password(settings.database_url)
            problems = run(check_database(settings.database_url))
        else:
            path = existing_database(settings)
            name, problems = str(path), check_file(path)
    problems = [printable(problem) for problem in problems]
    if as_json:
        print(msgspec.json.encode({"database": name, "problems": problems}).decode())
    else:
        print("\n".join(problems) if problems else f"{name}: no problems found")
    if problems:
        raise CommandFailed(
            f"{name} has {len(problems)} problem{'s' * (len(problems) > 1)}; stop the gateway and restore a backup, "
            "unless only the schema version is old: then `waypost db upgrade`"
        )


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist yet.")], config: ConfigFile = None
) -> None:
    """Write a consistent copy of the database to FILE, also while a gateway is running.

    Secrets in the copy are sealed under the key in the data folder's file secret-key (or WAYPOST_SECRET_KEY): keep that
    key too, in another place than the copy.
    """
    settings = read_settings(config)
    if is_shared(settings):
        raise CommandFailed(
            f"{without_password(settings.database_url)} is PostgreSQL's to copy, also while gateways run: use pg_dump, "
            "or an archive of its write-ahead log"
        )
    source = existing_database(settings)
    if os.path.lexists(file):
        raise CommandFailed(f"{file} exists already; give the copy another name")
    try:
        _copy(source, file)
    except StoreUnavailable as error:
        raise CommandFailed(f"no copy was made at {file}: {error}") from None
    except FileExistsError:
        raise CommandFailed(f"{file} exists by now; give the copy another name") from None
    except OSError as error:
        raise CommandFailed(f"cannot write {file}: {error.strerror}; nothing was left there") from None
    print(f"{file}: {file.stat().st_size} bytes")


app.command("copy")(copy)


def existing_database(settings: Settings) -> Path:
    """Return the database's file; raises `CommandFailed` if there is none, for a look must not make one."""
    path = database_path(settings)
    try:
        exists = path.is_file()
    except OSError as error:
        raise CommandFailed(f"cannot look at {path}: {error.strerror}") from None
    if not exists:
        raise CommandFailed(
            f"there is no database at {path}; set WAYPOST_DATA_DIR to the gateway's data folder, or start with "
            "`waypost apply FILE`"
        )
    return path


def _copy(source: Path, target: Path) -> None:
    """Write the copy beside its place, make it durable, and only then give it its name.

    The folder of its own, closed to others, also holds what the engine writes while it copies. A hard link gives the
    name, because unlike a rename it never replaces a file that has come up meanwhile.
    """
    folder = Path(tempfile.mkdtemp(prefix=".waypost-backup-", dir=target.parent))
    try:
        copy = folder / _COPY
        backup_file(source, copy)
        copy.chmod(0o600)
        _flush(copy)
        _give_name(copy, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the copy has its name; not every file system can flush a folder
        _flush(target.parent)


def _give_name(copy: Path, target: Path) -> None:
    try:
        target.hardlink_to(copy)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        copy.rename(target)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
