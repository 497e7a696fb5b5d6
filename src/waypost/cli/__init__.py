"""The command line: one file per command; exit codes 0 done, 1 failed (one line says why), 2 wrong usage."""

import io
import sys
from importlib import import_module

import typer

from waypost.cli.arguments import check_texts
from waypost.cli.run import CommandFailed

COMMANDS = ("serve", "simulate", "demo", "apply", "send", "messages", "callbacks", "queue", "settings", "db", "doctor")


def application(*wanted: str) -> typer.Typer:
    """Return the command line with the commands that are wanted, or with all.

    A command lives in the module of its name: a function of that name, or `app` where it has commands of its own.
    Only what is wanted is imported: the whole gateway takes half a second, which `waypost send` should not cost.
    """
    app = typer.Typer(
        name="waypost",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(help="A self-hosted WhatsApp message gateway: NxCloud's HTTP API in front, Meta's Cloud API behind.")(
        lambda: None
    )
    for name in wanted or COMMANDS:
        module = import_module(f"waypost.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    check_texts(app)
    return app


def main() -> None:
    """Run the command line and end the process with its exit code."""
    named = sys.argv[1:2]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file may have any name, and a terminal few letters
    try:
        application(*(named if named and named[0] in COMMANDS else ()))()
    except CommandFailed as failed:
        from waypost.cli.terminal import printable  # only now: most commands don't fail

        print(f"waypost: {printable(str(failed))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell expects of a program that Ctrl-C has ended
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        sys.exit(1)
