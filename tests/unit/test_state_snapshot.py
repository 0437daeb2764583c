"""Files to restore from: what they are, their content says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane.config import make_config
from pytest_knav.control_plane.state import snapshot
from pytest_knav.control_plane.state.model import State
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOT = """\
apiVersion: v1
kind: Node
metadata:
  creationTimestamp: 2026-01-01T00:00:00Z
  name: n
---
apiVersion: v1
kind: Pod
metadata: {name: p}
---
"""
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}


def read(path: Path) -> object:
    """Return what is in a file."""
    return snapshot.read(path, lambda _: None)


def test_a_state_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    """Whatever the file is called."""
    config = make_config(versions={"etcd": "1"}, nodes=4)
    state = State(
        key=config.key,
        config=json.loads(json.dumps(config.as_data())),
        fingerprint="f",
        description="d",
        revision=7,
        taken=0.0,
        values={"/registry/pods/default/p": b"x"},
    )
    state.write(tmp_path / "state.yaml")

    assert read(tmp_path / "state.yaml") == state
    assert snapshot.is_state(tmp_path / "state.yaml")


def test_a_snapshot_is_a_list_of_objects(tmp_path: Path) -> None:
    """Times stay text, as Kubernetes reads them."""
    path = tmp_path / "snapshot"
    path.write_text(SNAPSHOT)

    found = read(path)

    assert isinstance(found, list)
    assert [one["kind"] for one in found] == ["Node", "Pod"]
    assert found[0]["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": "v1", "kind": "List", "items": [POD]},
        {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "p"}}]},
        POD,
    ],
)
def test_lists_of_kubectl_are_read_too(
    tmp_path: Path, document: dict[str, object]
) -> None:
    """As JSON, and with or without a kind for each item."""
    path = tmp_path / "pods.json"
    path.write_text(json.dumps(document))

    assert read(path) == [POD]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no objects"),
        (b"---\n", "holds no objects"),
        (b"just: text\n", "neither a state"),
        (b"- 1\n- 2\n", "neither a state"),
        (b"a: b: c\n", "neither a state"),
        (b"{broken", "neither a state"),
        (b"\xff\xfe\x00garbage", "neither a state"),
        (b'{"format": "pytest-knav-state", "version": 9}\n', "format version 9"),
        (b'{"format": "pytest-knav-state", "vers', "is no state"),
        (bytes(16) + bytes.fromhex("edda0ced") + bytes(44), "is an etcd snapshot"),
        (b"kind: List\nitems: [1]\n", "neither a state"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """With the path and what it should be."""
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(BadInput) as refused:
        read(path)

    assert says in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """In words of the system."""
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "none")


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A big file takes a minute."""
    monkeypatch.setattr(snapshot, "_SAY_EVERY_S", -1.0)
    path = tmp_path / "snapshot.yaml"
    path.write_text(SNAPSHOT)
    said: list[str] = []

    snapshot.read(path, said.append)

    assert said[0].startswith("reading snapshot.yaml: 1 objects, 0 of 0 MiB")
