"""The command line: one file per command; exit codes 0 done, 1 failed (one line says why), 2 wrong usage."""

import sys

import typer

from waypost.cli import apply, db, demo, doctor, messages, send, serve, settings, simulate
from waypost.cli.run import CommandFailed

app = typer.Typer(
    name="waypost",
    help="A self-hosted WhatsApp message gateway: NxCloud's HTTP API in front, Meta's Cloud API behind.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("simulate")(simulate.simulate)
app.command("demo")(demo.demo)
app.command("apply")(apply.apply)
app.command("send")(send.send)
app.command("messages")(messages.messages)
app.command("settings")(settings.settings)
app.add_typer(db.app, name="db")
app.add_typer(doctor.app, name="doctor")


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except CommandFailed as failed:
        print(f"waypost: {failed}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        sys.exit(1)
