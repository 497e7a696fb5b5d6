"""One slip in an artefact, and its check says so."""

import pytest

from tests.deploy import check
from tests.deploy.conftest import Artefacts

WEB = "deploy/kubernetes/web.yaml"
KUSTOMIZATION = "deploy/kubernetes/kustomization.yaml"
SETTINGS = "deploy/kubernetes/settings.env"
SECRET = "deploy/kubernetes/secret.example.yaml"
HAPROXY = "deploy/haproxy/haproxy.cfg"
NATS = "deploy/nats/nats.conf"
UNIT = "deploy/systemd/waypost-web@.service"

# what is made wrong, where, and what the check says of it
IMAGE = [
    ("Dockerfile", "USER 10001:10001", "USER root", "USER root is not a number"),
    ("Dockerfile", "USER 10001:10001\n", "", "USER root is not a number"),
    ("Dockerfile", "USER 10001", "USER 0", "USER 0:10001 is not a number"),
    ("Dockerfile", "python:3.11-slim-bookworm AS", "python:latest AS", "python:latest is not pinned"),
    ("Dockerfile", "FROM python:3.11-slim-bookworm\n", "FORM python:3.11-slim-bookworm\n", "unexpected 'F'"),
    ("Dockerfile", "WAYPOST_DATA_DIR=/data", "WAYPOST_DATA_FOLDER=/data", "WAYPOST_DATA_FOLDER is no setting"),
    ("Dockerfile", 'VOLUME ["/data"]\n', "", "WAYPOST_DATA_DIR /data is no VOLUME"),
    ("Dockerfile", '"--host"', '"--hots"', "No such option: --hots"),
    ("Dockerfile", ', "--host", "0.0.0.0"', "", "listens inside the container alone"),
    ("Dockerfile", 'ENTRYPOINT ["waypost"]', "ENTRYPOINT waypost", "is not a JSON list"),
    ("Dockerfile", "/healthz", "/health", "no HEALTHCHECK asks for /healthz"),
    ("Dockerfile", "EXPOSE 8080", "EXPOSE 8081", "EXPOSE and HEALTHCHECK differ"),
    ("Dockerfile", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "SIGKILL does not stop a gateway"),
    ("Dockerfile", "--require-hashes ", "", "what has no hash could be installed"),
    ("Dockerfile", "--require-hashes", "--index-url=https://mirror.invalid", "an index address"),
    ("Dockerfile", "COPY src src", "COPY source src", "source does not exist"),
    (".dockerignore", "!src\n", "", "src is in .dockerignore"),
    (".dockerignore", "*\n!py", "!py", ".dockerignore lets .env into"),
]
REHEARSAL = [
    ("Dockerfile", "    PYTHONDONTWRITEBYTECODE=1 \\\n", "", "beside its data folder"),
    (
        "Dockerfile",
        "raise SystemExit(c.getresponse().status != 200)",
        "raise SystemExit(1)",
        "of a gateway that is well",
    ),
    (
        "Dockerfile",
        "c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)",
        "",
        "is content where",
    ),
    ("Dockerfile", 'CMD ["serve"', 'CMD ["settings"', "do not start a gateway"),
    (
        "pyproject.toml",
        'packages = ["src/waypost"]',
        'packages = ["src/waypost"]\nexclude = ["*.sql"]',
        "do not start a",
    ),
]
COMPOSE = [
    ("compose.yaml", "services:\n", "services\n", "syntax error"),
    ("compose.yaml", "read_only: true", "read_onyl: true", "read_onyl"),
    ("compose.yaml", "read_only: true", "read_only: false", "web-1: its root file system can be written"),
    ("compose.yaml", "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "postgres: it keeps capabilities"),
    ("compose.yaml", "no-new-privileges:true", "no-new-privileges:false", "nats-2: it may gain privileges"),
    ("compose.yaml", 'user: "999:999"', "user: postgres", "postgres: its user is not a number"),
    ("compose.yaml", 'user: "10001:10001"', 'user: "10002:10002"', "its user is not that of the image"),
    ("compose.yaml", "nats:2.15-alpine", "nats:latest", "image nats:latest is not pinned"),
    ("compose.yaml", "nats:2.15-alpine", "nats", "image nats is not pinned"),
    (
        "compose.yaml",
        ":?make one with openssl rand -hex 32}\n    WAYPOST_ADMIN",
        ":-secret}\n    WAYPOST_ADMIN",
        "SECRET_KEY",
    ),
    (
        "compose.yaml",
        "${WAYPOST_ADMIN_TOKEN:?make one with openssl rand -hex 32}",
        "admin",
        "without WAYPOST_ADMIN_TOKEN",
    ),
    ("compose.yaml", "WAYPOST_META_BASE_URL: ", "WAYPOST_META_URL: ", "WAYPOST_META_URL is no setting"),
    ("compose.yaml", ":-false}", ":-perhaps}", "WAYPOST_ALLOW_PRIVATE_CALLBACKS: "),
    ("compose.yaml", "stop_grace_period: 60s\n  networks", "stop_grace_period: 40s\n  networks", "40 s to end in"),
    ("compose.yaml", "stop_grace_period: 60s\n  networks", "networks", "10 s to end in"),
    (
        "compose.yaml",
        "      interval: 10s",
        "      disable: true\n      interval: 10s",
        "simulator: nobody asks how it is",
    ),
    ("compose.yaml", '"127.0.0.1:${GATEWAY', '"${GATEWAY', "port 8080 is published to the world"),
    ("compose.yaml", "--role, web]", "--role, wbe]", "'wbe' is not one of"),
    ("compose.yaml", "  web-2: *web\n", "  web-2: *worker\n", "fewer than 2 of web"),
    ("compose.yaml", "nats://nats-3:4222", "nats://nats-4:4222", "nats-4 is no service"),
    (
        "compose.yaml",
        "postgres: { condition: service_healthy }",
        "postgres: { condition: service_started }",
        "postgres is well",
    ),
    ("compose.yaml", "./deploy/nats/nats.conf:", "./deploy/nats/nats.cfg:", "nats.cfg does not exist"),
    ("compose.yaml", '["/data:uid=10001', '["/tmp:uid=10001', "nothing that can be written is at /data"),
    (
        "compose.yaml",
        "      test: [CMD, pg_isready,",
        "      disable: true\n      x-test: [CMD, pg_isready,",
        "nobody asks how it is",
    ),
    (
        "compose.yaml",
        "  web-2: *web\n",
        "  web-2: { <<: *web, environment: { WAYPOST_NATS_URL: nats://nats-1 } }\n",
        "WAYPOST_SECRET_KEY is not the same for all gateways",
    ),
    (NATS, "jetstream {", "jetstream {\n  store_dri: 1", "nats.conf: "),
    (NATS, "nats://nats-2:", "nats://nats-5:", "nats-5 is no service"),
]
BALANCER = [
    (HAPROXY, "balance leastconn", "balance leastcon", "balance only supports"),
    (HAPROXY, "timeout connect 2s\n", "\n", "[WARNING]"),
    (HAPROXY, "    server web-2 web-2:8080 check\n", "", "it watches ['web-1']"),
    (HAPROXY, "web-2:8080", "web-2:8081", "it watches ['web-1']"),
    (HAPROXY, "GET /readyz", "GET /ready", "instead of /readyz"),
    (HAPROXY, "timeout server 90s", "timeout server 30s", "timeout server cuts requests"),
    (HAPROXY, "mode tcp", "mode http", "must not look into requests"),
    (HAPROXY, "maxconn 16384", "maxconn 40000", "maxconn needs more than the 65536 files"),
    (HAPROXY, "bind :8080", "bind :8088", "it listens on"),
]
KUBERNETES = [
    (WEB, "      containers:\n", "      containers\n", "web.yaml:"),
    (WEB, "readOnlyRootFilesystem", "readOnlyRootFileSystem", "'readOnlyRootFileSystem' was unexpected"),
    (WEB, "apiVersion: apps/v1", "apiVersion: apps/v1beta9", "Couldn't find schema"),
    (WEB, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "waypost-web: its root file system can be"),
    (WEB, "runAsUser: 10001", "runAsUser: 0", "its user is not that of the image"),
    (WEB, "drop: [ALL]", "drop: [NET_RAW]", "it keeps capabilities"),
    (WEB, "type: RuntimeDefault", "type: Unconfined", "system calls are not restricted"),
    (WEB, "automountServiceAccountToken: false", "automountServiceAccountToken: true", "a token for the cluster"),
    (WEB, "enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks would set variables"),
    (WEB, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 50", "and a request may take 50 s"),
    (WEB, "      terminationGracePeriodSeconds: 60\n", "", "30 s to end in"),
    (WEB, "path: /readyz", "path: /ready", "its readinessProbe does not ask"),
    (
        WEB,
        "port: http\n            periodSeconds: 10",
        "port: https\n            periodSeconds: 10",
        "its livenessProbe",
    ),
    (WEB, "containerPort: 8080", "containerPort: 80", "its ports are ['80']"),
    (WEB, "prometheus.io/path: /metrics", "prometheus.io/path: /metric", "Prometheus is sent to"),
    (WEB, "maxUnavailable: 0", "maxUnavailable: 1", "customers miss a gateway"),
    (WEB, "preStop:", "postStart:", "no preStop pause"),
    (WEB, "replicas: 2", "replicas: 1", "one alone is missed"),
    (WEB, "--role, web]", "--roll, web]", "No such option: --roll"),
    (WEB, "mountPath: /data", "mountPath: /var/data", "nothing that can be written is at ['/data']"),
    (WEB, "            limits:\n              memory: 1Gi\n", "", "has a limit of memory"),
    (
        WEB,
        "  selector:\n    app.kubernetes.io/component: web",
        "  selector:\n    app.kubernetes.io/component: wbe",
        "selects 0",
    ),
    (WEB, "            - secretRef:\n                name: waypost\n", "", "settings come from"),
    (KUSTOMIZATION, "newTag: 0.1.0", "newTag: latest", "image waypost:latest is not pinned"),
    (KUSTOMIZATION, "  - network.yaml\n", "", "network.yaml is neither rendered nor an example"),
    (KUSTOMIZATION, "worker.yaml", "workers.yaml", "kustomization: "),
    (SETTINGS, "WAYPOST_META_BASE_URL", "WAYPOST_META_URL", "WAYPOST_META_URL is no setting"),
    (SETTINGS, "WAYPOST_NATS_URL=", "WAYPOST_LOG_LEVEL=loud\nWAYPOST_NATS_URL=", "WAYPOST_LOG_LEVEL: "),
    (SETTINGS, "WAYPOST_NATS_URL=", "WAYPOST_META_READ_TIMEOUT=60\nWAYPOST_NATS_URL=", "a request may take 80 s"),
    (SETTINGS, "WAYPOST_NATS_URL=nats://nats.nats.svc:4222\n", "", "WAYPOST_NATS_URL is given neither"),
    (SETTINGS, "WAYPOST_NATS_URL=", "WAYPOST_ADMIN_TOKEN=12345678\nWAYPOST_NATS_URL=", "belongs into the secret"),
    (SECRET, "WAYPOST_ADMIN_TOKEN: unset", "WAYPOST_ADMIN_TOKEN: changeme", "would start with its WAYPOST_ADMIN_TOKEN"),
    ("deploy/kubernetes/ingress.example.yaml", "path: /api/wa\n", "path: /\n", "opens ['/', '/meta/webhook']"),
    ("deploy/kubernetes/network.yaml", "podSelector", "podsSelector", "podsSelector"),
    ("deploy/kubernetes/disruption.yaml", "component: worker", "component: workers", "selects 0 kinds of pods"),
]
UNITS = [
    (UNIT, "[Service]", "[Servce]", "unknown section [Servce]"),
    (UNIT, "NoNewPrivileges=yes", "NoNewPrivilege=yes", "unknown key 'NoNewPrivilege'"),
    (UNIT, "NoNewPrivileges=yes", "NoNewPrivileges=no", "NoNewPrivileges is ['no']"),
    (UNIT, "User=waypost", "User=root", "it runs as root"),
    (UNIT, "User=waypost\n", "", "it runs as root"),
    (UNIT, "TimeoutStopSec=60", "TimeoutStopSec=40", "40 s to end in"),
    (UNIT, "TimeoutStopSec=60", "TimeoutStopSec=soon", "is not a number of seconds"),
    (UNIT, "--role web", "--role worker", "its role is worker"),
    (UNIT, "--port %i", "--ports %i", "No such option: --ports"),
    (UNIT, "/opt/waypost/bin/waypost serve", "/usr/bin/waypost serve", "it starts /usr/bin/waypost"),
    (UNIT, "WAYPOST_DATA_DIR=", "WAYPOST_DATA=", "WAYPOST_DATA is no setting"),
    (UNIT, "RuntimeDirectory=", "StateDirectory=", "its data folder is"),
    (UNIT, "LimitNOFILE=65536", "LimitNOFILE=1024", "LimitNOFILE is ['1024']"),
]
SLIPS = {
    "image": IMAGE,
    "rehearsal": REHEARSAL,
    "compose": COMPOSE,
    "balancer": BALANCER,
    "kubernetes": KUBERNETES,
    "units": UNITS,
}


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "words"),
    [(name, *slip) for name, slips in SLIPS.items() for slip in slips],
    ids=[f"{name}-{number}" for name, slips in SLIPS.items() for number in range(len(slips))],
)
def test_a_slip_is_found(artefacts: Artefacts, name: str, file: str, old: str, new: str, words: str) -> None:
    artefacts.slip(file, old, new)
    report = check.run(name, artefacts.root)
    assert any(words in wrong for wrong in report.wrong), report.wrong


@pytest.mark.parametrize("name", SLIPS)
def test_without_a_slip_nothing_is_wrong(artefacts: Artefacts, name: str) -> None:
    assert check.run(name, artefacts.root).wrong == []
