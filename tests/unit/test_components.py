"""Whether a component runs, by what the kernel shows of its process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane import components, processes
from pytest_knav.control_plane.components import Component
from pytest_knav.errors import ClusterError


if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kwok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    """Return a component that was started by somebody else, with this pid."""

    class Unopened:
        """Stands for TLS, which nothing here speaks."""

        def __init__(self, _protocol: object) -> None:
            self.check_hostname = True
            self.verify_mode = None

        def load_cert_chain(self, *_files: str) -> None:
            """Load nothing."""

    monkeypatch.setattr(components.ssl, "SSLContext", Unopened)
    monkeypatch.setattr(components, "HELP_WITHIN_S", 0.5)
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "kwok-controller.pid").write_text(str(os.getpid()))
    return Component(
        "kwok-controller",
        workdir=tmp_path,
        ports={"kwokControllerPort": 1},
        client_files=("", ""),
        observer=lambda *_: None,
        environment={},
    )


def test_what_is_being_executed_is_waited_for(
    kwok: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent goes on before the kernel shows its arguments."""
    shown = [[], [], [f"{tmp_path}/bin/kwok", "--kubeconfig=here"]]
    monkeypatch.setattr(
        processes, "command_line", lambda _: shown.pop(0) if shown[1:] else shown[0]
    )

    kwok.wait_started()

    assert kwok.pid == os.getpid()
    assert len(shown) == 1


def test_a_pid_of_somebody_else_is_not_taken_for_it(kwok: Component) -> None:
    """The pid was reused: what was started is gone."""
    with pytest.raises(ClusterError, match="kwok-controller died at start: its log"):
        kwok.wait_started()
