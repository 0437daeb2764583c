"""The file of a state: read as it was written, or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_knav.control_plane.state import model
from pytest_knav.control_plane.state.model import State, kind_of
from pytest_knav.errors import BadInput, ClusterError


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.dictionaries(KEYS, st.binary(max_size=60), max_size=6)
# A file may not grow beyond 64 KiB here; what is written takes twice as much.
FULL_DISK = """
import os, resource, sys
from pathlib import Path
from pytest_knav.control_plane.state.model import State
from pytest_knav.errors import ClusterError

path = Path(sys.argv[1])
state = State(key="k", config={}, fingerprint="f", description="", revision=1,
    taken=0.0, values={"/registry/secrets/default/s": os.urandom(128 * 1024)})
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
try:
    state.write(path)
except ClusterError as error:
    print(error)
"""


def a_state(**fields: Any) -> State:
    """Return a state that matters in nothing but what is given."""
    defaults: dict[str, Any] = {
        "key": "0123456789ab",
        "config": {"versions": [["etcd", "1"]], "profile": {"name": "fast"}},
        "fingerprint": "f-1",
        "description": "dgx-h100, 2 nodes",
        "revision": 1234,
        "taken": 1_767_225_600.25,
        "values": {
            "/registry/minions/n0": b"k8s\0\n\x04",
            "/registry/pods/default/a": b"",
            "/registry/pods/default/\xe4": bytes(range(256)),
        },
    }
    return State(**{**defaults, **fields})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a small state."""
    path = tmp_path_factory.mktemp("state") / "s"
    a_state().write(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a path that every example may write to."""
    return tmp_path_factory.mktemp("examples") / "s"


def with_header(written: bytes, **fields: Any) -> bytes:
    """Return a file with another header, whose checksum is of the old one."""
    line, _, body = written.partition(b"\n")
    header = {**json.loads(line), **fields}
    return json.dumps(header).encode() + b"\n" + body


def failing(error: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises."""

    def fail(*_: object) -> NoReturn:
        raise error

    return fail


class TestRoundTrip:
    """What is read is what was written."""

    @settings(max_examples=60, deadline=None)
    @given(values=VALUES)
    def test_any_keys_and_values_survive(
        self, place: Path, values: dict[str, bytes]
    ) -> None:
        """Keys are any text and values any bytes, both may be empty, in their order."""
        state = a_state(values=values)
        state.write(place)

        found = State.read(place)

        assert found == state
        assert list(found.values) == list(values)

    def test_a_state_without_keys_survives(self, tmp_path: Path) -> None:
        """Nothing is a state too."""
        state = a_state(values={})
        state.write(tmp_path / "s")

        assert State.read(tmp_path / "s") == state

    def test_equal_states_make_equal_files(
        self, tmp_path: Path, written: bytes
    ) -> None:
        """Nothing of the moment or the machine is in a file."""
        a_state().write(tmp_path / "s")

        assert (tmp_path / "s").read_bytes() == written

    def test_directories_are_made_and_the_file_is_private(self, tmp_path: Path) -> None:
        """A state holds secrets."""
        path = tmp_path / "a" / "b" / "s"

        a_state().write(path)

        assert path.stat().st_mode & 0o777 == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_the_settings_may_hold_a_whole_configuration(self, tmp_path: Path) -> None:
        """What `write` takes `read` gives back, however long the header is."""
        state = a_state(config={"scheduler_config": "x" * 200_000})
        state.write(tmp_path / "s")

        assert State.read(tmp_path / "s") == state

    def test_settings_too_long_for_a_header_are_not_written(
        self, tmp_path: Path
    ) -> None:
        """A file that cannot be read again must not be made."""
        state = a_state(config={"scheduler_config": "x" * 2**20})

        with pytest.raises(ClusterError, match="at most 1048576 have room"):
            state.write(tmp_path / "s")

        assert list(tmp_path.iterdir()) == []


class TestDamage:
    """A file that is not what was written is refused, and the message says why."""

    @settings(max_examples=100, deadline=None)
    @given(data=st.data())
    def test_a_cut_file_is_refused(
        self, place: Path, written: bytes, data: st.DataObject
    ) -> None:
        """Wherever it is cut, in the header, behind it or in the body."""
        cut = data.draw(st.integers(0, len(written) - 1))
        place.write_bytes(written[:cut])

        with pytest.raises(BadInput) as refused:
            State.read(place)

        assert str(place) in str(refused.value)

    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_a_changed_byte_is_refused_or_means_the_same(
        self, place: Path, written: bytes, data: st.DataObject
    ) -> None:
        """In the header as in the body: a wrong fingerprint does harm as well."""
        at = data.draw(st.integers(0, len(written) - 1))
        changed = bytearray(written)
        changed[at] ^= data.draw(st.integers(1, 255))
        place.write_bytes(changed)

        with suppress(BadInput):
            assert State.read(place) == a_state()

    @pytest.mark.parametrize(
        "field", ["key", "fingerprint", "description", "revision", "taken", "config"]
    )
    def test_what_the_header_says_is_covered_by_the_checksum(
        self, place: Path, written: bytes, field: str
    ) -> None:
        """Another fingerprint would make a transplant of a reset."""
        other = {"revision": 1, "taken": 1.5, "config": {}}.get(field, "other")
        place.write_bytes(with_header(written, **{field: other}))

        with pytest.raises(BadInput, match="damaged or cut short"):
            State.read(place)

    def test_what_comes_behind_the_end_is_refused(
        self, place: Path, written: bytes
    ) -> None:
        """Two states in one file are none."""
        place.write_bytes(written + b"\0")

        with pytest.raises(BadInput, match="damaged or cut short"):
            State.read(place)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("config", None),
            ("config", []),
            ("description", None),
            ("fingerprint", 7),
            ("key", None),
            ("key", ["k"]),
            ("revision", None),
            ("revision", "7"),
            ("revision", 1.5),
            ("sha256", None),
            ("taken", None),
            ("taken", "2026-01-01"),
        ],
    )
    def test_a_field_of_another_type_is_named(
        self, place: Path, written: bytes, field: str, value: object
    ) -> None:
        """Valid JSON with a good checksum is not enough."""
        line, _, body = written.partition(b"\n")
        header = {**json.loads(line), field: value}
        if field != "sha256":
            header["sha256"] = model._checksum(header, body)
        place.write_bytes(json.dumps(header).encode() + b"\n" + body)

        with pytest.raises(BadInput, match=f"header has no valid '{field}'"):
            State.read(place)

    @pytest.mark.parametrize(
        "field",
        ["config", "description", "fingerprint", "key", "revision", "sha256", "taken"],
    )
    def test_a_missing_field_is_named(
        self, place: Path, written: bytes, field: str
    ) -> None:
        """As the reason."""
        line, _, body = written.partition(b"\n")
        header = json.loads(line)
        del header[field]
        place.write_bytes(json.dumps(header).encode() + b"\n" + body)

        with pytest.raises(BadInput, match=f"header has no valid '{field}'"):
            State.read(place)


class TestForeign:
    """What was never a state is refused."""

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"kind: List\n",
            b"null\n",
            b'["pytest-knav-state"]\n',
            b'{"version": 1}\n',
            b'{"format": "knav-history", "version": 1}\n',
            b"\xff\xfe\0\n",
            b"[" * 60_000,
            b'{"format": "pytest-knav-state", "x": ' + b"[" * 60_000,
            b'{"format": "pytest-knav-state", "x": "' + b"x" * 2**20 + b'"}\n',
        ],
        ids=lambda content: repr(content[:40]),
    )
    def test_another_format_is_said(self, place: Path, content: bytes) -> None:
        """With what makes one; also where the first line has no end in sight."""
        place.write_bytes(content)

        with pytest.raises(BadInput, match="is no state: `knav cluster save`"):
            State.read(place)

    @pytest.mark.parametrize("version", [0, 2, None, "1"])
    def test_another_version_is_said(
        self, place: Path, written: bytes, version: object
    ) -> None:
        """Before anything else that a later version may have changed."""
        place.write_bytes(with_header(written, version=version, key=None))

        with pytest.raises(BadInput, match=f"has format version {version}, this"):
            State.read(place)

    def test_a_missing_file_and_a_directory_are_said(self, tmp_path: Path) -> None:
        """In words of the system."""
        with pytest.raises(BadInput, match="No such file or directory"):
            State.read(tmp_path / "none")
        with pytest.raises(BadInput, match="Is a directory"):
            State.read(tmp_path)


class TestFailedWrites:
    """The file is there whole or not at all, and nothing else is left."""

    def test_on_a_full_disk_the_file_of_before_stays(
        self, tmp_path: Path, written: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error says so and how much room is needed."""
        path = tmp_path / "s"
        path.write_bytes(written)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(model.os, "fsync", failing(full))

        with pytest.raises(ClusterError, match=r"No space left on device; \d+ KiB"):
            a_state(revision=2).write(path)

        assert path.read_bytes() == written
        assert list(tmp_path.iterdir()) == [path]

    def test_a_write_that_the_system_cuts_short_leaves_nothing(
        self, tmp_path: Path
    ) -> None:
        """The first bytes of a file that did not fit go away again."""
        path = tmp_path / "s"

        ended = subprocess.run(
            [sys.executable, "-c", FULL_DISK, path],
            capture_output=True,
            text=True,
            check=True,
        )

        assert "File too large; 128 KiB are needed" in ended.stdout
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("where", ["fsync", "replace"])
    def test_an_interrupted_write_leaves_nothing(
        self,
        tmp_path: Path,
        written: bytes,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        """Ctrl-C goes on to whoever pressed it, and the file of before stays."""
        path = tmp_path / "s"
        path.write_bytes(written)
        owner = model.os if where == "fsync" else model.Path
        monkeypatch.setattr(owner, where, failing(KeyboardInterrupt()))

        with pytest.raises(KeyboardInterrupt):
            a_state(revision=2).write(path)

        assert path.read_bytes() == written
        assert list(tmp_path.iterdir()) == [path]

    def test_a_place_that_cannot_be_written_to_is_said(self, tmp_path: Path) -> None:
        """A directory in place of the file, a file in place of its directory."""
        (tmp_path / "file").touch()
        (tmp_path / "directory").mkdir()

        with pytest.raises(ClusterError, match="Is a directory"):
            a_state().write(tmp_path / "directory")
        with pytest.raises(ClusterError, match=r"File exists|Not a directory"):
            a_state().write(tmp_path / "file" / "s")

        assert {p.name for p in tmp_path.iterdir()} == {"file", "directory"}

    def test_settings_that_are_no_json_leave_nothing(self, tmp_path: Path) -> None:
        """A mistake of ours is not taken for one of the disk."""
        with pytest.raises(TypeError, match="not JSON serializable"):
            a_state(config={"path": object()}).write(tmp_path / "s")

        assert list(tmp_path.iterdir()) == []


class TestWords:
    """What a state says of itself."""

    def test_its_summary_counts_what_matters(self) -> None:
        """Nodes, pods and keys, when, and from where; its text is nothing more."""
        summary = a_state().summary

        assert summary == (
            "1 nodes, 2 pods, 3 keys; taken 2026-01-01 00:00:00 UTC from "
            "dgx-h100, 2 nodes"
        )
        assert repr(a_state(description="")) == (
            "State(1 nodes, 2 pods, 3 keys; taken 2026-01-01 00:00:00 UTC from ?)"
        )

    @pytest.mark.parametrize(
        ("key", "kind"),
        [
            ("/registry/pods/default/a", "pods"),
            ("/registry/minions/n0", "minions"),
            ("/registry/services/specs/default/s", "services/specs"),
            ("/registry/services/endpoints/default/s", "services/endpoints"),
            ("/registry/example.org/widgets/default/w", "example.org/widgets"),
            (
                "/registry/apiregistration.k8s.io/apiservices/v1.apps",
                "apiregistration.k8s.io/apiservices",
            ),
            ("/registry/namespaces/kube.system", "namespaces"),
        ],
    )
    def test_kinds_are_told_from_keys(self, key: str, kind: str) -> None:
        """A custom kind has its group before it."""
        assert kind_of(key) == kind

    def test_kinds_are_counted_in_the_order_of_the_alphabet(self) -> None:
        """For a table that people read."""
        assert list(a_state().kinds().items()) == [("minions", 1), ("pods", 2)]
