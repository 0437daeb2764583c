"""
What runs in a real cluster, as objects that a simulated one can begin with.

Controllers find nothing to do: pods come with their Job or ReplicaSet, or alone. Kinds
that are not named here are not looked at, Secrets above all.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.topology.importers.implied import (
    BORN,
    SYSTEM_CLASSES,
    classes_of,
    namespaces_of,
)
from pytest_knav.topology.importers.imported import LoadOf
from pytest_knav.topology.importers.pods import (
    bare_metadata,
    bare_spec,
    bare_template,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    JsonObject = dict[str, Any]

# In the order in which they are written: what others refer to comes first.
_KINDS: Final = {
    "Namespace": "v1", "PriorityClass": "scheduling.k8s.io/v1", "ResourceQuota": "v1",
    "LimitRange": "v1", "PodDisruptionBudget": "policy/v1", "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1", "Job": "batch/v1", "Pod": "v1",
}  # fmt: skip
# The Job controller counts only pods that carry it (KEP-2307).
_TRACKING: Final = "batch.kubernetes.io/job-tracking"
_POLICY: Final = "pod-security.kubernetes.io/"
_OVER: Final = frozenset({"Failed", "Succeeded"})
# Made anew by the API server for each Job.
_JOB_LABELS: Final = frozenset({
    "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name",
    "controller-uid", "job-name",
})  # fmt: skip
_JOB_STATUS: Final = (
    "active", "completedIndexes", "failed", "failedIndexes", "ready", "succeeded",
)  # fmt: skip
_REPLICA_SET: Final = ("minReadySeconds", "replicas", "selector")


def load_of(objects: Iterable[Mapping[str, Any]], nodes: Collection[str]) -> LoadOf:
    """
    Return what of a real cluster's objects a simulated one can begin with.

    Args:
        objects: As `kubectl get pods,jobs,… -A -o yaml` gives them. Kinds that are no
            load are left out.
        nodes: The names of the simulated nodes.

    Raises:
        BadInput: An object has no kind or name.

    """
    return _Loading(frozenset(nodes)).read(objects)


class _Loading:
    """Reads objects kind by kind; owners before what they own."""

    def __init__(self, nodes: frozenset[str]) -> None:
        self._nodes = nodes
        self._found = LoadOf()
        self._uids: set[str] = set()
        self._alone: Counter[str] = Counter()

    def read(self, objects: Iterable[Mapping[str, Any]]) -> LoadOf:
        """Return the load."""
        given = self._by_kind(objects)
        self._drop_idle(given)
        made: dict[str, list[JsonObject]] = {
            kind: [one for item in given[kind] if (one := _whole(make, item))]
            for kind, make in self._makers().items()
        }
        found = self._found
        classes = classes_of(map(_spec, given["Pod"]), _names(made["PriorityClass"]))
        if classes:
            found.notes.append(
                f"{len(classes)} priority classes have the value that pods have of them"
            )
        made["PriorityClass"] += classes
        everything = [one for items in made.values() for one in items]
        made["Namespace"] += namespaces_of(everything, _names(made["Namespace"]))
        found.objects = [one for kind in _KINDS for one in made[kind]]
        found.notes += [
            f"{times} pods of a {kind} stand alone: nobody makes them again"
            for kind, times in sorted(self._alone.items())
        ]
        if made["Pod"]:
            found.notes.append(
                "pods keep what a scheduler looks at; environment, commands, volumes, "
                "service accounts, runtime classes and probes stay behind"
            )
        others = Counter(pod["spec"].get("schedulerName") for pod in made["Pod"])
        for name in sorted(set(filter(None, others)) - {"default-scheduler"}):
            found.notes.append(f"{others[name]} pods want the scheduler {name!r}")
        return found

    def _makers(self) -> dict[str, Callable[[Mapping[str, Any]], JsonObject | None]]:
        # In this order: an owner is known before its pods are looked at.
        return {
            "Namespace": self._namespace,
            "PriorityClass": self._priority_class,
            "ResourceQuota": self._with_spec,
            "LimitRange": self._with_spec,
            "PodDisruptionBudget": self._with_spec,
            "Deployment": self._deployment,
            "ReplicaSet": self._replica_set,
            "Job": self._job,
            "Pod": self._pod,
        }

    def _by_kind(
        self, objects: Iterable[Mapping[str, Any]]
    ) -> dict[str, list[Mapping[str, Any]]]:
        given: dict[str, dict[tuple[str, str], Mapping[str, Any]]]
        given = {kind: {} for kind in _KINDS}
        for item in objects:
            kind = str(item.get("kind"))
            group = str(item.get("apiVersion")).rpartition("/")[0]
            if kind == "Node":
                continue
            if kind not in _KINDS or _KINDS[kind].rpartition("/")[0] != group:
                self._found.dropped[f"{kind}: no load"] += 1
                continue
            metadata = item.get("metadata") or {}
            if not metadata.get("name"):
                raise BadInput(f"a {kind} of the load has no name")
            place = (str(metadata.get("namespace", "")), str(metadata["name"]))
            given[kind].setdefault(place, item)
        return {kind: list(items.values()) for kind, items in given.items()}

    def _drop_idle(self, given: dict[str, list[Mapping[str, Any]]]) -> None:
        """Leave out workloads that are over, and those that would make new pods."""
        drop = self._found.dropped
        running = [one for one in given["Job"] if not _finished(one)]
        drop["Job: finished"] += len(given["Job"]) - len(running)
        given["Job"] = running
        sets = [one for one in given["ReplicaSet"] if _spec(one).get("replicas")]
        drop["ReplicaSet: without pods"] += len(given["ReplicaSet"]) - len(sets)
        given["ReplicaSet"] = sets
        owners = {_controller(one).get("uid") for one in sets}
        there = [one for one in given["Deployment"] if _uid(one) in owners]
        drop["Deployment: its ReplicaSet is not given, so it would make pods anew"] += (
            len(given["Deployment"]) - len(there)
        )
        given["Deployment"] = there
        for reason in [reason for reason, times in drop.items() if not times]:
            del drop[reason]

    def _namespace(self, item: Mapping[str, Any]) -> JsonObject | None:
        made = _made(item)
        labels = made["metadata"].get("labels", {})
        # Bare pods have lost the security contexts that such a policy wants.
        _without(made["metadata"], {k for k in labels if k.startswith(_POLICY)})
        return None if made["metadata"]["name"] in BORN else made

    def _priority_class(self, item: Mapping[str, Any]) -> JsonObject | None:
        if item["metadata"]["name"].startswith(SYSTEM_CLASSES):
            return None
        keys = ("globalDefault", "preemptionPolicy", "value")
        return _made(item) | {key: item[key] for key in keys if key in item}

    def _with_spec(self, item: Mapping[str, Any]) -> JsonObject:
        return {**_made(item), "spec": item.get("spec") or {}}

    def _deployment(self, item: Mapping[str, Any]) -> JsonObject:
        spec = {k: v for k, v in item["spec"].items() if k != "template"}
        template = bare_template(item["spec"]["template"])
        return {**self._owner(item), "spec": {**spec, "template": template}}

    def _replica_set(self, item: Mapping[str, Any]) -> JsonObject:
        spec = {key: item["spec"][key] for key in _REPLICA_SET if key in item["spec"]}
        template = bare_template(item["spec"]["template"])
        return {**self._owner(item), "spec": {**spec, "template": template}}

    def _job(self, item: Mapping[str, Any]) -> JsonObject:
        spec = dict(item["spec"])
        spec["template"] = bare_template(spec["template"])
        made = self._owner(item)
        if not spec.get("manualSelector"):
            spec.pop("selector", None)
            for labels in (made["metadata"], spec["template"].get("metadata", {})):
                _without(labels, _JOB_LABELS)
        status = item.get("status") or {}
        kept = {key: status[key] for key in _JOB_STATUS if status.get(key)}
        return {**made, "spec": spec, **({"status": kept} if kept else {})}

    def _owner(self, item: Mapping[str, Any]) -> JsonObject:
        made = _made(item)
        made["metadata"]["uid"] = _uid(item)
        self._uids.add(_uid(item))
        return self._owned(made, item)

    def _pod(self, item: Mapping[str, Any]) -> JsonObject | None:
        why = self._why_not(item)
        if why:
            self._found.dropped[f"Pod: {why}"] += 1
            return None
        made = self._owned({**_made(item), "spec": bare_spec(item["spec"])}, item)
        owner = _controller(item)
        if owner and "ownerReferences" not in made["metadata"]:
            self._alone[owner["kind"]] += 1
        elif owner.get("kind") == "Job":
            made["metadata"]["finalizers"] = [_TRACKING]
        return made

    def _why_not(self, item: Mapping[str, Any]) -> str:
        node = item["spec"].get("nodeName")
        if (item.get("status") or {}).get("phase") in _OVER:
            return "finished"
        if item["metadata"].get("deletionTimestamp"):
            return "being deleted"
        if node and node not in self._nodes:
            return "on a node that is not imported"
        return ""

    def _owned(self, made: JsonObject, item: Mapping[str, Any]) -> JsonObject:
        """Give an object its owner if that comes along, or it would be deleted."""
        owner = _controller(item)
        if owner.get("uid") in self._uids:
            keys = ("apiVersion", "kind", "name", "uid")
            own = {key: owner[key] for key in keys}
            made["metadata"]["ownerReferences"] = [
                {**own, "controller": True, "blockOwnerDeletion": True}
            ]
        return made


def _whole(
    make: Callable[[Mapping[str, Any]], JsonObject | None], item: Mapping[str, Any]
) -> JsonObject | None:
    """Return what is made of an object, if it has the fields that Kubernetes wants."""
    try:
        return make(item)
    except (AttributeError, KeyError, TypeError) as error:
        name = item["metadata"]["name"]
        raise BadInput(f"{item['kind']} {name} is not whole: {error}") from error


def _names(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    return {one["metadata"]["name"] for one in objects}


def _made(item: Mapping[str, Any]) -> JsonObject:
    kind = item["kind"]
    metadata = bare_metadata(item["metadata"])
    return {"apiVersion": _KINDS[kind], "kind": kind, "metadata": metadata}


def _controller(item: Mapping[str, Any]) -> Mapping[str, Any]:
    owners = item["metadata"].get("ownerReferences") or ()
    return next((one for one in owners if one.get("controller")), {})


def _spec(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("spec") or {}


def _uid(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    if not metadata.get("uid"):
        raise BadInput(
            f"{item['kind']} {metadata['name']} has no uid: take what `kubectl get -o "
            "yaml` says of the running cluster"
        )
    return str(metadata["uid"])


def _finished(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    over = {"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"}
    return any(c["type"] in over and c["status"] == "True" for c in conditions)


def _without(metadata: dict[str, Any], keys: Collection[str]) -> None:
    labels = {k: v for k, v in metadata.pop("labels", {}).items() if k not in keys}
    if labels:
        metadata["labels"] = labels
