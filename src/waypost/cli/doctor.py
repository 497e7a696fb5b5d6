"""`waypost doctor`: looks at everything that must be right before messages flow, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer
from rich.table import Table

from waypost.cli.doctor_signature import signature
from waypost.cli.run import AsJson, CommandFailed, ConfigFile
from waypost.cli.terminal import printable, show

if TYPE_CHECKING:
    from waypost.gateway.checkup import Finding

app = typer.Typer(rich_markup_mode=None)
app.command("signature")(signature)


@app.callback(invoke_without_command=True)
def doctor(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check settings, data folder, database, clock, tenants, Meta's view of tokens and numbers, and the webhook.

    Exits 1 if anything is a problem. `waypost doctor signature` finds out why a request is answered 1003.
    """
    if context.invoked_subcommand is not None:
        return
    from waypost.cli.doctor_examine import examine  # the whole gateway, which `doctor signature` needs nothing of

    findings = examine(config)
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        print(msgspec.json.encode({"findings": findings, "problems": problems}).decode())
    else:
        _show(findings)
    if problems:
        raise CommandFailed(f"{problems} problem{'s' * (problems > 1)} found; each line above says what to do")


def _show(findings: list[Finding]) -> None:
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.status, printable(finding.subject), printable(finding.found), printable(finding.advice))
    show(table)
