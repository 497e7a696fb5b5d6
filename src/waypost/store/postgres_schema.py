"""The journal's schema on PostgreSQL: the same migrations, with what that engine needs said in its words."""

import re

import asyncpg

from waypost.store.base import StoreUnavailable
from waypost.store.schema import migrations, newest_version

# Any number, the same in every program: while one process upgrades the schema the others wait.
_UPGRADING = 5_737_150_171

_CREATE_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)
"""

# Which tables are cut by their time-ordered id, and which column that is.
PARTITIONED = {"message": "id", "status": "message_id"}

# There while a copy into this journal is not finished (see `waypost.store.copying`).
UNFINISHED_COPY = "unfinished_copy"

# Rows of these come and go, or change once or twice: room on their pages lets them change in place, and what they left
# is cleared away before it slows a walk through them.
_TUNING = """
ALTER TABLE work SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
ALTER TABLE queued SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
ALTER TABLE pace SET (fillfactor = 50);
ALTER TABLE newest_reported SET (fillfactor = 50);
ALTER TABLE callback SET (fillfactor = 80);
"""


def translated(script: str) -> str:
    """Return a migration as PostgreSQL takes it.

    Text is compared byte by byte, as on the other engine and whatever the database's language is.
    """
    script = re.sub(r"--[^\n]*", "", script)
    script = re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', script).replace("BLOB", "BYTEA").replace(" WITHOUT ROWID", "")
    for table, column in PARTITIONED.items():
        script = re.sub(
            rf"(CREATE TABLE {table} \(.*?\n\));",
            rf"\1 PARTITION BY RANGE ({column}); CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;",
            script,
            flags=re.DOTALL,
        )
    return script


async def version_of(connection: asyncpg.Connection) -> int:
    """Return the schema version of a journal; 0 if it has none yet."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return 0
    version: int = await connection.fetchval("SELECT COALESCE(MAX(version), 0) FROM schema_version")
    return version


async def upgrade(connection: asyncpg.Connection, now_ms: int) -> int:
    """Apply what is missing, each migration in its own transaction, and return the version then.

    Safe with any number of processes starting at once: one of them does it. Raises `StoreUnavailable` for a journal
    that is newer than this program, and for one that is only half there.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _UPGRADING)
    try:
        if await connection.fetchval("SELECT to_regclass($1)", UNFINISHED_COPY) is not None:
            raise StoreUnavailable(
                "a copy into this journal is not finished: run `waypost db copy` again, or use another database"
            )
        before = await version_of(connection)
        for number, script in migrations().items():
            if before < number:
                async with connection.transaction():
                    await connection.execute(_CREATE_VERSIONS)
                    await connection.execute(translated(script))
                    if number == newest_version():
                        await connection.execute(_TUNING)
                    await connection.execute("INSERT INTO schema_version VALUES ($1, $2)", number, now_ms)
        version = await version_of(connection)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _UPGRADING)
    refuse_newer(version)
    return version


def refuse_newer(version: int) -> None:
    """Raise `StoreUnavailable` for a schema that this program doesn't know."""
    if version > newest_version():
        raise StoreUnavailable(
            f"the journal has schema version {version}, this program knows up to {newest_version()}: "
            "use the newer program that wrote it, or restore a backup from before"
        )
