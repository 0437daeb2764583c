"""
The objects by which KWOK serves loads as a kubelet serves them.

KWOK evaluates a usage for every container at each scrape, by one expression: a branch
for each target. It selects pods by name and namespace alone, so the expression looks
at labels itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.topology.importers.quantities import amount


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_knav.utilization.model import Entry, LoadBook, Resource, Target

NAME: Final = "pytest-knav-utilization"
_API: Final = "/apis/kwok.x-k8s.io/v1alpha1"
METRIC_PATH: Final = f"{_API}/metrics/{NAME}"
USAGE_PATH: Final = f"{_API}/clusterresourceusages/{NAME}"
# metrics-server drops a container or node whose counter or memory is zero
# (pkg/scraper/client/resource/decode.go). The counters of KWOK begin at zero, so from
# one on the first scrape counts already; a rate does not see it. An idle node has what
# KWOK's own usage objects give a pod.
_COUNTER_BEGINS: Final = "1.0"
IDLE_NODE_BYTES: Final = 1024**2
_RUNS: Final = 'pod.status.phase == "Running"'
# What KWOK's own usage objects give a pod of which nothing is said
# (kustomize/metrics/usage).
UNSAID: Final = {"cpu": "1m", "memory": "1Mi"}
# KWOK compiles each text once and keeps it for good (pkg/utils/cel/environment.go), so
# a profile has no more values than this and its texts repeat.
_LEVELS: Final = 1000


def metric() -> dict[str, Any]:
    """Return the Metric by which KWOK serves what a kubelet does."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Metric",
        "metadata": {"name": NAME},
        "spec": {
            # Nodes have it in the annotation metrics.k8s.io/resource-metrics-path.
            "path": "/metrics/nodes/{nodeName}/metrics/resource",
            "metrics": [
                _series(
                    "container_start_time_seconds",
                    "container",
                    "gauge",
                    "pod.metadata.creationTimestamp.UnixSecond()",
                ),
                _series(
                    "container_cpu_usage_seconds_total",
                    "container",
                    "counter",
                    f'pod.CumulativeUsage("cpu", container.name) + {_COUNTER_BEGINS}',
                ),
                _series(
                    "container_memory_working_set_bytes",
                    "container",
                    "gauge",
                    # Not even a container that uses nothing has no memory.
                    f'pod.Usage("memory", container.name) + ({_RUNS} ? 1.0 : 0.0)',
                ),
                _series(
                    "node_cpu_usage_seconds_total",
                    "node",
                    "counter",
                    f'node.CumulativeUsage("cpu") + {_COUNTER_BEGINS}',
                ),
                _series(
                    "node_memory_working_set_bytes",
                    "node",
                    "gauge",
                    f'node.Usage("memory") + {IDLE_NODE_BYTES:.1f}',
                ),
            ],
        },
    }


def usage(book: LoadBook, now_s: float) -> dict[str, Any]:
    """Return the usage of every pod as it is at a time."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterResourceUsage",
        "metadata": {"name": NAME},
        "spec": {
            "usages": [
                {
                    "usage": {
                        "cpu": {"expression": expression(book, "cpu", now_s)},
                        "memory": {"expression": expression(book, "memory", now_s)},
                    }
                }
            ]
        },
    }


def expression(book: LoadBook, resource: Resource, now_s: float) -> str:
    """Return the CEL expression for what a container uses of a resource."""
    branches = [
        f"{condition(entry.target)} ? {_value(entry, now_s)} : "
        for entry in book.entries(resource)
    ]
    said = "".join([*branches, f'Quantity("{UNSAID[resource]}")'])
    # KWOK counts pods that have ended as well, as long as they are there.
    return f'{_RUNS} ? ({said}) : Quantity("0")'


def condition(target: Target) -> str:
    """Return the CEL expression for whether a pod is meant."""
    return " && ".join(_terms(target)) or "true"


def served_value(entry: Entry, now_s: float) -> float:
    """Return the value of a profile as it is served at a time."""
    step = entry.profile.ceiling / _LEVELS
    return round(entry.value_at(now_s) / step) * step if step else 0.0


def used(
    book: LoadBook, resource: Resource, pod: Mapping[str, Any], at_s: float
) -> float:
    """Return what a Pod object uses of cpu or memory: what the expression comes to."""
    entry = book.entry_of(resource, pod)
    if entry is None:
        each = float(amount(UNSAID[resource], resource))
        return each * len(pod["spec"]["containers"])
    value = served_value(entry, at_s)
    if not entry.profile.share:
        return value
    requests = (
        one.get("resources", {}).get("requests", {}).get(resource, "0")
        for one in pod["spec"]["containers"]
    )
    return value / 100 * sum(float(amount(one, resource)) for one in requests)


def _terms(target: Target) -> Iterable[str]:
    if target.node:
        yield f"pod.spec.nodeName == {_text(target.node)}"
    if target.namespace:
        yield f"pod.metadata.namespace == {_text(target.namespace)}"
    if target.name:
        yield f"pod.metadata.name == {_text(target.name)}"
    for key, value in target.labels:
        yield f"{_text(key)} in pod.metadata.labels"
        yield f"pod.metadata.labels[{_text(key)}] == {_text(value)}"


def _value(entry: Entry, now_s: float) -> str:
    value = served_value(entry, now_s)
    if entry.profile.share:
        requested = f"container.resources.requests[{_text(entry.resource)}]"
        return f"{requested} * {value / 100:.6f}"
    scale = 1000 if entry.resource == "cpu" else 1
    unit = "m" if entry.resource == "cpu" else ""
    # KWOK asks for each container, and a load is that of a pod.
    return f'Quantity("{round(value * scale)}{unit}") / size(pod.spec.containers)'


def _text(text: str) -> str:
    # A CEL string literal is written as a JSON one.
    return json.dumps(text)


def _series(name: str, dimension: str, kind: str, value: str) -> dict[str, Any]:
    labels = {
        "container": "container.name",
        "namespace": "pod.metadata.namespace",
        "pod": "pod.metadata.name",
    }
    return {
        "name": name,
        "dimension": dimension,
        "kind": kind,
        "help": "As a kubelet has it.",
        "value": value,
        "labels": [
            {"name": label, "value": source}
            for label, source in labels.items()
            if dimension == "container"
        ],
    }
