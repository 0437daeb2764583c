"""
Official releases: downloaded, verified against the published checksum, unpacked.

A host that cannot be reached costs a few seconds once and raises `Unavailable`, upon
which the asset is built. A checksum that does not match raises `AssetError`: somebody
should look at it. ``KNAV_RELEASES`` names a mirror that serves the same paths, host
first: ``$KNAV_RELEASES/dl.k8s.io/release/…``, ``$KNAV_RELEASES/github.com/…``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final, cast

from pytest_knav.control_plane.assets import cache, disk, hosts
from pytest_knav.errors import AssetError, BadInput


if TYPE_CHECKING:
    from pathlib import Path

    from pytest_knav.control_plane.assets.progress import Progress
    from pytest_knav.control_plane.assets.table import Asset, Release


_CONNECT_S = 3.0
_FIRST_ANSWER_S = 8.0
_STALL_S = 30.0
_WHOLE_S = 1800.0
_ATTEMPTS = 3
_CHUNK = 256 * 1024
_SMALL_BYTES = 8 * 1024 * 1024
_LARGEST_BYTES = 2 * 1024**3
_MIB_PER_S = 8.0
_HASH = re.compile(r"[0-9a-f]{64}")

_Network: Final = (OSError, HTTPException)


class Unavailable(AssetError):
    """A release cannot be had from here; the asset may still be built."""


def release_url(path: str, asset: Asset, arch: str) -> str:
    """Return the URL of a release path: the official one, or the mirror's."""
    filled = path.format(version=asset.version, arch=arch)
    mirror = os.environ.get("KNAV_RELEASES")
    if not mirror:
        return f"https://{filled}"
    if not mirror.startswith(("http://", "https://")):
        raise BadInput(f"KNAV_RELEASES={mirror!r} is not a URL: begin it with https://")
    return f"{mirror.rstrip('/')}/{filled}"


def _release(asset: Asset) -> Release:
    if asset.release is None:
        raise Unavailable(f"{asset.name} is published as an image only")
    return asset.release


def seconds(asset: Asset) -> float:
    """Return about how long a download takes on an ordinary line."""
    return _release(asset).mib / _MIB_PER_S


def published_checksum(asset: Asset, arch: str) -> str:
    """
    Return the SHA-256 that the release publishes for its file.

    Raises:
        Unavailable: The host cannot be reached, or publishes none for this file.

    """
    url = release_url(_release(asset).checksum, asset, arch)
    why = hosts.why_not(url)
    if why:
        raise Unavailable(why)
    text = _small(url)
    file = _release(asset).path.format(version=asset.version, arch=arch).rsplit("/")[-1]
    found = _parse(_release(asset), text, file)
    if found is None:
        raise _refused(url, f"{url} has no SHA-256 for {file}", whole_host=False)
    return found


def probe(asset: Asset, arch: str) -> None:
    """Touch the hosts of a release, so that their state is known and remembered."""
    with suppress(Unavailable):
        published_checksum(asset, arch)


def fetch(
    asset: Asset, arch: str, expected: str, stage: Path, progress: Progress
) -> Path:
    """
    Return a binary in the staging directory whose download had the expected checksum.

    Raises:
        Unavailable: The release cannot be had from here.
        AssetError: The file does not have the published checksum, or the disk is full.

    """
    url = release_url(_release(asset).path, asset, arch)
    why = hosts.why_not(url)
    if why:
        raise Unavailable(why)
    purpose = f"the download of {asset.name}"
    home = cache.assets_home()
    disk.require([home], disk.DOWNLOAD_BYTES, purpose=purpose)
    with disk.explained(home, disk.DOWNLOAD_BYTES, purpose=purpose):
        file = stage / "download"
        got = _large(url, file, progress)
        if got != expected:
            raise AssetError(
                f"{url} has a wrong checksum: expected sha256 {expected}, got {got}. "
                "Nothing was kept. Try again; if it stays so, a proxy or a mirror "
                "changes the file: set KNAV_RELEASES to a mirror that you trust, or "
                "give a directory of binaries with --knav-assets"
            )
        return _unpack(asset, arch, file, url)


def _unpack(asset: Asset, arch: str, file: Path, url: str) -> Path:
    binary = file.with_name(asset.name)
    member = _release(asset).member
    if member is None:
        return file.rename(binary)
    name = member.format(version=asset.version, arch=arch)
    try:
        with tarfile.open(file) as archive:
            source = archive.extractfile(name)
            if source is None:
                raise AssetError(f"{url} holds {name}, but not as a file")
            with source, binary.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
    except (KeyError, EOFError, tarfile.TarError) as error:
        raise AssetError(f"{url} is no archive with {name} in it: {error}") from error
    return binary


def _parse(release: Release, text: str, file: str) -> str | None:
    found = ""
    if release.form == "hash":
        found = text.partition(" ")[0].strip()
    elif release.form == "lines":
        # "hash  name", or "hash *name" for a hash of the file read as binary.
        rows = (line.split(maxsplit=1) for line in text.splitlines())
        names = {r[1].strip().lstrip("*"): r[0] for r in rows if len(r) == 2}
        found = names.get(file, "")
    else:
        found = _github_digest(text, file)
    found = found.lower()
    return found if _HASH.fullmatch(found) else None


def _github_digest(text: str, file: str) -> str:
    try:
        files = {a["name"]: a.get("digest") for a in json.loads(text)["assets"]}
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return str(files.get(file) or "").removeprefix("sha256:")


def _small(url: str) -> str:
    """Return a small text; also the first, impatient contact with a host."""
    texts: list[str] = []
    errors: list[BaseException] = [TimeoutError(f"no answer in {_FIRST_ANSWER_S:g} s")]

    def ask() -> None:
        try:
            with _open(url, _CONNECT_S) as response:
                texts.append(response.read(_SMALL_BYTES).decode(errors="replace"))
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    # Looking up a name has no time-out of its own, hence a thread that may be left.
    asker = threading.Thread(target=ask, daemon=True, name="knav-first-contact")
    asker.start()
    asker.join(_FIRST_ANSWER_S)
    if texts:
        return texts[0]
    if isinstance(errors[-1], _Network):
        raise _unavailable(url, errors[-1])
    raise errors[-1]


def _large(url: str, target: Path, progress: Progress) -> str:
    """Download a file and return its SHA-256; a broken transfer is begun again."""
    deadline = time.monotonic() + _WHOLE_S
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _transfer(url, target, progress, deadline)
        except _Network as error:
            if isinstance(error, OSError) and disk.is_full(error):
                raise
            final = isinstance(error, urllib.error.HTTPError)
            if final or attempt == _ATTEMPTS or time.monotonic() > deadline:
                raise _unavailable(url, error) from error
    raise AssertionError


def _transfer(url: str, target: Path, progress: Progress, deadline: float) -> str:
    digest, done = hashlib.sha256(), 0
    with _open(url, _STALL_S) as response, target.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress.tick(done, total)
            if done > _LARGEST_BYTES or time.monotonic() > deadline:
                raise TimeoutError(f"no end after {done} bytes")
    if total and done < total:
        raise ConnectionError(f"{done} of {total} bytes came")
    return digest.hexdigest()


def _open(url: str, timeout_s: float) -> HTTPResponse:
    # The scheme is https, or what release_url let pass of KNAV_RELEASES.
    request = urllib.request.Request(url, headers={"User-Agent": "pytest-knav"})  # noqa: S310
    response = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    return cast("HTTPResponse", response)


def _unavailable(url: str, error: BaseException) -> Unavailable:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in {404, 410}:
            return _refused(url, f"{url} does not exist", whole_host=False)
    reason = getattr(error, "reason", None) or error
    why = getattr(reason, "strerror", None) or f"{reason}" or type(error).__name__
    host = url.split("/")[2]
    return _refused(url, f"{host} could not be reached ({why})", whole_host=True)


def _refused(url: str, why: str, *, whole_host: bool) -> Unavailable:
    hosts.remember(url, why, whole_host=whole_host)
    return Unavailable(why)
