"""Ports and clusters of this machine: nothing lost, nothing taken twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane import ports, processes, registry
from pytest_knav.control_plane.processes import ProcessIdentity
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep everything in a directory of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "pytest-knav"


def child() -> subprocess.Popen[bytes]:
    """Return a process that waits for its standard input to end."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )


class TestPorts:
    """Ports are given out once."""

    def test_parallel_reservations_never_overlap(self) -> None:
        """However many ask at the same time."""
        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(lambda i: ports.reserve(f"c{i}", 6), range(16)))

        flat = [port for some in given for port in some]
        assert len(set(flat)) == 96

    def test_a_port_in_use_is_never_given(self) -> None:
        """What listens already is passed over."""
        (first,) = ports.reserve("a", 1)
        ports.release("a")
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", first))
            busy.listen()
            with pytest.raises(ClusterError, match=f"port {first} is in use"):
                ports.reserve_exactly("b", first)

    def test_a_released_port_can_be_had_again(self) -> None:
        """And releasing twice is harmless."""
        (port,) = ports.reserve("a", 1)
        with pytest.raises(ClusterError, match="belongs to cluster 'a'"):
            ports.reserve_exactly("b", port)
        ports.release("a")
        ports.release("a")

        ports.reserve_exactly("b", port)


class TestRegistry:
    """Clusters are known before they exist and until they are gone."""

    def test_a_name_is_claimed_once(self) -> None:
        """The second one hears how to get rid of the first."""
        registry.claim("one", owned=True)

        with pytest.raises(ClusterError, match="knav cluster down one"):
            registry.claim("one", owned=True)

    @pytest.mark.parametrize("name", ["", "Big", "a/b", "-a", "a" * 41])
    def test_a_bad_name_is_refused(self, name: str) -> None:
        """The message has the name and what is allowed."""
        with pytest.raises(BadInput, match="lower-case letters"):
            registry.claim(name, owned=True)

    def test_only_clusters_of_dead_owners_are_pruned(self) -> None:
        """Mine, a live stranger's and the user's own stay."""
        registry.claim("mine", owned=True)
        registry.claim("users", owned=False)
        stranger = child()
        for name, process in (("live", stranger), ("dead", child())):
            entry = registry.claim(name, owned=True)
            owner = ProcessIdentity.of(process.pid)
            registry._write(replace(entry, owner=owner))
            if process is not stranger:
                process.kill()
                process.communicate()

        removed = registry.prune()

        stranger.kill()
        stranger.communicate()
        assert removed == ["dead"]
        assert {e.name for e in registry.entries()} == {"mine", "users", "live"}

    def test_what_a_kill_left_half_done_is_finished(self, state: Path) -> None:
        """A claim without an entry, a removal without an end, ports of nobody."""
        registry.claim("mine", owned=True)
        kept = ports.reserve("mine", 2)
        lost = ports.reserve("gone", 2)
        (state / "clusters" / "half-claimed").mkdir()
        (state / "clusters" / ".half-removed-12ab34cd" / "kwok").mkdir(parents=True)

        removed = registry.prune()

        left = {path.name for path in (state / "clusters").iterdir()}
        assert removed == []
        assert left == {"mine", ".lock"}
        assert all((state / "ports" / str(port)).exists() for port in kept)
        assert not any((state / "ports" / str(port)).exists() for port in lost)

    def test_a_reused_pid_is_not_its_owner(self) -> None:
        """A pid with another start time is another process."""
        entry = registry.claim("one", owned=True)
        mine = ProcessIdentity.mine()
        other = replace(entry, owner=replace(mine, started=mine.started - 1))

        assert not entry.dead
        assert other.dead

    def test_remove_ends_only_processes_of_its_directory(self) -> None:
        """By the path of the program, whatever its arguments are."""
        entry = registry.claim("one", owned=True)
        program = entry.directory / "python"
        program.symlink_to(os.path.realpath(sys.executable))
        wait = "import sys; sys.stdin.read()"
        ours = subprocess.Popen([program, "-c", wait], stdin=subprocess.PIPE)
        theirs = child()

        registry.remove(entry)

        assert ours.wait(timeout=20) != 0
        assert theirs.poll() is None
        theirs.kill()
        theirs.communicate()
        ours.communicate()
        assert registry.entries() == []

    def test_remove_ends_a_held_process_too(self) -> None:
        """SIGSTOP does not protect from SIGKILL."""
        entry = registry.claim("one", owned=True)
        program = entry.directory / "python"
        program.symlink_to(os.path.realpath(sys.executable))
        wait = "import sys; sys.stdin.read()"
        held = subprocess.Popen([program, "-c", wait], stdin=subprocess.PIPE)
        os.kill(held.pid, 19)

        registry.remove(entry)

        assert held.wait(timeout=20) != 0
        held.communicate()

    def test_an_unknown_name_shows_the_known_ones(self) -> None:
        """So that a typing error is seen at once."""
        registry.claim("one", owned=True)

        with pytest.raises(ClusterError, match="'two' here; there are: one"):
            registry.find("two")


def test_a_process_that_is_gone_has_no_identity() -> None:
    """Also a zombie that nobody has waited for."""
    process = child()
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None

    assert processes.end(identity)

    assert ProcessIdentity.of(process.pid) is None
    process.communicate()


class TestReuse:
    """Clusters that one run leaves and another takes over."""

    def test_each_is_taken_once(self) -> None:
        """Whoever takes it owns it; the next one gets none."""
        left = registry.leave(registry.claim("one", owned=True), "1.0")

        mine, _ = registry.take(left.key, "1.0")
        other, _ = registry.take(left.key, "1.0")

        assert mine is not None
        assert mine.name == "one"
        assert mine.owner == ProcessIdentity.mine()
        assert registry.find("one").spare == ""
        assert other is None

    @pytest.mark.parametrize(("key", "kind"), [("other", "1.0"), ("", "2.0")])
    def test_what_does_not_fit_stays_and_is_told(self, key: str, kind: str) -> None:
        """Another control plane, or one that another version has made."""
        registry.leave(registry.claim("one", owned=True), "1.0")

        mine, others = registry.take(key, kind)

        assert mine is None
        assert [entry.name for entry in others] == ["one"]

    def test_what_the_user_keeps_is_not_taken(self) -> None:
        """`knav cluster up` is for the user alone, and so is what is in use."""
        registry.claim("kept", owned=False)
        registry.claim("used", owned=True)

        assert registry.take("", "1.0") == (None, [])

    def test_what_is_left_is_not_pruned(self) -> None:
        """Its owner has said goodbye."""
        registry.leave(registry.claim("one", owned=True), "1.0")

        assert registry.prune() == []
        assert [entry.name for entry in registry.entries()] == ["one"]
