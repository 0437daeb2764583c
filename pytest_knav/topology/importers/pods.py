"""
What of a pod is carried over: what a scheduler and the controllers look at.

Environment, commands, volumes, service accounts and probes stay behind, so that no
Secret, token or password can come along; nothing runs in the simulated pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Mapping

_SPEC: Final = (
    "affinity", "hostNetwork", "nodeName", "nodeSelector", "priorityClassName",
    "resources", "restartPolicy", "schedulerName", "schedulingGates",
    "terminationGracePeriodSeconds", "topologySpreadConstraints",
)  # fmt: skip
_PORT: Final = ("containerPort", "hostPort", "protocol")
# Written by those who schedule: gangs, queues, indexes, costs.
_ANNOTATIONS: Final = (
    "batch.kubernetes.io/", "controller.kubernetes.io/", "deployment.kubernetes.io/",
    "kueue.x-k8s.io/", "scheduling.k8s.io/", "scheduling.volcano.sh/", "volcano.sh/",
    "scheduling.x-k8s.io/", "kai.scheduler/",
)  # fmt: skip
# Admission (DefaultTolerationSeconds) puts them on every pod, with times of its own.
_DEFAULT_TOLERATIONS: Final = frozenset({
    "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
})  # fmt: skip
_DEFAULT_SECONDS: Final = 300


def bare_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a pod's spec is carried."""
    made = {key: spec[key] for key in _SPEC if spec.get(key)}
    if "resources" in made:
        made["resources"] = _resources(made["resources"])
    for part in ("initContainers", "containers"):
        if spec.get(part):
            made[part] = [_container(one) for one in spec[part]]
    tolerations = [one for one in spec.get("tolerations") or () if not _default(one)]
    if tolerations:
        made["tolerations"] = tolerations
    return made


def bare_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a pod template is carried."""
    metadata = bare_metadata(template.get("metadata") or {}, names=False)
    spec = bare_spec(template.get("spec") or {})
    return {**({"metadata": metadata} if metadata else {}), "spec": spec}


def bare_metadata(metadata: Mapping[str, Any], *, names: bool = True) -> dict[str, Any]:
    """Return name, namespace, labels, and the annotations of those who schedule."""
    own = ("name", "namespace") if names else ()
    made: dict[str, Any] = {key: metadata[key] for key in own if metadata.get(key)}
    if metadata.get("labels"):
        made["labels"] = dict(metadata["labels"])
    annotations = {
        key: text
        for key, text in (metadata.get("annotations") or {}).items()
        if key.startswith(_ANNOTATIONS)
    }
    if annotations:
        made["annotations"] = annotations
    return made


def _container(one: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": one["name"], "image": one.get("image") or "none"}
    resources = _resources(one.get("resources") or {})
    if resources:
        made["resources"] = resources
    if one.get("restartPolicy"):
        made["restartPolicy"] = one["restartPolicy"]
    # Two pods that want one port of the host cannot share a node.
    ports = [
        {key: port[key] for key in _PORT if key in port}
        for port in one.get("ports") or ()
        if port.get("hostPort")
    ]
    if ports:
        made["ports"] = ports
    return made


def _resources(given: Mapping[str, Any]) -> dict[str, Any]:
    return {part: given[part] for part in ("limits", "requests") if given.get(part)}


def _default(toleration: Mapping[str, Any]) -> bool:
    return (
        toleration.get("key") in _DEFAULT_TOLERATIONS
        and toleration.get("effect") == "NoExecute"
        and toleration.get("tolerationSeconds") == _DEFAULT_SECONDS
    )
