"""The compose file: rendered by docker-compose itself, then held against what the gateway needs."""

import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.deploy import gateway_words, image, programs, yaml_files
from tests.deploy.report import Report

# what is asked of the environment: no default may stand in for them
REQUIRED = ("WAYPOST_SECRET_KEY", "WAYPOST_ADMIN_TOKEN", "WAYPOST_META_VERIFY_TOKEN", "POSTGRES_PASSWORD")
_NEEDED = {"web": 2, "worker": 2, "nats": 3, "postgres": 1, "haproxy": 1, "simulate": 1}
_UNITS_S = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DEFAULT_GRACE = "10s"  # docker's own
_LOOPBACK = ("127.0.0.1", "::1")


def rendered(root: Path, report: Report) -> dict[str, Any] | None:
    """Return what docker-compose makes of the file, with a secret made up for each variable that it asks for."""
    program = programs.find("docker-compose")
    if program is None:
        report.bad("docker-compose is not at hand: the check dependencies bring it")
        return None
    words = [program, "--file", "compose.yaml", "--env-file"]
    with tempfile.TemporaryDirectory(prefix="waypost-compose-") as folder:
        none, all_set = Path(folder) / "none", Path(folder) / "all"
        none.write_text("")
        made = {name: secrets.token_hex(16) for name in REQUIRED}
        all_set.write_text("".join(f"{name}={value}\n" for name, value in made.items()))
        refused = programs.call([*words, str(none), "config", "--quiet"], cwd=root)
        shown = programs.call([*words, str(all_set), "config", "--format", "json"], cwd=root)
    if shown.code:
        report.bad(f"compose.yaml: {shown.said}")
        return None
    for name, value in made.items():
        missed = f"required variable {name} is missing" in refused.said
        report.expect(missed and value in shown.said, f"compose.yaml starts without {name}: a default stands in for it")
    report.ok(f"compose.yaml rendered by {programs.call([program, 'version']).said}; without its secrets it refuses")
    model: dict[str, Any] = msgspec.json.decode(shown.said)
    return model


def check(root: Path, report: Report) -> None:
    """Check the compose file and the configuration of the servers in it."""
    if not yaml_files.documents(root / "compose.yaml", report):
        return
    model = rendered(root, report)
    if model is None:
        return
    services: dict[str, dict[str, Any]] = model["services"]
    for name, service in services.items():
        for words in _unhardened(service, image.read(root)):
            report.bad(f"compose.yaml: {name}: {words}")
    report.ok(f"{len(services)} services: read-only, no rights, not root, pinned, watched, published on loopback alone")
    kinds = [_kind(service) for service in services.values()]
    for kind, number in _NEEDED.items():
        report.expect(kinds.count(kind) >= number, f"compose.yaml: fewer than {number} of {kind}")
    gateways = {name: service for name, service in services.items() if (service.get("command") or [""])[0] == "serve"}
    for name, service in gateways.items():
        for words in _unfit(service, set(services)):
            report.bad(f"compose.yaml: {name}: {words}")
    for name in sorted(gateway_words.SHARED):
        values = {_environment(service).get(name) for service in gateways.values()}
        report.expect(len(values) == 1 and all(values), f"compose.yaml: {name} is not the same for all gateways")
    report.ok(f"{len(gateways)} gateways: commands, settings, what they share, time to end, names of servers")
    _check_nats(root, set(services), report)


def _kind(service: dict[str, Any]) -> str:
    command = service.get("command") or []
    if command[:1] == ["serve"]:
        return gateway_words.role(command)
    if command[:1] == ["simulate"]:
        return "simulate"
    return str(service["image"]).partition(":")[0].rpartition("/")[2]


def _unhardened(service: dict[str, Any], built: image.Image) -> Iterator[str]:
    """Say what a service has that it should not have, or lacks."""
    if not service.get("read_only"):
        yield "its root file system can be written"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may gain privileges"
    if not image.is_numeric_user(service.get("user", "root")):
        yield "its user is not a number other than root's"
    if not image.is_pinned(service["image"]):
        yield f"its image {service['image']} is not pinned"
    of_image = built.healthcheck if "build" in service and _kind(service) != "simulate" else None
    asked = service.get("healthcheck", {}).get("test") or of_image
    if not asked or service.get("healthcheck", {}).get("disable"):
        yield "nobody asks how it is"
    for port in service.get("ports", []):
        if port.get("host_ip") not in _LOOPBACK:
            yield f"port {port['target']} is published to the world"
    for volume in service.get("volumes", []):
        if volume["type"] == "bind" and not (Path(volume["source"]).exists() and volume.get("read_only")):
            yield f"{volume['source']} does not exist, or is mounted to be written"
    if "build" in service:
        if service["user"] != built.user:
            yield f"its user is not that of the image, {built.user}"
        folder = built.environment["WAYPOST_DATA_DIR"]
        if not any(mount.startswith(f"{folder}:") for mount in service.get("tmpfs", [])):
            yield f"nothing that can be written is at {folder}"


def _unfit(service: dict[str, Any], names: set[str]) -> Iterator[str]:
    """Say what of a gateway's service the gateway would not take, or not be well with."""
    environment = _environment(service)
    yield from gateway_words.misfits(environment)
    if words := gateway_words.command_misfit(service["command"]):
        yield words
    if not gateway_words.listens_everywhere(service["command"]):
        yield "it listens inside its container alone"
    if words := gateway_words.grace_misfit(_seconds(service.get("stop_grace_period", _DEFAULT_GRACE)), environment):
        yield words
    for variable in ("WAYPOST_DATABASE_URL", "WAYPOST_NATS_URL"):
        for url in environment.get(variable, "").split(","):
            host = urlsplit(url).hostname
            if host not in names:
                yield f"{variable}: {host} is no service"
            elif service["depends_on"].get(host, {}).get("condition") != "service_healthy":
                yield f"it does not wait until {host} is well"


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in (service.get("environment") or {}).items()}


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", duration))


def _check_nats(root: Path, names: set[str], report: Report) -> None:
    """Let the NATS server itself read its configuration, and look for the servers that it names."""
    file = root / "deploy" / "nats" / "nats.conf"
    program = programs.find("nats-server")
    if program is None:
        report.bad("nats-server is not at hand: the test dependencies bring it")
        return
    read = programs.call([program, "--config", str(file), "-t"], env={"NATS_NAME": "nats-1"})
    report.expect(read.code == 0, f"nats.conf: {read.said}")
    for host in re.findall(r"nats://([\w-]+):", file.read_text("utf-8")):
        report.expect(host in names, f"nats.conf: {host} is no service of compose.yaml")
    report.ok(f"nats.conf by {programs.call([program, '--version']).said}")
