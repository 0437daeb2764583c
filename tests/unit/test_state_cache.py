"""The beginnings of topologies, kept on disk: few, found again, and never trusted."""

from __future__ import annotations

import errno
import itertools
import json
import os
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.control_plane.state import beginning, nodes
from pytest_knav.control_plane.state.model import SUFFIX, State
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.topology import make_topology
from pytest_knav.topology.model import RACK_LABEL


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOPOLOGY = make_topology("dgx-h100", 5)
NODES = "/registry/minions/"


@dataclass
class FakeStates:
    """A store in memory that states are saved from and restored to."""

    key: str
    values: dict[str, bytes] = field(default_factory=dict)
    restored: int = 0
    revived: int = 0

    def save(self) -> State:
        """Return what is in it."""
        return State(
            key=self.key,
            config={},
            fingerprint="f",
            description="d",
            revision=1,
            taken=0.0,
            values=dict(self.values),
        )

    def check(self, state: State) -> None:
        """Refuse a state of another kind of control plane."""
        if state.key != self.key:
            raise BadInput("another key")

    def revive_kubelets(self) -> None:
        """Count it."""
        self.revived += 1

    def begin(self, state: State) -> State:
        """Become equal to a state."""
        self.restored += 1
        self.values = dict(state.values)
        return self.save()


class FakePlane:
    """A control plane that finishes nodes at once."""

    def __init__(self, key: str = "k") -> None:
        self.entry = SimpleNamespace(key=key)
        self.profile = SimpleNamespace(lease_s=8.0)
        self.states = FakeStates(key)
        self.made: list[str] = []
        self.api = self

    def create(self, path: str, manifest: dict[str, Any]) -> None:
        """Make a node."""
        assert path == "/api/v1/nodes"
        name = manifest["metadata"]["name"]
        labels = dict.fromkeys(nodes._ADDED_LABELS.values(), "x")
        manifest["metadata"]["labels"] |= labels
        manifest["metadata"]["annotations"][nodes._TTL] = "0"
        manifest["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        self.made.append(name)
        self.states.values[NODES + name] = json.dumps(manifest).encode()

    def each(self, calls: Any) -> list[Any]:
        """Make calls."""
        return [call() for call in calls]

    def get(self, path: str) -> dict[str, Any]:
        """Return a node, or all."""
        name = path.removeprefix("/api/v1/nodes").strip("/")
        stored = self.states.values
        if name:
            found: dict[str, Any] = json.loads(stored[NODES + name])
            return found
        return {"items": [json.loads(stored[k]) for k in stored if NODES in k]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the cache, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pytest-knav" / "states"


@pytest.fixture
def plane() -> Any:
    """Return a control plane without nodes."""
    return FakePlane()


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that adds a file, later used than those before it."""
    ages = itertools.count(1_000_000_000)

    def add(name: str, size: int = 10) -> Path:
        path = tmp_path / name
        path.write_bytes(bytes(size))
        age = next(ages)
        os.utime(path, (age, age))
        return path

    return add


def names(directory: Path) -> set[str]:
    """Return what is in a directory."""
    return {path.name for path in directory.iterdir()}


class TestTrim:
    """Only so many files and bytes are kept."""

    def test_the_least_lately_used_go_first(
        self, tmp_path: Path, keep: Callable[..., Path]
    ) -> None:
        """Above a number of files; names say nothing about it."""
        for name in "dacb":
            keep(name + SUFFIX)

        beginning.trim(tmp_path, files=2)

        assert names(tmp_path) == {"c" + SUFFIX, "b" + SUFFIX}

    def test_the_least_lately_used_go_until_the_rest_is_small(
        self, tmp_path: Path, keep: Callable[..., Path]
    ) -> None:
        """Above a number of bytes; exactly so many may stay."""
        for name in "abc":
            keep(name + SUFFIX, 100)

        beginning.trim(tmp_path, size=200)
        exactly = names(tmp_path)
        beginning.trim(tmp_path, size=199)

        assert exactly == {"b" + SUFFIX, "c" + SUFFIX}
        assert names(tmp_path) == {"c" + SUFFIX}

    def test_what_is_within_both_limits_stays(
        self, tmp_path: Path, keep: Callable[..., Path]
    ) -> None:
        """Nothing is removed without need; where there is nothing, nothing happens."""
        for name in "abc":
            keep(name + SUFFIX)

        beginning.trim(tmp_path, files=3, size=30)
        beginning.trim(tmp_path / "none")

        assert names(tmp_path) == {"a" + SUFFIX, "b" + SUFFIX, "c" + SUFFIX}

    def test_other_files_are_left_alone(
        self, tmp_path: Path, keep: Callable[..., Path]
    ) -> None:
        """Only what we wrote is ours to remove."""
        keep("notes.txt", 1000)
        keep("a" + SUFFIX)

        beginning.trim(tmp_path, files=1, size=10)

        assert names(tmp_path) == {"notes.txt", "a" + SUFFIX}

    def test_what_a_killed_writer_left_goes_and_what_one_writes_stays(
        self, tmp_path: Path, keep: Callable[..., Path]
    ) -> None:
        """A write that is under way is young."""
        keep(f".a{SUFFIX}-x7_2kd1p")
        (tmp_path / f".b{SUFFIX}-00000000").touch()

        beginning.trim(tmp_path)

        assert names(tmp_path) == {f".b{SUFFIX}-00000000"}


class TestName:
    """The file of a beginning is named after everything that shapes it."""

    def test_it_says_what_it_is_of(self, plane: Any, cache: Path) -> None:
        """For whoever looks into the directory; twice asked it is the same."""
        path = beginning.cached(plane, TOPOLOGY)

        assert path.parent == cache
        assert path.name.startswith("dgx-h100-5-")
        assert path.suffix == SUFFIX
        assert path == beginning.cached(FakePlane(), TOPOLOGY)  # type: ignore[arg-type]

    def test_whatever_shapes_it_makes_another(
        self, plane: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Control plane, nodes, a label, the format, stages, how nodes are made."""
        node = TOPOLOGY.nodes[4]
        labels = tuple((k, "r" if k == RACK_LABEL else v) for k, v in node.labels)
        moved = (*TOPOLOGY.nodes[:4], replace(node, labels=labels))
        paths = [
            beginning.cached(plane, TOPOLOGY),
            beginning.cached(FakePlane("other"), TOPOLOGY),  # type: ignore[arg-type]
            beginning.cached(plane, make_topology("dgx-h100", 6)),
            beginning.cached(plane, replace(TOPOLOGY, nodes=moved)),
        ]

        with monkeypatch.context() as patch:
            patch.setattr(beginning, "VERSION", 99)
            paths.append(beginning.cached(plane, TOPOLOGY))
        with monkeypatch.context() as patch:
            patch.setattr(beginning.resources, "files", lambda _: FakeFiles())
            paths.append(beginning.cached(plane, TOPOLOGY))
        with monkeypatch.context() as patch:
            patch.setattr(nodes, "KUBELET_LABEL", "another")
            paths.append(beginning.cached(plane, TOPOLOGY))

        assert len(set(paths)) == len(paths)


class FakeFiles:
    """Stands for the files of a package, all of which say the same."""

    def __truediv__(self, _: str) -> FakeFiles:
        return self

    def read_text(self) -> str:
        """Return other stages."""
        return "stages: []"


class TestBegin:
    """A topology begins the same whether its state was on disk or not."""

    def test_one_node_is_made_and_the_rest_are_copies(self, plane: Any) -> None:
        """All of them are there, each with a lease but the one that has its own."""
        state = beginning.begin(plane, TOPOLOGY)

        assert len(plane.made) == 1
        assert state.count(NODES) == 5
        assert state.count("/registry/leases/kube-node-lease/") == 4

    def test_the_second_time_nothing_is_made(self, plane: Any) -> None:
        """What the first one wrote is put back."""
        first = beginning.begin(plane, TOPOLOGY)
        other: Any = FakePlane()

        second = beginning.begin(other, TOPOLOGY)

        assert other.made == []
        assert second.values == first.values == other.states.values

    def test_what_was_used_is_not_the_first_to_go(self, plane: Any) -> None:
        """To begin from a file counts as its use."""
        beginning.begin(plane, TOPOLOGY)
        path = beginning.cached(plane, TOPOLOGY)
        os.utime(path, (0, 0))

        beginning.begin(plane, TOPOLOGY)

        assert path.stat().st_mtime > 0

    @pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "another key"])
    def test_a_damaged_file_is_made_anew(self, plane: Any, damage: str) -> None:
        """It is a cache: nobody is told, and the next one finds it whole."""
        beginning.begin(plane, TOPOLOGY)
        path = beginning.cached(plane, TOPOLOGY)
        whole = path.read_bytes()
        if damage == "another key":
            replace(State.read(path), key="other").write(path)
        else:
            content = {"cut": whole[:-1], "empty": b"", "foreign": b"[1]\n"}
            path.write_bytes(content[damage])
        other: Any = FakePlane()

        state = beginning.begin(other, TOPOLOGY)

        assert len(other.made) == 1
        assert state.count(NODES) == 5
        assert State.read(path).values == state.values

    @pytest.mark.parametrize("obstacle", ["no directory", "cannot be trimmed"])
    def test_without_a_cache_it_begins_all_the_same(
        self,
        plane: Any,
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
        obstacle: str,
    ) -> None:
        """Whoever cannot keep a state is slower next time, and that is all."""
        if obstacle == "no directory":
            cache.parent.mkdir()
            cache.touch()
        else:
            refused = OSError(errno.EPERM, "Operation not permitted")

            def trim(_: Path) -> None:
                raise refused

            monkeypatch.setattr(beginning, "trim", trim)

        assert beginning.begin(plane, TOPOLOGY).count(NODES) == 5

    def test_nodes_that_never_become_ready_are_said(
        self, plane: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is kept of a beginning that failed."""
        monkeypatch.setattr(nodes, "READY_TIMEOUT_S", 0.0)
        monkeypatch.setattr(nodes, "_FORGOTTEN_S", 0.0)
        monkeypatch.setattr(nodes, "_give_lease", lambda *_: None)
        monkeypatch.setattr(nodes, "_finished", lambda *_: False)

        with pytest.raises(ClusterError, match="is not usable after 0s"):
            beginning.begin(plane, TOPOLOGY)

        assert not beginning.cached(plane, TOPOLOGY).exists()
        assert plane.states.revived == 1
