"""kwokctl as a subprocess: the one place that knows its flags, files and traps."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from pytest_knav.control_plane import speed
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_knav.control_plane.config import ClusterConfig
    from pytest_knav.control_plane.network.network import Wiring
    from pytest_knav.control_plane.profiles import TimeProfile

OLDEST_KWOKCTL = (0, 7, 0)
CREATE_TIMEOUT_S = 180
SCHEDULER_FILE = "scheduler-config.yaml"
LOG_END_BYTES = 64_000
# A node is played by KWOK while it carries this label; see "A faithful node crash".
KUBELET_LABEL = "pytest-knav/kubelet"
KUBELET_RUNNING = "running"
# The annotation by which a played kubelet says that its node is not ready.
KUBELET_PROBLEM = "pytest-knav/kubelet-problem"
# Stages and usage objects are state that a test may change, so they come as objects.
ENABLED_CRDS = ("Stage", "Metric", "ResourceUsage", "ClusterResourceUsage")
PORT_NAMES = (
    "kubeApiserverPort",
    "etcdPort",
    "etcdPeerPort",
    "kubeControllerManagerPort",
    "kubeSchedulerPort",
    "kwokControllerPort",
)
# The defaults are 15 s, 10 s and 2 s (client-go, tools/leaderelection; component-base,
# config/v1alpha1/defaults.go); each must be longer than the next.
FAST_ELECTION = {
    "leader-elect-lease-duration": "6s",
    "leader-elect-renew-deadline": "4s",
    "leader-elect-retry-period": "1s",
}
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok-controller",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kwokctl:
    """
    A kwokctl binary with a work directory of its own.

    It never reads or writes the user's `~/.kwok`, `~/.kube/config` or `KWOK_*`
    variables: kwokctl takes defaults from all three.
    """

    binaries: Mapping[str, Path]
    directory: Path
    kubeconfig: Path

    def check_version(self) -> str:
        """
        Return the version of the binary.

        Raises:
            ClusterError: It does not run, or is older than what this wrapper knows.

        """
        binary = self.binaries["kwokctl"]
        done = self._run("--version", timeout_s=30)
        found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout)
        if not found:
            raise ClusterError(f"{binary} --version says {done.stdout.strip()!r}")
        version = tuple(int(part) for part in found.groups())
        if version < OLDEST_KWOKCTL:
            wanted = ".".join(map(str, OLDEST_KWOKCTL))
            raise ClusterError(
                f"{binary} is kwokctl {found.group()}, at least {wanted} is needed: "
                "take it out of --knav-assets, or put a newer one there"
            )
        return found.group()

    def create(
        self,
        name: str,
        config: ClusterConfig,
        ports: Mapping[str, int],
        wiring: Wiring | None = None,
    ) -> None:
        """
        Start a control plane; on failure its processes may still run.

        Raises:
            ClusterError: kwokctl failed, with its own last words.

        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.directory / "create.yaml"
        path.write_text(self.render(config, ports, wiring))
        path.chmod(0o600)
        if config.scheduler_config:
            # kwokctl copies it and adds the kubeconfig.
            (self.directory / SCHEDULER_FILE).write_text(config.scheduler_config)
        done = self._run(
            "create", "cluster", f"--name={name}", f"--config={path}",
            f"--kubeconfig={self.kubeconfig}",
            f"--timeout={CREATE_TIMEOUT_S}s",
            timeout_s=CREATE_TIMEOUT_S + 30,
            env=speed.environment(config.control_plane),
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(
                f"kwokctl could not create cluster {name!r}: {_last_words(done.stderr)}"
            )

    def workdir(self, name: str) -> Path:
        """Return where kwokctl keeps the files of a cluster."""
        return self.directory / "clusters" / name

    def render(
        self,
        config: ClusterConfig,
        ports: Mapping[str, int],
        wiring: Wiring | None = None,
    ) -> str:
        """Return the KwokctlConfiguration of a cluster as YAML."""
        profile = config.profile
        options: dict[str, object] = {
            "runtime": "binary",
            "bindAddress": "127.0.0.1",
            "etcdBinary": str(self.binaries["etcd"]),
            "kubeApiserverBinary": str(self.binaries["kube-apiserver"]),
            "kubeControllerManagerBinary": str(
                self.binaries["kube-controller-manager"]
            ),
            "kubeSchedulerBinary": str(self.binaries["kube-scheduler"]),
            "kwokControllerBinary": str(self.binaries["kwok"]),
            "kubectlBinary": str(self.binaries["kubectl"]),
            "kubeFeatureGates": config.gates_argument,
            "kubeRuntimeConfig": "api/all=true",
            # Its default of 5 multiplies lease, grace and monitor period.
            "heartbeatFactor": 1,
            "nodeLeaseDurationSeconds": int(profile.lease_s),
            "kubeControllerManagerNodeMonitorPeriodMilliseconds": int(
                profile.monitor_period_s * 1000
            ),
            "kubeControllerManagerNodeMonitorGracePeriodMilliseconds": int(
                profile.monitor_grace_s * 1000
            ),
            "enableCRDs": list(ENABLED_CRDS),
            **speed.options(config.control_plane),
            **ports,
        }
        if config.scheduler_config:
            options["kubeSchedulerConfig"] = str(self.directory / SCHEDULER_FILE)
        document = {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": options,
            "componentsPatches": _patches(config, wiring),
        }
        return yaml.safe_dump(document, sort_keys=False)

    def _run(
        self, *arguments: str, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        binary = self.binaries["kwokctl"]
        try:
            return subprocess.run(
                [str(binary), *arguments],
                env={**self._environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                # Ctrl-C is for the test run; it ends this process in its own order.
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"{binary} does not run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"{binary} {arguments[0]} did not end within {timeout_s:g}s"
            ) from error

    def _environment(self) -> dict[str, str]:
        return environment(self.directory, self.binaries["kubectl"])


def environment(directory: Path, kubectl: Path) -> dict[str, str]:
    """Return the variables to run kwokctl with, in a work directory of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KWOK_") and name != "KUBECONFIG"
    }
    # kwokctl looks for kubectl on PATH before it reads its own option, and would
    # download it otherwise.
    path = os.pathsep.join([str(kubectl.parent), kept.get("PATH", os.defpath)])
    return {**kept, "KWOK_WORKDIR": str(directory), "PATH": path}


def component_commands(workdir: Path) -> dict[str, list[str]]:
    """
    Return the full command of each component, as kwokctl wrote it down.

    Raises:
        ClusterError: The file is missing or says something else.

    """
    path = workdir / "kwok.yaml"
    try:
        documents = list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
    except FileNotFoundError as error:
        raise ClusterError(f"{path} is missing: the cluster is gone") from error
    for document in documents:
        if document and document.get("kind") == "KwokctlConfiguration":
            return {
                part["name"]: [part["binary"], *part.get("args", ())]
                for part in document.get("components", ())
            }
    raise ClusterError(f"{path} holds no KwokctlConfiguration")


def read_back(commands: Mapping[str, list[str]], profile: TimeProfile) -> list[str]:
    """Return how the arguments of the processes differ from the time profile."""
    wanted: dict[tuple[str, str], str | float] = {
        ("kwok-controller", "node-lease-duration-seconds"): f"{profile.lease_s:g}",
        ("kube-controller-manager", "node-monitor-period"): profile.monitor_period_s,
        ("kube-controller-manager", "node-monitor-grace-period"): (
            profile.monitor_grace_s
        ),
        ("kube-controller-manager", "horizontal-pod-autoscaler-sync-period"): (
            profile.autoscaler_sync_s
        ),
        ("kube-apiserver", "default-unreachable-toleration-seconds"): (
            f"{profile.toleration_s}"
        ),
    }
    return [
        f"{component} runs with --{flag}={found}, the profile says {value}"
        for (component, flag), value in wanted.items()
        if not _same(found := flag_value(commands.get(component, []), flag), value)
    ]


def last_log_lines(workdir: Path, component: str, count: int = 15) -> list[str]:
    """Return the end of a component's log."""
    return log_text(workdir, component).splitlines()[-count:]


def log_text(workdir: Path, component: str, since: int = 0) -> str:
    """Return what a component has logged after a position, its last 64 kB at most."""
    path = workdir / "logs" / f"{component}.log"
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - LOG_END_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _patches(config: ClusterConfig, wiring: Wiring | None) -> list[dict[str, object]]:
    profile = config.profile
    arguments: dict[str, list[tuple[str, str]]] = {
        "kube-apiserver": [
            ("default-not-ready-toleration-seconds", str(profile.toleration_s)),
            ("default-unreachable-toleration-seconds", str(profile.toleration_s)),
        ],
        "kube-controller-manager": [
            *_election(config),
            ("node-eviction-rate", f"{profile.eviction_rate_per_s:g}"),
            (
                "secondary-node-eviction-rate",
                f"{profile.secondary_eviction_rate_per_s:g}",
            ),
            (
                "horizontal-pod-autoscaler-sync-period",
                f"{profile.autoscaler_sync_s:g}s",
            ),
            (
                "horizontal-pod-autoscaler-downscale-stabilization",
                f"{profile.autoscaler_downscale_s:g}s",
            ),
        ],
        "kube-scheduler": _election(config),
        # Flags win over KWOK's configuration; a partial configuration object would
        # replace its other defaults with zeros.
        "kwok-controller": [
            ("manage-all-nodes", "false"),
            ("manage-nodes-with-label-selector", f"{KUBELET_LABEL}={KUBELET_RUNNING}"),
        ],
        "etcd": [],
    }
    for component, flags in speed.flags(config.control_plane).items():
        arguments[component] += flags
    for component, flag, value in config.extra_args:
        arguments[component].append((flag, value))
    extra: dict[str, list[dict[str, object]]] = {
        component: [{"key": flag, "value": value} for flag, value in pairs]
        for component, pairs in arguments.items()
    }
    for component, flag, value in () if wiring is None else wiring.arguments():
        # In place of kwokctl's own: a second --etcd-servers would be one more server.
        extra[component].append({"key": flag, "value": value, "override": True})
    return [
        {"name": component, "extraArgs": patches}
        for component, patches in extra.items()
        if patches
    ]


def _election(config: ClusterConfig) -> list[tuple[str, str]]:
    """Return whether a component elects a leader, and how fast one is missed."""
    if not config.leader_election:
        return [("leader-elect", "false")]
    if config.profile.name == "real":
        return [("leader-elect", "true")]
    return [("leader-elect", "true"), *FAST_ELECTION.items()]


def flag_value(command: list[str], flag: str) -> str | None:
    """Return what a flag is set to in a command; the last one wins."""
    values = [a.partition("=")[2] for a in command if a.startswith(f"--{flag}=")]
    return values[-1] if values else None


def _same(found: str | None, wanted: str | float) -> bool:
    if found is None or isinstance(wanted, str):
        return found == wanted
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", found)
    unit_s = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return abs(sum(float(n) * unit_s[u] for n, u in parts) - wanted) < 1e-6


def _last_words(stderr: str) -> str:
    words = []
    for line in stderr.strip().splitlines()[-5:]:
        try:
            parsed = json.loads(line)
        except json.JSONDecodeError:
            words.append(line)
            continue
        detail = parsed.get("err", "")
        words.append(" ".join(str(p) for p in (parsed.get("msg", ""), detail) if p))
    return "; ".join(words) or "it printed nothing"
