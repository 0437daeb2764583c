"""Fault plans: what breaks when, as data that prints, saves and runs the same again."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_knav import (
    after,
    every,
    for_,
    load_plan,
    node_of,
    save_plan,
    sequence,
    together,
)
from pytest_knav.errors import BadInput
from pytest_knav.faults import (
    ComponentKill,
    NodeCordon,
    NodeCrash,
    NodePressure,
    catalogue,
)
from pytest_knav.faults.expressions import parse_target
from pytest_knav.plans.plan import as_data, from_data, length_s, schedule
from pytest_knav.topology import Topology, make_topology


if TYPE_CHECKING:
    from pathlib import Path

CRASH, CORDON = NodeCrash("a"), NodeCordon("b")
faults_ = st.sampled_from(
    [CRASH, CORDON, ComponentKill("scheduler"), NodePressure("a", "DiskPressure")]
)


def longer(part: Any) -> Any:
    """Return plans around a part."""
    return (
        st.builds(after, st.integers(0, 9), part)
        | st.builds(lambda s, p: for_(length_s(p) + s, p), st.integers(1, 9), part)
        | st.builds(together, part, part)
        | st.builds(sequence, part, part)
        | st.builds(
            lambda p, n: every(length_s(p) + 2, for_(length_s(p) + 1, p), times=n),
            part,
            st.integers(1, 3),
        )
    )


plans = st.recursive(faults_, longer, max_leaves=4)


def told(plan: Any) -> list[tuple[float, str, str]]:
    """Return a schedule in short."""
    return [(s.at_s, s.verb, type(s.fault).__name__) for s in schedule(plan)]


class TestSchedule:
    """What comes when."""

    def test_parts_follow_each_other(self) -> None:
        """What has no end of its own stays, and the next begins at once."""
        plan = sequence(for_("30s", CRASH), CORDON, after("5s", for_("1s", CRASH)))

        assert told(plan) == [
            (0.0, "inject", "NodeCrash"),
            (30.0, "clear", "NodeCrash"),
            (30.0, "inject", "NodeCordon"),
            (35.0, "inject", "NodeCrash"),
            (36.0, "clear", "NodeCrash"),
        ]

    def test_parts_begin_together(self) -> None:
        """And it takes as long as the longest."""
        plan = together(for_("3s", CRASH), after("1s", for_("5s", CORDON)))

        assert [at for at, *_ in told(plan)] == [0.0, 1.0, 3.0, 6.0]
        assert length_s(plan) == 6.0

    def test_a_flapping_node(self) -> None:
        """Three times down for four of ten seconds."""
        plan = every("10s", for_("4s", CRASH), times=3)

        assert [at for at, *_ in told(plan)] == [0.0, 4.0, 10.0, 14.0, 20.0, 24.0]
        assert [s.number for s in schedule(plan)] == [0, 0, 1, 1, 2, 2]

    @given(plans)
    def test_nothing_is_cleared_that_was_not_injected(self, plan: Any) -> None:
        """Each injection is cleared once at most, and afterwards."""
        open_, seen, last = set(), set(), 0.0
        for step in schedule(plan):
            assert step.at_s >= last
            last = step.at_s
            if step.verb == "inject":
                assert step.number not in seen
                seen.add(step.number)
                open_.add(step.number)
            else:
                open_.remove(step.number)

        assert seen == set(range(len(seen)))

    @given(plans)
    def test_for_leaves_nothing_broken(self, plan: Any) -> None:
        """Whatever is inside."""
        steps = schedule(for_(length_s(plan) + 1, plan))

        assert len(steps) == 2 * len({step.number for step in steps})


class TestData:
    """Plans outlive their process."""

    @given(plans)
    def test_a_plan_is_the_same_from_its_data(self, plan: Any) -> None:
        """Through JSON; it prints the same and does the same."""
        again = from_data(json.loads(json.dumps(as_data(plan))))

        assert str(again) == str(plan)
        assert as_data(again) == as_data(plan)
        assert told(again) == told(plan)

    def test_a_file_holds_it(self, tmp_path: Path) -> None:
        """With its format version."""
        plan = sequence(for_("30s", NodeCrash("[a, percent(10)]")), CORDON)
        path = tmp_path / "plan.json"

        save_plan(plan, path)

        assert str(load_plan(path)) == str(plan)
        assert json.loads(path.read_text())["version"] == 1

    def test_a_workload_is_found_by_its_name(self) -> None:
        """A saved plan knows no handle, only what it was called."""
        world: Any = Here(handles={"llama": Placed(["dgx-h100-0002"])})
        written = str(node_of(world.handles["llama"], index=0))

        target = parse_target(written)

        assert str(target) == written == "node_of(llama, index=0)"
        assert target.resolve(world, random.Random(0)) == ("dgx-h100-0002",)  # noqa: S311


@dataclass
class Placed:
    """Just enough of a handle."""

    nodes: list[str]
    name: str = "llama"


@dataclass
class Here:
    """Just enough of a cluster."""

    handles: dict[str, Any] = field(default_factory=dict)
    topology: Topology = field(default_factory=lambda: make_topology("dgx-h100", 12))


@pytest.mark.parametrize(
    "text",
    [
        "dgx-h100-0003",
        "dgx-h100-0003/gpu-5",
        "*-000?",
        "[dgx-h100-0001, rack_of(llama)]",
        "rack_of(dgx-h100-0003)",
        "rail(3, of=llama)",
        "percent(12.5)",
        "minority()",
        "busiest(3)",
    ],
)
def test_an_expression_prints_as_it_is_read(text: str) -> None:
    """Every form that a target has."""
    assert str(parse_target(text)) == text


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: parse_target("nodes_of(x)"), "nodes_of is unknown: use one of"),
        (lambda: parse_target("rail(3"), "no name and no expression"),
        (lambda: parse_target("rail(3))"), "brackets do not match"),
        (lambda: parse_target("rail()"), "missing a required argument: 'number'"),
        (lambda: parse_target(""), "target ''"),
        (together, "together() has no parts"),
        (lambda: sequence(CRASH, "x"), "'x'"),  # type: ignore[arg-type]
        (lambda: for_("1s", after("2s", CRASH)), "the part takes 2s"),
        (lambda: every("1s", CRASH, times=2), "not over when it comes again"),
        (lambda: every("1s", for_("2s", CRASH), times=2), "not over"),
        (lambda: every("3s", for_("2s", CRASH), times=0), "times=0"),
        (lambda: after("soon", CRASH), "after='soon'"),
        (lambda: from_data({"what": 1}), "no part of a plan"),
        (lambda: from_data({"fault": "Meltdown"}), "'Meltdown' is unknown: use one"),
        (
            lambda: from_data({"fault": "NodeCrash", "target": "a", "hard": True}),
            "NodeCrash(hard=True)",
        ),
        (
            lambda: schedule(every("3s", for_("2s", CRASH), times=9_999)),
            "more than 10000 steps",
        ),
    ],
)
def test_what_is_no_plan_is_refused(make: Any, shown: str) -> None:
    """The message shows the value."""
    with pytest.raises(BadInput) as error:
        make()

    assert shown in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "format version None"),
        ('{"version": 9}', "format version 9"),
    ],
)
def test_a_file_that_holds_no_plan_is_refused(
    tmp_path: Path, text: str | None, shown: str
) -> None:
    """With its path."""
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(BadInput, match=shown) as error:
        load_plan(path)

    assert str(path) in str(error.value)


class FanFailure(NodeCordon):
    """A fault of somebody else's."""


class Point:
    """An entry point."""

    def __init__(self, thing: Any) -> None:
        self.name, self.value, self._thing = "theirs", "their.module:Thing", thing

    def load(self) -> Any:
        """Return what it leads to."""
        return self._thing


class TestCatalogue:
    """Ours and theirs."""

    def test_faults_of_other_packages_are_found(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They can be planned, saved and read like ours."""
        monkeypatch.setattr(catalogue, "entry_points", lambda **_: [Point(FanFailure)])

        again = from_data(FanFailure("a").describe())

        assert isinstance(again, FanFailure)

    @pytest.mark.parametrize("thing", [3, dict, type("NodeCrash", (NodeCordon,), {})])
    def test_what_is_no_fault_or_takes_a_name_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, thing: Any
    ) -> None:
        """With the entry point, so that one knows whom to ask."""
        monkeypatch.setattr(catalogue, "entry_points", lambda **_: [Point(thing)])

        with pytest.raises(BadInput, match=r"theirs = their\.module:Thing"):
            catalogue.catalogue()
