"""The table of pinned versions."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from pytest_knav.control_plane.assets import ALL, CONTROL_PLANE, AssetStore, table
from pytest_knav.errors import AssetError, BadInput


@pytest.mark.parametrize("name", ALL)
def test_every_asset_has_a_pinned_module_in_the_package(name: str) -> None:
    """Each asset can be built: its go.mod and go.sum are shipped, and require it."""
    module = table.asset(name).module

    folder = table.MODULES / module.directory

    assert (folder / "go.sum").is_file()
    assert module.package in (folder / "go.mod").read_text()


@pytest.mark.parametrize("name", ALL)
def test_the_version_of_the_table_is_the_one_that_go_mod_pins(name: str) -> None:
    """The table and go.mod cannot drift apart."""
    asset = table.asset(name)
    # Prometheus 3.12.0 is the Go module v0.312.0: its own rule for versions.
    wanted = "0.312.0" if name == "prometheus" else asset.version

    text = (table.MODULES / asset.module.directory / "go.mod").read_text()

    assert f" v{wanted}" in text


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("name", ALL)
def test_every_release_path_can_be_filled_in(name: str, arch: str) -> None:
    """No placeholder is left in a URL, for either architecture."""
    asset = table.asset(name)

    paths = (asset.release.path, asset.release.checksum, asset.release.member or "")
    filled = [path.format(version=asset.version, arch=arch) for path in paths]

    assert "{" not in "".join(filled)


def test_an_unknown_asset_shows_the_value_and_the_known_names() -> None:
    """A misspelt name fails with what was given and what can be given."""
    with pytest.raises(BadInput, match=r"'kubelet' is not known.*kube-apiserver"):
        AssetStore().path("kubelet")


@pytest.mark.parametrize("value", ["1.36", "latest", "v1", ""])
def test_a_version_that_is_none_is_refused(value: str) -> None:
    """A Kubernetes version without all three numbers fails at construction."""
    with pytest.raises(BadInput, match=f"kube_version='{value}'"):
        AssetStore(kube_version=value)


def test_another_kubernetes_version_moves_only_kubernetes() -> None:
    """The version asked for is that of Kubernetes; the others stay pinned."""
    versions = AssetStore(kube_version="v1.35.2").versions()

    moved = {name for name in ALL if versions[name] == "1.35.2"}

    assert moved == {n for n in ALL if n.startswith("kube-")} | {"kubectl"}


def test_other_machines_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without assets is told which ones have them."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(AssetError, match=r"riscv64.*amd64 or arm64"):
        table.architecture()


def test_the_control_plane_is_part_of_the_table() -> None:
    """The constant names known assets."""
    assert set(CONTROL_PLANE) < set(ALL)


def test_importing_the_package_loads_no_http_client() -> None:
    """Importing assets is cheap: no HTTP, TLS or YAML until one must be got."""
    heavy = {"urllib.request", "requests", "ssl", "yaml", "psutil"}
    code = (
        "import sys; from pytest_knav.control_plane.assets import AssetStore;"
        f"AssetStore().versions(); print({heavy} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"
