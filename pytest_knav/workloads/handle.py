"""What `cluster.submit` returns: a workload on a cluster, read from its history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_knav.errors import BadInput
from pytest_knav.history.view import latest_view
from pytest_knav.workloads import conditions
from pytest_knav.workloads.claims import asks_for_gpus, devices_of
from pytest_knav.workloads.collective import out_of_reach
from pytest_knav.workloads.conditions import Members, Subject, WorkloadCondition
from pytest_knav.workloads.model import Deployment, Gang, Job, Manifest
from pytest_knav.workloads.render import load_manifest, selector_of


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_knav.history import History
    from pytest_knav.workloads.model import Workload
    from pytest_knav.workloads.pods import PodInfo
    from pytest_knav.workloads.status import OwnStatus


class Handle:
    """
    A submitted workload.

    Attributes:
        workload: The value that was submitted.
        subject: Which pods and owner its conditions look at.
        running: The expected number of pods, one per index, is Running, Ready and not
            being deleted.
        finished: It has come to a good end.
        failed: Its controller has given up on it.
        pending: Some pod that should be there has no node.
        partially_bound: Some members have a node and stay, but not all.
        degraded: A member sits on something that a fault has broken, or waits in a
            collective that has lost a member, whatever the API says.

    """

    def __init__(
        self,
        workload: Workload,
        history: History,
        *,
        owner: tuple[str, str] | None = None,
        status: OwnStatus | None = None,
    ) -> None:
        self.workload = workload
        self.subject = replace(subject_of(workload, owner), status=status)
        self._history = history
        self.running = self._condition("running", _running_test(workload))
        endless = not isinstance(workload, Manifest) and workload.run_for is None
        hint = " (its pods have no end: give it run_for)" if endless else ""
        self.finished = self._condition(f"finished{hint}", conditions.is_finished)
        self.failed = self._condition("failed", conditions.has_failed)
        self.pending = self._condition("pending", conditions.is_pending)
        self.partially_bound = self._condition(
            "partially bound", conditions.is_partially_bound
        )
        self.degraded = self._condition("degraded", conditions.is_degraded)

    @property
    def admitted(self) -> WorkloadCondition:
        """
        Its scheduler or operator has let it in, as that says itself.

        For Kueue the condition Admitted of its Workload, for Volcano and coscheduling
        the phase of its PodGroup, for a gang of the stock scheduler the condition
        PodGroupScheduled.

        Raises:
            BadInput: Nobody says so of such a workload.

        """
        status = self.subject.status
        if status is None or not status.says_admitted:
            raise BadInput(
                f"{self.subject.label}: nothing in this cluster says whether it has "
                "been admitted; wait for `running`, or look at `pending`"
            )
        return self._condition("admitted", conditions.is_admitted)

    def __repr__(self) -> str:
        return f"Handle({self.subject.label})"

    @property
    def name(self) -> str:
        """Return the workload's name."""
        return self.subject.owner_name

    @property
    def pods(self) -> list[PodInfo]:
        """Return the newest live pod of each index; Terminating ones do not count."""
        return self._members().current

    @property
    def all_pods(self) -> list[PodInfo]:
        """Return every pod of it that exists, oldest first."""
        return list(self._members().pods)

    @property
    def nodes(self) -> list[str]:
        """Return the node of each live pod that has one, in the order of `pods`."""
        return [pod.node for pod in self.pods if pod.node is not None]

    @property
    def gpus(self) -> list[str]:
        """
        Return the GPUs of its live pods, in the order of `pods`: `dgx-h100-0003/gpu-5`.

        A GPU that is cut is there once for each of its parts that a pod has.

        Raises:
            BadInput: A pod on a node has GPUs that only the kubelet would know of:
                with extended resources the API has their number alone.

        """
        claims = self._history.latest("ResourceClaim").values()
        specs = self._history.latest("Pod")
        found: list[str] = []
        for pod in self.pods:
            of_pod = devices_of(pod.uid, claims)
            if not of_pod and pod.node and asks_for_gpus(specs.get(pod.uid, {})):
                raise BadInput(
                    f"{self.subject.label}: which GPUs pod {pod.name} has, the API "
                    "does not say: mark the test with knav(dra=True), so that each GPU "
                    "is a device that is allocated by name"
                )
            found += of_pod
        return found

    def out_of_reach(self, fabric_loss: Mapping[str, str | None]) -> frozenset[str]:
        """
        Return the uids of its pods that a loss of links takes out of a collective.

        Args:
            fabric_loss: Nodes whose links are broken, as of `View.fabric_loss`.

        """
        if self.subject.collective is None:
            return frozenset()
        lost = out_of_reach(set(self.nodes), fabric_loss)
        return frozenset(pod.uid for pod in self.pods if pod.node in lost)

    def _members(self) -> Members:
        return self.subject.members(latest_view(self._history, self.running.kinds))

    def _condition(
        self, name: str, test: Callable[[Members], bool]
    ) -> WorkloadCondition:
        return WorkloadCondition(
            name=f"{self.subject.label} {name}", subject=self.subject, test=test
        )


def subject_of(workload: Workload, other: tuple[str, str] | None = None) -> Subject:
    """
    Return which pods and which owner the conditions of a workload look at.

    Args:
        workload: The workload.
        other: Kind and name of its owner, where a system makes another one.

    """
    kind = type(workload).__name__
    if isinstance(workload, Manifest):
        first = load_manifest(workload)[0]
        name = workload.name or first["metadata"]["name"]
        expected = workload.ready if isinstance(workload.ready, int) else 1
        owner = first["kind"] if first["kind"] in {"Job", "Deployment"} else None
        owner_name = first["metadata"]["name"]
    else:
        name = owner_name = workload.name
        expected = workload.expected_pods
        owner = "Job" if isinstance(workload, Job | Gang) else None
        owner = "Deployment" if isinstance(workload, Deployment) else owner
        if other is not None:
            owner, owner_name = other
    return Subject(
        label=f"{kind} {name}",
        selector=selector_of(workload),
        expected=expected,
        owner_kind=owner,
        owner_name=owner_name,
        collective=workload.collective if isinstance(workload, Gang) else None,
    )


def _running_test(workload: Workload) -> Callable[[Members], bool]:
    own = workload.ready if isinstance(workload, Manifest) else None
    return (lambda m: own(m.current)) if callable(own) else conditions.is_running
