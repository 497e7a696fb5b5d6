"""The systemd units: read by a small parser of ours everywhere, and by systemd itself where it is at hand."""

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.deploy import gateway_words, programs
from tests.deploy.report import Report

PROGRAM = "/opt/waypost/bin/waypost"
MOST_EXPOSED = 20  # of 100, as systemd-analyze counts what a service could do
# what the units use, so that a slip is found where systemd is not at hand; systemd.unit(5), .service(5), .exec(5)
KEYS = {
    "Unit": "Description After Wants StartLimitIntervalSec StartLimitBurst",
    "Service": """Type User Group EnvironmentFile Environment StateDirectory StateDirectoryMode RuntimeDirectory
        RuntimeDirectoryMode ExecStart Restart RestartSec KillSignal TimeoutStopSec LimitNOFILE UMask ProtectSystem
        ProtectHome PrivateTmp PrivateDevices ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs
        ProtectKernelModules ProtectKernelTunables ProtectProc ProcSubset NoNewPrivileges CapabilityBoundingSet
        AmbientCapabilities RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID
        LockPersonality MemoryDenyWriteExecute RemoveIPC SystemCallArchitectures SystemCallFilter
        SystemCallErrorNumber""",
    "Install": "WantedBy",
}
_WANTED = {
    "Restart": "on-failure",
    "KillSignal": "SIGTERM",
    "LimitNOFILE": "65536",
    "UMask": "0077",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": "yes",
    "EnvironmentFile": "/etc/waypost/waypost.env",
}
_ROLES = {"waypost.service": "all", "waypost-web@.service": "web", "waypost-worker@.service": "worker"}
_ROOTS = {"StateDirectory": "%S", "RuntimeDirectory": "%t"}

Unit = dict[str, list[str]]


def check(root: Path, report: Report) -> None:
    """Check every unit."""
    units = sorted((root / "deploy" / "systemd").glob("*.service"))
    report.expect({unit.name for unit in units} == set(_ROLES), f"units: {[unit.name for unit in units]}")
    for unit in units:
        for words in _misfits(unit):
            report.bad(f"{unit.name}: {words}")
    report.ok(f"{len(units)} units: sections, keys, rights, commands, settings, time to end")
    if analyze := programs.find("systemd-analyze"):
        for unit in units:
            for words in _said_by_systemd(analyze, unit):
                report.bad(f"{unit.name}: {words}")
        report.ok(
            f"the same by {programs.call([analyze, '--version']).said.splitlines()[0]}, also how exposed they are"
        )
    else:
        report.not_checked("the same by systemd itself: systemd-analyze is not at hand")


def _misfits(file: Path) -> Iterator[str]:
    unit: Unit = {}
    section = ""
    for line in file.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            if section not in KEYS:
                yield f"unknown section {line}"
            continue
        key, separator, value = line.partition("=")
        if not separator or key not in KEYS.get(section, "").split():
            yield f"unknown key {key!r} in section {section}"
        unit.setdefault(key, []).append(value)
    yield from _unfit(file.name, unit)


def _unfit(name: str, unit: Unit) -> Iterator[str]:
    """Say what of a unit is unsafe, or would not start or end as it should."""
    for key, value in _WANTED.items():
        if unit.get(key) != [value]:
            yield f"{key} is {unit.get(key)} instead of {value!r}"
    if unit.get("User", ["root"]) == ["root"]:
        yield "it runs as root"
    program, *words = shlex.split(unit.get("ExecStart", [""])[0].replace("%i", "8081")) or [""]
    if program != PROGRAM:
        yield f"it starts {program} instead of {PROGRAM}"
    if complaint := gateway_words.command_misfit(words):
        yield complaint
    if gateway_words.role(words) != _ROLES.get(name):
        yield f"its role is {gateway_words.role(words)}"
    environment = dict(word.split("=", 1) for line in unit.get("Environment", []) for word in shlex.split(line))
    yield from gateway_words.misfits(environment)
    folders = {f"{_ROOTS[key]}/{unit[key][0]}" for key in _ROOTS if key in unit}
    if environment.get("WAYPOST_DATA_DIR") not in folders:
        yield f"its data folder is {environment.get('WAYPOST_DATA_DIR')}, and it may write {sorted(folders)}"
    grace = unit.get("TimeoutStopSec", ["90"])[-1]
    if not grace.isdecimal():
        yield f"TimeoutStopSec={grace} is not a number of seconds"
    elif complaint := gateway_words.grace_misfit(float(grace), environment):
        yield complaint


def _said_by_systemd(analyze: str, file: Path) -> Iterator[str]:
    """Let systemd read a unit, with a program that exists in the place of ours, and an instance where it takes one."""
    with tempfile.TemporaryDirectory(prefix="waypost-units-") as folder:
        copy = Path(folder) / file.name.replace("@", "@8081")
        copy.write_text(file.read_text("utf-8").replace(PROGRAM, sys.executable))
        read = programs.call([analyze, "verify", "--man=no", "--recursive-errors=no", str(copy)])
        if read.code:
            yield read.said.replace(f"{folder}/", "")
        rated = programs.call(
            [analyze, "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED}", str(copy)]
        )
        if rated.code:
            yield rated.said.splitlines()[-1]
