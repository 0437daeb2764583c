"""Finding, fetching and building assets: the store that everything else asks."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pytest_knav.control_plane.assets import cache, table
from pytest_knav.control_plane.assets.progress import Progress, Silent, Step
from pytest_knav.errors import AssetError, BadInput


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_knav.control_plane.assets.table import Asset


Origin: TypeAlias = Literal["directory", "cache", "download", "build", "unavailable"]

_ELSEWHERE = (
    "give a directory that has it with --knav-assets (or KNAV_ASSETS), or a mirror of "
    "the releases with KNAV_RELEASES"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetStatus:
    """
    Where an asset is, or where it would come from.

    ``path`` is None until it is there, and ``estimate_s`` is then about how long
    getting it takes.
    """

    name: str
    version: str
    origin: Origin
    path: Path | None
    estimate_s: float
    detail: str


class AssetStore:
    """
    The binaries of the control plane, each found, fetched or built when asked for.

    Sources in order: the given directory, the user's cache, the official release
    verified against its published checksum, a build from the pinned Go modules.

    Args:
        directory: A directory of binaries by name. What it lacks comes from the other
            sources; the versions of what it has are not checked.
        kube_version: Another version of Kubernetes than the pinned one. Only releases
            have it.
        progress: Who is told what happens; nobody by default.

    Raises:
        BadInput: The directory does not exist, or the version is none.

    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        kube_version: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        if directory is not None and not directory.is_dir():
            raise BadInput(
                f"the assets directory {str(directory)!r} does not exist: give a "
                "directory of binaries by name, such as kube-apiserver"
            )
        self._directory = directory.absolute() if directory else None
        self._kube_version = table.kubernetes_version(kube_version)
        self._progress = progress or Silent()
        self._told: set[str] = set()

    @classmethod
    def from_environment(
        cls,
        *,
        directory: Path | None = None,
        kube_version: str | None = None,
        progress: Progress | None = None,
    ) -> AssetStore:
        """Make a store; ``KNAV_ASSETS`` and ``KNAV_KUBE_VERSION`` fill what is None."""
        given = os.environ.get("KNAV_ASSETS")
        return cls(
            directory=directory or (Path(given).expanduser() if given else None),
            kube_version=kube_version or os.environ.get("KNAV_KUBE_VERSION") or None,
            progress=progress,
        )

    def versions(self) -> dict[str, str]:
        """Return the version of every asset that this store gets."""
        return {name: self._asset(name).version for name in table.ALL}

    def path(self, name: str) -> Path:
        """Return the path of one binary, fetching or building it if needed."""
        return self.paths(name)[name]

    def paths(self, *names: str) -> dict[str, Path]:
        """
        Return the paths of binaries, fetching or building what is not there.

        Raises:
            BadInput: A name is not known.
            AssetError: A binary cannot be had; the message says what to do.

        """
        assets = [self._asset(name) for name in dict.fromkeys(names)]
        arch = table.architecture()
        found = {asset.name: self._find(asset, arch) for asset in assets}
        missing = [asset for asset in assets if found[asset.name] is None]
        for index, asset in enumerate(missing, 1):
            if self._directory:
                self._tell(f"{self._directory} has no {asset.name}: looking elsewhere")
            getter = _Getter(
                asset, arch, (index, len(missing)), self._progress, self._tell
            )
            found[asset.name] = getter.get()
        return {name: path for name, path in found.items() if path is not None}

    def status(self, name: str) -> AssetStatus:
        """Return where an asset is or would come from; never fetches or asks a host."""
        asset = self._asset(name)
        arch = table.architecture()
        given = self._given(asset)
        if given:
            detail = "in the given directory, its version not checked"
            return _status(asset, "directory", given, 0.0, detail)
        cached = cache.find(asset, arch)
        if cached:
            return _status(asset, "cache", cached, 0.0, cache.origin(asset, arch))
        return _obtainable(asset, arch)

    def _asset(self, name: str) -> Asset:
        return table.asset(name, kube_version=self._kube_version)

    def _find(self, asset: Asset, arch: str) -> Path | None:
        return self._given(asset) or cache.find(asset, arch)

    def _given(self, asset: Asset) -> Path | None:
        if self._directory is None:
            return None
        path = self._directory / asset.name
        if not path.exists():
            return None
        if not path.is_file() or not os.access(path, os.X_OK):
            raise AssetError(
                f"{path} is not an executable file: run chmod +x on it, or take it "
                "out of the assets directory"
            )
        return path

    def _tell(self, text: str) -> None:
        """Note a thing once, however many assets it concerns."""
        if text not in self._told:
            self._told.add(text)
            self._progress.note(text)


class _Getter:
    """Get one asset into the cache, unless another process is quicker."""

    def __init__(
        self,
        asset: Asset,
        arch: str,
        place: tuple[int, int],
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self._asset = asset
        self._arch = arch
        self._place = place
        self._progress = progress
        self._tell = tell

    def get(self) -> Path:
        """Return the path in the cache."""
        slot = self._asset.slot(self._arch)
        cache.prepare()
        with cache.locked(slot, self._progress) as say:
            found = cache.find(self._asset, self._arch)
            if found:
                return found
            with cache.staging(slot) as stage:
                return self._download(stage, say) or self._build(stage, say)

    def _download(self, stage: Path, say: Callable[[str], None]) -> Path | None:
        # Imported late: a run that finds everything needs no HTTP and no TLS.
        from pytest_knav.control_plane.assets import download  # noqa: PLC0415

        asset = self._asset
        try:
            expected = download.published_checksum(asset, self._arch)
            say(f"downloading {asset.name}")
            with self._step("downloading", download.seconds(asset)) as end:
                started = time.monotonic()
                binary = download.fetch(
                    asset, self._arch, expected, stage, self._progress
                )
                path = self._install(binary, "download", started)
                end("downloaded and verified")
        except download.Unavailable as error:
            if asset.module is None:
                raise AssetError(
                    f"kube_version={asset.version!r}: {asset.name} is not to be had, "
                    f"{error}. Only Kubernetes {table.KUBERNETES} can be built; ask "
                    f"for that one, or {_ELSEWHERE}"
                ) from error
            self._tell(f"{error}: building instead")
            return None
        return path

    def _build(self, stage: Path, say: Callable[[str], None]) -> Path:
        from pytest_knav.control_plane.assets import build, golang  # noqa: PLC0415

        asset = self._asset
        if asset.module is None:
            raise AssetError(f"{asset.name} {asset.version} cannot be built")
        needed = build.needed_go(asset.module)
        go = golang.find_or_install(needed, self._progress)
        say(f"building {asset.name}")
        with self._step(f"building with {go.version}", asset.module.seconds) as end:
            started = time.monotonic()
            binary = build.build(asset, self._arch, go, stage, self._progress)
            path = self._install(binary, f"build with {go.version}", started)
            end("built")
        return path

    def _install(self, binary: Path, origin: str, started: float) -> Path:
        took = time.monotonic() - started
        return cache.install(
            binary, self._asset, self._arch, origin=origin, seconds=took
        )

    @contextmanager
    def _step(self, doing: str, expected_s: float) -> Iterator[Callable[[str], None]]:
        index, total = self._place
        step = Step(
            name=self._asset.name,
            version=self._asset.version,
            doing=doing,
            index=index,
            total=total,
            expected_s=expected_s,
        )
        self._progress.begin(step)
        outcome = [f"{doing} did not succeed"]
        try:
            yield lambda text: outcome.__setitem__(0, text)
        finally:
            self._progress.end(outcome[0])


def _obtainable(asset: Asset, arch: str) -> AssetStatus:
    from pytest_knav.control_plane.assets import download, hosts  # noqa: PLC0415

    release = asset.release
    why: str | None
    if release is None:
        why = "published as an image only"
    else:
        urls = [
            download.release_url(path, asset, arch)
            for path in (release.checksum, release.path)
        ]
        why = next(filter(None, map(hosts.why_not, urls)), None)
        if why is None:
            host = urls[1].split("/")[2]
            took_s = download.seconds(asset)
            return _status(asset, "download", None, took_s, f"from {host}")
    if asset.module is None:
        detail = f"{why}, and only Kubernetes {table.KUBERNETES} can be built"
        return _status(asset, "unavailable", None, 0.0, detail)
    return _status(asset, "build", None, asset.module.seconds, why)


def _status(
    asset: Asset, origin: Origin, path: Path | None, estimate_s: float, detail: str
) -> AssetStatus:
    return AssetStatus(
        name=asset.name,
        version=asset.version,
        origin=origin,
        path=path,
        estimate_s=estimate_s,
        detail=detail,
    )
