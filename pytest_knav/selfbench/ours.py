"""Our side: a control plane and a cluster as a test gets them."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_knav.control_plane import registry
from pytest_knav.control_plane.cluster import Cluster
from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.plane import ControlPlane
from pytest_knav.errors import ClusterError
from pytest_knav.faults.node.crash import NodeCrash, last_renewal_s
from pytest_knav.homes import cache_home
from pytest_knav.plans.chaos import Injector
from pytest_knav.selfbench.tool import Tool
from pytest_knav.topology import make_topology
from pytest_knav.workloads import Deployment


if TYPE_CHECKING:
    from pytest_knav.control_plane.api import Api
    from pytest_knav.control_plane.plane import Binaries
    from pytest_knav.control_plane.state.model import State
    from pytest_knav.plans.active import ActiveFault

TOPOLOGY: Final = "dgx-h100"
_GROUP: Final = "selfbench.pytest-knav"
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS: Final = (
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
)


class OurCluster:
    """
    A cluster of pytest-knav.

    Args:
        name: Its name on this machine.
        binaries: What to run.
        nodes: How many nodes it will have.
        control_plane: `fast`, the default of the plugin, or `plain`.
        network: Whether there is a proxy in every link between two components.
        folder: Where its history goes, in a directory of its own.

    """

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        name: str,
        binaries: Binaries,
        *,
        nodes: int,
        control_plane: str,
        folder: Path,
        network: bool = False,
    ) -> None:
        self.name = name
        self._binaries = binaries
        self._topology = make_topology(TOPOLOGY, nodes)
        self._config = make_config(
            versions=dict(binaries.versions),
            nodes=nodes,
            control_plane=control_plane,
            network=network,
        )
        self._folder = folder
        self._plane: ControlPlane | None = None
        self._cluster: Cluster | None = None
        self._newborn: State | None = None
        self._crash: ActiveFault | None = None

    @property
    def workdir(self) -> Path:
        """Return kwokctl's directory of the cluster: pids and logs."""
        return registry.clusters_home() / self.name / "kwok" / "clusters" / self.name

    @property
    def cluster(self) -> Cluster:
        """Return the cluster, once it has nodes."""
        if self._cluster is None:
            raise ClusterError(f"cluster {self.name!r} has no nodes")
        return self._cluster

    @property
    def api(self) -> Api:
        """Return the way to its API."""
        return self.cluster.plane.api

    @property
    def tool(self) -> Tool:
        """Return kwokctl for it."""
        return Tool(binaries=self._binaries, entry=registry.find(self.name))

    def create(self) -> None:
        """Make the control plane, and return when every component is healthy."""
        self._plane = ControlPlane.create(
            self.name,
            self._config,
            self._binaries,
            owned=True,
            description="knav selfbench",
        )

    def forget_beginnings(self) -> None:
        """Remove what was kept of earlier rounds: nodes are to be made from nothing."""
        shutil.rmtree(cache_home() / "states", ignore_errors=True)

    def start(self) -> None:
        """Make the nodes, begin to record, and return when all nodes are Ready."""
        if self._plane is None:
            raise ClusterError(f"cluster {self.name!r} is not there")
        self._newborn = self._plane.states.save()
        artifacts = Path(tempfile.mkdtemp(prefix="artifacts-", dir=self._folder))
        self._cluster = Cluster(self._plane, self._topology, artifacts)
        self._cluster.start()

    def empty(self) -> None:
        """Take everything away but what the control plane has from its birth."""
        if self._newborn is not None:
            self.cluster.restore(self._newborn)

    def litter(self, pods: int) -> None:
        """Leave what a test may leave: pods, a CRD, a webhook, a crashed node."""
        cluster = self.cluster
        work = Deployment(
            "litter", replicas=pods, cpus_per_pod=0.1, memory_gib_per_pod=0.1
        )
        handle = cluster.submit(work)
        cluster.wait_for(handle.running, timeout=60 + pods * 0.1)
        cluster.plane.api.create(_CRDS, _crd())
        cluster.plane.api.create(_WEBHOOKS, _webhook())
        # Never cleared: the reset has to undo it.
        crash = NodeCrash(self._topology.nodes[-1].name)
        Injector(cluster, seed="selfbench").start(crash)

    def crash(self, count: int) -> float:
        """
        Crash nodes at once; return how long after the call a lease was still renewed.

        Read from the recorded history, once nothing was renewed for one and a half
        renew intervals; zero when nothing was renewed after the call. KWOK renews
        leases in bursts, so the call comes when one has just been renewed: between two
        bursts any crash would look sudden.

        Raises:
            ClusterError: The lease of a node was never renewed, so nothing could stop.

        """
        cluster = self.cluster
        names = [node.name for node in self._topology.nodes[:count]]
        before_s = last_renewal_s(cluster, names[0])
        limit_s = 2 * cluster.profile.lease_s
        if not cluster.recorder.wait(
            lambda _: last_renewal_s(cluster, names[0]) > before_s, limit_s
        ):
            raise ClusterError(f"no lease of {names[0]} was renewed for {limit_s:g}s")
        called_s = time.monotonic()
        self._crash = Injector(cluster, seed="selfbench").start(NodeCrash(names))
        renewed_s = [last_renewal_s(cluster, name) for name in names]
        if min(renewed_s) == float("-inf"):
            raise ClusterError("a crashed node had no lease that could stop")
        return max(0.0, max(renewed_s) - called_s)

    def crash_writes(self) -> float:
        """
        Return the writes that the crash has cost the median one of its nodes.

        Those of the fault and of kube-controller-manager, to the Node object, from the
        call until the control plane has noticed; read from the recorded history. One in
        some hundred costs one more: where its own view of a node is old,
        kube-controller-manager writes a taint again that is there.

        Raises:
            ClusterError: There was no crash, or it was not noticed.

        """
        cluster, crash = self.cluster, self._crash
        if crash is None:
            raise ClusterError("no node was crashed")
        targets = sorted(crash.targets)
        limit_s = crash.fault.timeouts_s(cluster)["detected"]
        if not cluster.recorder.wait(
            lambda _: crash.fault.detected(cluster, targets), limit_s
        ):
            raise ClusterError(f"{crash.name} was not noticed for {limit_s:g}s")
        history, begun = cluster.history, crash.started_at.revision
        nodes = [history.get("Node", "", name) for name in targets]
        uids = [found["metadata"]["uid"] for found in nodes if found is not None]
        return float(
            statistics.median(
                sum(version.revision >= begun for version in history.versions(uid))
                for uid in uids
            )
        )

    def close(self) -> None:
        """End the recording and remove every process and file."""
        cluster, self._cluster = self._cluster, None
        plane, self._plane = self._plane, None
        try:
            if cluster is not None:
                cluster.close()
        finally:
            if plane is not None:
                plane.delete()


def _crd() -> dict[str, object]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": "litters", "singular": "litter", "kind": "Litter"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"litters.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": names,
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _webhook() -> dict[str, object]:
    """Return a webhook that refuses every new Job: one that is left would be seen."""
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["jobs"],
    }
    # Nothing listens on port 1.
    hook = {
        "name": f"refuse.{_GROUP}",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "litter"},
        "webhooks": [hook],
    }
