"""`waypost settings`: everything that can be set."""

import msgspec
from rich.console import Console
from rich.table import Table

from waypost.cli.run import AsJson
from waypost.settings import PREFIX, Settings, describe


def settings(as_json: AsJson = False) -> None:
    """List every setting with its default and what it is for."""
    fields = msgspec.structs.fields(Settings)
    rows = [
        {"name": PREFIX + field.name.upper(), "default": field.default, "help": describe(field.name)}
        for field in fields
    ]
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    table = Table("variable", "default", "what it is for")
    for row in rows:
        default = row["default"]
        table.add_row(str(row["name"]), "empty" if default == "" else str(default), str(row["help"]))
    Console().print(table)
