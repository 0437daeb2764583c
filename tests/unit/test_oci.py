"""Images without a container engine, from a registry on loopback."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from pytest_knav.errors import AssetError, BadInput
from pytest_knav.systems.oci.image import architecture, loader_of, program_of_image
from pytest_knav.systems.oci.reference import parse_reference


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import ImageRegistry

INDEX = "application/vnd.oci.image.index.v1+json"
USER = base64.b64encode(b"me:secret").decode()


@pytest.fixture
def registry(
    image_registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ImageRegistry:
    """Return an empty registry; what is pulled from it is kept for the test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return image_registry


def test_an_image_becomes_a_program_with_arguments_and_environment(
    registry: ImageRegistry,
) -> None:
    """Its entry point, what it sets, and its files from all layers."""
    registry.push(
        "v1",
        registry.layer({"app": None, "app/run": "old", "app/data": "kept"}),
        registry.layer({"app/run": "new"}),
        Entrypoint=["/app/run", "--fast"],
        Cmd=["--default"],
        Env=["MODE=a=b", "PATH=/bin"],
    )

    program = program_of_image(f"{registry.host}/team/tool:v1")

    assert program.path.read_text() == "new"
    assert (program.path.parent / "data").read_text() == "kept"
    assert program.before == ("--fast",)
    assert program.env == (("MODE", "a=b"),)
    # No set-user-ID bit is kept.
    assert program.path.stat().st_mode & 0o7777 == 0o755


def test_a_digest_is_pulled_once(registry: ImageRegistry) -> None:
    """What is kept by its digest needs no registry."""
    digest = registry.push("v1", registry.layer({"run": "x"}), Entrypoint=["/run"])
    name = f"{registry.host}/team/tool@{digest}"
    first = program_of_image(name)
    registry.asked.clear()

    again = program_of_image(name)

    assert again == first
    assert registry.asked == []


def test_an_index_leads_to_the_image_of_this_machine(registry: ImageRegistry) -> None:
    """Among several platforms, and an error names them when it is not among them."""
    mine = registry.push("mine", registry.layer({"run": "mine"}), Entrypoint=["/run"])
    entries = [
        {"digest": "sha256:0", "platform": {"os": "linux", "architecture": "vax"}},
        {"digest": mine, "platform": {"os": "linux", "architecture": architecture()}},
    ]
    registry.tag("all", INDEX, {"mediaType": INDEX, "manifests": entries})
    registry.tag("vax", INDEX, {"mediaType": INDEX, "manifests": entries[:1]})

    program = program_of_image(f"{registry.host}/team/tool:all")

    assert program.path.read_text() == "mine"
    with pytest.raises(AssetError, match=r"only for linux/vax"):
        program_of_image(f"{registry.host}/team/tool:vax")


def test_an_image_of_another_architecture_is_refused(registry: ImageRegistry) -> None:
    """Before its layers are pulled."""
    registry.push("v1", registry.layer({"run": "x"}), arch="vax", Entrypoint=["/run"])

    with pytest.raises(AssetError, match="made for vax, this machine is"):
        program_of_image(f"{registry.host}/team/tool:v1")

    assert sum("/blobs/" in path for path in registry.asked) == 1


def test_whiteouts_remove_what_lower_layers_had(
    registry: ImageRegistry, tmp_path: Path
) -> None:
    """One file by its name, and all of a directory that is opaque."""
    registry.push(
        "v1",
        registry.layer(
            {"run": "x", "a": None, "a/1": "1", "b": None, "b/1": "1", "b/2": "2"}
        ),
        registry.layer({"a/.wh.1": "", "b/.wh..wh..opq": "", "b/3": "3"}),
        Entrypoint=["/run"],
    )

    root = program_of_image(f"{registry.host}/team/tool:v1").path.parent

    found = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
    assert found == ["a", "b", "b/3", "run"]
    assert tmp_path in root.parents


@pytest.mark.parametrize(
    "entries",
    [
        {"../../escaped": "x"},
        {"a/../../../escaped": "x"},
    ],
)
def test_a_layer_leads_nowhere_else(
    registry: ImageRegistry, tmp_path: Path, entries: Mapping[str, str]
) -> None:
    """Names with `..` are refused, and nothing of the image is kept."""
    registry.push("v1", registry.layer({"run": "x", **entries}), Entrypoint=["/run"])

    with pytest.raises(AssetError, match="leads out of it"):
        program_of_image(f"{registry.host}/team/tool:v1")

    assert not list(tmp_path.rglob("escaped"))
    assert not list((tmp_path / "cache").rglob("run"))


def test_links_stay_within_the_image(registry: ImageRegistry, tmp_path: Path) -> None:
    """An absolute link means a path of the image, also for what is written later."""
    outside = tmp_path / "outside"
    outside.mkdir()
    registry.push(
        "v1",
        registry.layer({"bin": f"->{outside}", "way": "->../../../../etc"}),
        registry.layer({"bin/run": "x", "way/passwd": "y"}),
        Entrypoint=["/bin/run"],
    )

    program = program_of_image(f"{registry.host}/team/tool:v1")

    assert program.path.read_text() == "x"
    assert list(outside.iterdir()) == []
    assert tmp_path / "cache" in program.path.parents


def test_a_broken_digest_is_named_and_nothing_kept(
    registry: ImageRegistry, tmp_path: Path
) -> None:
    """A part with other bytes than its name says is damaged."""
    part = registry.layer({"run": "x"})
    registry.push("v1", part, Entrypoint=["/run"])
    registry.blobs[registry.digest_of(part)] = part + b"!"

    with pytest.raises(AssetError, match="it is damaged"):
        program_of_image(f"{registry.host}/team/tool:v1")

    images = tmp_path / "cache" / "pytest-knav" / "images"
    assert list(images.iterdir()) == []


def test_a_user_logs_in_by_the_file_of_container_engines(
    registry: ImageRegistry, tmp_path: Path
) -> None:
    """With a token that the registry's own service gives, or directly."""
    registry.push("v1", registry.layer({"run": "x"}), Entrypoint=["/run"])
    registry.push("v2", registry.layer({"run": "y"}), Entrypoint=["/run"])
    folder = tmp_path / "docker"
    folder.mkdir()
    name = f"{registry.host}/team/tool"
    registry.key, registry.token_user = "Bearer open", f"Basic {USER}"
    with pytest.raises(AssetError, match="HTTP 401"):
        program_of_image(f"{name}:v1")
    auths = {"auths": {registry.host: {"auth": USER}}}
    (folder / "config.json").write_text(json.dumps(auths))

    by_token = program_of_image(f"{name}:v1")
    registry.key = f"Basic {USER}"
    directly = program_of_image(f"{name}:v2")

    assert (by_token.path.read_text(), directly.path.read_text()) == ("x", "y")


def test_what_cannot_be_reached_is_named() -> None:
    """A registry that is not there, by its host."""
    with pytest.raises(AssetError, match=r"127\.0\.0\.1:1 cannot be reached"):
        program_of_image("127.0.0.1:1/team/tool:v1")


def test_an_image_without_its_program_is_refused(registry: ImageRegistry) -> None:
    """By the name of what is missing."""
    registry.push("v1", registry.layer({"run": "x"}), Entrypoint=["/other"])

    with pytest.raises(AssetError, match="has no program '/other'"):
        program_of_image(f"{registry.host}/team/tool:v1")


@pytest.mark.parametrize(
    ("text", "registry_name", "repository", "version"),
    [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("me/tool:1", "docker.io", "me/tool", "1"),
        ("ghcr.io/me/tool:1", "ghcr.io", "me/tool", "1"),
        ("localhost/tool", "localhost", "tool", "latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000", "a/b", "c"),
    ],
)
def test_names_are_read_as_container_engines_read_them(
    text: str, registry_name: str, repository: str, version: str
) -> None:
    """With the usual registry, namespace and tag where they are left away."""
    found = parse_reference(text)

    assert (found.registry, found.repository, found.version) == (
        registry_name,
        repository,
        version,
    )


@pytest.mark.parametrize("text", ["", "UPPER/case", "a@sha256:12", "a:b:c", "a//b:"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """With what it was and what to give."""
    with pytest.raises(BadInput, match="give REGISTRY/REPOSITORY:TAG"):
        parse_reference(text)


def test_a_static_program_asks_for_no_loader(tmp_path: Path) -> None:
    """Only what is linked dynamically names one."""
    program = tmp_path / "run"
    header = bytearray(64 + 56 + 16)
    header[:6] = b"\x7fELF\x02\x01"
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header[64:68] = (3).to_bytes(4, "little")
    header[72:80] = (120).to_bytes(8, "little")
    header[96:104] = (10).to_bytes(8, "little")
    header[120:130] = b"/lib/ld.x\0"
    program.write_bytes(header)
    dynamic = loader_of(program)
    header[64:68] = (1).to_bytes(4, "little")
    program.write_bytes(header)

    static = loader_of(program)

    assert (dynamic, static) == ("/lib/ld.x", "")
