"""A cluster: a control plane, simulated nodes, and the record of all that happens."""

from __future__ import annotations

import functools
import shutil
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from pytest_knav.arguments import check_has
from pytest_knav.control_plane import diagnosis
from pytest_knav.control_plane.collectives import Collectives
from pytest_knav.control_plane.discovery import Discovery
from pytest_knav.control_plane.fits import check_fits
from pytest_knav.control_plane.followable import followable
from pytest_knav.control_plane.nodes import NodeInfo, node_info
from pytest_knav.control_plane.state import loading
from pytest_knav.control_plane.state.beginning import begin
from pytest_knav.control_plane.state.model import SUFFIX
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError, HarnessError, WaitTimeout
from pytest_knav.history.record import STEP
from pytest_knav.history.recorder import Recorder
from pytest_knav.history.view import View, latest_view
from pytest_knav.metrics.gpu_series import NoLoad
from pytest_knav.topology.devices import device_class
from pytest_knav.workloads.handle import Handle
from pytest_knav.workloads.model import Workload
from pytest_knav.workloads.pods import WORKLOAD_LABEL, PodInfo, pod_info
from pytest_knav.workloads.promises import promise_of
from pytest_knav.workloads.render import render


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from kubernetes.client import ApiClient, CoreV1Api

    from pytest_knav.control_plane.components import Component
    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.control_plane.profiles import TimeProfile
    from pytest_knav.control_plane.state.model import State
    from pytest_knav.history import History
    from pytest_knav.history.view import Condition
    from pytest_knav.metrics.gpu_series import GpuLoad
    from pytest_knav.topology import Topology

NODES_READY_TIMEOUT_S = 120.0
CATCH_UP_TIMEOUT_S = 30.0
# A hundred times what was measured on two cores: the bound is for what never comes.
CATCH_UP_S_PER_KEY = 0.02
CLEAN_TIMEOUT_S = 60.0
# Of a test that failed; `knav cluster up --from` opens it.
STATE_FILE = f"at-failure{SUFFIX}"


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


class Cluster:
    """
    A running cluster with a topology; tests get one from the fixture `cluster`.

    Args:
        plane: Its control plane, which may be in any state.
        topology: What is simulated.
        artifacts: Directory of this test's files.
        beginning: The state to begin with; by default all nodes of the topology and
            nothing else are brought into what must be a cluster without nodes.
        recorder: One that follows the control plane already, as `hand_over` gives it.

    Attributes:
        plane: The control plane.
        beginning: The state that it began with, once it has.
        recorder: What records it.
        step: Called around every step with its title; reports hook in here.
        gpu_load: Who says how busy its GPUs are, for their metrics.
        system: The scheduler or operator under test, if it is not the stock one.

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

    def start(self) -> None:
        """
        Bring it to its beginning and begin to record.

        Raises:
            ClusterError: That failed; the message says whether it can still be used.

        """
        self.plane.signals.clear()
        if self.beginning is None:
            self._begin()
        else:
            self.plane.states.restore(self.beginning)
            self.record()

    def _begin(self) -> None:
        if self._running is None:
            # To follow what comes costs less than to list it when it is there.
            self._running = self._make_recorder(None)
        try:
            self.beginning = begin(self.plane, self.topology)
            if self.system is None:
                self.record()
        finally:
            self.plane.states.go_on()
        if self.system is not None:
            self.system.install()
            self.beginning = self.plane.states.save()
            self.record()

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

    def reset(self, artifacts: Path | None = None) -> None:
        """
        Make everything as it was at the start; handles of before are void.

        Uid, spec and status of every object are as they were; kube-controller-manager
        and the scheduler begin afresh; a new history begins.

        Args:
            artifacts: Where the new history goes; by default in place of the old one.

        """
        self._running = self.hand_over()
        if artifacts is None:
            shutil.rmtree(self.artifacts / "history", ignore_errors=True)
        self.artifacts = self.artifacts if artifacts is None else artifacts
        self._made = []
        self.handles = {}
        self.start()

    def save(self) -> State:
        """Return the cluster's state: every object as it is at this moment."""
        with self.step("save the state"):
            state = self.plane.states.save()
        self.recorder.note(STEP, "SAVE", state.summary)
        return state

    @property
    def kept_state(self) -> Path:
        """Return where `keep_state_after` writes to."""
        return self.artifacts / STATE_FILE

    def keep_state_after(self, error: BaseException) -> None:
        """
        Write the state at the moment of an error to the artifacts.

        The first call wins: what comes later is no longer that moment. A skip or an
        interrupt is no error.
        """
        path = self.kept_state
        if path.exists() or not isinstance(error, Exception):
            return
        try:
            self.save().write(path)
        except HarnessError as failure:
            error.add_note(f"besides, the cluster's state was not saved: {failure}")

    def restore(self, state: State) -> None:
        """
        Make the cluster equal to a state, its own or another's; recording goes on.

        Objects have the uid, spec and status that they had, nodes are Ready with fresh
        leases, and what the state does not hold is gone. Events are not restored, and
        times are not moved: what was due meanwhile is due now.

        Args:
            state: From `save`, or `State.read` of a file.

        Raises:
            BadInput: It was taken from another kind of control plane.
            ClusterError: It could not be put back; the message says whether the
                cluster can still be used.

        """
        check_has(
            state,
            "summary",
            name="restore's state",
            hint="what `cluster.save()` or `State.read(path)` returned",
        )
        with self.step(f"restore {state.summary}"):
            written = self.plane.states.restore(state)
            self.recorder.catch_up(CATCH_UP_TIMEOUT_S + written * CATCH_UP_S_PER_KEY)
        self.recorder.note(STEP, "RESTORE", state.summary, {"keys": written})

    def load(self, objects: Iterable[Mapping[str, Any]]) -> int:
        """
        Add any Kubernetes objects at once, with status; return how many there were.

        They get what the API server adds at a creation. An object with a uid and a
        creationTimestamp goes in as it is. Nodes are played by KWOK.

        Args:
            objects: With apiVersion, kind and metadata.name.

        Raises:
            BadInput: One is there already, or wrong; nothing was changed.
            ClusterError: They could not be put in; the cluster is as it was, unless
                the message says something else.

        """
        with self.step("load objects"):
            count = loading.load(self.plane, objects)
            self.catch_up()
        self.recorder.note(STEP, "LOAD", f"{count} objects")
        return count

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

    def clean(self) -> None:
        """
        Delete what was submitted, newest first, and return when its pods are gone.

        For a cluster that is not ours to make anew; `reset` is thorough.

        Raises:
            ClusterError: Pods are still there after a minute.

        """
        while self._made:
            path = self._made.pop()
            self.plane.api.delete(path, propagationPolicy="Background")
        if not self.recorder.wait(_without_workloads, CLEAN_TIMEOUT_S):
            left = [pod.name for pod in _workload_pods(self.history)]
            raise ClusterError(
                f"{len(left)} pods are still there {CLEAN_TIMEOUT_S:g}s after their "
                f"owners were deleted, such as {', '.join(left[:5])}"
            )

    def close(self) -> None:
        """End the recording and close every connection; the processes go on."""
        try:
            self._let_go()
        finally:
            for recorder in (self._running, self.__dict__.pop("recorder", None)):
                if recorder is not None:
                    recorder.stop()
            self._running = None

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

    def submit(self, workload: Workload) -> Handle:
        """
        Create a workload's objects and return its handle.

        Raises:
            BadInput: The cluster can never run it, or serves no such kind.
            ClusterError: The API server refused it.

        """
        if not isinstance(workload, Workload):
            raise BadInput(
                f"submit's workload is {workload!r}: give a Pod, Job, Deployment, "
                "Gang, or a Manifest for any YAML"
            )
        check_fits(workload, self.topology)
        owner = None if self.system is None else self.system.owner_of(workload)
        handle = Handle(workload, self.history, owner=owner)
        with self.step(f"submit {handle.subject.label}"):
            objects = render(
                workload,
                gpu_resource=self.topology.gpu_resource,
                device_class=device_class(self.topology),
            )
            if self.system is not None:
                objects = self.system.dress(workload, objects)
            for manifest in objects:
                path = self._discovery.collection_path(manifest, "default")
                self.plane.api.create(path, manifest)
                self._made.append(f"{path}/{manifest['metadata']['name']}")
        self.recorder.note(STEP, "SUBMIT", handle.subject.label, promise_of(handle))
        self.handles[handle.name] = handle
        self._collectives.follow(handle.subject)
        return handle

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

    def submit_many(self, workloads: Iterable[Workload]) -> list[Handle]:
        """Create several workloads in order and return their handles."""
        return [self.submit(workload) for workload in workloads]

    def wait_for(self, *conditions: Condition, timeout: Duration = "60s") -> None:
        """
        Return when all conditions hold at the same moment.

        Raises:
            WaitTimeout: They do not in time; with the last state and events.

        """
        if not conditions:
            raise BadInput("wait_for() needs at least one condition")
        for one in conditions:
            check_has(
                one,
                "holds",
                name="wait_for's condition",
                hint="a condition of a handle, such as `gang.running`",
            )
        timeout_s = seconds(timeout, name="timeout")
        kinds = {kind for condition in conditions for kind in condition.kinds}

        def all_hold(history: History) -> bool:
            view = latest_view(history, kinds)
            return all(condition.holds(view) for condition in conditions)

        what = " and ".join(condition.name for condition in conditions)
        began = time.monotonic()
        with self.step(f"wait for {what}"):
            if not self.recorder.wait(all_hold, timeout_s):
                view = latest_view(self.history, kinds)
                missing = [c for c in conditions if not c.holds(view)]
                raise WaitTimeout(self.diagnosis(missing, view, timeout_s))
        waited_s = time.monotonic() - began
        self.recorder.note(STEP, "REACHED", what, {"waited_s": round(waited_s, 3)})

    def diagnosis(
        self, missing: Iterable[Condition], view: View, timeout_s: float
    ) -> str:
        """Return what was awaited, for how long, what is, and what happened last."""
        return diagnosis.of(self, missing, view, timeout_s)

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


def _workload_pods(history: History) -> list[PodInfo]:
    return [
        pod_info(pod)
        for pod in history.latest("Pod").values()
        if WORKLOAD_LABEL in pod["metadata"].get("labels", {})
    ]


def _without_workloads(history: History) -> bool:
    return not _workload_pods(history)
