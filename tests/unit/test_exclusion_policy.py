"""Who is excluded, within limits; what pods tell; what nodes remember."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_knav.errors import BadInput
from pytest_knav.exclusion import node_state
from pytest_knav.exclusion.estimators import (
    ESTIMATORS,
    Sample,
    View,
    make_estimator,
)
from pytest_knav.exclusion.policy import Decision, Limits, NodeState, Policy
from pytest_knav.exclusion.samples import Pods


def view(sure: float, failures: float = 5.0, good: float = 0.0) -> View:
    """Return what is known of a node."""
    return View(
        failure=sure,
        low=0.0,
        high=1.0,
        sure=sure,
        samples=failures + good,
        failures=failures,
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
    """After enough good pods the next exclusion is no relapse, as long as the first."""
    made = policy(probation_s=10.0)
    verbs(made, 0.0, n0=1.0)
    verbs(made, 10.0)
    verbs(made, 11.0, n0=1.0)
    verbs(made, 31.0)

    (trusted,) = made.decide({"n0": lambda: view(0.1, failures=1, good=10)}, 32.0)
    excluded = verbs(made, 40.0, n0=1.0)

    assert (trusted.verb, excluded) == ("trust", [("exclude", "n0")])
    assert made.nodes["n0"].relapses == 0
    assert verbs(made, 50.0) == [("readmit", "n0")]


def test_who_is_taken_back_is_not_judged_by_what_was_before() -> None:
    """Though a pod that ran there all the while ends at the same moment."""
    made = policy(probation_s=10.0)
    verbs(made, 0.0, n0=1.0)

    assert verbs(made, 10.0, n0=1.0) == [("readmit", "n0")]


@pytest.mark.parametrize(("sure", "good"), [(0.1, 9.0), (0.6, 50.0)])
def test_a_probation_goes_on_until_there_is_proof(sure: float, good: float) -> None:
    """Too few good pods are none, and neither are many of a node that may be bad."""
    made = policy(probation_s=10.0)
    verbs(made, 0.0, n0=1.0)
    verbs(made, 10.0)

    found = made.decide({"n0": lambda: view(sure, good=good)}, 11.0)

    assert found == []
    assert made.nodes["n0"].probation


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_the_first_pods_of_a_lemon_on_probation_do_not_end_it(name: str) -> None:
    """With a real estimator that knows nothing yet, whatever the first pod did."""
    for success in (True, False):
        estimator = make_estimator(name)
        made = Policy(Limits(probation_s=10.0), estimator.threshold)
        made.nodes["n0"] = NodeState(probation=True)
        estimator.add(Sample(node="n0", queue="q", success=success, at_s=1.0))
        estimator.update(1.0)

        found = made.decide({"n0": lambda e=estimator: e.view("n0", 1.0)}, 1.0)

        assert found == []
        assert made.nodes["n0"].probation


def test_a_whole_life_of_a_lemon() -> None:
    """Out for 10, 20, 40 s with the real estimator, repaired, trusted, forgotten."""
    life = Life(probation_s=10.0)

    spans = [life.until_readmitted() for _ in range(3)]
    life.bad = False
    verb = life.until("trust")

    assert spans == pytest.approx([10.0, 20.0, 40.0], abs=0.3)
    assert verb == "trust"
    assert life.policy.nodes["n0"].as_data() == NodeState(machine="m").as_data()
    life.bad = True
    assert life.until_readmitted() == pytest.approx(10.0, abs=0.3)


class Life:
    """One node that fails all of its pods while it is bad, beside twenty good ones."""

    def __init__(self, probation_s: float) -> None:
        self.estimator = make_estimator("bayes")
        self.policy = Policy(
            Limits(probation_s=probation_s, share=1.0), self.estimator.threshold
        )
        for name in ("n0", *(f"good-{number}" for number in range(20))):
            self.policy.seen(name, "m", "")
        self.bad = True
        self.now_s = 0.0

    def step(self) -> list[str]:
        """Let a pod finish wherever one can, and return what is decided of n0."""
        self.now_s += 0.2
        found = []
        for name in set(self.policy.nodes) - set(self.policy.excluded):
            good = not (self.bad and name == "n0")
            self.estimator.add(
                Sample(node=name, queue="q", success=good, at_s=self.now_s)
            )
        self.estimator.update(self.now_s)
        views = {n: (lambda n=n: self.estimator.view(n, self.now_s)) for n in ("n0",)}
        for decision in self.policy.decide(views, self.now_s):
            found.append(decision.verb)
            if decision.verb == "readmit":
                self.estimator.forget("n0")
        return found

    def until(self, verb: str) -> str:
        """Go on until something is decided, and return the last decision."""
        for _ in range(1_000):
            if verb in self.step():
                return verb
        return "never"

    def until_readmitted(self) -> float:
        """Return how long the next exclusion lasts."""
        self.until("exclude")
        begun_s = self.now_s
        self.until("readmit")
        return self.now_s - begun_s


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


def restarted(count: int, code: int = 1, **ended: Any) -> dict[str, Any]:
    """Return a pod whose container was restarted so often; how it last ended."""
    at = f"1970-01-01T00:00:{count:02d}Z"
    last = {"terminated": {"exitCode": code, "finishedAt": at, **ended}}
    status = {"containerStatuses": [{"restartCount": count, "lastState": last}]}
    return pod(phase="Running", status=status)


def test_each_restart_of_a_container_that_failed_is_a_failure() -> None:
    """Once each, when it ended; two more since it was last seen are two."""
    pods = Pods()
    seen = [restarted(0), restarted(1), restarted(1), restarted(3)]

    found = [[(s.success, s.at_s) for s in pods.samples(p, 5.0)] for p in seen]

    assert found == [[], [(False, 1.0)], [], [(False, 3.0), (False, 3.0)]]


@pytest.mark.parametrize(
    "item",
    [restarted(1, code=0), restarted(1, code=137, reason="ContainerStatusUnknown")],
)
def test_a_restart_without_a_failure_is_none(item: dict[str, Any]) -> None:
    """It ended well, or nobody knows how it ended."""
    pods = Pods()
    pods.samples(restarted(0), 5.0)

    assert pods.samples(item, 5.0) == []


def test_restarts_of_long_ago_count_once_at_first_sight() -> None:
    """Only the last of them has a time."""
    assert len(Pods().samples(restarted(50), 90.0)) == 1


def test_restarts_are_counted_by_container_and_never_back() -> None:
    """Those that prepare a pod count as well; an older sight of a pod adds none."""
    pods = Pods()
    last = {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:00:09Z"}}
    first = {"restartCount": 2, "lastState": last}
    both = {
        "initContainerStatuses": [first],
        "containerStatuses": [{"restartCount": 7}],
    }
    before = {"initContainerStatuses": [{}], "containerStatuses": [{"restartCount": 7}]}

    counts = [
        len(pods.samples(pod(phase="Pending", status=status), 5.0))
        for status in (before, both, before, both)
    ]

    assert counts == [0, 2, 0, 0]


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
