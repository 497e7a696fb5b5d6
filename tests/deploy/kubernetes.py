"""The manifests: rendered by kubectl, held against Kubernetes' own schemas, then against what the gateway needs."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import yaml

from tests.deploy import gateway_words, image, programs, yaml_files
from tests.deploy.report import Report
from waypost.settings import SettingsInvalid, load

VERSIONS = ("1.30.0", "1.37.0")  # the first that knows preStop.sleep without being told to, and the newest known here
_EXAMPLE = ".example.yaml"

Manifest = dict[str, Any]


def check(root: Path, report: Report) -> None:
    """Check the kustomization, what it renders, and the examples beside it."""
    folder = root / "deploy" / "kubernetes"
    files = {path.name: yaml_files.documents(path, report) for path in sorted(folder.glob("*.yaml"))}
    examples = [document for name, content in files.items() if name.endswith(_EXAMPLE) for document in content]
    manifests = _rendered(folder, report)
    if manifests is None:
        return
    for manifest in [*manifests, *examples]:
        for version in VERSIONS:
            if complaint := _misfit(msgspec.json.encode(manifest), version):
                report.bad(f"{_name(manifest)} for Kubernetes {version}: {complaint}")
    report.ok(
        f"{len(manifests) + len(examples)} manifests by the schemas of Kubernetes {' and '.join(VERSIONS)}, strictly"
    )
    used = {"kustomization.yaml", *files["kustomization.yaml"][0]["resources"]}
    for name in files:
        report.expect(name in used or name.endswith(_EXAMPLE), f"{name} is neither rendered nor an example")
    environment = _environment(manifests, examples, report)
    for workload in _kind(manifests, "Deployment"):
        for words in _unfit(workload, environment, image.read(root)):
            report.bad(f"{_name(workload)}: {words}")
    _check_rollout(manifests, report)
    _check_selectors(manifests, examples, report)
    report.ok("rights, probes, time to end, settings, secrets, selectors")


def _rendered(folder: Path, report: Report) -> list[Manifest] | None:
    program = programs.find("kubectl")
    if program is None:
        report.bad("kubectl is not at hand: the check dependencies bring it")
        return None
    shown = programs.call([program, "kustomize", str(folder)])
    if shown.code:
        report.bad(f"kustomization: {shown.said}")
        return None
    report.ok(f"rendered by kubectl, {programs.call([program, 'version', '--client']).said.splitlines()[-1]}")
    return [document for document in yaml.load_all(shown.said, Loader=yaml.CSafeLoader) if document]


@cache
def _misfit(manifest: bytes, version: str) -> str | None:
    """Return what of a manifest, as JSON, one version of Kubernetes would not take, or None."""
    try:
        kubernetes_validate.validate(msgspec.json.decode(manifest), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(str(step) for step in error.path)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return None


def _environment(manifests: list[Manifest], examples: list[Manifest], report: Report) -> dict[str, str]:
    """Return the settings of all processes, and say what of them is wrong or missing."""
    settings = {name: value for config in _kind(manifests, "ConfigMap") for name, value in config["data"].items()}
    secret = {name: value for one in _kind(examples, "Secret") for name, value in one["stringData"].items()}
    for words in gateway_words.misfits({**settings, **secret}):
        report.bad(f"settings: {words}")
    report.expect(not gateway_words.SECRETS & set(settings), "settings.env holds what belongs into the secret")
    report.expect(not _kind(manifests, "Secret"), "a secret is rendered: it would be the same everywhere")
    for name in sorted(gateway_words.SHARED - set(settings) - set(secret)):
        report.bad(f"settings: {name} is given neither by settings.env nor by the secret")
    for name, value in secret.items():
        try:
            load({name: value})
        except SettingsInvalid:
            continue
        report.bad(f"the example of the secret would start with its {name}")
    return settings


def _unfit(workload: Manifest, environment: dict[str, str], built: image.Image) -> Iterator[str]:
    """Say what of a Deployment is unsafe, or would not start or end as it should."""
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    yield from _rights(pod, container, built)
    if not image.is_pinned(container["image"]):
        yield f"its image {container['image']} is not pinned"
    if words := gateway_words.command_misfit(container["args"]):
        yield words
    if not gateway_words.listens_everywhere(container["args"]):
        yield "it listens inside its pod alone"
    if pod.get("enableServiceLinks") is not False:
        yield "enableServiceLinks would set variables WAYPOST_…, which are no settings"
    pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if words := gateway_words.grace_misfit(pod.get("terminationGracePeriodSeconds", 30), environment, pause_s):
        yield words
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    if list(ports.values()) != built.ports:
        yield f"its ports are {list(ports.values())}, the image's are {built.ports}"
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or asked.get("port") not in ports:
            yield f"its {probe} does not ask for {path} on a port of its own"
    notes = workload["spec"]["template"]["metadata"].get("annotations", {})
    scraped = (notes.get("prometheus.io/path"), notes.get("prometheus.io/port"))
    if scraped != ("/metrics", *ports.values()):
        yield f"Prometheus is sent to {scraped}"
    if container.get("env"):
        yield "a variable stands beside settings.env and the secret, which all processes share"


def _rights(pod: Manifest, container: Manifest, built: image.Image) -> Iterator[str]:
    rights, inner = pod.get("securityContext", {}), container.get("securityContext", {})
    if not rights.get("runAsNonRoot") or f"{rights.get('runAsUser')}:{rights.get('runAsGroup')}" != built.user:
        yield f"its user is not that of the image, {built.user}"
    if rights.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "its system calls are not restricted"
    if not inner.get("readOnlyRootFilesystem"):
        yield "its root file system can be written"
    if inner.get("allowPrivilegeEscalation") is not False or inner.get("capabilities") != {"drop": ["ALL"]}:
        yield "it keeps capabilities, or may gain privileges"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it gets a token for the cluster that it needs for nothing"
    if built.volumes != [mount["mountPath"] for mount in container.get("volumeMounts", [])]:
        yield f"nothing that can be written is at {built.volumes}"
    if not (container.get("resources", {}).get("requests") and "memory" in container["resources"].get("limits", {})):
        yield "it neither asks for resources nor has a limit of memory"


def _check_rollout(manifests: list[Manifest], report: Report) -> None:
    roles = {gateway_words.role(_container(one)["args"]): one for one in _kind(manifests, "Deployment")}
    report.expect(set(roles) == {"web", "worker"}, f"the roles are {sorted(roles)} instead of web and worker")
    for one in roles.values():
        report.expect(one["spec"]["replicas"] >= 2, f"{_name(one)}: one alone is missed while it is replaced")
    if web := roles.get("web"):
        limit = web["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
        report.expect(limit == 0, f"{_name(web)}: customers miss a gateway while it is replaced")
        hooks = _container(web).get("lifecycle", {})
        report.expect("preStop" in hooks, f"{_name(web)}: it stops listening before balancers know: no preStop pause")


def _check_selectors(manifests: list[Manifest], examples: list[Manifest], report: Report) -> None:
    """Find what is named but not there: pods, config, secret, services."""
    pods = [one["spec"]["template"] for one in _kind(manifests, "Deployment")]
    for one in manifests:
        if one["kind"] in ("Service", "PodDisruptionBudget"):
            wanted = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
            fitting = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
            report.expect(len(fitting) == 1, f"{_name(one)} selects {len(fitting)} kinds of pods")
    names = {
        one["metadata"]["name"] for kind in ("ConfigMap", "Secret") for one in _kind([*manifests, *examples], kind)
    }
    for pod in pods:
        given = {ref["name"] for source in pod["spec"]["containers"][0]["envFrom"] for ref in source.values()}
        report.expect(given == names, f"settings come from {sorted(given)}, and there are {sorted(names)}")
    services = {one["metadata"]["name"] for one in _kind(manifests, "Service")}
    for ingress in _kind(examples, "Ingress"):
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        open_to_all = {path["path"] for path in paths}
        report.expect(open_to_all == {"/api/wa", "/meta/webhook"}, f"{_name(ingress)} opens {sorted(open_to_all)}")
        behind = {path["backend"]["service"]["name"] for path in paths}
        report.expect(behind <= services, f"{_name(ingress)} leads to {sorted(behind)}")


def _container(workload: Manifest) -> Manifest:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
