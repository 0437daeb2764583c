"""What the controller writes onto nodes: a taint, a condition, an annotation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.exclusion.policy import NodeState


if TYPE_CHECKING:
    from collections.abc import Mapping

TAINT: Final = "pytest-knav/excluded"
TAINT_VALUE: Final = "failures"
CONDITION: Final = "HighFailureRate"
ANNOTATION: Final = "pytest-knav/exclusion"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """
    What a node's annotation holds.

    Attributes:
        state: What the policy remembers.
        evidence: What the estimator remembers.
        estimator: Which one that is.
        until_s: The time of the newest pod in it, in seconds since 1970.

    """

    state: NodeState
    evidence: dict[str, Any]
    estimator: str
    until_s: float

    @property
    def says_anything(self) -> bool:
        """Return whether there is anything to remember."""
        state = self.state
        return bool(
            state.excluded_s is not None
            or self.evidence
            or state.relapses
            or state.probation
            or self.until_s
        )

    def text(self) -> str:
        """Return it as the annotation's value."""
        data = {
            "v": VERSION,
            "state": self.state.as_data(),
            "evidence": self.evidence,
            "estimator": self.estimator,
            "until": round(self.until_s, 1),
        }
        return json.dumps(data, separators=(",", ":"))


def read(node: Mapping[str, Any]) -> Written | None:
    """Return what a node's annotation holds; None where there is nothing to read."""
    text = node["metadata"].get("annotations", {}).get(ANNOTATION)
    if not text:
        return None
    try:
        data = json.loads(text)
        if data["v"] != VERSION:
            return None
        return Written(
            state=NodeState.from_data(data["state"]),
            evidence=dict(data["evidence"]),
            estimator=str(data["estimator"]),
            until_s=float(data["until"]),
        )
    except (ValueError, KeyError, TypeError):
        # Others can write annotations too; what cannot be read is not there.
        return None


def is_tainted(node: Mapping[str, Any]) -> bool:
    """Return whether a node carries our taint."""
    return any(t["key"] == TAINT for t in node.get("spec", {}).get("taints") or ())


def says_so(node: Mapping[str, Any]) -> bool:
    """Return whether a node's condition says that it is excluded."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == CONDITION and c["status"] == "True" for c in conditions)


def machine_of(node: Mapping[str, Any]) -> str:
    """Return which machine and boot a node is: both change with a repair."""
    info = node.get("status", {}).get("nodeInfo", {})
    return f"{node['metadata']['uid']}/{info.get('bootID', '')}"


def patch(
    node: Mapping[str, Any], written: Written | None, *, excluded: bool
) -> dict[str, Any]:
    """
    Return the merge patch that makes a node excluded or not, and remembers.

    Args:
        node: As it is; it must not have changed when the patch arrives.
        written: What to remember; None forgets.
        excluded: Whether it is to carry the taint.

    """
    taints = [t for t in node.get("spec", {}).get("taints") or () if t["key"] != TAINT]
    if excluded:
        taints.append({"key": TAINT, "value": TAINT_VALUE, "effect": "NoSchedule"})
    return {
        "metadata": {
            "resourceVersion": node["metadata"]["resourceVersion"],
            "annotations": {ANNOTATION: None if written is None else written.text()},
        },
        "spec": {"taints": taints or None},
    }


def condition_patch(*, excluded: bool, why: str, now_s: float) -> dict[str, Any]:
    """Return the strategic merge patch of a node's condition."""
    now = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": CONDITION,
        "status": "True" if excluded else "False",
        "reason": "FailuresAboveThreshold" if excluded else "Readmitted",
        "message": why,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {"status": {"conditions": [condition]}}


def event(node: Mapping[str, Any], reason: str, why: str, now_s: float) -> JsonObject:
    """Return the event that tells of a decision."""
    now = datetime.fromtimestamp(now_s, UTC)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    name = node["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{int(now_s * 1e6):x}", "namespace": "default"},
        "involvedObject": {
            "kind": "Node",
            "name": name,
            "uid": node["metadata"]["uid"],
            "apiVersion": "v1",
        },
        "reason": reason,
        "message": why,
        "type": "Warning" if reason == "NodeExcluded" else "Normal",
        "source": {"component": "knav-exclusion"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


JsonObject = dict[str, Any]
