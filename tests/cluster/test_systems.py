"""Systems under test beside a real control plane."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import ApiException

from pytest_knav import BadInput, HarnessError, Pod, System, SystemProcess
from pytest_knav.control_plane import processes
from pytest_knav.systems.running import RunningSystem


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import ImageRegistry

    from pytest_knav import Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=2)

# A webhook operator in a few lines: it labels every pod that is created.
OPERATOR = f"""#!{sys.executable}
import base64, http.server, json, os, ssl, sys
from pathlib import Path

port, certs = int(sys.argv[1]), Path(sys.argv[2])
label = Path("label.txt").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"ok")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = [{{"op": "add", "path": "/metadata/labels/operator", "value": label}}]
        response = {{
            "uid": asked["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }}
        self.answer(json.dumps({{**asked, "response": response}}).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certs / "tls.crt", certs / "tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving for", os.environ["TEAM"], flush=True)
server.serve_forever()
"""
WEBHOOKS = """
apiVersion: v1
kind: Namespace
metadata: {name: operator-system}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: operator}
webhooks:
- name: pods.operator.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig:
    service: {name: operator, namespace: operator-system, path: /mutate}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: operator-system}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec: {containers: [{name: manager, image: operator.invalid}]}
"""


@pytest.fixture
def running(cluster: Cluster) -> Callable[[System], RunningSystem]:
    """Return what puts a system beside the cluster of the test, as a session does."""
    systems: list[RunningSystem] = []

    def make(system: System) -> RunningSystem:
        made = RunningSystem(system, cluster.plane, lambda _: cluster.kubeconfig)
        cluster.plane.companions.append(made)
        systems.append(made)
        return made

    yield make  # type: ignore[misc]
    for made in systems:
        made.uninstall()
        cluster.plane.companions.remove(made)


def test_an_operator_from_an_image_works_dies_and_is_reset(
    cluster: Cluster,
    running: Callable[[System], RunningSystem],
    image_registry: ImageRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Webhooks reach it over TLS; without it they refuse; a reset starts it afresh."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image_registry.push(
        "v1",
        image_registry.layer({"manager": OPERATOR}),
        Entrypoint=["/manager"],
        Env=["TEAM=infra"],
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "all.yaml").write_text(WEBHOOKS)
    system = running(
        System(
            "operator",
            binary=f"oci:{image_registry.host}/team/tool:v1",
            args=["{port:webhook}", "{certs}"],
            files={"label.txt": "was-here"},
            manifests=[tmp_path / "config"],
            webhooks="loopback",
            ready="https://127.0.0.1:{port:webhook}/healthz",
        )
    )

    system.install()
    state = cluster.save()
    first = cluster.submit(Pod("first"))
    cluster.wait_for(first.running, timeout="60s")
    component = cluster.component("operator")
    component.kill()
    with pytest.raises(ApiException, match="failed calling webhook"):
        cluster.core.create_namespaced_pod("default", BARE)
    cluster.restore(state)
    third = cluster.submit(Pod("third"))

    cluster.wait_for(third.running, timeout="60s")
    labels = pod_labels(cluster, "third")
    assert labels["operator"] == "was-here"
    assert "serving for infra" in component.last_words()
    assert cluster.plane.api.get_or_none(pod_path("first")) is None
    deployments = cluster.plane.api.get("/apis/apps/v1/deployments")["items"]
    assert deployments == []


BARE = {
    "metadata": {"name": "second"},
    "spec": {"containers": [{"name": "worker", "image": "none.invalid"}]},
}


def pod_path(name: str) -> str:
    """Return where a pod is."""
    return f"/api/v1/namespaces/default/pods/{name}"


def pod_labels(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return the labels of a pod."""
    found: dict[str, Any] = cluster.plane.api.get(pod_path(name))["metadata"]["labels"]
    return found


SLEEPS = "import time; time.sleep(600)"
LISTENS = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(600)"
)
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "it exits": (
        {"args": ["-c", "raise SystemExit('no config')"]},
        HarnessError,
        r"operator ended:\s+no config",
    ),
    "it never gets ready": (
        {"args": ["-c", SLEEPS], "ready": "http://127.0.0.1:{port}/readyz"},
        HarnessError,
        r"did not get ready within 1s.*does not answer at http://127.*on nothing",
    ),
    "it listens elsewhere": (
        {"args": ["-c", LISTENS], "ready": "tcp://127.0.0.1:{port}"},
        HarnessError,
        r"does not answer at tcp://127.*; it listens on 127\.0\.0\.1:\d+",
    ),
    "its binary is missing": (
        {"binary": "no/such/binary"},
        HarnessError,
        "there is no such file: build it first",
    ),
    "its image cannot be reached": (
        {"binary": "oci:127.0.0.1:1/team/tool:v1"},
        HarnessError,
        r"127\.0\.0\.1:1 cannot be reached",
    ),
    "an API is not served": (
        {
            "manifests": [
                {
                    "apiVersion": "example.org/v1",
                    "kind": "Widget",
                    "metadata": {"name": "one"},
                }
            ]
        },
        BadInput,
        "Widget one: the cluster serves no Widget of example.org/v1",
    ),
}


def test_what_does_not_start_is_named_and_nothing_is_left(
    cluster: Cluster, running: Callable[[System], RunningSystem]
) -> None:
    """Each wrong system by its own message, with what it said; no process stays."""
    before = set(processes.of_directory(cluster.plane.workdir))
    said = {}

    for what, (more, kind, _) in WRONG.items():
        values = {"binary": sys.executable, "start_timeout": "1s", **more}
        system = running(System("operator", **values))
        try:
            system.install()
        except kind as error:
            said[what] = str(error)
        system.uninstall()

    assert set(processes.of_directory(cluster.plane.workdir)) == before
    assert said.keys() == WRONG.keys()
    unlike = {
        what: text
        for what, text in said.items()
        if not re.search(WRONG[what][2], text, re.DOTALL)
    }
    assert unlike == {}


def test_a_hard_coded_path_is_seen_by_the_process_alone(
    running: Callable[[System], RunningSystem], tmp_path: Path
) -> None:
    """Two processes with a port of each other's; one finds a file in a made-up path."""
    program = (
        "import http.server, pathlib, sys\n"
        "print(pathlib.Path('/etc/pytest-knav-test/certs/name').read_text())\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])),"
        " http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    (tmp_path / "name").write_text("seen")
    system = running(
        System(
            "pair",
            processes=[
                SystemProcess(
                    "first",
                    sys.executable,
                    args=["-u", "-c", program, "{port}"],
                    mounts={"/etc/pytest-knav-test/certs": str(tmp_path)},
                    ready="http://127.0.0.1:{port}/",
                ),
                SystemProcess(
                    "second",
                    sys.executable,
                    args=[
                        "-u",
                        "-c",
                        "import sys, time; print(sys.argv); time.sleep(600)",
                        "{port:first}",
                    ],
                ),
            ],
        )
    )

    system.install()

    first, second = system.services
    assert "seen" in first.last_words()
    assert str(first.port_named("")) in second.last_words()
    assert not (tmp_path.parents[-1] / "etc" / "pytest-knav-test").exists()
    assert first.pid is not None
