"""What `waypost doctor` looks at where processes share a journal: common keys, the PostgreSQL server, the journal."""

from pathlib import Path

from waypost.cli.doctor_checks import SECRET_FILES, about_secret_files, compare_by, finding
from waypost.cli.run import run
from waypost.gateway.checkup import Finding
from waypost.settings import Settings
from waypost.store.base import StoreUnavailable
from waypost.store.postgres_database import Server, check_database, look_at_server, schema_version
from waypost.store.schema import newest_version

CONNECTIONS = 8  # what one process has at most


def about_keys(settings: Settings) -> list[Finding]:
    """Tell what every process makes for itself, in its data folder, because nobody set it for all of them."""
    given = (settings.secret_key, settings.admin_token, settings.meta_verify_token)
    open_ones = [name for name, value in zip(SECRET_FILES, given, strict=True) if not value]
    if not open_ones:
        return [finding("ok", "keys", "set for all processes")]
    advice = "give every process the same WAYPOST_SECRET_KEY, WAYPOST_ADMIN_TOKEN and WAYPOST_META_VERIFY_TOKEN"
    folder = Path(settings.data_dir).absolute()
    return [
        finding("warning", "keys", f"{', '.join(open_ones)}: not set, so processes look into {folder}", advice),
        *about_secret_files(folder),
    ]


def about_database(settings: Settings) -> list[Finding]:
    """Tell how the journal's server is, and the journal on it."""
    try:
        server = run(look_at_server(settings.database_url))
        return [*about_server(server), *_about_journal(settings.database_url)]
    except StoreUnavailable as error:
        return [finding("problem", "database", str(error), "mend what it says")]


def has_journal(settings: Settings) -> bool:
    """Tell whether there is a journal that this program reads; raises `StoreUnavailable`."""
    return run(schema_version(settings.database_url)) == newest_version()


def about_server(server: Server) -> list[Finding]:
    """Tell what a PostgreSQL server is wrong about for a journal."""
    found = [finding("ok", "database", f"PostgreSQL {server.version}")]
    if server.is_standby:
        advice = "set WAYPOST_DATABASE_URL to the primary: 9001 for every message else"
        found = [
            finding("problem", "database", f"PostgreSQL {server.version}, a standby that can't be written", advice)
        ]
    for name in server.switched_off:
        advice = f"set {name} = on there: else what was answered 0 can be gone after a power cut"
        found.append(finding("warning", "database", f"{name} is off", advice))
    free = server.connections - server.connected
    said = f"{server.connected} of {server.connections} connections are in use"
    if free < CONNECTIONS:
        advice = f"raise max_connections there: a process needs up to {CONNECTIONS}"
        found.append(finding("warning", "database", said, advice))
    else:
        found.append(finding("ok", "database", said))
    return [*found, compare_by("database's clock", server.ahead_ms)]


def _about_journal(url: str) -> list[Finding]:
    version, newest = run(schema_version(url)), newest_version()
    if version > newest:
        advice = "use the newer program, or restore a backup from before"
        return [
            finding("problem", "journal", f"schema version {version} is newer than this program's {newest}", advice)
        ]
    if version == 0:
        return [finding("warning", "journal", "there is none in this database", "`waypost apply FILE` makes it")]
    if version < newest:
        advice = "`waypost db upgrade`, or just start the gateways"
        return [finding("warning", "journal", f"schema version {version}, this program has {newest}", advice)]
    if problems := run(check_database(url)):
        return [finding("problem", "journal", problems[0], "`waypost db check` tells all; restore a backup")]
    return [finding("ok", "journal", f"schema version {version}, undamaged")]
