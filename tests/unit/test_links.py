"""Links that fail: what the topology says is lost, and what agents write of it."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_knav import Gang, leaf_of, nic_of, nvlink_of, rail, spine_of
from pytest_knav.control_plane.changes import ContainersEnd
from pytest_knav.control_plane.collectives import Collectives
from pytest_knav.control_plane.profiles import fast_profile
from pytest_knav.errors import BadInput, ClusterError, HarnessError
from pytest_knav.faults import (
    DegradedBandwidth,
    LinkFlapping,
    NicDown,
    NvlinkDown,
    SwitchDown,
)
from pytest_knav.faults.expressions import parse_target
from pytest_knav.history import History
from pytest_knav.history.record import FAULT
from pytest_knav.metrics import GpuSignals
from pytest_knav.metrics.nic_series import NicSeries
from pytest_knav.metrics.signals import NicTrouble
from pytest_knav.topology import Topology, make_topology
from pytest_knav.workloads.handle import Handle


NODE = "dgx-h100-0001"
NIC = f"{NODE}/nic-3"
WAIT_S = 20.0


@dataclass
class Here:
    """Just enough of a cluster: its topology, a history, handles."""

    topology: Topology = field(default_factory=lambda: make_topology("dgx-h100", 8))
    history: Any = field(default_factory=History)
    handles: dict[str, Any] = field(default_factory=dict)
    profile: Any = field(default_factory=lambda: fast_profile(8))


def resolved(fault: Any, world: Any) -> tuple[str, ...]:
    """Return what a fault hits."""
    names: tuple[str, ...] = fault.resolve(world, random.Random(0))  # noqa: S311
    return names


def written(fault: Any, world: Any, signal: str) -> list[Any]:
    """Return the changes of one signal."""
    targets = resolved(fault, world)
    return [c for c in fault.changes(world, targets) if c.signal == signal]


class TestTargets:
    """Links by the nodes that they are part of."""

    def test_a_nic_is_one_of_a_node(self) -> None:
        """By its number, or by the seed."""
        world = Here()

        assert resolved(NicDown(nic_of(NODE, 3)), world) == (f"{NODE}/nic-3",)
        assert resolved(NicDown(nic_of(NODE)), world)[0].startswith(f"{NODE}/nic-")
        assert len(resolved(NicDown(f"{NODE}/nic-*"), world)) == 8

    @pytest.mark.parametrize("text", ["nic_of(llama, 3)", "nvlink_of(dgx-h100-0001)"])
    def test_they_print_as_they_are_read(self, text: str) -> None:
        """A saved plan holds them."""
        assert str(parse_target(text)) == text

    @pytest.mark.parametrize(
        ("target", "gpus"),
        [
            (nvlink_of(NODE), 8),
            (f"{NODE}/nvswitch-1", 8),
            (f"{NODE}/gpu-2", 1),
            ([f"{NODE}/gpu-2", f"{NODE}/nvlink"], 8),
        ],
        ids=["domain", "nvswitch", "gpu", "both"],
    )
    def test_nvlink_is_lost_by_gpus(self, target: Any, gpus: int) -> None:
        """Of a GPU its own; of a domain or an NVSwitch, that of all GPUs there."""
        world = Here()
        fault = NvlinkDown(target)

        found = fault._gpus(world, resolved(fault, world))  # type: ignore[arg-type]

        assert len(found) == gpus

    def test_an_nvlink_domain_spans_nodes(self) -> None:
        """A rack of GB200 has one."""
        world = Here(make_topology("gb200-nvl72", 18))
        fault = NvlinkDown("nvl-000")

        found = fault._gpus(world, resolved(fault, world))  # type: ignore[arg-type]

        assert len(found) == 72

    @pytest.mark.parametrize(
        ("make", "shown"),
        [
            (lambda: NicDown(NODE), "no nic 'dgx-h100-0001'"),
            (lambda: NicDown(nic_of(NODE, 8)), "has 8 NICs"),
            (
                lambda: NicDown(leaf_of(NODE)),
                "is a switch, and this fault is for a nic",
            ),
            (lambda: NvlinkDown(f"{NODE}/nic-1"), "no nvlink"),
            (lambda: SwitchDown("leaf-9"), "no switch 'leaf-9'"),
            (lambda: nic_of(NODE, -1), "nic_of(index=-1)"),
            (lambda: NicDown(NODE, fabric="wifi"), "use one of infiniband, ethernet"),
            (lambda: NicDown(NODE, taint="bad"), "taint='bad'): give key=value:EFF"),
            (lambda: NicDown(NODE, label="bad"), "label='bad'): give key=value"),
            (lambda: LinkFlapping(NODE, duty=1), "duty=1): give more than 0, less"),
            (lambda: LinkFlapping(NODE, period="0s"), "period='0s'): more than 0"),
            (lambda: NicDown(NODE, detect_after="x"), "NicDown(detect_after)='x'"),
            (lambda: DegradedBandwidth(NODE, share=1), "share=1): give more than 0"),
        ],
    )
    def test_what_cannot_be_hit_is_refused(self, make: Any, shown: str) -> None:
        """With the value and what is allowed."""
        with pytest.raises(BadInput, match=re.escape(shown)):
            resolved(make(), Here())


class TestConsequences:
    """What is lost follows from the topology."""

    def test_a_leaf_switch_takes_the_links_of_its_nodes(self) -> None:
        """Each has one NIC on it, and one condition."""
        world = Here()
        fault: Any = SwitchDown(rail(3))

        assert fault.blast_radius(world, resolved(fault, world)) == frozenset()
        assert len(written(fault, world, "metric")) == 8
        assert len(written(fault, world, "condition")) == 8
        assert set(fault.fabric_loss(world, resolved(fault, world)).values()) == {None}

    def test_a_spine_switch_alone_cuts_nobody_off(self) -> None:
        """The others carry what it did."""
        world: Any = Here(make_topology("hgx-h100", 8))
        spines = spine_of("hgx-h100-0000").resolve(world, random.Random(0), "switch")  # noqa: S311
        fault: Any = SwitchDown(spines[0])

        assert len(spines) > 1
        assert fault.fabric_loss(world, spines[:1]) == {}
        assert "bandwidth" in fault.signal(world, spines[:1], 0.0, 0.0).evidence

    def test_without_spine_switches_leaves_are_islands(self) -> None:
        """NICs have links, and reach those behind the same leaf switch alone."""
        world: Any = Here(make_topology("hgx-h100", 8))
        fault: Any = SwitchDown(spine_of("hgx-h100-0000"))

        found = fault.fabric_loss(world, resolved(fault, world))

        assert written(fault, world, "condition") == []
        assert found["hgx-h100-0000"] == found["hgx-h100-0003"] == "leaf-000"
        assert found["hgx-h100-0004"] == "leaf-001"

    def test_degraded_links_break_nothing(self) -> None:
        """They are an event, and no condition of the node."""
        world = Here()
        fault: Any = DegradedBandwidth(nic_of(NODE, 3), share=0.25)
        (event,) = written(fault, world, "event")

        assert fault.fabric_loss(world, resolved(fault, world)) == {}
        assert "rate 100 of 400 Gb/s" in event.message
        assert written(fault, world, "condition") == []

    def test_an_agent_marks_nodes_as_it_was_told(self) -> None:
        """A taint with its value, a label; none by default."""
        world = Here()
        marked = NicDown(nic_of(NODE), taint="a.com/b=c:NoSchedule", label="d=e")
        (taint,) = written(marked, world, "taint")
        (label,) = written(marked, world, "label")

        assert taint.value == {"key": "a.com/b", "value": "c", "effect": "NoSchedule"}
        assert label.value == "e"
        assert written(NicDown(nic_of(NODE)), world, "taint") == []

    def test_the_agent_speaks_after_its_time(self) -> None:
        """The link is gone at once; what is written of it comes later."""
        world: Any = Here()
        fault: Any = NicDown(nic_of(NODE), taint="a.com/b:NoSchedule", detect_after=3)

        after_s = {
            change.signal: change.after_s
            for change in fault.changes(world, resolved(fault, world))
        }

        assert after_s == {"metric": 0.0, "condition": 3.0, "taint": 3.0}

    def test_a_limit_counts_the_nodes_behind_a_link(self) -> None:
        """Those of a switch, of an NVLink domain, of a NIC."""
        world: Any = Here()

        reached = [
            len(fault.reach(world, resolved(fault, world)))
            for fault in (
                SwitchDown(rail(3)),
                NvlinkDown(nvlink_of(NODE)),
                NicDown(NIC),
            )
        ]

        assert reached == [8, 1, 1]

    def test_members_of_collectives_are_hit_and_nobody_else(self, seen: Any) -> None:
        """Where a gang runs on several nodes, and says what its members do."""
        nodes = (NODE, "dgx-h100-0002")
        for index, node in enumerate(nodes):
            seen.pod(1.0, f"w-{index}-x", node=node)
        workload = Gang("w", replicas=2, on_member_loss="hang")
        stock = Gang("w", replicas=2)
        world: Any = Here(history=seen.history)
        fault: Any = NicDown(nic_of(NODE, 0))
        targets = resolved(fault, world)

        world.handles = {"w": Handle(workload, seen.history)}
        hit = fault.pods_hit(world, targets)
        world.handles = {"w": Handle(stock, seen.history)}

        assert hit == {"w-0-x"}
        assert fault.pods_hit(world, targets) == frozenset()


class Plane:
    """A control plane that takes changes and tells what it was asked."""

    def __init__(self) -> None:
        self.api = self
        self.signals = GpuSignals()
        self.states: list[Any] = []
        self.node: dict[str, Any] = {
            "metadata": {"name": NODE, "resourceVersion": "1"},
            "status": {"conditions": []},
        }

    def get_or_none(self, path: str) -> Any:
        """Return the node."""
        assert path.endswith(NODE)
        return self.node

    def patch(self, _path: str, body: Any) -> Any:
        """Change the node's conditions."""
        self.node["status"] = body["status"]
        self.states.append([c["status"] for c in body["status"]["conditions"] or ()])
        return self.node


class Stop:
    """An event that is set after some turns."""

    def __init__(self, turns: int) -> None:
        self.left = turns
        self.waited_s: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Return whether it is over."""
        self.waited_s.append(seconds)
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("turns", [1, 2, 3, 4])
def test_a_flapping_link_ends_as_its_undo_expects_it(turns: int) -> None:
    """Down, whatever turn it was; each loss is counted; lengths are about right."""
    world: Any = Here()
    world.plane = plane = Plane()
    fault: Any = LinkFlapping(nic_of(NODE, 3), period="2s", duty=0.25)
    targets = resolved(fault, world)
    for change in fault.changes(world, targets):
        change.apply(plane)
    written = plane.node["status"]["conditions"]
    stop: Any = Stop(turns)

    fault.act(world, targets, random.Random(1), stop)  # noqa: S311

    signal = plane.signals.nics_of(NODE)[3]
    (condition,) = plane.node["status"]["conditions"]
    assert condition["message"] == written[0]["message"]
    assert signal.down
    assert signal.times_down == 1 + (turns + 1) // 2
    assert all(0.375 <= s <= 0.625 for s in stop.waited_s[::2])
    assert all(1.125 <= s <= 1.875 for s in stop.waited_s[1::2])
    assert [] in plane.states


def test_a_nic_shows_what_node_exporter_would_show(seen: Any) -> None:
    """State, physical state, rate and losses, by device and node; dead nodes none."""
    seen.node(0.0, "dgx-h100-0000")
    seen.node(0.0, NODE)
    signals = GpuSignals()
    topology = make_topology("dgx-h100", 2)
    series = NicSeries(topology, signals, lambda node: node["metadata"]["name"] == NODE)
    before = series.text(seen.history)
    signals.trouble_nic(NODE, 3, "cable", NicTrouble(down=True))
    signals.trouble_nic(NODE, 4, "switch", NicTrouble(rate_share=0.5))
    text = series.text(seen.history)

    def value(page: str, name: str, nic: int) -> str:
        own = f'device="mlx5_{nic}",node="{NODE}",port="1"'
        return re.search(rf"{name}\{{{own}\}} (\S+)", page)[1]  # type: ignore[index]

    assert "dgx-h100-0000" not in text
    assert value(before, "node_infiniband_state_id", 3) == "4"
    assert value(text, "node_infiniband_state_id", 3) == "1"
    assert value(text, "node_infiniband_physical_state_id", 3) == "2"
    assert value(text, "node_infiniband_link_downed_total", 3) == "1"
    assert value(text, "node_infiniband_rate_bytes_per_second", 3) == "50000000000"
    assert value(text, "node_infiniband_rate_bytes_per_second", 4) == "25000000000"


class Notes:
    """Just enough of a recorder: it asks predicates, and keeps what is noted."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.noted: list[str] = []
        self.began = threading.Event()
        self.ended = threading.Event()

    def wait(self, predicate: Any, timeout_s: float) -> Any:
        """Ask at once, and again after a while."""
        return predicate(self.history) or threading.Event().wait(timeout_s / 10)

    def note(self, _kind: str, verb: str, _name: str, _data: Any) -> None:
        """Keep it."""
        self.noted.append(verb)
        {"WHOLE": self.began, "ENDED": self.ended}.get(verb, threading.Event()).set()


class TestPlayed:
    """The thread that plays collectives."""

    def test_pods_are_ended_once_the_api_server_answers(
        self, seen: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A kubelet reports an end when it can; each pod ends once."""
        asked: list[str] = []

        def apply(change: ContainersEnd, _plane: Any) -> None:
            asked.append(change.ref.name)
            if len(asked) == 1:
                raise ClusterError("no answer")

        monkeypatch.setattr(ContainersEnd, "apply", apply)
        workload = Gang("w", replicas=2, on_member_loss="fail", collective_timeout=0.01)
        for index, node in enumerate(("a", "b")):
            seen.pod(1.0, f"w-{index}-x", node=node)
        recorder: Any = Notes(seen.history)
        played = Collectives(Plane(), recorder)  # type: ignore[arg-type]
        played.follow(Handle(workload, seen.history).subject)
        began = recorder.began.wait(WAIT_S)
        data = {"nodes": [], "fabric": {"a": None}}
        seen._add(2.0, "INJECTED", FAULT, "f1", "", data=data)
        ended = recorder.ended.wait(WAIT_S)
        played.close()

        assert began
        assert ended
        assert recorder.noted == ["WHOLE", "BROKEN", "ENDED"]
        assert asked == ["w-0-x", "w-0-x", "w-1-x"]

    def test_what_is_no_collective_starts_no_thread(self, seen: Any) -> None:
        """Stock gangs are as they were."""
        before = threading.active_count()
        played = Collectives(Plane(), Notes(seen.history))  # type: ignore[arg-type]

        played.follow(Handle(Gang("w", replicas=2), seen.history).subject)

        assert threading.active_count() == before
        played.close()

    def test_a_thread_that_broke_is_told_of(self, seen: Any) -> None:
        """A verdict must not rest on ranks that nobody plays."""

        class Broken(Notes):
            def wait(self, *_: Any) -> Any:
                raise HarnessError("a watcher has given up")

        workload = Gang("w", replicas=2, on_member_loss="hang", collective_timeout=1)
        played = Collectives(Plane(), Broken(seen.history))  # type: ignore[arg-type]
        played.follow(Handle(workload, seen.history).subject)

        with pytest.raises(HarnessError, match="a watcher has given up"):
            played.close()


class TestReports:
    """Two faults on one node share a condition."""

    @pytest.mark.parametrize("first", [0, 1])
    def test_each_takes_back_its_own_findings(self, first: int) -> None:
        """In any order; with the last, the condition goes."""
        plane: Any = Plane()
        undo = []
        for nic in (3, 4):
            (change,) = written(NicDown(nic_of(NODE, nic)), Here(), "condition")
            undo.append(change.inverse(plane))
            change.apply(plane)
        messages = []

        for back in (undo[first], undo[1 - first]):
            for change in back:
                change.apply(plane)
            found = plane.node["status"]["conditions"] or ()
            messages.append([c["message"] for c in found])

        assert len(messages[0]) == 1
        assert f"Port mlx5_{4 - first} port 1: state DOWN" in messages[0][0]
        assert f"mlx5_{3 + first}" not in messages[0][0]
        assert messages[1] == []

    def test_what_was_there_without_findings_comes_back(self) -> None:
        """An agent has said that all is well."""
        plane: Any = Plane()
        sound = {"type": "InfiniBandStateCheck", "status": "False", "message": "fine"}
        plane.node["status"]["conditions"] = [sound]
        (change,) = written(NicDown(nic_of(NODE, 3)), Here(), "condition")
        (back,) = change.inverse(plane)

        change.apply(plane)
        told = plane.node["status"]["conditions"][0]["status"]
        back.apply(plane)
        back.apply(plane)

        assert told == "True"
        assert plane.node["status"]["conditions"] == [sound]

    def test_a_nic_is_up_when_every_cause_is_over(self) -> None:
        """Its own cable, and the switch behind it."""
        world, plane = Here(), Plane()
        cable = written(NicDown(nic_of(NODE, 3)), world, "metric")
        switch = written(SwitchDown("leaf-000-rail-3"), world, "metric")
        for change in (*cable, *switch):
            change.apply(plane)
        states = []

        for change in (*cable, *switch):
            for back in change.inverse(plane):
                back.apply(plane)
            states.append(plane.signals.nics_of(NODE)[3].down)

        assert states[0]
        assert not states[-1]
