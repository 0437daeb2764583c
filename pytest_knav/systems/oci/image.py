"""Images by name: pulled, verified, unpacked, kept by digest."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_knav.errors import AssetError
from pytest_knav.homes import cache_home
from pytest_knav.systems.oci.reference import parse_reference
from pytest_knav.systems.oci.registry import INDEX_TYPES, Registry
from pytest_knav.systems.oci.unpack import Unpacker
from pytest_knav.systems.process import Program


if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_knav.systems.oci.reference import Reference

# What Go, and so every manifest, calls the machines that Python names.
_ARCHITECTURES: Final[Mapping[str, str]] = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64",
    "ppc64le": "ppc64le", "s390x": "s390x",
}  # fmt: skip
_ROOT: Final = "root"
_CONFIG: Final = "config.json"
_ELF: Final = b"\x7fELF"


def program_of_image(name: str) -> Program:
    """
    Return the program that an image starts, with its arguments and environment.

    It is pulled unless it is there; the files are kept in the user's cache by digest.
    Its program runs on this host, so it must be linked statically, as Go's usually
    are, or with what this host has.

    Raises:
        BadInput: It is no image's name.
        AssetError: It cannot be had, is damaged, is of another architecture, or names
            no program that runs here.

    """
    reference = parse_reference(name)
    home = pull(reference)
    config = json.loads((home / _CONFIG).read_text()).get("config") or {}
    # With an entry point, its Cmd are defaults that arguments stand in for.
    command = list(config.get("Entrypoint") or config.get("Cmd") or ())
    if not command:
        raise AssetError(f"image {reference}: it names no entry point")
    env = [tuple(pair.split("=", 1)) for pair in config.get("Env") or () if "=" in pair]
    found = _program(reference, home / _ROOT, command[0], dict(env).get("PATH", ""))
    return Program(
        path=found,
        before=tuple(command[1:]),
        env=tuple((k, v) for k, v in env if k != "PATH"),
    )


def pull(reference: Reference) -> Path:
    """
    Return the directory of an image: `root` with its files, `config.json`.

    Raises:
        AssetError: As `program_of_image`.

    """
    kept = cache_home() / "images"
    if reference.pinned and (home := kept / _short(reference.version)).exists():
        return home
    registry = Registry(reference)
    try:
        digest, manifest = registry.manifest(reference.version)
        if manifest.get("mediaType") in INDEX_TYPES or "manifests" in manifest:
            wanted = _of_this_machine(reference, manifest)
            digest, manifest = registry.manifest(wanted)
        home = kept / _short(digest)
        if not home.exists():
            _fetch(reference, registry, manifest, home)
    finally:
        registry.close()
    return home


def _of_this_machine(reference: Reference, index: Mapping[str, Any]) -> str:
    wanted = architecture()
    offered = []
    for entry in index.get("manifests", ()):
        where = entry.get("platform", {})
        if where.get("os") == "linux" and where.get("architecture") == wanted:
            return str(entry["digest"])
        offered.append(f"{where.get('os')}/{where.get('architecture')}")
    raise AssetError(
        f"image {reference}: it is not made for linux/{wanted}, only for "
        f"{', '.join(sorted(set(offered))) or 'nothing'}"
    )


def architecture() -> str:
    """Return what images call this machine's architecture."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def _fetch(
    reference: Reference, registry: Registry, manifest: Mapping[str, Any], home: Path
) -> None:
    """Pull and unpack an image; the directory is there whole or not at all."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".pull-") as folder:
        staging = Path(folder)
        config_file = staging / _CONFIG
        registry.blob(manifest["config"]["digest"], config_file)
        config = json.loads(config_file.read_text())
        made_for = config.get("architecture", "")
        if made_for and made_for != architecture():
            raise AssetError(
                f"image {reference}: it is made for {made_for}, this machine is "
                f"{architecture()}"
            )
        root = staging / _ROOT
        root.mkdir()
        unpacker = Unpacker(root, f"image {reference}")
        layer = staging / "layer"
        for part in manifest.get("layers", ()):
            if str(part.get("mediaType", "")).endswith("zstd"):
                raise AssetError(
                    f"image {reference}: a layer is compressed with zstd, which is "
                    "not read here: push it with gzip"
                )
            registry.blob(part["digest"], layer)
            unpacker.add(layer)
        layer.unlink(missing_ok=True)
        made = staging / "made"
        made.mkdir()
        root.rename(made / _ROOT)
        config_file.rename(made / _CONFIG)
        try:
            made.rename(home)
        except OSError:
            # Another process was faster: what it has is the same.
            if not home.exists():
                raise


def _program(reference: Reference, root: Path, name: str, path: str) -> Path:
    unpacker = Unpacker(root, f"image {reference}")
    if "/" in name:
        places = [name]
    else:
        places = [f"{folder}/{name}" for folder in path.split(":") if folder]
    for place in places:
        found = unpacker.path_of(place)
        if found.is_file():
            break
    else:
        raise AssetError(f"image {reference}: it has no program {name!r}")
    if not os.access(found, os.X_OK):
        raise AssetError(f"image {reference}: {name} cannot be executed")
    loader = loader_of(found)
    if loader and not Path(loader).exists():
        raise AssetError(
            f"image {reference}: {name} is linked dynamically and wants {loader}, "
            "which this host lacks: link it statically (CGO_ENABLED=0)"
        )
    return found


def loader_of(program: Path) -> str:
    """Return the loader that an ELF program asks for; empty for a static one."""
    data = program.read_bytes()[:65536]
    if not data.startswith(_ELF) or data[4] != 2:
        return ""
    order: Literal["little", "big"] = "little" if data[5] == 1 else "big"

    def number(at: int, length: int) -> int:
        return int.from_bytes(data[at : at + length], order)

    # elf(5): e_phoff, e_phentsize, e_phnum; PT_INTERP is 3.
    start, size, count = number(32, 8), number(54, 2), number(56, 2)
    for entry in range(start, start + size * count, size or 1):
        if number(entry, 4) == 3:
            at, length = number(entry + 8, 8), number(entry + 32, 8)
            return data[at : at + length].rstrip(b"\0").decode(errors="replace")
    return ""


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:40]
