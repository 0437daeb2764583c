"""
Layers of an image, laid over each other in a directory (OCI image spec, layer.md).

What a layer holds is not trusted: names lead nowhere but into the directory, also
through symbolic links of earlier layers, which mean paths within the image; devices
are left out, and no file keeps a set-user-ID bit.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import AssetError


if TYPE_CHECKING:
    from collections.abc import Iterable

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_LINKS_MAX: Final = 40
_FILES_MAX: Final = 500_000
_BYTES_MAX: Final = 16 * 1024**3


class Unpacker:
    """
    Lays layers over each other.

    Args:
        root: The directory; it must be there.
        what: What it is, for messages.

    """

    def __init__(self, root: Path, what: str) -> None:
        self._root = root
        self._what = what
        self._files = 0
        self._bytes = 0

    def add(self, layer: Path) -> None:
        """
        Lay one more layer over what is there.

        Raises:
            AssetError: It is no archive, leads out of the directory, or is too large.

        """
        try:
            with tarfile.open(layer, mode="r:*") as archive:
                for member in archive:
                    self._check_size(member)
                    self._one(archive, member)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise AssetError(
                f"{self._what}: a layer cannot be unpacked: {error}"
            ) from error

    def path_of(self, name: str) -> Path:
        """
        Return where a path of the image is; symbolic links stay within the image.

        Raises:
            AssetError: Its links lead in a circle.

        """
        left = list(reversed(_parts(name)))
        links = 0
        way: list[str] = []
        while left:
            part = left.pop()
            if part == "..":
                way = way[:-1]
                continue
            path = self._root.joinpath(*way, part)
            if not path.is_symlink():
                way.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise AssetError(f"{self._what}: {name}: too many symbolic links")
            target = str(path.readlink())
            if target.startswith("/"):
                way = []
            left += reversed(_parts(target))
        return self._root.joinpath(*way)

    def _one(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        if ".." in parts:
            raise AssetError(
                f"{self._what}: a layer has {member.name!r}, which leads out of it"
            )
        if not parts:
            return
        parent = self.path_of("/".join(parts[:-1]))
        if not parent.is_dir():
            parent.mkdir(parents=True)
        name = parts[-1]
        if name == _OPAQUE:
            _remove(parent.iterdir())
            return
        if name.startswith(_WHITEOUT):
            _remove([parent / name.removeprefix(_WHITEOUT)])
            return
        self._write(archive, member, parent / name)

    def _write(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path
    ) -> None:
        if member.isdir():
            if path.is_symlink() or not path.is_dir():
                _remove([path])
                path.mkdir()
            return
        if not (member.isreg() or member.issym() or member.islnk()):
            return
        _remove([path])
        if member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            source = self.path_of(member.linkname)
            shutil.copy2(source, path, follow_symlinks=False)
        else:
            stream = archive.extractfile(member)
            if stream is not None:
                with path.open("wb") as file:
                    shutil.copyfileobj(stream, file)
            # The user must be able to read it, and to remove it again.
            path.chmod(member.mode & 0o777 | 0o600)

    def _check_size(self, member: tarfile.TarInfo) -> None:
        self._files += 1
        self._bytes += max(0, member.size)
        if self._files > _FILES_MAX or self._bytes > _BYTES_MAX:
            raise AssetError(
                f"{self._what}: it has more than {_FILES_MAX} files or "
                f"{_BYTES_MAX // 1024**3} GiB: that is no program's image"
            )


def _parts(name: str) -> list[str]:
    return [part for part in PurePosixPath(name).parts if part not in {"/", "."}]


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
