"""SQL by name: the `.sql` files split into their statements, read once."""

import re
from functools import cache
from importlib.resources import files

_FILES = (
    "queries.sql",
    "queries_outbox.sql",
    "queries_judging.sql",
    "queries_attempts.sql",
    "queries_queue.sql",
    "queries_sharing.sql",
)

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """Return every statement by its name, without comments."""
    folder = files("waypost.store")
    return parse("\n".join(folder.joinpath(name).read_text("utf-8") for name in _FILES))


def parse(text: str) -> dict[str, str]:
    """Split the text of `-- name: …` blocks; raises `ValueError` where a name stands twice."""
    parts = _NAME.split(text)[1:]  # before the first name there is only a file's own comment
    statements: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"two statements are called {name!r}")
        lines = (line for line in block.splitlines() if not line.startswith("--"))
        statements[name] = "\n".join(lines).strip()
    return statements
