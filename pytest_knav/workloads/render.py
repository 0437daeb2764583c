"""How workloads become Kubernetes objects, in the order in which to create them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pytest_knav.durations import seconds
from pytest_knav.errors import BadInput
from pytest_knav.topology.devices import API_VERSION
from pytest_knav.workloads.model import Deployment, Gang, Job, Manifest, Pod
from pytest_knav.workloads.pods import WORKLOAD_LABEL, PodSelector


if TYPE_CHECKING:
    from pytest_knav.workloads.model import Workload

RUN_FOR_ANNOTATION = "pytest-knav/run-for"
PODGROUP_VERSION = "scheduling.k8s.io/v1alpha2"
# No image is ever pulled: KWOK plays the container.
_IMAGE = "pytest-knav.invalid/worker"

_CLAIM = "gpus"

Object = dict[str, Any]


def render(
    workload: Workload, *, gpu_resource: str, device_class: str = ""
) -> list[Object]:
    """
    Return the objects of a workload.

    Args:
        workload: The value.
        gpu_resource: Extended resource by which the cluster counts GPUs.
        device_class: DeviceClass of the GPUs, where they are devices: each pod then
            has a ResourceClaim, and its GPUs are not counted.

    """
    if isinstance(workload, Manifest):
        return load_manifest(workload)
    claimed = bool(device_class and workload.gpus_per_pod)
    template = _template(workload, "" if claimed else gpu_resource)
    claims = [_claim_template(workload, device_class)] if claimed else []
    return claims + _pods(workload, template)


def _pods(workload: Pod | Job | Deployment | Gang, template: Object) -> list[Object]:
    if isinstance(workload, Pod):
        return [_object("v1", "Pod", workload, template)]
    if isinstance(workload, Deployment):
        return [_deployment(workload, template)]
    if isinstance(workload, Job):
        return [_job(workload, template, workload.completions, workload.expected_pods)]
    return _gang(workload, template)


def selector_of(workload: Workload) -> PodSelector:
    """
    Return which pods belong to a workload.

    Raises:
        BadInput: A manifest's selector cannot be read.

    """
    if not isinstance(workload, Manifest):
        return PodSelector(
            namespace=workload.namespace, labels=((WORKLOAD_LABEL, workload.name),)
        )
    first = load_manifest(workload)[0]["metadata"]
    text = workload.pods or f"app={first['name']}"
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if any(not key or not equals for key, equals, _ in pairs):
        raise BadInput(
            f'Manifest pods={text!r}: give equal labels such as "app=llama,role=worker"'
        )
    labels = tuple((key, value.lstrip("=")) for key, _, value in pairs)
    return PodSelector(namespace=first.get("namespace", "default"), labels=labels)


def load_manifest(manifest: Manifest) -> list[Object]:
    """
    Return the objects of a manifest.

    Raises:
        BadInput: It is not YAML, is empty, or an object lacks kind or name.

    """
    source = manifest.source
    if isinstance(source, Path):
        try:
            source = source.read_text()
        except OSError as error:
            raise BadInput(f"Manifest {source}: {error.strerror}") from error
    if isinstance(source, str):
        try:
            objects = list(yaml.load_all(source, Loader=yaml.CSafeLoader))
        except yaml.YAMLError as error:
            raise BadInput(f"Manifest is not YAML: {error}") from error
    else:
        objects = [source] if hasattr(source, "keys") else list(source)
    objects = [item for item in objects if item]
    for item in objects:
        if not hasattr(item, "get") or not (
            item.get("apiVersion")
            and item.get("kind")
            and item.get("metadata", {}).get("name")
        ):
            raise BadInput(
                f"Manifest holds {str(item)[:80]!r}, which has no apiVersion, kind "
                "and metadata.name"
            )
    if not objects:
        raise BadInput("Manifest holds no objects")
    return [dict(item) for item in objects]


def _template(workload: Pod | Job | Deployment | Gang, gpu_resource: str) -> Object:
    amounts: dict[str, str] = {
        "cpu": f"{round(workload.cpus_per_pod * 1000)}m",
        "memory": f"{round(workload.memory_gib_per_pod * 1024)}Mi",
    }
    if workload.gpus_per_pod and gpu_resource:
        amounts[gpu_resource] = str(workload.gpus_per_pod)
    spec: Object = {
        "containers": [
            {
                "name": "worker",
                "image": _IMAGE,
                "resources": {"requests": amounts, "limits": amounts},
            }
        ],
        "terminationGracePeriodSeconds": 1,
    }
    if workload.gpus_per_pod and not gpu_resource:
        claim = {"name": _CLAIM, "resourceClaimTemplateName": workload.name}
        spec["resourceClaims"] = [claim]
        spec["containers"][0]["resources"]["claims"] = [{"name": _CLAIM}]
    if isinstance(workload, Job | Gang):
        spec["restartPolicy"] = "Never"
    if workload.priority_class:
        spec["priorityClassName"] = workload.priority_class
    if workload.node_selector:
        spec["nodeSelector"] = dict(workload.node_selector)
    if workload.scheduler_name:
        spec["schedulerName"] = workload.scheduler_name
    metadata: Object = {"labels": _labels(workload)}
    if workload.run_for is not None:
        run_for_ms = round(seconds(workload.run_for, name="run_for") * 1000)
        metadata["annotations"] = {RUN_FOR_ANNOTATION: f"{run_for_ms}ms"}
    return {"metadata": metadata, "spec": spec}


def _claim_template(
    workload: Pod | Job | Deployment | Gang, device_class: str
) -> Object:
    wanted = {"deviceClassName": device_class, "count": workload.gpus_per_pod}
    devices = {"requests": [{"name": _CLAIM, "exactly": wanted}]}
    return _object(
        API_VERSION,
        "ResourceClaimTemplate",
        workload,
        {
            "spec": {
                "metadata": {"labels": _labels(workload)},
                "spec": {"devices": devices},
            }
        },
    )


def _deployment(workload: Deployment, template: Object) -> Object:
    selector = {"matchLabels": {WORKLOAD_LABEL: workload.name}}
    spec = {"replicas": workload.replicas, "selector": selector, "template": template}
    return _object("apps/v1", "Deployment", workload, {"spec": spec})


def _job(workload: Job | Gang, template: Object, indexes: int, at_once: int) -> Object:
    spec = {
        "completionMode": "Indexed",
        "completions": indexes,
        "parallelism": at_once,
        "backoffLimitPerIndex": workload.backoff_limit_per_index,
        "template": template,
    }
    return _object("batch/v1", "Job", workload, {"spec": spec})


def _gang(workload: Gang, template: Object) -> list[Object]:
    policy: Object = {"gang": {"minCount": workload.replicas}}
    spec: Object = {"schedulingPolicy": policy}
    if workload.topology_key:
        spec["schedulingConstraints"] = {"topology": [{"key": workload.topology_key}]}
    group = _object(PODGROUP_VERSION, "PodGroup", workload, {"spec": spec})
    template["spec"]["schedulingGroup"] = {"podGroupName": workload.name}
    return [group, _job(workload, template, workload.replicas, workload.replicas)]


def _object(
    version: str, kind: str, workload: Pod | Job | Deployment | Gang, rest: Object
) -> Object:
    metadata = {
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": _labels(workload),
        **{k: v for k, v in rest.get("metadata", {}).items() if k != "labels"},
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata} | {
        "spec": rest["spec"]
    }


def _labels(workload: Pod | Job | Deployment | Gang) -> dict[str, str]:
    return {**workload.labels, WORKLOAD_LABEL: workload.name}
