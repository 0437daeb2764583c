"""NodeCrash on the real control plane: seen, judged, undone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_knav import Gang, Inconclusive, InjectionNotObserved, NotRecovered, node_of
from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.changes import apply, label_node
from pytest_knav.control_plane.kwokctl import KUBELET_LABEL, KUBELET_RUNNING
from pytest_knav.errors import BadInput
from pytest_knav.faults import NodeCrash
from pytest_knav.plans.chaos import replay_journal
from pytest_knav.plans.journal import JOURNAL_FILE, Journal


if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_knav import Chaos, Cluster

pytestmark = pytest.mark.knav(topology="dgx-h100", nodes=4)
NODE = "dgx-h100-0001"
STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def test_the_control_plane_finds_out_and_a_gang_without_a_spare_node_is_lost(
    cluster: Cluster, chaos: Chaos
) -> None:
    """Ready is Unknown, not False; pods stay Terminating; clearing heals it all."""
    gang = cluster.submit(Gang("g", replicas=4, gpus_per_pod=8))
    cluster.wait_for(gang.running)

    with chaos.inject(NodeCrash(NODE), until="detected") as fault:
        crashed = cluster.node(NODE)
        cluster.wait_for(gang.pending, timeout="60s")
        stuck = [pod.state for pod in cluster.pods_on(NODE)]
        with pytest.raises(NotRecovered) as error:
            chaos.expect.recovered(gang, since=fault, within="25s")
    cluster.wait_for(gang.running, timeout="60s")

    message = str(error.value)
    assert "did not come back within 25s" in message
    assert "3 of 4 up" in message
    assert "FailedScheduling" in message
    assert f"artifacts: {cluster.artifacts}" in message
    assert crashed.ready == "Unknown"
    assert ("node.kubernetes.io/unreachable", "NoExecute") in crashed.taints
    assert stuck == ["Terminating"]
    assert fault.signals["signal"] >= 1.5 * cluster.profile.renew_interval_s
    assert fault.signals["detected"] > fault.signals["signal"]
    assert cluster.node(NODE).usable


def test_what_reacts_too_late_is_blind(cluster: Cluster, chaos: Chaos) -> None:
    """A limit shorter than the grace period passes without any reaction."""
    gang = cluster.submit(Gang("g", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running)

    with (
        chaos.inject(NodeCrash(node_of(gang))) as fault,
        pytest.raises(NotRecovered, match="nothing reacted within 6s"),
    ):
        chaos.expect.recovered(gang, since=fault, within="6s")


def test_a_fault_that_hit_nobody_proves_nothing(cluster: Cluster, chaos: Chaos) -> None:
    """Recovery is inconclusive then; that it was left alone can be asked."""
    gang = cluster.submit(Gang("g", replicas=2, gpus_per_pod=8))
    cluster.wait_for(gang.running)
    other = next(n.name for n in cluster.nodes if n.name not in gang.nodes)

    with chaos.inject(NodeCrash(other)) as fault:
        with pytest.raises(Inconclusive, match="no member sat in the blast radius"):
            chaos.expect.recovered(gang, since=fault, within="30s")
        chaos.expect.unaffected(gang, since=fault)


def test_a_fault_is_undone_when_the_block_fails(cluster: Cluster, chaos: Chaos) -> None:
    """Whatever is raised inside, the node is back afterwards."""
    message = "the test's own error"

    with pytest.raises(ZeroDivisionError), chaos.inject(NodeCrash(NODE)):
        raise ZeroDivisionError(message)

    cluster.catch_up()
    journal = Journal(cluster.plane.entry.directory / JOURNAL_FILE)
    assert cluster.node(NODE).usable
    assert journal.pending() == []


def test_what_the_test_raised_wins_over_a_failed_undo(
    cluster: Cluster, chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an API server nothing can be undone: a note, and the journal, say so."""
    # How long it is tried again is not what is asked here.
    monkeypatch.setattr(retrying, "RETRY_FOR_S", 1.0)

    def without_a_server() -> None:
        with chaos.inject(NodeCrash(NODE)):
            cluster.component("apiserver").kill()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        without_a_server()

    journal = Journal(cluster.plane.entry.directory / JOURNAL_FILE)
    assert "could not be taken back" in error.value.__notes__[0]
    assert len(journal.pending()) == 1


def test_a_killed_runs_fault_is_undone_by_its_journal(cluster: Cluster) -> None:
    """A process breaks a node and is killed; the journal brings the node back."""
    script = f"""
import os, signal
from pathlib import Path
from pytest_knav.control_plane import changes, kwokctl
from pytest_knav.control_plane.plane import attach_by_kubeconfig
from pytest_knav.plans.journal import JOURNAL_FILE, Journal
plane = attach_by_kubeconfig(Path({str(cluster.kubeconfig)!r}))
label, on = kwokctl.KUBELET_LABEL, kwokctl.KUBELET_RUNNING
change = changes.label_node({NODE!r}, label, None, on)
undo = change.inverse(plane)
Journal(plane.entry.directory / JOURNAL_FILE).intend("f", {{}}, {{}}, undo)
changes.apply(plane, [change])
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    before = dict(cluster.node(NODE).labels)
    cluster.catch_up()
    broken = dict(cluster.node(NODE).labels)

    undone = replay_journal(cluster.plane)
    again = replay_journal(cluster.plane)
    cluster.catch_up()

    assert killed.returncode == -9
    assert "pytest-knav/kubelet" not in broken
    assert len(undone) == 1
    assert again == []
    assert "pytest-knav/kubelet" in dict(cluster.node(NODE).labels)
    assert before["kubernetes.io/hostname"] == NODE


def no_node_stages(cluster: Cluster) -> None:
    """Take away all that KWOK knows of nodes."""
    for stage in cluster.plane.api.get(STAGES)["items"]:
        if stage["spec"]["resourceRef"]["kind"] == "Node":
            cluster.plane.api.delete(f"{STAGES}/{stage['metadata']['name']}")


def no_label(cluster: Cluster) -> None:
    """Take a node away from KWOK."""
    apply(cluster.plane, [label_node(NODE, KUBELET_LABEL, None, KUBELET_RUNNING)])


@pytest.mark.parametrize("broken", [no_label, no_node_stages])
def test_a_clean_cluster_has_every_kubelet_again(
    cluster: Cluster, broken: Callable[[Cluster], None]
) -> None:
    """KWOK makes their leases; of those it finds it would wait for a renewal."""
    broken(cluster)
    before = cluster.plane.component("kwok").pid
    log = cluster.plane.workdir / "logs" / "kwok-controller.log"
    logged = log.stat().st_size

    cluster.reset()

    def taken() -> bool:
        leases = cluster.plane.api.get(LEASES)["items"]
        holders = {lease["spec"].get("holderIdentity") for lease in leases}
        return len(leases) == len(cluster.nodes) and len(holders - {None}) == 1

    assert retrying.until(taken, timeout_s=60)
    assert cluster.plane.component("kwok").pid != before
    assert b"lease already exists" not in log.read_bytes()[logged:]


def test_what_is_broken_already_is_refused(chaos: Chaos) -> None:
    """So is an unknown `until`; the messages show the values."""
    with pytest.raises(BadInput, match="until='later'"):
        chaos.start(NodeCrash(NODE), until="later")  # type: ignore[arg-type]
    with chaos.inject(NodeCrash(NODE)), pytest.raises(BadInput, match="another fault"):
        chaos.start(NodeCrash(NODE))


def test_a_fault_that_changes_nothing_is_not_observed(
    cluster: Cluster, chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If leases go on being renewed, inject raises and leaves nothing behind."""
    nothing = label_node(NODE, KUBELET_LABEL, KUBELET_RUNNING, KUBELET_RUNNING)
    monkeypatch.setattr(NodeCrash, "changes", lambda *_: [nothing])
    monkeypatch.setattr(
        NodeCrash,
        "timeouts_s",
        lambda *_: {"signal": 6.0, "detected": 6.0, "cleared": 60.0},
    )

    with pytest.raises(InjectionNotObserved, match="its signal was not seen"):
        chaos.start(NodeCrash(NODE))

    assert cluster.node(NODE).usable
