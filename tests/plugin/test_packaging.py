"""What is installed: the same from every source, under one name, with all it needs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_knav


if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(pytest_knav.__file__).parent.parent
ROOMS = ("faults", "fixtures", "suites", "reports")
MODULES = "pytest_knav/control_plane/modules"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
FAILING_MODULE = '''
"""A module that the wheel could hold."""

def test_values_are_shown():
    have, want = [1, 2], [1, 3]
    assert have == want
'''

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


def run(
    *command: str, cwd: Path, code: int = 0, env: Mapping[str, str] | None = None
) -> str:
    """Run a command without network or stdin; return what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, "PIP_NO_INDEX": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={folder}"]
    run(*build, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """Return the wheel that was built from the sdist."""
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which the wheel's code comes before the tree's."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    run(*pip, f"--target={target}", str(wheel), cwd=target)
    return {"PYTHONPATH": str(target)}


def contents(wheel: Path) -> dict[str, bytes]:
    """Return every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_tree_and_the_sdist_give_the_same_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    """Whoever builds it, from whatever."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel"]
    run(*build, f"--outdir={tmp_path}", cwd=ROOT)
    (from_tree,) = tmp_path.glob("*.whl")

    assert contents(from_tree) == contents(wheel)


def test_the_only_import_name_is_pytest_knav(wheel: Path) -> None:
    """PyPI has a `fixtures` and a `reports`; a wheel with those would break them."""
    tops = {name.partition("/")[0] for name in contents(wheel)}

    version = pytest_knav.__version__
    assert tops == {"pytest_knav", f"pytest_knav-{version}.dist-info"}


def test_nothing_in_it_is_a_link(dist: Path, wheel: Path) -> None:
    """The links of the tree become folders."""
    with zipfile.ZipFile(wheel) as archive:
        modes = [info.external_attr >> 16 for info in archive.infolist()]
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive if member.issym()]

    assert not any(stat.S_ISLNK(mode) for mode in modes)
    assert links == []


@pytest.mark.parametrize(
    "name",
    [
        "pytest_knav/py.typed",
        "pytest_knav/control_plane/stages.yaml",
        "pytest_knav/commands/templates/test_chaos.py.txt",
        *(f"pytest_knav/{room}/__init__.py" for room in ROOMS),
        *(
            f"{MODULES}/{folder.name}/{file}"
            for folder in sorted((ROOT / MODULES).iterdir())
            if folder.is_dir()
            for file in ("go.mod", "go.sum")
        ),
    ],
)
def test_what_is_needed_at_run_time_is_in_it(wheel: Path, name: str) -> None:
    """Also what is not Python, byte for byte as in the tree."""
    assert contents(wheel)[name] == (ROOT / name).read_bytes()


def test_every_python_file_of_the_tree_is_in_it(wheel: Path) -> None:
    """And every suite, which pytest is pointed at by name."""
    inside = contents(wheel)
    wanted = [
        f"pytest_knav/{room}/{path.relative_to(ROOT / room).as_posix()}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    ]

    assert [name for name in wanted if name not in inside] == []
    assert any(name.startswith("pytest_knav/suites/test_") for name in inside)


def test_metadata_says_what_it_is(wheel: Path) -> None:
    """Name, version, licence, Python, and the two entry points."""
    info = f"pytest_knav-{pytest_knav.__version__}.dist-info"
    inside = contents(wheel)
    metadata = Parser().parsestr(inside[f"{info}/METADATA"].decode())
    entries = inside[f"{info}/entry_points.txt"].decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert metadata["Name"] == "pytest-knav"
    assert metadata["Version"] == project["version"] == pytest_knav.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in inside
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Framework :: Pytest" in metadata.get_all("Classifier", [])
    assert "[console_scripts]\nknav = pytest_knav.cli:main\n" in entries
    assert "[pytest11]\nknav = pytest_knav.plugin\n" in entries


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_one_name_alone(room: str) -> None:
    """Imported by its bare name a class would exist twice, so that is refused."""
    said = run(sys.executable, "-c", f"import {room}", cwd=ROOT, code=1)

    assert f"ImportError: this package is pytest_knav.{room}, not {room}" in said


@pytest.mark.parametrize("room", ROOMS)
def test_both_installs_import_a_room_by_its_one_name(
    room: str, installed: dict[str, str], tmp_path: Path
) -> None:
    """The editable one reads the tree, the wheel its own copy."""
    code = f"import pytest_knav.{room} as room; print(room.__file__)"
    editable = run(sys.executable, "-c", code, cwd=tmp_path).strip()
    copy = run(sys.executable, "-c", code, cwd=tmp_path, env=installed).strip()

    assert Path(editable) == ROOT / "pytest_knav" / room / "__init__.py"
    assert copy == f"{installed['PYTHONPATH']}/pytest_knav/{room}/__init__.py"


def test_assertions_of_the_wheel_show_their_values(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """A failing suite that was installed is as readable as one in the tree."""
    suites = Path(installed["PYTHONPATH"], "pytest_knav", "suites")
    module = suites / "test_packaging_probe.py"
    module.write_text(FAILING_MODULE)

    try:
        name = "pytest_knav.suites.test_packaging_probe"
        said = run(*PYTEST, "--pyargs", name, cwd=tmp_path, code=1, env=installed)
    finally:
        module.unlink()

    assert "E       assert [1, 2] == [1, 3]" in said


def test_assertions_of_the_tree_show_their_values(tmp_path: Path) -> None:
    """An editable install is rewritten as well."""
    code = (
        "import pytest_knav.suites.test_gang as suite\n"
        "def test_it():\n"
        "    loader = type(suite.__spec__.loader).__name__\n"
        "    assert loader == 'AssertionRewritingHook'\n"
    )
    (tmp_path / "test_it.py").write_text(code)

    assert "1 passed" in run(*PYTEST, cwd=tmp_path)


def test_the_suites_run_from_an_installed_wheel(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """`pytest --pyargs pytest_knav.suites -m chaos` in an empty folder finds them."""
    command = [*PYTEST, "--pyargs", "pytest_knav.suites", "-m", "chaos", "-q"]
    said = run(*command, "--collect-only", cwd=tmp_path, env=installed)

    assert "::test_gang_survives_a_node_crash" in said
    assert "error" not in said.lower()


def test_an_installed_wheel_has_the_command(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """With the files that it needs beside it."""
    knav = [sys.executable, "-m", "pytest_knav"]

    run(*knav, "init", cwd=tmp_path, env=installed)

    assert (tmp_path / "test_chaos.py").exists()
