"""Who may import whom: the way data takes has one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_knav


ROOT = Path(pytest_knav.__file__).parent
# Anyone may use these: errors, arguments, durations, where things are kept.
BASE = {"arguments", "errors", "durations", "homes"}
ALLOWED = {
    "topology": set(),
    "history": set(),
    "metrics": {"history", "topology"},
    "checks": {"history", "topology"},
    "workloads": {"history", "topology"},
    "control_plane": {"history", "metrics", "topology", "workloads"},
    "faults": {"control_plane", "history", "metrics", "topology"},
    "utilization": {"control_plane", "history", "topology"},
    "compare": set(),
    "exclusion": {"metrics"},
    "systems": {"control_plane", "history", "metrics", "topology", "workloads"},
    "plans": {"control_plane", "checks", "faults", "history", "topology"},
}


def imports_of(path: Path) -> set[str]:
    """Return the rooms that a module imports when it runs, not for types alone."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "pytest_knav":
                names = parts[1:2] or [alias.name for alias in node.names]
                found.update(names)
    return found - BASE


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """Faults know no checks, checks no clusters, topology and history nobody."""
    for path in (ROOT / room).rglob("*.py"):
        extra = imports_of(path) - ALLOWED[room] - {room}

        assert not extra, f"{path.name} imports {sorted(extra)}"


def test_suites_use_the_public_api_alone() -> None:
    """What ships as an example is what a user can write."""
    for path in (ROOT / "suites").glob("test_*.py"):
        tree = ast.parse(path.read_text())
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        ours = {m for m in modules if m and m.startswith("pytest_knav")}

        assert ours <= {"pytest_knav", "pytest_knav.faults"}, path.name


def test_public_names_are_all_there() -> None:
    """What `__all__` promises can be had, and the type checker sees the same."""
    for name in pytest_knav.__all__:
        assert getattr(pytest_knav, name).__name__ == name

    assert set(pytest_knav.__all__) == set(pytest_knav._HOMES)
