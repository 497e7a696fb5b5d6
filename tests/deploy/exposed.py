"""What a gateway that really runs exposes to Prometheus: the demo is started, and asked once every message was read."""

import asyncio
import os
import re
import signal
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

PATIENCE_S = 60.0  # the demo's own is 30
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}

# by name of a series; None where no series of that name has been seen, so that nobody knows its labels
Exposed = dict[str, frozenset[str] | None]


def read(text: str) -> Exposed:
    """Return names and labels of the series in a page of metrics."""
    found: Exposed = {}
    for family in text_string_to_metric_families(text):
        for suffix in _SUFFIXES.get(family.type, ("",)):
            found.setdefault(family.name + suffix)
        for sample in family.samples:
            found[sample.name] = (found.get(sample.name) or frozenset()) | frozenset(sample.labels)
    return found


async def by_a_gateway() -> Exposed:
    """Start the demo, let it send one message of each type, and return what its gateway exposes then.

    Raises `RuntimeError` if it does not get that far.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "waypost", "demo"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while b"Ctrl-C" not in said:
                line = await process.stdout.readline()
                said += line
                if not line:
                    raise RuntimeError(f"the demo ended: {said[-500:].decode(errors='replace')}")
            address = re.search(rb"http://[\d.:]+/metrics", said)
            assert address is not None
            return read(await asyncio.to_thread(_get, address[0].decode()))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
