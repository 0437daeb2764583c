"""`--knav-reuse`: the control plane of one run is the next one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest


if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = """
import json
import os
from pathlib import Path

import pytest
from pytest_knav.faults import NodeCordon

NODES = int(os.environ.get("NODES", "1"))


@pytest.mark.knav(nodes=NODES)
def test_it(cluster, chaos):
    names = [ns.metadata.name for ns in cluster.core.list_namespace().items]
    seen = {
        "name": cluster.name,
        "etcd": cluster.component("etcd").pid,
        "nodes": sorted(node.name for node in cluster.nodes),
        "cordoned": [node.name for node in cluster.nodes if node.cordoned],
        "left": "left" in names,
    }
    Path("seen.json").write_text(json.dumps(seen))
    cluster.core.create_namespace({"metadata": {"name": "left"}})
    chaos.start(NodeCordon("dgx-h100-0000"))
    if "KILLED" in os.environ:
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def run(
    project: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Return a function that runs one test, and returns what it saw."""
    made = project(test_it=SUITE)

    def do(*flags: str, **environment: str) -> dict[str, Any]:
        for name in ("NODES", "KILLED"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code, output = made.run(*flags)
        assert code == (-9 if "KILLED" in environment else 0), output
        seen: dict[str, Any] = json.loads((made.path / "seen.json").read_text())
        return {**seen, "clusters": made.left()}

    return do


def test_a_control_plane_serves_one_run_after_another(
    run: Callable[..., dict[str, Any]],
) -> None:
    """It is clean for each, also of another topology; a killed run takes it along."""
    first = run("--knav-reuse")
    second = run("--knav-reuse", NODES="2", KILLED="1")
    third = run()

    assert first["clusters"] == [first["name"]]
    assert (second["name"], second["etcd"]) == (first["name"], first["etcd"])
    assert second["nodes"] == ["dgx-h100-0000", "dgx-h100-0001"]
    assert not second["left"]
    assert not second["cordoned"]
    # The killed run owned it, so the next one removes it, and leaves none of its own.
    assert third["name"] != first["name"]
    assert third["clusters"] == []
    assert not Path(f"/proc/{first['etcd']}").exists()
