"""The image: linted, small in rights, started with words that the gateway knows, built where an engine answers."""

import io
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from dockerfile_parse import DockerfileParser

from tests.deploy import gateway_words, programs
from tests.deploy.report import Report

BUILD_S = 900.0
_PINNED = re.compile(r"[\w./-]+:v?\d[\w.-]*|[\w./:-]+@sha256:[0-9a-f]{64}")
_INDEX = re.compile(r"https?://|--(extra-)?index-url|--find-links|--trusted-host")


class Image(NamedTuple):
    """What a Dockerfile says of the image that comes out of it."""

    user: str
    environment: dict[str, str]
    entrypoint: list[str]
    command: list[str]
    healthcheck: list[str]
    volumes: list[str]
    ports: list[str]
    stop_signal: str


def read(root: Path) -> Image:
    """Return what the Dockerfile says of its last stage; raises `ValueError` where a list is not written as JSON."""
    last: dict[str, str] = {}
    for step in _steps(root):
        if step["instruction"] == "FROM":
            last = {}
        last[step["instruction"]] = step["value"]
    return Image(
        user=last.get("USER", "root"),
        environment=dict(_parser(root).envs),
        entrypoint=_list(last.get("ENTRYPOINT")),
        command=_list(last.get("CMD")),
        healthcheck=_list(last.get("HEALTHCHECK", "").partition("CMD ")[2]),
        volumes=_list(last.get("VOLUME")),
        ports=last.get("EXPOSE", "").split(),
        stop_signal=last.get("STOPSIGNAL", "SIGTERM"),
    )


def is_pinned(image: str) -> bool:
    """Whether an image's name says which version it is: by a tag that starts with a number, or by its digest."""
    return _PINNED.fullmatch(image) is not None


def is_numeric_user(user: object) -> bool:
    """Whether a user is a number other than root's, so that nobody need look a name up to know that it isn't root."""
    return re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", str(user)) is not None


def check(root: Path, report: Report) -> None:
    """Check Dockerfile and .dockerignore, and build the image where an engine answers."""
    _lint(root, report)
    try:
        image = read(root)
    except ValueError as error:
        report.bad(f"Dockerfile: {error}")
        return
    _check_result(image, report)
    _check_steps(root, report)
    _build(root, report)


def _lint(root: Path, report: Report) -> None:
    hadolint = programs.find("hadolint")
    if hadolint is None:
        report.bad("hadolint is not at hand: the check dependencies bring it")
        return
    for line in programs.call([hadolint, "--no-color", "Dockerfile"], cwd=root).said.splitlines():
        report.bad(f"Dockerfile: {line}")
    report.ok(f"Dockerfile by {programs.call([hadolint, '--version']).said}")


def _check_result(image: Image, report: Report) -> None:
    report.expect(is_numeric_user(image.user), f"Dockerfile: USER {image.user} is not a number other than root's")
    for words in gateway_words.misfits(image.environment):
        report.bad(f"Dockerfile: {words}")
    folder = image.environment.get("WAYPOST_DATA_DIR")
    report.expect(folder in image.volumes, f"Dockerfile: WAYPOST_DATA_DIR {folder} is no VOLUME: it may be read-only")
    report.expect(image.environment.get("PYTHONDONTWRITEBYTECODE"), "Dockerfile: Python would write bytecode")
    report.expect(image.entrypoint == ["waypost"], f"Dockerfile: ENTRYPOINT {image.entrypoint} is not waypost")
    if complaint := gateway_words.command_misfit(image.command):
        report.bad(f"Dockerfile: CMD: {complaint}")
    report.expect(gateway_words.listens_everywhere(image.command), "Dockerfile: CMD listens inside the container alone")
    report.expect(image.stop_signal == "SIGTERM", f"Dockerfile: {image.stop_signal} does not stop a gateway")
    asked = " ".join(image.healthcheck)
    report.expect("/healthz" in asked, "Dockerfile: no HEALTHCHECK asks for /healthz")
    report.expect(
        image.ports and all(port in asked for port in image.ports), "Dockerfile: EXPOSE and HEALTHCHECK differ"
    )
    report.ok("Dockerfile: user, settings, command, health check, port and signal of the image")


def _check_steps(root: Path, report: Report) -> None:
    stages = set()
    for step in _steps(root):
        words = step["value"].split()
        if step["instruction"] == "FROM":
            report.expect(words[0] in stages or is_pinned(words[0]), f"Dockerfile: {words[0]} is not pinned")
            stages |= set(words[2:])
        if step["instruction"] == "RUN":
            report.expect(not _INDEX.search(step["value"]), f"Dockerfile: an index address in {step['value']!r}")
        if step["instruction"] == "RUN" and " install " in step["value"] and "pip " in step["value"]:
            safe = "--require-hashes" in words or "--no-deps" in words
            report.expect(safe, f"Dockerfile: what has no hash could be installed by {step['value']!r}")
        if step["instruction"] in ("COPY", "ADD") and not step["value"].startswith("--from="):
            for source in words[:-1]:
                report.expect((root / source).exists(), f"Dockerfile: {source} does not exist")
                report.expect(not _is_ignored(root, source), f"Dockerfile: {source} is in .dockerignore")
    for private in (".env", ".git", "waypost-data"):
        report.expect(_is_ignored(root, private), f".dockerignore lets {private} into the image's build")
    report.ok("Dockerfile and .dockerignore: pinned bases, hashes, no index address, sources that exist")


def _build(root: Path, report: Report) -> None:
    docker = programs.find("docker") or programs.find("podman")
    if docker is None or programs.call([docker, "info"]).code:
        report.not_checked("building the image: no engine answers here; the rehearsal starts what would be in it")
        return
    built = programs.call([docker, "build", "-q", "-t", "waypost:check", "."], cwd=root, patience_s=BUILD_S)
    report.expect(built.code == 0, f"Dockerfile: {built.said[-500:]}")
    report.ok("built the image waypost:check")


def _parser(root: Path) -> Any:
    return DockerfileParser(fileobj=io.BytesIO((root / "Dockerfile").read_bytes()), env_replace=False)


def _steps(root: Path) -> Iterator[dict[str, str]]:
    yield from (step for step in _parser(root).structure if step["instruction"] != "COMMENT")


def _list(value: str | None) -> list[str]:
    if not value:
        return []
    try:
        words = json.loads(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a JSON list: a shell would stand between the signal and the gateway"
        ) from None
    return [str(word) for word in words]


def _is_ignored(root: Path, path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that fits it, or a folder that it is in, decides."""
    ignored = False
    places = [path, *(parent.as_posix() for parent in Path(path).parents if parent.name)]
    for line in (root / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().lstrip("!").removeprefix("**/")
        if pattern and not line.startswith("#") and any(fnmatch(place, pattern) for place in places):
            ignored = not line.startswith("!")
    return ignored
