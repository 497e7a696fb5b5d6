"""SQL by name: `queries.sql` split into its statements, read once."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """Return every statement of `queries.sql` by its name, without comments."""
    return parse(files("waypost.store").joinpath("queries.sql").read_text("utf-8"))


def parse(text: str) -> dict[str, str]:
    """Split a file of `-- name: …` blocks; raises `ValueError` where a name stands twice."""
    parts = _NAME.split(text)[1:]  # before the first name there is only the file's own comment
    statements: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"two statements are called {name!r}")
        lines = (line for line in block.splitlines() if not line.startswith("--"))
        statements[name] = "\n".join(lines).strip()
    return statements
