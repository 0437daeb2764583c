"""Downloads, against a local server with the layout of the official releases."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pytest_knav.commands import assets as command
from pytest_knav.control_plane.assets import (
    ALL,
    CONTROL_PLANE,
    ON_REQUEST,
    AssetStore,
    Silent,
    cache,
    disk,
    download,
    golang,
    hosts,
    table,
)
from pytest_knav.errors import AssetError, BadInput


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Releases:
    """What the server has, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.cut: list[str] = []
        self.hold: str | None = None
        self.held = threading.Event()
        self.release = threading.Event()
        self.asked: list[str] = []

    def publish(self, asset: table.Asset, arch: str = "amd64") -> bytes:
        """Publish one asset as its makers do; return the content of the binary."""
        release = asset.release
        path, checksum, member = (
            text.format(version=asset.version, arch=arch)
            for text in (release.path, release.checksum, release.member or "")
        )
        binary = f"#!/bin/sh\necho {asset.name} {asset.version} {arch}\n".encode()
        self.files[path] = archive(member, binary) if member else binary
        digest = hashlib.sha256(self.files[path]).hexdigest()
        self.files[checksum] = checksum_file(
            release.form, path, digest, self.files.get(checksum, b"")
        )
        return binary


def archive(member: str, content: bytes) -> bytes:
    """Return a tar.gz with one file in it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return target.getvalue()


def checksum_file(form: str, path: str, digest: str, before: bytes = b"") -> bytes:
    """Return what a release serves as checksum, with the files it already had."""
    file = path.rsplit("/", 1)[-1]
    if form == "github":
        entries = json.loads(before)["assets"] if before else []
        entries.append({"name": file, "digest": f"sha256:{digest}"})
        return json.dumps({"assets": entries}).encode()
    other = f"{'0' * 64}  other-{file}"
    lines = f"{other}\n{digest}  {file}\n"
    return (digest if form == "hash" else lines).encode()


class Handler(BaseHTTPRequestHandler):
    """Serve `Releases`."""

    releases: Releases

    def do_GET(self) -> None:
        """Answer with the file, or misbehave as told."""
        path, site = self.path.lstrip("/"), self.releases
        site.asked.append(path)
        body = site.files.get(path)
        status = site.status.get(path, 302 if path in site.redirects else 200)
        self.send_response(status if body is not None or status != 200 else 404)
        if path in site.redirects:
            self.send_header("Location", site.redirects[path])
        body = body or b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path in site.cut:
            site.cut.remove(path)
            body = body[: len(body) // 2]
        if path == site.hold:
            self.wfile.write(body[:4])
            site.held.set()
            site.release.wait(10)
            body = b""
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    """Serve releases on this machine, and point everything at them."""
    site = Releases()
    handler = type("Bound", (Handler,), {"releases": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KNAV_RELEASES", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    # What cannot be downloaded here fails: a real build is no unit test.
    monkeypatch.setattr(golang, "find_or_install", None)
    for name in ("KNAV_ASSETS", "KNAV_KUBE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    yield site
    site.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def left() -> list[str]:
    """Return what the cache holds beside locks and what is known of hosts."""
    hidden = {".locks", ".staging", "unreachable.json"}
    home = cache.assets_home()
    names = [path.name for path in home.iterdir() if path.name not in hidden]
    return names + [path.name for path in (home / ".staging").iterdir()]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ALL)
def test_each_asset_is_downloaded_verified_and_unpacked(
    releases: Releases, monkeypatch: pytest.MonkeyPatch, name: str, machine: str
) -> None:
    """The official layout of every asset is understood, for both architectures."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    content = releases.publish(table.asset(name), table.architecture())

    path = AssetStore().path(name)

    record = json.loads((path.parent / "asset.json").read_text())
    assert path.read_bytes() == content
    assert record["origin"] == "download"
    assert left() == [path.parent.name]


def test_a_cached_asset_asks_no_host(releases: Releases) -> None:
    """What is in the cache is used without a request."""
    releases.publish(table.asset("etcd"))
    AssetStore().path("etcd")
    asked = len(releases.asked)

    AssetStore().path("etcd")

    assert len(releases.asked) == asked


def test_another_kubernetes_version_is_downloaded(releases: Releases) -> None:
    """A version that cannot be built is had from its release, in its own slot."""
    releases.publish(table.asset("kube-scheduler"))
    wanted = releases.publish(table.asset("kube-scheduler", kube_version="1.35.2"))

    path = AssetStore(kube_version="1.35.2").path("kube-scheduler")

    assert path.read_bytes() == wanted
    assert "1.35.2" in path.parent.name


@pytest.mark.parametrize("name", ["kube-scheduler", "etcd", "kwok"])
def test_a_wrong_checksum_is_an_error_and_leaves_nothing(
    releases: Releases, name: str
) -> None:
    """The error shows both hashes and what to do; no build is tried instead."""
    releases.publish(table.asset(name))
    release = table.asset(name).release
    path = release.path.format(version=table.asset(name).version, arch="amd64")
    expected = hashlib.sha256(releases.files[path]).hexdigest()
    releases.files[path] += b"!"
    got = hashlib.sha256(releases.files[path]).hexdigest()

    with pytest.raises(AssetError, match="wrong checksum") as caught:
        AssetStore().path(name)

    assert not isinstance(caught.value, download.Unavailable)
    assert f"expected sha256 {expected}, got {got}" in str(caught.value)
    assert "KNAV_RELEASES" in str(caught.value)
    assert left() == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kube-scheduler", "<html>log in to the proxy</html>"),
        ("etcd", f"{'0' * 64}  another-file.tar.gz\n"),
        ("kwok", '{"assets": [{"name": "kwok-linux-amd64", "digest": null}]}'),
        ("kwok", '{"message": "API rate limit exceeded"}'),
        ("kwok", "not json"),
    ],
)
def test_a_release_without_a_checksum_is_not_used(
    releases: Releases, name: str, text: str
) -> None:
    """Where no SHA-256 is published for the file, nothing is downloaded."""
    asset = table.asset(name)
    releases.publish(asset)
    checksum = asset.release.checksum.format(version=asset.version, arch="amd64")
    releases.files[checksum] = text.encode()

    with pytest.raises(download.Unavailable, match="has no SHA-256 for"):
        download.published_checksum(asset, "amd64")

    assert AssetStore().status(name).origin == "build"


def test_a_release_that_does_not_exist_can_only_be_built(releases: Releases) -> None:
    """HTTP 404 is remembered for that URL alone."""
    releases.publish(table.asset("kube-scheduler"))

    with pytest.raises(download.Unavailable, match=r"kube-apiserver\.sha256 does not"):
        download.published_checksum(table.asset("kube-apiserver"), "amd64")

    assert AssetStore().status("kube-apiserver").origin == "build"
    assert AssetStore().path("kube-scheduler").is_file()


def test_a_host_that_refuses_is_asked_once(releases: Releases) -> None:
    """A refusal is remembered for all processes, until somebody asks anew."""
    asset = table.asset("kube-scheduler")
    checksum = asset.release.checksum.format(version=asset.version, arch="amd64")
    releases.publish(asset)
    releases.status[checksum] = 503

    for name in ("kube-scheduler", "kube-scheduler", "kubectl"):
        with pytest.raises(download.Unavailable, match=r"reached \(Service Unavail"):
            download.published_checksum(table.asset(name), "amd64")
    asked = list(releases.asked)
    releases.status.clear()
    hosts.forget()

    assert asked == [checksum]
    assert download.published_checksum(asset, "amd64")


def test_what_is_known_of_a_host_is_forgotten_after_a_while(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that came back is used without a word from the user."""
    url = download.release_url("dl.k8s.io/x", table.asset("kubectl"), "amd64")
    hosts.remember(url, "no route", whole_host=True)
    before = hosts.why_not(url)

    monkeypatch.setattr(hosts, "REMEMBERED_S", 0.0)

    assert releases
    assert (before, hosts.why_not(url)) == ("no route", None)


def test_a_host_that_accepts_and_says_nothing_fails_fast(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first contact has a short time-out."""
    monkeypatch.setattr(download, "_CONNECT_S", 0.05)
    releases.publish(table.asset("kubectl"))
    asset = table.asset("kubectl")
    checksum = asset.release.checksum.format(version=asset.version, arch="amd64")
    releases.files[checksum] *= 2
    releases.hold = checksum

    with pytest.raises(download.Unavailable, match="timed out"):
        download.published_checksum(asset, "amd64")


def test_a_name_that_is_looked_up_forever_fails_fast(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking up a host has no time-out of its own, the first contact has."""
    monkeypatch.setattr(download, "_FIRST_ANSWER_S", 0.05)
    monkeypatch.setattr(download, "_open", lambda *_: releases.release.wait(10))

    with pytest.raises(download.Unavailable, match="no answer in"):
        download.published_checksum(table.asset("kubectl"), "amd64")


def test_a_broken_transfer_is_begun_again(releases: Releases) -> None:
    """A body that ends early is fetched once more, not judged by its checksum."""
    asset = table.asset("kwok")
    content = releases.publish(asset)
    path = asset.release.path.format(version=asset.version, arch="amd64")
    releases.cut = [path]

    got = AssetStore().path("kwok").read_bytes()

    assert got == content
    assert releases.asked.count(path) == 2


def test_redirects_are_followed(releases: Releases) -> None:
    """Release hosts hand large files over to others."""
    asset = table.asset("kubectl")
    content = releases.publish(asset)
    path = asset.release.path.format(version=asset.version, arch="amd64")
    releases.files["cdn/kubectl"] = releases.files[path]
    releases.redirects[path] = "/cdn/kubectl"

    got = AssetStore().path("kubectl").read_bytes()

    assert got == content


def test_an_archive_without_the_binary_is_an_error(releases: Releases) -> None:
    """A verified archive of another layout is named, not unpacked by guess."""
    asset = table.asset("etcd")
    releases.publish(asset)
    path = asset.release.path.format(version=asset.version, arch="amd64")
    checksum = asset.release.checksum.format(version=asset.version, arch="amd64")
    releases.files[path] = archive("bin/etcd", b"etcd")
    digest = hashlib.sha256(releases.files[path]).hexdigest()
    releases.files[checksum] = checksum_file("lines", path, digest)

    with pytest.raises(AssetError, match=r"is no archive with etcd-v3\.6\.12-linux"):
        AssetStore().path("etcd")

    assert left() == []


def test_a_disk_that_fills_up_in_the_middle_is_named(
    releases: Releases, tmp_path: Path
) -> None:
    """ENOSPC from a real write ends in the error about disk space."""
    asset = table.asset("kubectl")
    releases.publish(asset)
    (tmp_path / "download").symlink_to("/dev/full")

    with pytest.raises(AssetError, match="too little disk space for the download of k"):
        download.fetch(asset, "amd64", "0" * 64, tmp_path, Silent())


def test_too_little_disk_is_found_before_the_download(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is transferred when there is no room for it."""
    asset = table.asset("kubectl")
    releases.publish(asset)
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1024)

    with pytest.raises(AssetError, match=r"has 0\.0 GiB free and about 0\.5 GiB are"):
        AssetStore().path("kubectl")

    assert len(releases.asked) == 1


def test_a_download_killed_in_the_middle_leaves_no_half_asset(
    releases: Releases,
) -> None:
    """After a SIGKILL nothing is found, and the next try cleans up and succeeds."""
    asset = table.asset("kubectl")
    content = releases.publish(asset)
    releases.hold = asset.release.path.format(version=asset.version, arch="amd64")
    code = (
        "from pytest_knav.control_plane.assets import *; AssetStore().path('kubectl')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as victim:
        assert releases.held.wait(10)
        victim.kill()
    before, remains = AssetStore().status("kubectl").path, left()
    releases.hold = None

    path = AssetStore().path("kubectl")

    assert before is None
    assert len(remains) == 1
    assert path.read_bytes() == content
    assert left() == [path.parent.name]


def test_a_mirror_without_a_scheme_is_refused(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KNAV_RELEASES must be a URL; the message shows what it is."""
    monkeypatch.setenv("KNAV_RELEASES", "mirror.example")

    with pytest.raises(BadInput, match=r"KNAV_RELEASES='mirror\.example' is not a URL"):
        AssetStore().path("etcd")

    assert releases.asked == []


def test_install_gets_the_control_plane_and_copies_it(
    releases: Releases, tmp_path: Path
) -> None:
    """`knav assets install --dir` makes a directory that --knav-assets takes."""
    contents = {name: releases.publish(table.asset(name)) for name in CONTROL_PLANE}
    target = tmp_path / "binaries"

    result = CliRunner().invoke(command.app, ["install", "--dir", str(target)])

    store = AssetStore(directory=target)
    assert result.exit_code == 0, result.output
    assert {path.name for path in target.iterdir()} == set(CONTROL_PLANE)
    for name, content in contents.items():
        assert store.status(name).origin == "directory"
        assert store.path(name).read_bytes() == content


def test_list_shows_what_is_here_and_what_would_come(releases: Releases) -> None:
    """`knav assets list` has a row for every asset."""
    releases.publish(table.asset("etcd"))
    path = AssetStore().path("etcd")

    result = CliRunner().invoke(command.app, ["list"])

    rows = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert tuple(rows) == (*ALL, *ON_REQUEST)
    assert rows["etcd"].split() == ["etcd", "3.6.12", "cache", str(path)]
    assert "download, about" in rows["kwok"]


def test_path_prints_what_is_here_and_fetches_nothing(releases: Releases) -> None:
    """`knav assets path` is for scripts: a path, or an error."""
    releases.publish(table.asset("etcd"))
    path = AssetStore().path("etcd")
    asked = len(releases.asked)

    there = CliRunner().invoke(command.app, ["path", "etcd"])
    absent = CliRunner().invoke(command.app, ["path", "kwok"])

    assert there.stdout == f"{path}\n"
    assert "run knav assets install kwok" in str(absent.exception)
    assert len(releases.asked) == asked
