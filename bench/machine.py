"""What the figures were measured on, and how much of it the host took away meanwhile."""

import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import apsw
import msgspec

_PACKAGES = ("uvicorn", "httptools", "uvloop", "aiohttp", "msgspec", "structlog")
_STAT = Path("/proc/stat")
_CPU_INFO = Path("/proc/cpuinfo")
_STOLEN = 7  # place of stolen time among the numbers of the first line
_FLUSHES = 50
_PAGE = b"\0" * 4096


class Machine(msgspec.Struct, frozen=True):
    """The machine and the versions; `flush_us` is what writing and flushing a page takes, as every commit must."""

    processor: str
    cores: int
    python: str
    system: str
    load_before: float
    flush_us: float
    versions: dict[str, str]


def describe(folder: Path) -> Machine:
    """Look at this machine; `folder` is where the journal will be."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        load_before=os.getloadavg()[0],
        flush_us=_flush_us(folder),
        versions={name: version(name) for name in _PACKAGES} | {"sqlite": apsw.sqlite_lib_version()},
    )


def cores() -> tuple[int, int] | None:
    """Return a core for the server and one for load and upstream; None where processes can't be pinned to two."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


class Steal:
    """How much CPU time the host of this virtual machine has given to others since this object was made."""

    def __init__(self) -> None:
        self._before = _jiffies()

    def percent(self) -> float | None:
        """Return it in percent of all CPU time; None where the system does not say."""
        now = _jiffies()
        total = sum(now) - sum(self._before)
        return 100 * (now[_STOLEN] - self._before[_STOLEN]) / total if total else None


def _jiffies() -> list[int]:
    if not _STAT.exists():
        return []
    return [int(number) for number in _STAT.read_text("ascii").partition("\n")[0].split()[1:9]]


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _flush_us(folder: Path) -> float:
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_FLUSHES):
            began = time.perf_counter()
            file.write(_PAGE)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
