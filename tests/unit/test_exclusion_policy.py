"""Who is excluded, within limits; what pods tell; what nodes remember."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav.errors import BadInput
from pytest_knav.exclusion import node_state
from pytest_knav.exclusion.estimators import View
from pytest_knav.exclusion.policy import Decision, Limits, NodeState, Policy
from pytest_knav.exclusion.samples import Pods


def view(sure: float, failures: float = 5.0) -> View:
    """Return what is known of a node."""
    return View(
        failure=sure, low=0.0, high=1.0, sure=sure, samples=failures, failures=failures
    )


def policy(nodes: int = 20, **limits: Any) -> Policy:
    """Return a policy for nodes of two racks."""
    made = Policy(Limits(**limits), threshold=0.9)
    for number in range(nodes):
        made.seen(f"n{number}", f"machine-{number}", f"rack-{number % 2}")
    return made


def verbs(made: Policy, now_s: float, **sure: float) -> list[tuple[str, str]]:
    """Return what is decided when so much is known of some nodes."""
    views = {node: (lambda s=s: view(s)) for node, s in sure.items()}
    return [(d.verb, d.node) for d in made.decide(views, now_s)]


def test_a_node_that_is_surely_bad_is_excluded_once() -> None:
    """Not one below the threshold, and not again."""
    made = policy()

    first = verbs(made, 0.0, n0=0.95, n1=0.85)
    again = verbs(made, 1.0, n0=0.99)

    assert (first, again) == ([("exclude", "n0")], [])
    assert made.excluded == ["n0"]


def test_too_few_failures_exclude_nobody() -> None:
    """However sure it is."""
    made = policy(least_failures=3)

    found = made.decide({"n0": lambda: view(1.0, failures=2.0)}, 0.0)

    assert found == []


def test_the_share_that_may_be_out_is_kept() -> None:
    """Two of twenty; the third is refused, with both numbers."""
    made = policy(share=0.1)
    verbs(made, 0.0, n0=1.0, n2=1.0)

    (refused,) = made.decide({"n4": lambda: view(1.0)}, 1.0)

    assert refused.verb == "refuse"
    assert refused.why.startswith("2 of 20 are out, 2 may be")
    assert made.excluded == ["n0", "n2"]


def test_a_rack_keeps_its_floor() -> None:
    """One of each rack: the next of the same is refused, of the other it is not."""
    made = policy(share=0.5, per_domain=1)
    verbs(made, 0.0, n0=1.0)

    assert verbs(made, 1.0, n2=1.0) == [("refuse", "n2")]
    assert verbs(made, 2.0, n1=1.0) == [("exclude", "n1")]


def test_the_breaker_opens_and_closes() -> None:
    """Three at once are no lemons: nobody else for a while."""
    made = policy(share=1.0, breaker=3, breaker_s=60.0)
    verbs(made, 0.0, n0=1.0, n1=1.0, n2=1.0)

    opened = verbs(made, 1.0, n3=1.0)
    during = made.breaker_open(60.0)
    later = verbs(made, 62.0, n3=1.0)

    assert (opened, during, later) == ([("refuse", "n3")], True, [("exclude", "n3")])


def test_probation_doubles_with_each_relapse() -> None:
    """Taken back after ten seconds, then twenty, then forty."""
    made = policy(probation_s=10.0)
    spans = []
    now_s = 0.0

    for _ in range(3):
        verbs(made, now_s, n0=1.0)
        begun_s = now_s
        while not verbs(made, now_s):
            now_s += 1.0
        spans.append(now_s - begun_s)

    assert spans == [10.0, 20.0, 40.0]


def test_a_node_that_proves_itself_begins_anew() -> None:
    """After probation and good pods, the next exclusion is no relapse."""
    made = policy(probation_s=10.0)
    verbs(made, 0.0, n0=1.0)
    verbs(made, 10.0)

    verbs(made, 11.0, n0=0.1)
    verbs(made, 12.0, n0=1.0)

    assert made.nodes["n0"].relapses == 0
    assert verbs(made, 22.0) == [("readmit", "n0")]


def test_another_machine_of_the_name_is_taken_back_at_once() -> None:
    """A reboot or a replacement is a repair; what was known is cleared."""
    made = policy()
    verbs(made, 0.0, n0=1.0)

    found = made.seen("n0", "machine-0-rebooted", "rack-0")

    assert [d.verb for d in found] == ["clear", "readmit"]
    assert made.excluded == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"threshold": 1.5}, "threshold=1.5: give a number from 0 to 1"),
        ({"share": -0.1}, "share=-0.1"),
        ({"per_domain": 0}, "per_domain=0"),
        ({"breaker": 0}, "breaker=0"),
        ({"probation_s": 0.0}, "probation_s=0.0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    limits: dict[str, Any], said: str
) -> None:
    """With the value and what is allowed."""
    with pytest.raises(BadInput) as caught:
        Limits(**limits)

    assert said in str(caught.value)


def pod(uid: str = "a", phase: str = "Failed", **more: Any) -> dict[str, Any]:
    """Return a pod on a node."""
    status = {"phase": phase, **more.pop("status", {})}
    return {
        "metadata": {"name": uid, "uid": uid, "namespace": "team", **more},
        "spec": {"nodeName": "n0"},
        "status": status,
    }


def test_a_pod_counts_once_when_it_has_ended() -> None:
    """However often it is seen; one that runs does not count."""
    pods = Pods()

    seen = [
        [(s.success, s.node) for s in pods.samples(item, 5.0)]
        for item in (pod(phase="Running"), pod(), pod(), pod("b", "Succeeded"))
    ]

    assert seen == [[], [(False, "n0")], [], [(True, "n0")]]


@pytest.mark.parametrize(
    "status",
    [
        {"reason": "Evicted"},
        {"conditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ],
)
def test_a_pod_that_was_ended_from_outside_is_nobodys_failure(
    status: dict[str, Any],
) -> None:
    """Evicted, preempted, its node lost."""
    assert Pods().samples(pod(status=status), 5.0) == []


def test_each_restart_of_a_container_is_a_failure() -> None:
    """Two more since it was last seen are two."""
    pods = Pods()
    statuses = [{"restartCount": count} for count in (1, 3)]

    counts = [
        len(pods.samples(pod(phase="Running", status={"containerStatuses": [s]}), 5.0))
        for s in statuses
    ]

    assert counts == [1, 2]


def test_whose_a_pod_is() -> None:
    """Its queue, else the series of what has made it, else itself; by namespace."""
    pods = Pods()
    queued = pod(labels={"kueue.x-k8s.io/queue-name": "big"})
    owned = pod(ownerReferences=[{"name": "job-1"}])

    assert [pods.queue_of(p) for p in (queued, owned, pod("x"))] == [
        "team/big",
        "team/job-#",
        "team/x",
    ]


def test_when_a_pod_ended_is_taken_from_its_containers() -> None:
    """The last of them."""
    ended = [
        {"state": {"terminated": {"finishedAt": f"1970-01-01T00:00:{second}Z"}}}
        for second in ("20", "30")
    ]

    (sample,) = Pods().samples(pod(status={"containerStatuses": ended}), 99.0)

    assert sample.at_s == 30.0


NODE: dict[str, Any] = {
    "metadata": {"name": "n0", "uid": "u", "resourceVersion": "7", "annotations": {}},
    "spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]},
    "status": {"nodeInfo": {"bootID": "b"}},
}


def test_a_node_remembers_what_was_decided() -> None:
    """Taint and annotation in one patch that needs the node unchanged; others stay."""
    state = NodeState(machine="u/b", excluded_s=12.0, relapses=2)
    written = node_state.Written(
        state=state, evidence={"q": [1, 2, 3]}, estimator="bayes", until_s=11.0
    )

    patch = node_state.patch(NODE, written, excluded=True)

    annotated = {**NODE, "metadata": {**NODE["metadata"], **patch["metadata"]}}
    assert node_state.read(annotated) == written
    assert patch["metadata"]["resourceVersion"] == "7"
    assert [t["key"] for t in patch["spec"]["taints"]] == [
        "other",
        "pytest-knav/excluded",
    ]
    assert node_state.is_tainted({**NODE, "spec": patch["spec"]})


def test_taking_back_leaves_nothing_of_ours() -> None:
    """Neither taint nor annotation; what others have put there stays."""
    patch = node_state.patch(NODE, None, excluded=False)

    assert patch["metadata"]["annotations"] == {node_state.ANNOTATION: None}
    assert [t["key"] for t in patch["spec"]["taints"]] == ["other"]


@pytest.mark.parametrize("text", ["", "no json", "{}", '{"v": 99}'])
def test_what_cannot_be_read_is_not_there(text: str) -> None:
    """An annotation that somebody else wrote, or another version."""
    node = {"metadata": {"annotations": {node_state.ANNOTATION: text}}}

    assert node_state.read(node) is None


def test_a_decision_says_why() -> None:
    """With the probability, its bounds and what it rests on."""
    (found,) = policy().decide({"n0": lambda: view(0.95)}, 0.0)

    assert found == Decision(
        node="n0",
        verb="exclude",
        why="failure probability 0.95 (0.00 to 1.00) after 5 failures of 5",
    )
