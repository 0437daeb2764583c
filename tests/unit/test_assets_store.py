"""Finding assets, and getting them when several processes want to or one dies."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from pytest_knav.control_plane import retrying
from pytest_knav.control_plane.assets import (
    AssetStore,
    StreamProgress,
    build,
    cache,
    disk,
    table,
)
from pytest_knav.errors import AssetError, BadInput


Start: TypeAlias = Callable[[], "subprocess.Popen[str]"]

NAME = "toxiproxy-server"
GET = (
    # A shell in the background lets what it starts ignore Ctrl-C.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "import sys; from pytest_knav.control_plane.assets import *;"
    f"print(AssetStore(progress=StreamProgress(sys.stderr)).path({NAME!r}))"
)
# Speaks as much of Go's command line as is used. A build tells that it has started and
# goes on when it is told to, where the two pipes exist.
GO = """#!/bin/sh
case "$1 $2" in
"env GOVERSION") echo "${FAKE_GO_VERSION:-go1.26.8}" ;;
"env GOCACHE") echo "$HOME"; echo "$HOME" ;;
*)
    echo $$ >> "$FAKE_GO/builds"
    if [ -p "$FAKE_GO/started" ]; then
        echo $$ > "$FAKE_GO/started"; read -r _ < "$FAKE_GO/proceed"
    fi
    while [ "$1" != "-o" ]; do shift; done
    if [ -n "$FAKE_GO_SAYS" ]; then echo "$FAKE_GO_SAYS" >&2; exit 1; fi
    echo binary > "$2" ;;
esac
"""


class FakeGo:
    """A Go whose builds the test starts, holds and ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pipes: dict[str, int] = {}

    @property
    def builds(self) -> int:
        """How many builds were started."""
        log = self.folder / "builds"
        return len(log.read_text().split()) if log.exists() else 0

    def hold(self) -> None:
        """Make every build wait for `proceed`."""
        for name in ("started", "proceed"):
            os.mkfifo(self.folder / name)
            # Open for both, so that neither side waits for the other to open it.
            self._pipes[name] = os.open(self.folder / name, os.O_RDWR)

    def wait_for_build(self) -> int:
        """Return the pid of a build once it has started."""
        readable, _, _ = select.select([self._pipes["started"]], [], [], 10)
        assert readable, "no build started in 10 s"
        return int(os.read(self._pipes["started"], 100))

    def proceed(self) -> None:
        """Let one build go on."""
        os.write(self._pipes["proceed"], b"\n")

    def close(self) -> None:
        """Remove the pipes: later builds are not held."""
        for name, handle in self._pipes.items():
            os.close(handle)
            (self.folder / name).unlink()
        self._pipes.clear()


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache and releases that nobody serves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Port 9, "discard": refused at once on any machine that tests run on.
    monkeypatch.setenv("KNAV_RELEASES", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("KNAV_ASSETS", raising=False)
    monkeypatch.delenv("KNAV_KUBE_VERSION", raising=False)


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGo]:
    """Put a fake Go first on PATH."""
    folder = tmp_path / "fake-go"
    folder.mkdir()
    script = folder / "go"
    script.write_text(GO)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GO", str(folder))
    fake = FakeGo(folder)
    yield fake
    fake.close()


@pytest.fixture
def getter() -> Iterator[Start]:
    """Start processes that get the asset, and leave none behind."""
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", GET],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def leftovers() -> list[str]:
    """Return what is in the cache beside locks and what is known of hosts."""
    home = cache.assets_home()
    hidden = {".locks", ".staging", "unreachable.json"}
    names = [path.name for path in home.iterdir() if path.name not in hidden]
    return names + [path.name for path in (home / ".staging").iterdir()]


def binary(folder: Path, name: str) -> Path:
    """Make an executable file."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_given_directory_comes_first(tmp_path: Path) -> None:
    """A binary in the assets directory is used as it is."""
    given = binary(tmp_path / "given", "etcd")

    path = AssetStore(directory=given.parent).path("etcd")

    assert path == given


def test_a_given_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The message shows the value."""
    with pytest.raises(BadInput, match="nowhere"):
        AssetStore(directory=tmp_path / "nowhere")


def test_a_given_file_that_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    """A binary without its mode bits is an error, not a missing binary."""
    given = binary(tmp_path / "given", "etcd")
    given.chmod(0o644)

    with pytest.raises(AssetError, match=r"etcd is not an executable file: run chmod"):
        AssetStore(directory=given.parent).path("etcd")


def test_what_the_directory_lacks_comes_from_elsewhere_and_is_told(
    tmp_path: Path, go: FakeGo, capsys: pytest.CaptureFixture[str]
) -> None:
    """An incomplete directory is completed by the other sources, not silently."""
    given = binary(tmp_path / "given", "etcd").parent

    store = AssetStore(directory=given, progress=StreamProgress(sys.stderr))
    paths = store.paths("etcd", NAME)

    assert paths[NAME].read_text() == "binary\n"
    assert f"{given} has no {NAME}: looking elsewhere" in capsys.readouterr().err
    assert go.builds == 1


def test_the_environment_fills_what_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KNAV_ASSETS and KNAV_KUBE_VERSION are read by the documented classmethod."""
    monkeypatch.setenv("KNAV_ASSETS", str(binary(tmp_path / "given", "etcd").parent))
    monkeypatch.setenv("KNAV_KUBE_VERSION", "v1.35.2")

    store = AssetStore.from_environment()

    assert store.status("etcd").origin == "directory"
    assert store.versions()["kube-scheduler"] == "1.35.2"


@pytest.mark.usefixtures("go")
def test_an_unreachable_release_is_built_and_then_found(tmp_path: Path) -> None:
    """Without releases the asset is built once, and cached with its record."""
    store = AssetStore()

    path = store.path(NAME)

    record = json.loads((path.parent / "asset.json").read_text())
    assert record["origin"] == "build with go1.26.8"
    assert record["sha256"] == cache.sha256(path)
    assert store.status(NAME).origin == "cache"
    assert path.is_relative_to(tmp_path / "cache")


def test_a_truncated_asset_in_the_cache_is_got_again(go: FakeGo) -> None:
    """A cached file that is not as long as its record says is not used."""
    path = AssetStore().path(NAME)
    path.write_text("half")

    again = AssetStore().path(NAME)

    assert again.read_text() == "binary\n"
    assert go.builds == 2


@pytest.mark.usefixtures("go")
def test_progress_tells_why_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says why there is no download, then each binary has its place."""
    AssetStore(progress=StreamProgress(sys.stderr)).paths(NAME, "kwok")

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "127.0.0.1:9 could not be reached (Connection refused): building instead",
        f"[1/2] {NAME} 2.12.0: building with go1.26.8, usually 20 s",
        f"[1/2] {NAME} 2.12.0: built in 0 s",
        "[2/2] kwok 0.8.0: building with go1.26.8, usually 1 min",
        "[2/2] kwok 0.8.0: built in 0 s",
    ]


def test_two_processes_build_once(go: FakeGo, getter: Start) -> None:
    """The second waits for the first, says so with its pid, and uses its result."""
    go.hold()
    first = getter()
    go.wait_for_build()
    second = getter()
    line = second.stderr.readline()
    go.proceed()

    outcomes = [process.communicate(timeout=10)[0] for process in (first, second)]

    assert line == f"waiting for process {first.pid} that is building {NAME}\n"
    assert outcomes[0] == outcomes[1]
    assert go.builds == 1


def test_a_killed_process_leaves_no_half_asset(go: FakeGo, getter: Start) -> None:
    """After a SIGKILL nothing is found, and the next one cleans up and succeeds."""
    go.hold()
    victim = getter()
    orphan = go.wait_for_build()
    victim.kill()
    victim.wait(timeout=10)
    before = AssetStore().status(NAME).path
    left = leftovers()
    go.close()

    path = AssetStore().path(NAME)

    assert before is None
    assert len(left) == 1
    assert leftovers() == [path.parent.name]
    assert ends(orphan)


def test_an_interrupted_build_is_ended_with_its_process_group(
    go: FakeGo, getter: Start
) -> None:
    """Ctrl-C ends the build and removes what it had made."""
    go.hold()
    process = getter()
    builder = go.wait_for_build()

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)

    assert "KeyboardInterrupt" in said
    assert leftovers() == []
    assert ends(builder)


def ends(pid: int) -> bool:
    """Return whether a process that was killed is soon gone: nobody waits for it."""
    return retrying.until(lambda: not runs(pid), timeout_s=10.0)


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except FileNotFoundError:
        return False


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("undefined: x", r"could not be built with go1.26.8 .*fake-go.*undefined: x"),
        (
            "dial tcp: lookup proxy: no such host",
            r"neither the releases nor the Go mod",
        ),
        (
            "write: no space left on device",
            r"too little disk space for building .* GiB",
        ),
    ],
)
def test_a_failed_build_says_what_to_do_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, said: str, message: str
) -> None:
    """What Go said is kept, a missing network or disk is named, no file is left."""
    monkeypatch.setenv("FAKE_GO_SAYS", said)

    with pytest.raises(AssetError, match=f"(?s){message}"):
        AssetStore().path(NAME)

    assert leftovers() == []


def test_without_go_and_pip_the_error_says_what_to_install(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Go that is too old is not used; failing pip ends in one clear error."""
    monkeypatch.setenv("FAKE_GO_VERSION", "go1.21.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    with pytest.raises(
        AssetError, match=r"no Go 1\.26\.0 or newer is on PATH, and pip"
    ):
        AssetStore().path(NAME)

    assert leftovers() == []
    assert go.builds == 0


@pytest.mark.usefixtures("go")
def test_too_little_disk_is_found_before_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the path, what is free and what is needed."""
    tiny = shutil.disk_usage("/")._replace(free=disk.GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: tiny)

    with pytest.raises(AssetError, match=r"has 1\.0 GiB free and about 4\.0 GiB are"):
        AssetStore().path(NAME)


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the cache should be ends in an error that names the variable."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(AssetError, match=r"cannot be written .*set XDG_CACHE_HOME"):
        AssetStore().path(NAME)


def test_another_kubernetes_version_needs_a_release() -> None:
    """Without releases the error names the value and what can be built."""
    with pytest.raises(
        AssetError, match=r"kube_version='1\.35\.2'.*Only Kubernetes 1\.36\.3 can be"
    ):
        AssetStore(kube_version="1.35.2").path("kube-scheduler")


def test_status_knows_what_was_learnt_about_hosts() -> None:
    """Before a try the release is expected; after one that failed it is the build."""
    store = AssetStore(kube_version="1.35.2")
    before = store.status("kube-scheduler").origin

    with pytest.raises(AssetError):
        store.path("kube-scheduler")

    assert before == "download"
    assert store.status("kube-scheduler").origin == "unavailable"
    assert AssetStore().status("etcd").origin == "build"


def test_a_build_cannot_take_other_versions_than_go_sum_says(tmp_path: Path) -> None:
    """The environment of a build is read-only for modules and has no workspace."""
    go = build.golang.Go(path=Path("go"), version="go1.26.8", origin="PATH")

    environment = build._environment(go, "arm64", tmp_path)

    wanted = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    wanted |= {"CGO_ENABLED": "0", "GOARCH": "arm64"}
    assert wanted.items() <= environment.items()


def test_the_highest_go_of_all_modules_is_what_the_wheel_has() -> None:
    """The pinned wheel is new enough for every module."""
    modules = [table.asset(name).module for name in table.ALL]

    needed = max(build.golang.number(build.needed_go(module)) for module in modules)

    assert build.golang.number(table.GO_WHEEL) >= needed
