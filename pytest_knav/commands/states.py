"""What ``knav cluster save``, ``restore`` and ``wake`` do, and ``up --from``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_knav.control_plane import registry
from pytest_knav.control_plane.api import total
from pytest_knav.control_plane.assets import CONTROL_PLANE
from pytest_knav.control_plane.config import ClusterConfig, make_config
from pytest_knav.control_plane.plane import ControlPlane
from pytest_knav.control_plane.restorable import STATE_FILE
from pytest_knav.control_plane.services import metrics_server
from pytest_knav.control_plane.state import loading, snapshot
from pytest_knav.control_plane.state.model import State
from pytest_knav.control_plane.state.standing import remedy, standing
from pytest_knav.control_plane.usage import alone
from pytest_knav.errors import BadInput, ClusterError
from pytest_knav.plans.journal import JOURNAL_FILE


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_knav.control_plane.registry import ClusterEntry

_MIB = 1024**2
_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    What a cluster is filled with.

    Attributes:
        path: The file that it comes from.
        state: A state of ours, or None.
        objects: Kubernetes objects where it is none.

    """

    path: Path
    state: State | None
    objects: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path, say: Callable[[str], None]) -> Source:
        """Return what is in a file, or was kept by a run; see `snapshot.read`."""
        if path.is_dir():
            path = kept_in(path)
            say(f"from {path}")
        found = snapshot.read(path, say)
        if isinstance(found, State):
            return cls(path=path, state=found, objects=[])
        return cls(path=path, state=None, objects=found)

    @property
    def nodes(self) -> int:
        """Return how many nodes it holds."""
        if self.state is not None:
            return self.state.count("/registry/minions/")
        return sum(item.get("kind") == "Node" for item in self.objects)

    @property
    def description(self) -> str:
        """Return what the cluster is, for `knav cluster list`."""
        return self.path.name if self.state is None else self.state.description

    @property
    def topology(self) -> str:
        """Return the name of its topology, or words that are none."""
        return (self.state and self.state.description) or "nodes of no topology"

    def fill(self, plane: ControlPlane, *, live: bool) -> str:
        """Make a cluster hold just this; return what was done, in words."""
        if self.state is not None:
            written = plane.states.restore(self.state, live=live)
            done = f"{written} keys written"
            # Its process has not come along: kubectl would wait for it in vain.
            if metrics_server.forget(plane.api):
                done += ", metrics-server left away"
        else:
            put, left = loading.replace_all(plane, self.objects, live=live)
            done = f"{put} objects of {self.path.name} put in"
            if left:
                done += f", {left} left away (events, and what each cluster has itself)"
        # What a killed test run broke is as the file has it now.
        (plane.entry.directory / JOURNAL_FILE).unlink(missing_ok=True)
        plane.describe(self.description)
        nodes, pods = (
            total(plane.api, "/api/v1/nodes"),
            total(plane.api, "/api/v1/pods"),
        )
        return f"{done}; it has {nodes} nodes and {pods} pods"


def kept_in(run: Path) -> Path:
    """
    Return the state that a run has kept of a test that failed.

    Args:
        run: The directory of the run, or of one test of it.

    Raises:
        BadInput: It has kept none, or of several tests.

    """
    found = sorted({*run.glob(STATE_FILE), *run.glob(f"*/{STATE_FILE}")})
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadInput(
            f"{run}: no state was kept there: give a file of `knav cluster save`, or "
            "the directory of a run in which a test failed, such as .knav/runs/latest"
        )
    shown = "".join(f"\n  --from {path.parent}" for path in found[:_SHOWN_MAX])
    more = len(found) - _SHOWN_MAX
    rest = f"\n  and {more} more" if more > 0 else ""
    raise BadInput(f"{run}: {len(found)} tests failed in it: choose one:{shown}{rest}")


def save(name: str, target: Path) -> str:
    """
    Write the state of a cluster to a file; return what is in it, in words.

    Raises:
        BadInput: The file is there and is no state, so it may be precious.
        ClusterError: The cluster is in use or not whole, or the file cannot be written.

    """
    _check_target(target)
    with plane_of(name) as plane:
        how = standing(plane.entry)
        if how not in {"moving", "held"}:
            fix = remedy(plane.entry, how)
            raise ClusterError(f"cluster {name!r} is {how} and not saved: {fix}")
        state = plane.states.save()
    state.write(target)
    return f"{target}: {target.stat().st_size / _MIB:.1f} MiB, {state.summary}"


def restore(
    name: str, path: Path, say: Callable[[str], None], *, live: bool
) -> list[str]:
    """
    Make a cluster hold what a file holds; return what was done, in lines.

    Raises:
        BadInput: The file is none of those that can be read, or of another kind of
            control plane; the cluster is unharmed.
        ClusterError: The cluster is in use or does not answer, or could not be filled.

    """
    registry.find(name)
    source = Source.read(path, say)
    with plane_of(name) as plane:
        done = source.fill(plane, live=live)
        return [f"cluster {name!r}: {done}", *after(plane.entry)]


def wake(name: str) -> str:
    """
    Let a held cluster go on; return what was done, in words.

    Raises:
        ClusterError: It is in use, half restored, or does not answer.

    """
    with plane_of(name) as plane:
        how = standing(plane.entry)
        if how == "moving":
            return f"cluster {name!r} is not held"
        if how != "held":
            fix = remedy(plane.entry, how)
            raise ClusterError(f"cluster {name!r} is {how}: {fix}")
        plane.states.wake()
    return f"cluster {name!r} goes on"


def after(entry: ClusterEntry) -> list[str]:
    """Return how to start everything in a cluster that is held."""
    how = standing(entry)
    return [] if how == "moving" else [f"nothing moves in it: {remedy(entry, how)}"]


@contextmanager
def plane_of(name: str) -> Iterator[ControlPlane]:
    """
    Return a cluster that stays, for nobody else during the block.

    Raises:
        ClusterError: There is none of that name, or a test run uses it.

    """
    entry = registry.find(name)
    if entry.owner is not None:
        raise ClusterError(
            f"cluster {name!r} is of a test run that died: `knav cluster prune` "
            "removes it"
            if entry.dead
            else f"cluster {name!r} is in use by a test run (process "
            f"{entry.owner.pid}): wait until that has ended"
        )
    with alone(entry):
        plane = ControlPlane.attach(entry)
        try:
            yield plane
        finally:
            plane.close()


def config_of(
    source: Source,
    versions: Mapping[str, str],
    *,
    time_profile: str | None,
    control_plane: str | None,
) -> ClusterConfig:
    """
    Return the settings for a new cluster that is to be filled from a file.

    Args:
        source: The file; a state brings its settings.
        versions: Of the binaries at hand.
        time_profile: What was asked for, if anything.
        control_plane: What was asked for, if anything.

    Raises:
        BadInput: The state is of other versions, or of other settings.

    """
    if source.state is None:
        return make_config(
            versions=dict(versions),
            nodes=source.nodes,
            time_profile=time_profile or "fast",
            control_plane=control_plane or "fast",
        )
    config = ClusterConfig.from_data(source.state.config)
    _check_versions(source.path, dict(config.versions), versions)
    agree(source, "--time-profile", time_profile, config.profile.name)
    agree(source, "--control-plane", control_plane, config.control_plane)
    return config


def agree(source: Source, flag: str, given: object, found: object) -> None:
    """
    Return when an option says nothing else than a file.

    Raises:
        BadInput: It does; with both values.

    """
    if given is not None and given != found:
        raise BadInput(
            f"{flag} {given}: {source.path} has {found}; leave {flag} (and its "
            "environment variable) away, the file decides"
        )


def _check_versions(
    path: Path, wanted: Mapping[str, str], found: Mapping[str, str]
) -> None:
    other = {
        name: (wanted[name], found[name])
        for name in CONTROL_PLANE
        if name in wanted and wanted[name] != found.get(name)
    }
    if not other:
        return
    pairs = [f"{name} {old}, here is {new}" for name, (old, new) in other.items()]
    kubernetes = other.get("kube-apiserver")
    advice = (
        f"give --kube-version {kubernetes[0]} (pytest: --knav-kube-version)"
        if kubernetes
        else "use the pytest-knav that it was saved with"
    )
    raise BadInput(f"{path} is a state of {'; '.join(pairs)}: {advice}")


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise BadInput(f"--to {target}: that is a directory, give a file")
    if target.exists() and not snapshot.is_state(target):
        raise BadInput(
            f"--to {target}: a file that is no state is there; give another name"
        )
