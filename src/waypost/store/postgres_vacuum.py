"""Clearing away what is left of rows in the tables where they come and go.

The server does so by itself once a minute. At a thousand callbacks a second that is two hundred thousand entries later,
and whoever looks for what is due walks past all of them.
"""

import asyncpg

# Where rows come and go; named here, because what is put into a statement is a table's name.
_TABLES = ("work", "queued")
_DEAD = 5_000  # rows that are worth it, beside a tenth of the table

_CLEARING = 5_737_150_173  # any number: one process does it at a time

_WORTH_IT = """
SELECT relname FROM pg_stat_user_tables
WHERE relid = $1::regclass AND n_dead_tup > $2 + n_live_tup / 10
"""


async def clear_away(connection: asyncpg.Connection) -> None:
    """Have the server clear away where it is worth it, unless it, or another process, is at it."""
    for table in _TABLES:
        if await connection.fetchval(_WORTH_IT, table, _DEAD) is None:
            continue
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _CLEARING):
            try:
                await connection.execute(f"VACUUM (SKIP_LOCKED) {table}")
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", _CLEARING)
