"""The stream that the recorder is measured on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import HarnessError
from pytest_knav.history import History
from pytest_knav.selfbench import feed, watching


if TYPE_CHECKING:
    from pathlib import Path


def test_every_revision_is_said_once() -> None:
    """As etcd gives them: one for each change, in order within a kind."""
    said = {path: feed.lines(path, 5) for path in feed.TURN}

    revisions = {
        path: [
            int(json.loads(line)["object"]["metadata"]["resourceVersion"])
            for line in lines
        ]
        for path, lines in said.items()
    }

    flat = sorted(revision for of_path in revisions.values() for revision in of_path)
    assert flat == list(range(1_001, 1_001 + 5 * feed.TURN_EVENTS))
    assert all(of_path == sorted(of_path) for of_path in revisions.values())


def test_everything_that_is_said_is_recorded(tmp_path: Path) -> None:
    """Over HTTP from another process, in memory and on disk."""
    stream = watching.Stream(tmp_path, turns=6, seconds=0.1)
    try:
        stream.prepare()
        stream.act()
    finally:
        stream.close()

    (directory,) = tmp_path.iterdir()
    history = History.load(directory)
    assert sum(not r.own for r in history.records()) == 6 * feed.TURN_EVENTS
    phases = {pod["status"]["phase"] for pod in history.latest("Pod").values()}
    assert phases == {"Running"}


def test_a_loss_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is no figure."""
    monkeypatch.setattr(watching, "_TIMEOUT_S", 1.0)
    stream = watching.Stream(tmp_path, turns=2, seconds=0.1)
    try:
        stream.prepare()
        stream._turns = 3
        with pytest.raises(HarnessError, match="32 of 48 events are recorded"):
            stream.act()
    finally:
        stream.close()
