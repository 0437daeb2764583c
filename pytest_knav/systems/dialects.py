"""
How `Gang` and `Job` look to a system: its groups, queues, labels and annotations.

Each function takes the objects as the stock scheduler gets them (`workloads.render`)
and returns what the system gets in their place. The Job stays an Indexed Job, so that a
lost member is made again by the stock Job controller; only how its pods are held
together differs. Sources are named at each.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.errors import BadInput
from pytest_knav.workloads.model import Gang, Job, Manifest
from pytest_knav.workloads.status import OwnStatus, stock_status


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_knav.systems.model import System
    from pytest_knav.workloads import Workload

Object = dict[str, Any]

_GROUP: Final = "PodGroup"
_JOBSET_PART: Final = "workers"
# What the schedulers call themselves as they ship: Volcano, pkg/kube/config and
# cmd/scheduler/app/options (defaultSchedulerName); scheduler-plugins, manifests/
# coscheduling; KAI scheduler, pkg/common/constants (DefaultSchedulerName).
_SCHEDULERS: Final = {
    "volcano": "volcano",
    "coscheduling": "scheduler-plugins-scheduler",
    "kai": "kai-scheduler",
}
_DEFAULT_QUEUES: Final = {"volcano": "default", "kai": "default-queue"}


def dressed(
    system: System, workload: Workload, objects: Sequence[Mapping[str, Any]]
) -> list[Object]:
    """
    Return the objects of a workload as a system expects them.

    Raises:
        BadInput: The system has queues, and it is not said which.

    """
    made: list[Object] = copy.deepcopy([dict(item) for item in objects])
    if isinstance(workload, Manifest):
        return made
    name = system.scheduler_name or _SCHEDULERS.get(system.dialect, "")
    if name and not workload.scheduler_name:
        for item in made:
            for spec in _pod_specs(item):
                spec["schedulerName"] = name
    if isinstance(workload, Gang | Job):
        return _DIALECTS[system.dialect](system, workload, made)
    return made


def owner_of(system: System, workload: Workload) -> tuple[str, str] | None:
    """Return kind and name of what owns the pods, where it is not as usual."""
    if system.dialect == "jobset" and isinstance(workload, Gang | Job):
        # JobSet names its Jobs <jobset>-<replicatedJob>-<index> (pkg/util/placement).
        return "Job", f"{workload.name}-{_JOBSET_PART}-0"
    return None


def status_of(system: System, workload: Workload) -> OwnStatus | None:
    """
    Return where a system says how it stands with a workload; None where it does not.

    Sources: Kueue, apis/kueue/v1beta2/workload_types.go; Volcano, apis/scheduling/
    v1beta1/types.go; scheduler-plugins, apis/scheduling/v1alpha1/types.go; KAI
    scheduler, apis/scheduling/v2alpha2/podgroup_types.go; JobSet, api/jobset/v1alpha2/
    jobset_types.go.
    """
    if not isinstance(workload, Gang | Job):
        return None
    if system.dialect == "native":
        return stock_status(workload)
    return OwnStatus(
        namespace=workload.namespace, name=workload.name, **_STATUSES[system.dialect]
    )


_STATUSES: Final[Mapping[str, Mapping[str, Any]]] = {
    # A Workload is named after its Job and a hash.
    "kueue": {
        "kind": "Workload.kueue.x-k8s.io",
        "owner_kind": "Job",
        "admitted": "Admitted",
        "plural": "workloads",
        "versions": ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1"),
    },
    "volcano": {
        "kind": "PodGroup.scheduling.volcano.sh",
        "phases": frozenset({"Inqueue", "Running", "Completed"}),
        "plural": "podgroups",
        "versions": ("scheduling.volcano.sh/v1beta1",),
    },
    "coscheduling": {
        "kind": "PodGroup.scheduling.x-k8s.io",
        "phases": frozenset({"Scheduling", "Running", "Finished"}),
        "plural": "podgroups",
        "versions": ("scheduling.x-k8s.io/v1alpha1",),
    },
    # Its phase is never set; why it waits is among its schedulingConditions.
    "kai": {
        "kind": "PodGroup.scheduling.run.ai",
        "plural": "podgroups",
        "versions": ("scheduling.run.ai/v2alpha2",),
    },
    # It restarts its Jobs, so that one of them has failed says nothing.
    "jobset": {
        "kind": "JobSet.jobset.x-k8s.io",
        "completed": "Completed",
        "failed": "Failed",
        "plural": "jobsets",
        "versions": ("jobset.x-k8s.io/v1alpha2",),
    },
}


def _native(_system: System, _workload: Gang | Job, made: list[Object]) -> list[Object]:
    return made


def _kueue(system: System, workload: Gang | Job, made: list[Object]) -> list[Object]:
    """Kueue, docs: run a Job; topology-aware scheduling (KEP 2724)."""
    rest, job = _without_group(made)
    queue = _queue(system)
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = queue
    # Kueue starts it when it has a place; without its webhook nobody would hold it.
    job["spec"]["suspend"] = True
    if isinstance(workload, Gang) and workload.topology_key:
        _annotate(job, "kueue.x-k8s.io/podset-required-topology", workload.topology_key)
    return [*rest, job]


def _volcano(system: System, workload: Gang | Job, made: list[Object]) -> list[Object]:
    """Volcano, pkg/controllers/podgroup: pods of any owner join a group by name."""
    rest, job = _without_group(made)
    spec: Object = {
        "minMember": _members(workload),
        "queue": system.queue or _DEFAULT_QUEUES["volcano"],
    }
    if workload.priority_class:
        spec["priorityClassName"] = workload.priority_class
    group = _group("scheduling.volcano.sh/v1beta1", workload, spec)
    _annotate(job, "scheduling.k8s.io/group-name", workload.name)
    return [*rest, group, job]


def _coscheduling(
    _system: System, workload: Gang | Job, made: list[Object]
) -> list[Object]:
    """scheduler-plugins, pkg/coscheduling: a label leads to the group."""
    rest, job = _without_group(made)
    spec = {"minMember": _members(workload)}
    group = _group("scheduling.x-k8s.io/v1alpha1", workload, spec)
    labels = job["spec"]["template"]["metadata"].setdefault("labels", {})
    labels["scheduling.x-k8s.io/pod-group"] = workload.name
    return [*rest, group, job]


def _kai(system: System, workload: Gang | Job, made: list[Object]) -> list[Object]:
    """
    KAI scheduler, pkg/common/constants: pods name their group by annotation.

    For a KAI without its podgrouper, which makes a group of its own of each pod of a
    Job.
    """
    rest, job = _without_group(made)
    queue = system.queue or _DEFAULT_QUEUES["kai"]
    spec: Object = {"minMember": _members(workload), "queue": queue}
    group = _group("scheduling.run.ai/v2alpha2", workload, spec)
    labels = job["spec"]["template"]["metadata"].setdefault("labels", {})
    labels["kai.scheduler/queue"] = queue
    _annotate(job, "pod-group-name", workload.name)
    return [*rest, group, job]


def _jobset(_system: System, workload: Gang | Job, made: list[Object]) -> list[Object]:
    """JobSet (jobset.x-k8s.io/v1alpha2): one replicated Job; it restarts all of it."""
    group = [item for item in made if item["kind"] == _GROUP]
    rest, job = _without_group(made)
    template = {"metadata": {"labels": dict(job["metadata"]["labels"])}}
    jobset: Object = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": job["metadata"],
        "spec": {
            "failurePolicy": {"maxRestarts": workload.backoff_limit_per_index},
            "replicatedJobs": [
                {
                    "name": _JOBSET_PART,
                    "replicas": 1,
                    "template": {**template, "spec": _failing_whole(job["spec"])},
                }
            ],
        },
    }
    if isinstance(workload, Gang) and workload.topology_key:
        jobset["metadata"].setdefault("annotations", {})[
            "alpha.jobset.sigs.k8s.io/exclusive-topology"
        ] = workload.topology_key
    if group:
        _pod_specs(job)[0]["schedulingGroup"] = {"podGroupName": workload.name}
    return [*rest, *group, jobset]


_DIALECTS: Final[Mapping[str, Callable[..., list[Object]]]] = {
    "native": _native,
    "kueue": _kueue,
    "volcano": _volcano,
    "coscheduling": _coscheduling,
    "kai": _kai,
    "jobset": _jobset,
}


def _failing_whole(spec: Object) -> Object:
    """Return a Job that fails with its first pod, so that the JobSet restarts it."""
    rest = {k: v for k, v in spec.items() if k != "backoffLimitPerIndex"}
    return {**rest, "backoffLimit": 0}


def _without_group(made: list[Object]) -> tuple[list[Object], Object]:
    """Return what is neither group nor Job, and the Job, of no group any more."""
    job = next(item for item in made if item["kind"] == "Job")
    for spec in _pod_specs(job):
        spec.pop("schedulingGroup", None)
    return [i for i in made if i["kind"] not in {_GROUP, "Job"}], job


def _pod_specs(item: Object) -> list[Object]:
    if item["kind"] == "Pod":
        return [item["spec"]]
    template = item.get("spec", {}).get("template")
    return [template["spec"]] if template else []


def _annotate(job: Object, name: str, value: str) -> None:
    metadata = job["spec"]["template"]["metadata"]
    metadata.setdefault("annotations", {})[name] = value


def _members(workload: Gang | Job) -> int:
    # A Job is no gang: any one of its pods may run alone.
    return workload.replicas if isinstance(workload, Gang) else 1


def _group(version: str, workload: Gang | Job, spec: Object) -> Object:
    return {
        "apiVersion": version,
        "kind": _GROUP,
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": spec,
    }


def _queue(system: System) -> str:
    if not system.queue:
        raise BadInput(
            f"System {system.name!r} dialect={system.dialect!r}: it puts work into "
            "queues: give queue= the name of a LocalQueue that its manifests make"
        )
    return system.queue
