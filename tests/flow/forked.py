"""A command as a process of its own that need not import the program first: the fork of one that has done so."""

import io
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from waypost.cli import COMMANDS, main

STREAMS = ("in", "out", "err")  # the names of the files that the command reads and writes
_LATE = ("waypost.cli.doctor_examine", "waypost.cli.terminal", "typer._adapters")  # imported where they are needed


def run_forked(words: Sequence[str], env: Mapping[str, str], folder: Path, within_s: float) -> int:
    """Run `waypost …` with `folder` for its streams and return its exit code; raises `TimeoutError`."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*(f"waypost.cli.{name}" for name in COMMANDS), *_LATE])
    process = server.Process(target=_run, args=(tuple(words), dict(env), folder))
    process.start()
    process.join(within_s)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError
    code = process.exitcode
    process.close()
    return code


def _run(words: tuple[str, ...], env: dict[str, str], folder: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    for name, stream in zip(STREAMS, (sys.stdin, sys.stdout, sys.stderr), strict=True):
        opened = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    assert isinstance(sys.stdin, io.TextIOWrapper)
    sys.stdin.reconfigure(errors="surrogateescape")  # as it is where nobody set a locale
    sys.argv = ["waypost", *words]
    main()
