"""What a system says of a workload in its own object: read, judged, quoted."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from pytest_knav import Gang, Job, System
from pytest_knav.errors import BadInput
from pytest_knav.history import History
from pytest_knav.history.view import View
from pytest_knav.systems.dialects import status_of
from pytest_knav.workloads.handle import Handle
from pytest_knav.workloads.status import OwnStatus, stock_status


GANG = Gang("llama", replicas=4, gpus_per_pod=8)


def handle(dialect: str, workload: Gang | Job = GANG) -> Handle:
    """Return the handle of a workload under a system of a dialect."""
    system = System("s", binary="s", dialect=dialect, queue="team")
    status = status_of(system, workload)
    owner = ("Job", "llama-workers-0") if dialect == "jobset" else None
    return Handle(workload, History(), owner=owner, status=status)


def own(kind: str, status: dict[str, Any], name: str = "llama", **meta: Any) -> View:
    """Return a view with one object of a system."""
    metadata = {"name": name, "namespace": "default", "uid": "u", **meta}
    return View(objects={kind: {"u": {"metadata": metadata, "status": status}}})


def said(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    """Return a condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-23T06:00:00Z",
    }


def workload_of_kueue(*conditions: dict[str, Any], job: str = "llama") -> View:
    """Return Kueue's Workload of a Job, as it names it."""
    return own(
        "Workload.kueue.x-k8s.io",
        {"conditions": list(conditions)},
        name="job-llama-8c1f5",
        ownerReferences=[{"apiVersion": "batch/v1", "kind": "Job", "name": job}],
    )


class TestKueue:
    """Its Workload belongs to the Job and has a name of its own."""

    QUOTA = said(
        "QuotaReserved",
        "False",
        "Pending",
        "couldn't assign flavors to pod set main: insufficient quota",
    )

    def test_why_it_waits_is_quoted(self) -> None:
        """In Kueue's own words, behind the state of the pods."""
        text = handle("kueue").running.describe(workload_of_kueue(self.QUOTA))

        assert "0 of 4 up" in text
        assert "its Workload says: QuotaReserved=False (Pending): couldn't" in text

    def test_admitted_is_what_it_says(self) -> None:
        """True once the condition Admitted is; another Job's Workload says nothing."""
        admitted = handle("kueue").admitted
        let_in = [said("QuotaReserved", "True"), said("Admitted", "True")]

        assert not admitted.holds(workload_of_kueue(self.QUOTA))
        assert admitted.holds(workload_of_kueue(*let_in))
        assert not admitted.holds(workload_of_kueue(*let_in, job="other"))

    def test_good_news_is_no_reason(self) -> None:
        """An admitted one that waits for nodes is not explained by its admission."""
        view = workload_of_kueue(said("QuotaReserved", "True", "QuotaReserved"))

        assert "its Workload says" not in handle("kueue").running.describe(view)

    def test_an_eviction_is_quoted(self) -> None:
        """What is True there is bad news."""
        view = workload_of_kueue(said("Evicted", "True", "PodsReadyTimeout", "slow"))

        text = handle("kueue").running.describe(view)

        assert "Evicted=True (PodsReadyTimeout): slow" in text


class TestVolcano:
    """Its PodGroup has the workload's name and a phase."""

    KIND = "PodGroup.scheduling.volcano.sh"

    def test_the_phase_says_whether_it_is_let_in(self) -> None:
        """Inqueue is when its queue has taken it."""
        admitted = handle("volcano").admitted
        phases = ("Pending", "Inqueue", "Running", "Unknown", "Completed")

        let_in = [p for p in phases if admitted.holds(own(self.KIND, {"phase": p}))]

        assert let_in == ["Inqueue", "Running", "Completed"]

    def test_why_it_waits_is_quoted_with_its_phase(self) -> None:
        """Volcano's Unschedulable is bad news when it is True."""
        why = "3/4 tasks in gang unschedulable: pod group is not ready"
        status = {
            "phase": "Pending",
            "conditions": [said("Unschedulable", "True", "NotEnoughResources", why)],
        }

        text = handle("volcano").running.describe(own(self.KIND, status))

        assert (
            f"its PodGroup says: Pending; Unschedulable=True (NotEnoughResources): "
            f"{why}"
        ) in text


class TestJobSet:
    """It restarts its Jobs: only the JobSet knows of the end."""

    KIND = "JobSet.jobset.x-k8s.io"
    JOB: ClassVar[dict[str, Any]] = {
        "metadata": {"name": "llama-workers-0", "namespace": "default", "uid": "j"},
        "status": {"conditions": [said("Failed", "True", "BackoffLimitExceeded")]},
    }

    def view(self, *conditions: dict[str, Any]) -> View:
        """Return a JobSet whose Job has failed."""
        seen = own(self.KIND, {"conditions": list(conditions)})
        seen.objects["Job"] = {"j": self.JOB}
        return seen

    def test_a_failed_job_is_not_the_end(self) -> None:
        """The JobSet makes another one."""
        handle_ = handle("jobset")
        restarting = self.view(said("RestartingJobSet", "True"))

        assert not handle_.failed.holds(restarting)
        assert not handle_.finished.holds(restarting)
        assert "it has failed" not in handle_.running.describe(restarting)

    def test_the_jobset_says_how_it_ended(self) -> None:
        """Completed or Failed, with its reason."""
        handle_ = handle("jobset")
        why = "jobset failed due to reaching max number of restarts"

        assert handle_.finished.holds(self.view(said("Completed", "True")))
        given_up = self.view(said("Failed", "True", "ReachedMaxRestarts", why))
        assert handle_.failed.holds(given_up)
        assert why in handle_.running.describe(given_up)


def test_kai_says_why_in_its_own_list() -> None:
    """Its scheduling conditions are no conditions by name."""
    one = said("UnschedulableOnNodePool", "True", "Unschedulable", "no node has 8 GPUs")
    view = own("PodGroup.scheduling.run.ai", {"schedulingConditions": [one]})

    assert "no node has 8 GPUs" in handle("kai").running.describe(view)


def test_the_stock_scheduler_says_why_a_gang_waits() -> None:
    """PodGroupScheduled is False with the reason, and true once it is placed."""
    gang = Handle(GANG, History(), status=stock_status(GANG))
    waits = said("PodGroupScheduled", "False", "Unschedulable", "only 3 of 4 fit")

    view = own("PodGroup", {"conditions": [waits]})
    placed = own("PodGroup", {"conditions": [said("PodGroupScheduled", "True")]})

    assert "only 3 of 4 fit" in gang.running.describe(view)
    assert not gang.admitted.holds(view)
    assert gang.admitted.holds(placed)


@pytest.mark.parametrize("dialect", ["kai", "jobset"])
def test_what_nobody_says_cannot_be_waited_for(dialect: str) -> None:
    """Instead of a condition that never comes true."""
    with pytest.raises(BadInput, match="nothing in this cluster says whether"):
        _ = handle(dialect).admitted


def test_a_job_of_the_stock_scheduler_has_no_such_object() -> None:
    """Its pods are all that there is."""
    assert stock_status(Job("j")) is None
    with pytest.raises(BadInput, match="wait for `running`"):
        _ = Handle(Job("j"), History()).admitted


def test_its_kind_is_looked_at_while_waiting() -> None:
    """Else a change of it would not be seen."""
    assert "Workload.kueue.x-k8s.io" in handle("kueue").running.kinds
    status = handle("kueue").subject.status
    assert isinstance(status, OwnStatus)
    assert status.of(View()) == {}
