"""Runs the real command as a process of its own, and holds every run to what is true of all of them."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.engine import NOBODY, engine_environment, is_shared, where_found
from tests.flow.forked import STREAMS, run_forked
from tests.harness import ACCESS_KEY, ACCESS_SECRET, ADMIN_TOKEN, APPKEY, PHONE, SECRETS, VERIFY_TOKEN, WAIT_S

CUSTOMER = {
    "CUSTOMER_ACCESS_KEY": ACCESS_KEY,
    "CUSTOMER_ACCESS_SECRET": ACCESS_SECRET,
    "CUSTOMER_APPKEY": APPKEY,
    "CUSTOMER_PHONE": PHONE,
}


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


def operator(folder: Path, meta_url: str = "http://127.0.0.1:9") -> dict[str, str]:
    """The environment of an operator whose data folder this is."""
    return {
        "WAYPOST_DATA_DIR": str(folder),
        "WAYPOST_ADMIN_TOKEN": ADMIN_TOKEN,
        "WAYPOST_META_VERIFY_TOKEN": VERIFY_TOKEN,
        "WAYPOST_META_BASE_URL": meta_url,
        **engine_environment(folder),
    }


def no_gateway(folder: Path) -> str:
    """The line that says that no gateway runs for this operator."""
    if is_shared():
        return (
            f"waypost: no gateway answers at {NOBODY}; set WAYPOST_GATEWAY_URL to where one is, or start one with "
            "`waypost serve`\n"
        )
    return f"waypost: no gateway runs on {folder}; start it with `waypost serve`\n"


async def waypost(
    *words: str, env: Mapping[str, str], stdin: bytes = b"", cwd: Path | None = None, fresh: bool = False
) -> Ended:
    """Run `waypost …` to its end; it must neither show a secret nor a traceback, and fail with one line.

    A `fresh` one, or one in a folder of its own, is a new interpreter; any other the fork of one that has imported the
    program, which takes most of the time that a command does.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WAYPOST_", "CUSTOMER_"))}
    given = {**inherited, **where_found(env), **env}
    if fresh or cwd is not None:
        ended = await _anew(words, given, stdin, cwd)
    else:
        ended = await asyncio.to_thread(_forked, words, given, stdin)
    for secret in (*SECRETS, VERIFY_TOKEN):
        assert secret not in ended.out + ended.err
    assert "Traceback" not in ended.err, ended.err
    if ended.code == 1:
        assert ended.err.startswith("waypost: ")
        assert ended.err.count("\n") == 1
    return ended


async def _anew(words: Sequence[str], env: Mapping[str, str], stdin: bytes, cwd: Path | None) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waypost", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=env, cwd=cwd,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())


def _forked(words: Sequence[str], env: Mapping[str, str], stdin: bytes) -> Ended:
    with tempfile.TemporaryDirectory() as name:
        given, out, err = (Path(name) / stream for stream in STREAMS)
        given.write_bytes(stdin)
        code = run_forked(words, env, Path(name), WAIT_S)
        return Ended(code, out.read_bytes().decode(), err.read_bytes().decode())
