"""Changes of pods as their kubelet would make them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pytest_knav.control_plane.changes.base import Change, Lasting, known
from pytest_knav.control_plane.changes.objects import (
    ObjectRef,
    OfObject,
    pod,
    retry_conflicts,
)


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_knav.control_plane.plane import ControlPlane
    from pytest_knav.history import History

#: How the pods of a node that holds them are told to start; see `stages`.
START: Final = "pytest-knav/start"
#: More than any usual stage has: those have none.
HOLD_WEIGHT: Final = 1_000_000
_FOR_GOOD_MS: Final = 365 * 24 * 3600 * 1000
ENDED: Final = frozenset({"Succeeded", "Failed"})
# The kubelet's back-off (pkg/kubelet/kubelet.go, backOffPeriod and MaxContainerBackOff
# of 1.36): 10 s, doubled with each restart, at most 5 minutes.
_BACK_OFF_S: Final = 10
_BACK_OFF_MAX_S: Final = 300


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersEnd(OfObject, Lasting):
    """
    Every container of a pod ends with an exit code.

    What comes of it is what a kubelet makes of it: where restartPolicy is Never the pod
    is Failed; else the containers wait for their restart (CrashLoopBackOff), which
    KWOK plays. It is not taken back.

    Attributes:
        uid: Which pod of that name is meant.
        reason: As the kubelet says: `Error`, `OOMKilled`.

    """

    op: ClassVar[str] = "containers-end"

    uid: str
    exit_code: int
    reason: str = "Error"
    message: str = ""

    def describe(self) -> str:
        """Return the pod and the exit code."""
        return f"{self.ref} ended with {self.exit_code} ({self.reason})"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it; a pod that is gone or has ended needs none."""
        return retry_conflicts(self._attempt, plane)

    def _attempt(self, plane: ControlPlane) -> int | None:
        found = plane.api.get_or_none(self.ref.path)
        if found is None or found["metadata"]["uid"] != self.uid:
            return None
        if found.get("status", {}).get("phase") in ENDED:
            return None
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        status = self._status(found)
        body = {"metadata": version, "status": status}
        made = plane.api.patch(f"{self.ref.path}/status", body)
        return int(made["metadata"]["resourceVersion"])

    def _status(self, found: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        never = found["spec"].get("restartPolicy", "Always") == "Never"
        old = found.get("status", {})
        by_name = {c["name"]: c for c in old.get("containerStatuses", ())}
        containers = [
            self._container(spec, by_name.get(spec["name"], {}), now, never=never)
            for spec in found["spec"]["containers"]
        ]
        status: dict[str, Any] = {
            "containerStatuses": containers,
            "conditions": _not_ready(old.get("conditions", ()), now, failed=never),
        }
        if never:
            status["phase"] = "Failed"
            if self.message:
                status |= {"reason": self.reason, "message": self.message}
        return status

    def _container(
        self, spec: Mapping[str, Any], old: Mapping[str, Any], now: str, *, never: bool
    ) -> dict[str, Any]:
        began = old.get("state", {}).get("running", {}).get("startedAt", now)
        terminated = {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": began,
            "finishedAt": now,
        }
        made = {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": old.get("imageID", ""),
            "ready": False,
            "started": False,
            "restartCount": old.get("restartCount", 0),
        }
        if never:
            return made | {"state": {"terminated": terminated}}
        restarts = made["restartCount"]
        wait_s = min(_BACK_OFF_S * 2**restarts, _BACK_OFF_MAX_S)
        waiting = {
            "reason": "CrashLoopBackOff",
            "message": f"back-off {wait_s}s restarting failed container={spec['name']}",
        }
        return made | {
            "restartCount": restarts + 1,
            "state": {"waiting": waiting},
            "lastState": {"terminated": terminated},
        }

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the pod has failed, restarted, or is gone."""
        found = self.ref.now(plane, history)
        if found is None or found["metadata"]["uid"] != self.uid:
            return True
        status = found.get("status", {})
        restarted = any(
            container.get("lastState", {}).get("terminated", {}).get("exitCode")
            == self.exit_code
            for container in status.get("containerStatuses", ())
        )
        return status.get("phase") in ENDED or restarted


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Change):
    """
    Pods of some nodes are played by a stage of ours, and not by the usual one.

    Of the stages that fit a pod, KWOK takes one with a weight before those without
    (pkg/utils/lifecycle/lifecycle.go); the usual ones have none.

    Attributes:
        name: Of the stage.
        nodes: Whose pods.
        spec: The stage's spec; which pods of these nodes, and what becomes of them.
        until: A jq expression that is true of a pod that the stage has played: it is
            held as it is then.

    """

    op: ClassVar[str] = "hold"

    name: str
    nodes: tuple[str, ...]
    spec: Mapping[str, Any]
    until: str

    def __post_init__(self) -> None:
        # The journal has it as a list.
        object.__setattr__(self, "nodes", tuple(self.nodes))

    @property
    def ref(self) -> ObjectRef:
        """Return the stage."""
        return ObjectRef(kind="Stage", name=self.name)

    @property
    def lane(self) -> str:
        """Return the stage."""
        return str(self.ref)

    def describe(self) -> str:
        """Return the stage."""
        return f"{self.ref} is there"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make the stage; applied, since a create of it may be held back."""
        rules = [*self.spec["selector"]["matchExpressions"]]
        rules.append(
            {"key": ".spec.nodeName", "operator": "In", "values": [*self.nodes]}
        )
        body = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Stage",
            "metadata": {"name": self.name},
            "spec": {
                **self.spec,
                "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
                "selector": {"matchExpressions": rules},
                "weight": HOLD_WEIGHT,
                "delay": {
                    # For good, where the expression gives no time.
                    "durationMilliseconds": _FOR_GOOD_MS,
                    "durationFrom": {
                        "expressionFrom": f'if {self.until} then null else "0s" end'
                    },
                },
            },
        }
        plane.api.apply(self.ref.path, body)
        return None

    def inverse(self, plane: ControlPlane) -> Sequence[Change]:
        """Return the end of the stage, and the go-ahead for the pods."""
        del plane
        return [Release(name=self.name, nodes=self.nodes, signal=self.signal)]

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the stage is there."""
        return self.ref.now(plane, history) is not None

    def gone(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the stage is not there."""
        return self.ref.now(plane, history) is None


@known
@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Lasting):
    """
    A stage of `Hold` goes, and the pods of its nodes are looked at again.

    KWOK looks at a pod when the pod changes, not when a stage does.
    """

    op: ClassVar[str] = "release"

    name: str
    nodes: tuple[str, ...]

    def __post_init__(self) -> None:
        # The journal has it as a list.
        object.__setattr__(self, "nodes", tuple(self.nodes))

    @property
    def lane(self) -> str:
        """Return the stage."""
        return f"Stage {self.name}"

    def describe(self) -> str:
        """Return the stage and the nodes."""
        return f"{self.lane} is gone, pods of {', '.join(self.nodes)} go on"

    def apply(self, plane: ControlPlane) -> int | None:
        """Make it."""
        plane.api.delete(ObjectRef(kind="Stage", name=self.name).path)
        body = {"metadata": {"annotations": {START: "released"}}}
        for name in self.nodes:
            query = {"fieldSelector": f"spec.nodeName={name}"}
            for found in plane.api.get("/api/v1/pods", **query)["items"]:
                if found.get("status", {}).get("phase") not in ENDED:
                    metadata = found["metadata"]
                    here = pod(metadata["namespace"], metadata["name"])
                    plane.api.patch_or_none(here.path, body)
        return None

    def seen(self, plane: ControlPlane, history: History) -> bool:
        """Return whether the stage is gone."""
        ref = ObjectRef(kind="Stage", name=self.name)
        return ref.now(plane, history) is None


def _not_ready(
    conditions: Sequence[Mapping[str, Any]], now: str, *, failed: bool
) -> list[dict[str, Any]]:
    reason = "PodFailed" if failed else "ContainersNotReady"
    changed = {"Ready", "ContainersReady"}
    kept = [dict(c) for c in conditions if c["type"] not in changed]
    return [
        *kept,
        *(
            {
                "type": kind,
                "status": "False",
                "reason": reason,
                "lastTransitionTime": now,
            }
            for kind in sorted(changed)
        ),
    ]
