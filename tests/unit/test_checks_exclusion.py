"""Was a node excluded in time, and nobody else: on histories made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.checks.exclusion import (
    Course,
    check_way,
    follow,
    is_excluded,
    judge_excluded,
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
