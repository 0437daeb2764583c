"""Which GPUs a workload has: what allocations of claims say."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav import Job
from pytest_knav.errors import BadInput
from pytest_knav.history import History, Record
from pytest_knav.workloads.claims import asks_for_gpus, devices_of
from pytest_knav.workloads.handle import Handle


def claim(pod: str, *devices: str, driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    """Return a claim that a pod has reserved."""
    results = [{"driver": driver, "pool": "n1", "device": name} for name in devices]
    return {
        "metadata": {"name": f"claim-{pod}", "uid": f"c-{pod}"},
        "status": {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": pod, "uid": pod}],
        },
    }


def pod(uid: str, **more: Any) -> dict[str, Any]:
    """Return a running pod of the job `llama` that asks for a GPU."""
    labels = {"pytest-knav/workload": "llama"}
    requests = {"requests": {"nvidia.com/gpu": "1"}}
    return {
        "metadata": {"name": uid, "uid": uid, "namespace": "default", "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"resources": requests}], **more},
        "status": {"phase": "Running"},
    }


def handle_of(*objects: tuple[str, dict[str, Any]]) -> Handle:
    """Return the handle of a job in a history that holds these objects."""
    history = History()
    for revision, (kind, body) in enumerate(objects, start=1):
        history.add(
            Record(
                revision=revision,
                monotonic=0.0,
                wall=0.0,
                verb="ADDED",
                kind=kind,
                namespace="default",
                name=body["metadata"]["name"],
                uid=body["metadata"]["uid"],
                data=body,
            )
        )
    return Handle(Job("llama", completions=2, gpus_per_pod=1), history)


def test_a_pod_has_what_its_claims_were_given() -> None:
    """All of its claims, in the order of the GPUs; not those of others."""
    claims = [claim("a", "gpu-10", "gpu-9"), claim("b", "gpu-1"), claim("a", "gpu-2")]

    assert devices_of("a", claims) == ["n1/gpu-2", "n1/gpu-9", "n1/gpu-10"]
    assert devices_of("c", claims) == []


def test_a_claim_without_an_allocation_gives_nothing() -> None:
    """It waits, or it was let go."""
    waiting = {"metadata": {"name": "x"}, "status": {}}

    assert devices_of("a", [waiting, {"metadata": {"name": "y"}}]) == []


def test_gpus_are_those_of_the_live_pods() -> None:
    """Of all its pods and nobody else's."""
    handle = handle_of(
        ("Pod", pod("a")),
        ("Pod", pod("b")),
        ("ResourceClaim", claim("a", "gpu-3")),
        ("ResourceClaim", claim("b", "gpu-5")),
        ("ResourceClaim", claim("z", "gpu-7")),
    )

    assert handle.gpus == ["n1/gpu-3", "n1/gpu-5"]


def test_amounts_do_not_say_which_gpus() -> None:
    """It is an error, and not an empty list, and says what to do."""
    handle = handle_of(("Pod", pod("a")))

    with pytest.raises(BadInput, match=r"which GPUs pod a has.*knav\(dra=True\)"):
        _ = handle.gpus


def test_a_pod_that_waits_has_none() -> None:
    """Nothing was promised to it yet."""
    assert handle_of(("Pod", pod("a", nodeName=None))).gpus == []


def test_a_pod_without_gpus_has_none() -> None:
    """Also when it runs."""
    cpu = [{"resources": {"requests": {"cpu": "1"}}}, {}]

    assert not asks_for_gpus(pod("a", containers=cpu))
    assert handle_of(("Pod", pod("a", containers=cpu))).gpus == []


@pytest.mark.parametrize("name", ["nvidia.com/mig-1g.10gb", "amd.com/gpu"])
def test_every_kind_of_gpu_counts(name: str) -> None:
    """Whole or cut, of either vendor; but not an amount of zero."""
    made = [{"resources": {"requests": {name: "1"}}}]
    none = [{"resources": {"requests": {name: "0"}}}]

    assert asks_for_gpus(pod("a", containers=made))
    assert not asks_for_gpus(pod("a", containers=none))
