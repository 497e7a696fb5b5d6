"""The balancer of the compose file: read by haproxy itself, and held against the gateways behind it."""

import re
from pathlib import Path

from tests.deploy import compose, gateway_words, image, programs
from tests.deploy.report import Report


def configuration(root: Path) -> str:
    """Return the balancer's configuration."""
    return (root / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")


def check(root: Path, report: Report) -> None:
    """Check the balancer's configuration."""
    program = programs.haproxy()
    if program is None:
        report.not_checked("haproxy.cfg by haproxy: it is not at hand, and its package is made for Linux alone")
    else:
        # -dW: a warning is an error
        read = programs.call([program, "-c", "-dW", "-f", str(root / "deploy" / "haproxy" / "haproxy.cfg")])
        complaints = [line for line in read.said.splitlines() if not line.startswith("[NOTICE]")]
        report.expect(read.code == 0, f"haproxy.cfg: {' '.join(complaints)}")
        report.ok(f"haproxy.cfg by {programs.call([program, '-v']).said.partition(' - ')[0]}")
    _check_words(configuration(root), root, report)


def _check_words(text: str, root: Path, report: Report) -> None:
    model = compose.rendered(root, Report())
    if model is None:
        report.bad("compose.yaml can't be rendered, so nobody knows what stands behind the balancer")
        return
    gateways = {name for name, service in model["services"].items() if "web" in (service.get("command") or ())}
    port = image.read(root).ports[0]
    for backend in re.split(r"^backend ", text, flags=re.MULTILINE)[1:]:
        watched = {host for host, _ in re.findall(rf"^\s*server \S+ (\S+):({port}) check\b", backend, re.MULTILINE)}
        words = f"haproxy.cfg: it watches {sorted(watched)}, the gateways are {sorted(gateways)}"
        report.expect(watched == gateways, words)
    asked = re.findall(r"^\s*option httpchk GET (\S+)", text, re.MULTILINE)
    report.expect(asked == ["/readyz"], f"haproxy.cfg: it asks for {asked} instead of /readyz")
    report.expect(
        re.search(r"^\s*mode tcp", text, re.MULTILINE), "haproxy.cfg: it must not look into requests: mode tcp"
    )
    for side in ("client", "server"):
        limit = re.search(rf"^\s*timeout {side} (\d+)s", text, re.MULTILINE)
        longest_s = gateway_words.longest_request_s({})
        enough = limit is not None and int(limit[1]) > longest_s
        report.expect(enough, f"haproxy.cfg: timeout {side} cuts requests, which may take {longest_s:g} s")
    most = re.search(r"^\s*maxconn (\d+)", text, re.MULTILINE)
    files = model["services"]["balancer"].get("ulimits", {}).get("nofile", 0)
    enough = most is not None and 2 * int(most[1]) + 100 < files  # each connection has two ends
    report.expect(enough, f"haproxy.cfg: maxconn needs more than the {files} files that compose.yaml lets it open")
    published = {str(port["target"]) for port in model["services"]["balancer"]["ports"]}
    bound = set(re.findall(r"^\s*bind :(\d+)", text, re.MULTILINE))
    report.expect(published == bound, f"haproxy.cfg: it listens on {bound}, and {published} are published")
    report.ok(f"haproxy.cfg: the {len(gateways)} gateways, their readiness, time limits and ports")
