"""Was a node excluded in time, and nobody else: on histories made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.checks.exclusion import (
    Course,
    check_way,
    follow,
    is_excluded,
)
from pytest_knav.checks.exclusion_verdicts import (
    goodput_of,
    judge_capacity,
    judge_excluded,
    judge_goodput,
    judge_others,
    judge_readmitted,
)
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from conftest import HistoryBuilder

KEY = "pytest-knav/excluded"
BY = f"taint:{KEY}"


def course(seen: HistoryBuilder) -> Course:
    """Return what happened, from the beginning on."""
    return follow(seen.history, BY, 5, 0.0)


@pytest.fixture
def lemon(seen: HistoryBuilder) -> HistoryBuilder:
    """Return a history in which n1 fails three pods and is excluded after 4 s."""
    seen.node(0.0, "n1")
    seen.node(0.0, "n2")
    for number in range(3):
        seen.pod(1.0 + number, f"w-{number}-a", node="n1")
        seen.pod(1.5 + number, f"w-{number}-a", node="n1", phase="Failed")
    seen.node(4.0, "n1", "True", KEY)
    return seen


def test_excluded_after_few_failures_is_good(lemon: HistoryBuilder) -> None:
    """Within as many as allowed, and as soon."""
    verdict = judge_excluded(course(lemon), "n1", within_s=5.0, within_failures=3)

    assert verdict.status == "pass"
    assert verdict.reasons == ("after 4.0s and 3 failures",)


@pytest.mark.parametrize("limits", [{"within_s": 3.0}, {"within_failures": 2}])
def test_excluded_too_late_is_not(
    lemon: HistoryBuilder, limits: dict[str, Any]
) -> None:
    """By time or by failures."""
    verdict = judge_excluded(course(lemon), "n1", **limits)

    assert verdict.status == "fail"
    assert verdict.reasons == ("only after 4.0s and 3 failures",)


def test_never_excluded_is_a_failure_where_pods_failed(seen: HistoryBuilder) -> None:
    """With how many."""
    seen.node(0.0, "n1")
    seen.pod(1.0, "w-0-a", node="n1")
    seen.pod(2.0, "w-0-a", node="n1", phase="Failed")

    verdict = judge_excluded(course(seen), "n1")

    assert (verdict.status, verdict.reasons) == (
        "fail",
        ("it never was, after 1 failures",),
    )


def test_without_a_failed_pod_nothing_can_be_told(seen: HistoryBuilder) -> None:
    """There was no reason to exclude it."""
    seen.node(0.0, "n1")
    seen.pod(1.0, "w-0-a", node="n1")

    assert judge_excluded(course(seen), "n1").status == "inconclusive"


def test_a_pod_that_is_placed_there_after_is_a_failure(lemon: HistoryBuilder) -> None:
    """A binding that was under way is not."""
    lemon.pod(4.5, "w-7-a", node="n1")
    under_way = judge_excluded(course(lemon), "n1")
    lemon.pod(6.0, "w-8-a", phase="Pending")
    lemon.pod(7.0, "w-8-a", node="n1")

    verdict = judge_excluded(course(lemon), "n1")

    assert under_way.status == "pass"
    assert verdict.status == "fail"
    assert verdict.evidence == ("w-8-a at 7.0s",)


def test_good_nodes_that_were_excluded_are_counted(lemon: HistoryBuilder) -> None:
    """Also those that were taken back since."""
    lemon.node(5.0, "n2", "True", KEY)
    lemon.node(6.0, "n2")
    nodes = ["n1", "n2", "n3", "n4"]

    none = judge_others(course(lemon), ["n1"], nodes, 0.0)
    some = judge_others(course(lemon), ["n1"], nodes, 0.34)
    nobody = judge_others(course(lemon), nodes, nodes, 0.0)

    assert (none.status, some.status) == ("fail", "pass")
    assert none.evidence == ("n2 after 5.0s and 0 failures",)
    assert nobody.status == "inconclusive"


def test_readmitted_in_time_or_late_or_not_at_all(lemon: HistoryBuilder) -> None:
    """And one that was never out cannot be."""
    still = judge_readmitted(course(lemon), "n1", after_s=5.0, within_s=10.0)
    lemon.node(9.0, "n1")

    in_time = judge_readmitted(course(lemon), "n1", after_s=5.0, within_s=10.0)
    late = judge_readmitted(course(lemon), "n1", after_s=5.0, within_s=3.0)
    never = judge_readmitted(course(lemon), "n2", after_s=5.0, within_s=3.0)

    assert [v.status for v in (still, in_time, late, never)] == [
        "fail",
        "pass",
        "fail",
        "inconclusive",
    ]


def test_capacity_is_what_was_in_at_the_worst_moment(lemon: HistoryBuilder) -> None:
    """Two of four were out at once, three in all."""
    lemon.node(5.0, "n2", "True", KEY)
    lemon.node(6.0, "n1")
    lemon.node(7.0, "n3", "True", KEY)
    nodes = ["n1", "n2", "n3", "n4"]

    half, more = (judge_capacity(course(lemon), nodes, share) for share in (0.5, 0.6))

    assert (half.status, more.status) == ("pass", "fail")
    assert more.reasons == ("2 were out at once, 50% in",)
    assert more.moments == (5.0,)


def test_goodput_counts_each_pod_by_its_first_end(lemon: HistoryBuilder) -> None:
    """One of four came to a good end; what says something else afterwards is late."""
    lemon.pod(5.0, "w-9-a", node="n2", phase="Succeeded")
    lemon.pod(6.0, "w-0-a", node="n1", phase="Succeeded")

    found = goodput_of(lemon.history, 5)

    assert found == (1, 3)
    assert judge_goodput(*found, 0.25).status == "pass"
    assert judge_goodput(*found, 0.3).reasons == ("25.0%: 3 of 4 pods failed",)
    assert judge_goodput(0, 0, 0.3).status == "inconclusive"


def test_restarts_are_failures_too(seen: HistoryBuilder) -> None:
    """Each of them once, also where no pod ever ends."""
    last = {"terminated": {"exitCode": 1}}
    seen.node(0.0, "n1")
    for count in (0, 1, 1, 3):
        status = {"containerStatuses": [{"restartCount": count, "lastState": last}]}
        pod = {"name": "s-0", "uid": "s-0", "namespace": "default"}
        spec = {"nodeName": "n1"}
        found = {
            "metadata": pod,
            "spec": spec,
            "status": {"phase": "Running", **status},
        }
        seen._put(1.0 + count, "Pod", found)

    assert course(seen).failures == {"n1": 3}


def place(seen: HistoryBuilder, at_s: float, number: int, node: str) -> None:
    """Let a pod be bound, and fail on n1."""
    seen.pod(at_s, f"p-{number}-a", node=node)
    if node == "n1":
        seen.pod(at_s + 0.1, f"p-{number}-a", node=node, phase="Failed")


@pytest.mark.parametrize(("others", "out"), [(13, False), (14, True)])
def test_a_node_that_is_passed_over_is_excluded(
    seen: HistoryBuilder, others: int, *, out: bool
) -> None:
    """Once the two other nodes got seven pods each; since its last one was placed."""
    for name in ("n1", "n2", "n3"):
        seen.node(0.0, name)
    place(seen, 1.0, 0, "n1")
    place(seen, 2.0, 1, "n1")
    for number in range(2, 2 + others):
        place(seen, 1.0 + number, number, f"n{2 + number % 2}")

    found = follow(seen.history, "unused", 5, 0.0)

    verdict = judge_excluded(found, "n1", within_failures=2, within_s=2.0)
    assert verdict.status == ("pass" if out else "fail")
    assert {one.node for one in found.exclusions} == ({"n1"} if out else set())


def test_a_node_that_is_used_again_is_back(seen: HistoryBuilder) -> None:
    """And one that never had a pod was never excluded."""
    for name in ("n1", "n2", "n3"):
        seen.node(0.0, name)
    place(seen, 1.0, 0, "n1")
    for number in range(1, 20):
        place(seen, 1.0 + number, number, "n2")
    place(seen, 30.0, 20, "n1")

    (one,) = follow(seen.history, "unused", 5, 0.0).exclusions

    assert (one.node, one.at_s, one.until_s) == ("n1", 1.0, 30.0)


#: For each way that shows on a node, what it has while it is out.
MARKS: dict[str, dict[str, Any]] = {
    "taint:other/key": {
        "spec": {"taints": [{"key": "other/key", "effect": "NoSchedule"}]}
    },
    "cordon": {"spec": {"unschedulable": True}},
    "label:lemon": {"metadata": {"labels": {"lemon": "very"}}},
    "label:lemon=yes": {"metadata": {"labels": {"lemon": "yes"}}},
    "condition:Lemon": {
        "status": {"conditions": [{"type": "Lemon", "status": "True"}]}
    },
}


@pytest.mark.parametrize("by", sorted(MARKS))
def test_each_way_of_exclusion_is_followed(seen: HistoryBuilder, by: str) -> None:
    """After two failures, with a pod that was placed there all the same, and back."""
    marks = MARKS[by]
    metadata = {"name": "n1", "uid": "node-n1", **marks.get("metadata", {})}
    seen.node(0.0, "n1")
    place(seen, 1.0, 0, "n1")
    place(seen, 2.0, 1, "n1")
    seen._put(3.0, "Node", {**marks, "metadata": metadata})
    place(seen, 5.0, 2, "n1")
    seen.node(6.0, "n1")

    found = follow(seen.history, by, 5, 0.0)

    (one,) = found.exclusions
    assert (one.at_s, one.failures, one.until_s) == (3.0, 2, 6.0)
    assert judge_excluded(found, "n1").reasons == (
        "1 pods were placed there all the same",
    )


NODE: dict[str, Any] = {
    "metadata": {"name": "n", "labels": {"bad": "yes"}},
    "spec": {
        "unschedulable": True,
        "taints": [
            {"key": "hard", "effect": "NoSchedule"},
            {"key": "soft", "effect": "PreferNoSchedule"},
        ],
    },
    "status": {"conditions": [{"type": "Lemon", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("by", "out"),
    [
        ("taint:hard", True),
        ("taint:soft", False),
        ("taint:other", False),
        ("cordon", True),
        ("label:bad", True),
        ("label:bad=yes", True),
        ("label:bad=no", False),
        ("condition:Lemon", True),
        ("condition:Ready", False),
    ],
)
def test_what_excluded_means_is_a_parameter(by: str, *, out: bool) -> None:
    """Whatever mechanism a site has."""
    check_way(by)

    assert is_excluded(NODE, by) == out


@pytest.mark.parametrize("by", ["", "taint", "taint:", "magic:x"])
def test_an_unknown_way_is_refused(by: str) -> None:
    """With those that there are."""
    with pytest.raises(BadInput, match="use one of taint:KEY"):
        check_way(by)
