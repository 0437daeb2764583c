"""A cluster: a control plane, simulated nodes, and the record of all that happens."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_knav.arguments import check_has
from pytest_knav.control_plane import diagnosis
from pytest_knav.control_plane.fits import check_fits
from pytest_knav.control_plane.restorable import RestorableCluster
from pytest_knav.durations import Duration, seconds
from pytest_knav.errors import BadInput, ClusterError, WaitTimeout
from pytest_knav.history.record import STEP
from pytest_knav.history.view import View, latest_view
from pytest_knav.topology.devices import device_class
from pytest_knav.workloads.handle import Handle
from pytest_knav.workloads.model import Workload
from pytest_knav.workloads.pods import WORKLOAD_LABEL, PodInfo, pod_info
from pytest_knav.workloads.promises import promise_of
from pytest_knav.workloads.render import render
from pytest_knav.workloads.status import stock_status


if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_knav.history import History
    from pytest_knav.history.view import Condition
    from pytest_knav.workloads.status import OwnStatus

CLEAN_TIMEOUT_S = 60.0


class Cluster(RestorableCluster):
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
        status = self._status_of(workload)
        handle = Handle(workload, self.history, owner=owner, status=status)
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

    def _status_of(self, workload: Workload) -> OwnStatus | None:
        """Return where the scheduler says how it stands with it; record that kind."""
        if self.system is None:
            return stock_status(workload)
        status = self.system.status_of(workload)
        if status is None or self.recorder.follows(status.kind):
            return status
        for version in status.versions:
            with suppress(BadInput):
                self.follow(version, status.plural)
                return status
        # Such a system can be run without its definitions; then it says nothing.
        return None

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


def _workload_pods(history: History) -> list[PodInfo]:
    return [
        pod_info(pod)
        for pod in history.latest("Pod").values()
        if WORKLOAD_LABEL in pod["metadata"].get("labels", {})
    ]


def _without_workloads(history: History) -> bool:
    return not _workload_pods(history)
