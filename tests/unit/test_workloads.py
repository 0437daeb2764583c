"""Workloads: what they check, what they become, what counts as theirs."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav import Deployment, Gang, Job, Manifest, Pod
from pytest_knav.errors import BadInput
from pytest_knav.history.view import View
from pytest_knav.workloads import conditions
from pytest_knav.workloads.handle import subject_of
from pytest_knav.workloads.pods import current, pod_info
from pytest_knav.workloads.render import load_manifest, render, selector_of


GPU = "nvidia.com/gpu"


class TestChecks:
    """Wrong values fail where they are written."""

    @pytest.mark.parametrize(
        ("make", "shown"),
        [
            (lambda: Pod("Big_Name"), "name='Big_Name'"),
            (lambda: Pod("p", namespace="No"), "namespace='No'"),
            (lambda: Pod("p", gpus_per_pod=-1), "gpus_per_pod=-1"),
            (lambda: Pod("p", gpus_per_pod=1.5), "gpus_per_pod=1.5"),
            (lambda: Pod("p", cpus_per_pod=0), "cpus_per_pod=0"),
            (lambda: Pod("p", run_for="soon"), "run_for='soon'"),
            (lambda: Job("j", completions=0), "completions=0"),
            (lambda: Job("j", parallelism=0), "parallelism=0"),
            (lambda: Job("j" * 53), "at most 52"),
            (lambda: Gang("g", replicas=True), "replicas=True"),
            (lambda: Gang("g", backoff_limit_per_index=-1), "per_index=-1"),
            (lambda: Deployment("d", run_for="5s"), "never ends"),
        ],
    )
    def test_a_wrong_value_is_shown(self, make: Any, shown: str) -> None:
        """The message has the argument and its value."""
        with pytest.raises(BadInput) as error:
            make()

        assert shown in str(error.value)


class TestRendering:
    """What the API server gets."""

    def test_a_gang_is_a_pod_group_and_an_indexed_job(self) -> None:
        """The group comes first, wants every member, and the pods name it."""
        gang = Gang("g", replicas=3, gpus_per_pod=8, topology_key="rack")

        group, job = render(gang, gpu_resource=GPU)

        assert group["apiVersion"] == "scheduling.k8s.io/v1alpha2"
        assert group["spec"] == {
            "schedulingPolicy": {"gang": {"minCount": 3}},
            "schedulingConstraints": {"topology": [{"key": "rack"}]},
        }
        pod = job["spec"]["template"]["spec"]
        assert pod["schedulingGroup"] == {"podGroupName": "g"}
        assert pod["containers"][0]["resources"]["limits"][GPU] == "8"
        assert job["spec"]["completionMode"] == "Indexed"
        assert job["spec"]["backoffLimitPerIndex"] == 6
        assert "backoffLimit" not in job["spec"]

    @pytest.mark.parametrize(
        "workload",
        [
            Pod("w", gpus_per_pod=3),
            Job("w", gpus_per_pod=3),
            Deployment("w", gpus_per_pod=3),
            Gang("w", replicas=2, gpus_per_pod=3),
        ],
    )
    def test_gpus_that_are_devices_are_claimed_and_not_counted(
        self, workload: Any
    ) -> None:
        """A template comes first; each pod gets a claim of its own from it."""
        template, *rest = render(
            workload, gpu_resource=GPU, device_class="gpu.nvidia.com"
        )

        assert (template["kind"], template["metadata"]["name"]) == (
            "ResourceClaimTemplate",
            "w",
        )
        [request] = template["spec"]["spec"]["devices"]["requests"]
        wanted = {"deviceClassName": "gpu.nvidia.com", "count": 3}
        assert request["exactly"] == wanted
        spec = rest[-1]["spec"]
        pod = spec["template"]["spec"] if "template" in spec else spec
        [claim] = pod["resourceClaims"]
        assert claim["resourceClaimTemplateName"] == "w"
        resources = pod["containers"][0]["resources"]
        assert resources["claims"] == [{"name": claim["name"]}]
        assert GPU not in resources["requests"]

    def test_a_workload_without_gpus_claims_nothing(self) -> None:
        """Also where GPUs are devices."""
        (pod,) = render(Pod("w"), gpu_resource=GPU, device_class="gpu.nvidia.com")

        assert "resourceClaims" not in pod["spec"]

    def test_run_time_is_an_annotation_that_kwok_reads(self) -> None:
        """It is given in whole milliseconds."""
        (pod,) = render(Pod("p", run_for="1m30s"), gpu_resource=GPU)

        assert pod["metadata"]["annotations"] == {"pytest-knav/run-for": "90000ms"}

    def test_scheduler_priority_and_selector_reach_the_pod(self) -> None:
        """What the scheduler must heed is in the pod's spec."""
        workload = Deployment(
            "d",
            replicas=2,
            priority_class="high",
            node_selector={"zone": "a"},
            scheduler_name="mine",
        )

        (deployment,) = render(workload, gpu_resource=GPU)

        spec = deployment["spec"]["template"]["spec"]
        assert spec["priorityClassName"] == "high"
        assert spec["nodeSelector"] == {"zone": "a"}
        assert spec["schedulerName"] == "mine"
        assert deployment["spec"]["replicas"] == 2

    def test_a_job_runs_at_most_its_parallelism(self) -> None:
        """Without one, all indexes run at once."""
        (some,) = render(Job("j", completions=8, parallelism=3), gpu_resource=GPU)
        (full,) = render(Job("j", completions=8), gpu_resource=GPU)

        assert some["spec"]["parallelism"] == 3
        assert full["spec"]["parallelism"] == 8


class TestManifest:
    """Any YAML."""

    def test_text_with_several_documents_is_several_objects(self) -> None:
        """Empty documents are passed over."""
        text = (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\n"
            "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n"
        )

        objects = load_manifest(Manifest(text))

        assert [o["metadata"]["name"] for o in objects] == ["a", "b"]

    @pytest.mark.parametrize(
        ("source", "shown"),
        [
            ("a: [", "not YAML"),
            ("", "no objects"),
            ("kind: Pod", "no apiVersion"),
            ("just text", "no apiVersion"),
        ],
    )
    def test_what_is_no_manifest_is_refused(self, source: str, shown: str) -> None:
        """The message says what is missing."""
        with pytest.raises(BadInput, match=shown):
            load_manifest(Manifest(source))

    def test_a_missing_file_is_named(self, tmp_path: Any) -> None:
        """The message has the path."""
        with pytest.raises(BadInput, match="nowhere"):
            load_manifest(Manifest(tmp_path / "nowhere.yaml"))

    def test_a_selector_that_is_none_is_refused(self) -> None:
        """Only equal labels are understood."""
        manifest = Manifest(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}, pods="app"
        )

        with pytest.raises(BadInput, match="pods='app'"):
            selector_of(manifest)


def pod(name: str, **how: Any) -> dict[str, Any]:
    """Return a Pod object of the workload w."""
    index = how.get("index")
    labels = {"pytest-knav/workload": "w"}
    if index is not None:
        labels["batch.kubernetes.io/job-completion-index"] = str(index)
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "labels": labels,
        "creationTimestamp": how.get("created", "2026-01-01T00:00:00Z"),
    }
    if how.get("terminating"):
        metadata["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    ready = str(how.get("ready", True))
    status = {
        "phase": how.get("phase", "Running"),
        "conditions": [{"type": "Ready", "status": ready}],
    }
    spec = {"nodeName": how["node"]} if how.get("node") else {}
    return {"metadata": metadata, "spec": spec, "status": status}


def view(*pods: dict[str, Any], broken: tuple[str, ...] = ()) -> View:
    """Return a cluster with these pods."""
    return View(
        objects={"Pod": {p["metadata"]["uid"]: p for p in pods}, "Job": {}},
        broken={"f": frozenset(broken)},
    )


class TestConditions:
    """True or false of a moment."""

    def holds(self, test: Any, seen: View, workload: Any = None) -> bool:
        """Return whether a condition of a gang of two holds."""
        subject = subject_of(workload or Gang("w", replicas=2))
        return bool(test(subject.members(seen)))

    def test_running_needs_every_index(self) -> None:
        """Two pods of one index are not two members."""
        both = view(pod("a", index=0, node="n"), pod("b", index=1, node="m"))
        same = view(pod("a", index=0, node="n"), pod("b", index=0, node="m"))

        assert self.holds(conditions.is_running, both)
        assert not self.holds(conditions.is_running, same)

    @pytest.mark.parametrize(
        "how", [{"ready": False}, {"terminating": True}, {"phase": "Pending"}]
    )
    def test_running_needs_ready_pods_that_stay(self, how: Any) -> None:
        """Not ready, Terminating and Pending do not count."""
        seen = view(pod("a", index=0, node="n"), pod("b", index=1, node="m", **how))

        assert not self.holds(conditions.is_running, seen)

    def test_partially_bound_counts_members_that_stay_bound(self) -> None:
        """One of two bound is partial; none and all are not."""
        one = view(pod("a", index=0, node="n"), pod("b", index=1, phase="Pending"))
        none = view(pod("b", index=1, phase="Pending"))
        leaving = view(pod("a", index=0, node="n", terminating=True))

        assert self.holds(conditions.is_partially_bound, one)
        assert not self.holds(conditions.is_partially_bound, none)
        assert not self.holds(conditions.is_partially_bound, leaving)

    def test_degraded_is_about_the_truth(self) -> None:
        """A pod on a broken node degrades it, though the API says Running."""
        pods = (pod("a", index=0, node="n"), pod("b", index=1, node="m"))

        assert self.holds(conditions.is_degraded, view(*pods, broken=("n",)))
        assert not self.holds(conditions.is_degraded, view(*pods, broken=("x",)))

    def test_the_newest_live_pod_of_an_index_counts(self) -> None:
        """An older twin that still lives is passed over."""
        old = pod_info(pod("old", index=0, node="n"))
        new = pod_info(pod("new", index=0, created="2026-01-01T00:00:05Z"))

        assert [p.name for p in current([old, new])] == ["new"]

    def test_a_job_that_has_given_up_says_why(self) -> None:
        """FailureTarget counts, and its reason is in the description."""
        seen = view()
        seen.objects["Job"]["j"] = {
            "metadata": {"name": "w", "namespace": "default"},
            "status": {
                "conditions": [
                    {
                        "type": "FailureTarget",
                        "status": "True",
                        "reason": "BackoffLimitExceeded",
                    }
                ]
            },
        }
        subject = subject_of(Gang("w", replicas=2))

        assert conditions.has_failed(subject.members(seen))
        assert "BackoffLimitExceeded" in subject.describe(seen)
