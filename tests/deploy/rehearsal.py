"""The image without an engine: its wheel is built and unpacked, and started with the words that the Dockerfile has."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

from tests.deploy import gateway_words, image, programs
from tests.deploy.report import Report
from tests.servers import free_port

START_S = 30.0  # a bound that ends a broken start
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src")


def check(root: Path, report: Report) -> None:
    """Start what would be in the image as the image would, ask it how it is, and stop it as an engine would."""
    with tempfile.TemporaryDirectory(prefix="waypost-image-") as folder:
        wheel = _build(root, Path(folder), report)
        if wheel is None:
            return
        site = Path(folder) / "site"
        with ZipFile(wheel) as archive:
            archive.extractall(site)
        asyncio.run(_run(image.read(root), site, Path(folder), report))


def _build(root: Path, folder: Path, report: Report) -> Path | None:
    """Build the wheel from what the Dockerfile copies, and nothing else."""
    context = folder / "context"
    context.mkdir()
    for source in _SOURCES:
        if (root / source).is_dir():
            shutil.copytree(root / source, context / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / source, context)
    built = programs.call([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=context)
    wheels = list((context / "dist").glob("*.whl"))
    if built.code or not wheels:
        report.bad(f"the wheel can't be built: {built.said[-500:]}")
        return None
    report.ok(f"built {wheels[0].name} from what the Dockerfile copies")
    return wheels[0]


async def _run(recipe: image.Image, site: Path, folder: Path, report: Report) -> None:
    data, nowhere = folder / "data", folder / "nowhere"
    data.mkdir()
    nowhere.mkdir()
    port = free_port()
    environment = {
        **{name: value for name, value in recipe.environment.items() if name != "PATH"},
        "WAYPOST_DATA_DIR": str(data),
        "PYTHONPATH": str(site),
        "PATH": os.environ["PATH"],
    }
    before = _files(site)
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in recipe.command]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *recipe.entrypoint, *words, "--port", str(port)),
        cwd=nowhere,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        if await _listens(process, report):
            await _ask(recipe, port, environment, report)
            await _stop(process, report)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    for path in _files(site) - before | _files(nowhere):
        report.bad(f"it wrote {path} beside its data folder: a read-only root would have refused that")
    report.ok("it wrote nowhere but into WAYPOST_DATA_DIR")


async def _listens(process: asyncio.subprocess.Process, report: Report) -> bool:
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(START_S):
            while line := await process.stdout.readline():
                said += line
                if b"Waypost listens on" in line:
                    return True
    except TimeoutError:
        said += b"it said nothing for too long"
    report.bad(f"ENTRYPOINT and CMD do not start a gateway: {said[-500:].decode(errors='replace')}")
    return False


async def _ask(recipe: image.Image, port: int, environment: Mapping[str, str], report: Report) -> None:
    for path in gateway_words.HEALTH_PATHS:
        status = await asyncio.to_thread(_status, f"http://127.0.0.1:{port}{path}")
        report.expect(status == 200, f"{path} is answered {status}")
    probe = [word.replace(recipe.ports[0], str(port)) for word in recipe.healthcheck]
    probe[0] = sys.executable if probe[0] == "python" else probe[0]
    well = await asyncio.to_thread(programs.call, probe, env=environment)
    report.expect(well.code == 0, f"HEALTHCHECK of a gateway that is well: {well.said}")
    elsewhere = [word.replace(str(port), str(free_port())) for word in probe]
    unwell = await asyncio.to_thread(programs.call, elsewhere, env=environment)
    report.expect(unwell.code != 0, "HEALTHCHECK is content where no gateway is")
    report.ok(f"started it as the image would; {', '.join(gateway_words.HEALTH_PATHS)} and HEALTHCHECK")


async def _stop(process: asyncio.subprocess.Process, report: Report) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(START_S):
            await process.communicate()
    except TimeoutError:
        report.bad("it does not end on SIGTERM")
        return
    report.expect(process.returncode == 0, f"it ends on SIGTERM with exit code {process.returncode}")
    report.ok("it ended on SIGTERM with exit code 0")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
