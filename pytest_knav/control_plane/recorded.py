"""A cluster that is recorded: its objects as they are now, and their history."""

from __future__ import annotations

import functools
import shutil
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from pytest_knav.control_plane.collectives import Collectives
from pytest_knav.control_plane.discovery import Discovery
from pytest_knav.control_plane.followable import followable
from pytest_knav.control_plane.nodes import NodeInfo, node_info
from pytest_knav.errors import BadInput, ClusterError, HarnessError
from pytest_knav.history.record import STEP
from pytest_knav.history.recorder import Recorder
from pytest_knav.metrics.gpu_series import NoLoad
from pytest_knav.workloads.pods import PodInfo, pod_info


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kubernetes.client import ApiClient, CoreV1Api

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.control_plane.profiles import TimeProfile
    from pytest_knav.control_plane.state.model import State
    from pytest_knav.history import History
    from pytest_knav.metrics.gpu_series import GpuLoad
    from pytest_knav.topology import Topology
    from pytest_knav.workloads.handle import Handle
    from pytest_knav.workloads.model import Workload
    from pytest_knav.workloads.status import OwnStatus

NODES_READY_TIMEOUT_S = 120.0
CATCH_UP_TIMEOUT_S = 30.0


class UnderTest(Protocol):
    """A system as a cluster sees it."""

    def install(self) -> None:
        """Put its objects into the cluster and return when it is ready."""

    def dress(
        self, workload: Workload, objects: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the objects of a workload as it expects them."""

    def owner_of(self, workload: Workload) -> tuple[str, str] | None:
        """Return kind and name of what owns the pods, where it is not as usual."""

    def status_of(self, workload: Workload) -> OwnStatus | None:
        """Return where it says how it stands with a workload; None where nowhere."""


class RecordedCluster:
    """
    What a cluster holds and held; see `Cluster`, which adds workloads.

    Its arguments and attributes are those of `Cluster`.
    """

    recorder: Recorder

    def __init__(
        self,
        plane: ControlPlane,
        topology: Topology,
        artifacts: Path,
        beginning: State | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.plane = plane
        self.topology = topology
        self.artifacts = artifacts
        self.beginning = beginning
        self.step: Callable[[str], AbstractContextManager[object]] = nullcontext
        self._discovery = Discovery(plane.api)
        self._running = recorder
        self.gpu_load: GpuLoad = NoLoad()
        self.system: UnderTest | None = None
        self.handles: dict[str, Handle] = {}
        self._made: list[str] = []
        self._log_begins: dict[Path, int] = {}
        self._open = ExitStack()

    def __repr__(self) -> str:
        return f"Cluster({self.name!r}, {len(self.topology.nodes)} nodes)"

    @property
    def name(self) -> str:
        """Return the cluster's name on this machine."""
        return self.plane.entry.name

    @property
    def kubeconfig(self) -> Path:
        """Return the path of the cluster's own kubeconfig."""
        return self.plane.entry.kubeconfig

    @property
    def history(self) -> History:
        """Return everything that was recorded so far."""
        return self.recorder.history

    @functools.cached_property
    def api(self) -> ApiClient:
        """Return the official client's `ApiClient`, for any of its API classes."""
        from kubernetes import config  # noqa: PLC0415 - 0.8 s, for those who use it

        client: ApiClient = config.new_client_from_config(  # type: ignore[no-untyped-call]
            config_file=str(self.kubeconfig)
        )
        self._open.callback(client.close)
        return client

    @functools.cached_property
    def core(self) -> CoreV1Api:
        """Return the official client's `CoreV1Api`."""
        from kubernetes import client  # noqa: PLC0415 - as above

        return client.CoreV1Api(self.api)

    @property
    def profile(self) -> TimeProfile:
        """Return how fast its control plane notices failures."""
        return self.plane.profile

    def record(self) -> None:
        """Begin to record it as it is, and await its nodes Ready."""
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self._log_begins = {log: log.stat().st_size for log in self._logs()}
        self.recorder = self._taken_over() or self._make_recorder(
            self.artifacts / "history"
        )
        self.plane.observe(self._note_component)
        self._open.callback(self.plane.forget, self._note_component)
        self._collectives = Collectives(self.plane, self.recorder)
        self._open.callback(self._collectives.close)
        self._await_nodes()

    def _await_nodes(self) -> None:
        wanted = {node.name: node.taints for node in self.topology.nodes}

        def all_ready(history: History) -> bool:
            nodes = map(node_info, history.latest("Node").values())
            ready = (n.name for n in nodes if n.usable_but_for(wanted.get(n.name, ())))
            return wanted.keys() <= set(ready)

        if not self.recorder.wait(all_ready, NODES_READY_TIMEOUT_S):
            unready = [
                node.name
                for node in self.nodes
                if not node.usable_but_for(wanted.get(node.name, ()))
            ]
            raise ClusterError(
                f"{len(unready)} of {len(wanted)} nodes are not Ready after "
                f"{NODES_READY_TIMEOUT_S:g}s, such as {', '.join(unready[:5])}: "
                f"{self.component('kwok').last_words()}"
            )

    def follow(self, version: str, plural: str) -> str:
        """
        Record one more kind of objects until the end of the test.

        ```python
        kind = cluster.follow("kueue.x-k8s.io/v1beta1", "workloads")
        cluster.history.latest(kind)
        ```

        Args:
            version: Group and version, as in apiVersion.
            plural: What its objects are called in paths of the API.

        Returns:
            What they are called in the history: the kind with its group.

        Raises:
            BadInput: The cluster serves no such thing, or it cannot be watched.

        """
        resource = followable(self._discovery, self.plane.api, version, plural)
        self.recorder.follow(resource)
        self.recorder.note(STEP, "FOLLOW", resource.kind)
        return resource.kind

    def node(self, name: str) -> NodeInfo:
        """
        Return a node by name, as it is now.

        Raises:
            BadInput: There is no such node.

        """
        found = self.history.get("Node", "", name)
        if found is None:
            known = ", ".join(node.name for node in self.nodes[:5])
            raise BadInput(f"no node {name!r}; there are {known}, …")
        return node_info(found)

    @property
    def nodes(self) -> list[NodeInfo]:
        """Return every node as it is now, sorted by name."""
        infos = map(node_info, self.history.latest("Node").values())
        return sorted(infos, key=lambda node: node.name)

    def pods_on(self, *node_names: str) -> list[PodInfo]:
        """Return the pods bound to nodes, also those that are Terminating."""
        wanted = set(node_names)
        pods = map(pod_info, self.history.latest("Pod").values())
        return sorted((p for p in pods if p.node in wanted), key=lambda p: p.name)

    def component(self, name: str) -> Component:
        """
        Return a process of the control plane: `kube-scheduler`, `etcd`, ….

        Raises:
            BadInput: There is no such component.

        """
        return self.plane.component(name)

    def catch_up(self) -> int:
        """Return once all that the API server shows now is recorded; its revision."""
        revision = self.recorder.catch_up(CATCH_UP_TIMEOUT_S)
        self._collectives.catch_up()
        return revision

    def copy_logs(self) -> list[Path]:
        """Copy what the components have logged since the start to the artifacts."""
        target = self.artifacts / "logs"
        target.mkdir(parents=True, exist_ok=True)
        copies = []
        for log in self._logs():
            copies.append(target / log.name)
            with log.open("rb") as source, copies[-1].open("wb") as copy:
                source.seek(self._log_begins.get(log, 0))
                shutil.copyfileobj(source, copy)
        return copies

    def _logs(self) -> list[Path]:
        return sorted((self.plane.workdir / "logs").glob("*.log"))

    def hand_over(self) -> Recorder:
        """
        Finish this history and return the recorder, which goes on following.

        Raises:
            HarnessError: The stored history is not whole.

        """
        self._let_go()
        recorder: Recorder = self.__dict__.pop("recorder")
        try:
            recorder.rest()
        except BaseException:
            recorder.stop()
            raise
        return recorder

    def close(self) -> None:
        """End the recording and close every connection; the processes go on."""
        try:
            self._let_go()
        finally:
            for recorder in (self._running, self.__dict__.pop("recorder", None)):
                if recorder is not None:
                    recorder.stop()
            self._running = None

    def _let_go(self) -> None:
        for client in ("core", "api"):
            self.__dict__.pop(client, None)
        opened, self._open = self._open, ExitStack()
        opened.close()

    def delete(self) -> None:
        """End the recording and remove the control plane with all its files."""
        try:
            self.close()
        finally:
            self.plane.delete()

    def _taken_over(self) -> Recorder | None:
        """Return the running recorder at a new history, or None if it lost its way."""
        recorder, self._running = self._running, None
        if recorder is None:
            return None
        try:
            recorder.catch_up(CATCH_UP_TIMEOUT_S)
            recorder.begin(self.artifacts / "history")
        except HarnessError:
            # A fault of the last test may have cut it off; a new one begins with lists.
            recorder.stop()
            return None
        return recorder

    def _make_recorder(self, directory: Path | None) -> Recorder:
        recorder = Recorder(
            self.plane.transport(),
            directory=directory,
            etcd=self.plane.etcd_url,
        )
        recorder.start()
        return recorder

    def _note_component(self, name: str, verb: str, details: Mapping[str, Any]) -> None:
        self.recorder.note(STEP, verb.upper(), name, dict(details))
