"""A cluster that can be put back: to its beginning, or to any state of its kind."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from pytest_knav.arguments import check_has
from pytest_knav.control_plane.recorded import CATCH_UP_TIMEOUT_S, RecordedCluster
from pytest_knav.control_plane.state import loading
from pytest_knav.control_plane.state.beginning import begin
from pytest_knav.control_plane.state.model import SUFFIX
from pytest_knav.errors import HarnessError
from pytest_knav.history.record import STEP


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_knav.control_plane.state.model import State

# A hundred times what was measured on two cores: the bound is for what never comes.
CATCH_UP_S_PER_KEY = 0.02
# Of a test that failed; `knav cluster up --from` opens it.
STATE_FILE = f"at-failure{SUFFIX}"


class RestorableCluster(RecordedCluster):
    """What a cluster is made to hold at once; see `Cluster`, which adds workloads."""

    def start(self) -> None:
        """
        Bring it to its beginning and begin to record.

        Raises:
            ClusterError: That failed; the message says whether it can still be used.

        """
        self.plane.signals.clear()
        if self.beginning is None:
            self._begin()
        else:
            self.plane.states.restore(self.beginning)
            self.record()

    def _begin(self) -> None:
        if self._running is None:
            # To follow what comes costs less than to list it when it is there.
            self._running = self._make_recorder(None)
        try:
            self.beginning = begin(self.plane, self.topology)
            if self.system is None:
                self.record()
        finally:
            self.plane.states.go_on()
        if self.system is not None:
            self.system.install()
            self.beginning = self.plane.states.save()
            self.record()

    def reset(self, artifacts: Path | None = None) -> None:
        """
        Make everything as it was at the start; handles of before are void.

        Uid, spec and status of every object are as they were; kube-controller-manager
        and the scheduler begin afresh; a new history begins.

        Args:
            artifacts: Where the new history goes; by default in place of the old one.

        """
        self._running = self.hand_over()
        if artifacts is None:
            shutil.rmtree(self.artifacts / "history", ignore_errors=True)
        self.artifacts = self.artifacts if artifacts is None else artifacts
        self._made = []
        self.handles = {}
        self.start()

    def save(self) -> State:
        """Return the cluster's state: every object as it is at this moment."""
        with self.step("save the state"):
            state = self.plane.states.save()
        self.recorder.note(STEP, "SAVE", state.summary)
        return state

    @property
    def kept_state(self) -> Path:
        """Return where `keep_state_after` writes to."""
        return self.artifacts / STATE_FILE

    def keep_state_after(self, error: BaseException) -> None:
        """
        Write the state at the moment of an error to the artifacts.

        The first call wins: what comes later is no longer that moment. A skip or an
        interrupt is no error.
        """
        path = self.kept_state
        if path.exists() or not isinstance(error, Exception):
            return
        try:
            self.save().write(path)
        except HarnessError as failure:
            error.add_note(f"besides, the cluster's state was not saved: {failure}")

    def restore(self, state: State) -> None:
        """
        Make the cluster equal to a state, its own or another's; recording goes on.

        Objects have the uid, spec and status that they had, nodes are Ready with fresh
        leases, and what the state does not hold is gone. Events are not restored, and
        times are not moved: what was due meanwhile is due now.

        Args:
            state: From `save`, or `State.read` of a file.

        Raises:
            BadInput: It was taken from another kind of control plane.
            ClusterError: It could not be put back; the message says whether the
                cluster can still be used.

        """
        check_has(
            state,
            "summary",
            name="restore's state",
            hint="what `cluster.save()` or `State.read(path)` returned",
        )
        with self.step(f"restore {state.summary}"):
            written = self.plane.states.restore(state)
            self.recorder.catch_up(CATCH_UP_TIMEOUT_S + written * CATCH_UP_S_PER_KEY)
        self.recorder.note(STEP, "RESTORE", state.summary, {"keys": written})

    def load(self, objects: Iterable[Mapping[str, Any]]) -> int:
        """
        Add any Kubernetes objects at once, with status; return how many there were.

        They get what the API server adds at a creation. An object with a uid and a
        creationTimestamp goes in as it is. Nodes are played by KWOK.

        Args:
            objects: With apiVersion, kind and metadata.name.

        Raises:
            BadInput: One is there already, or wrong; nothing was changed.
            ClusterError: They could not be put in; the cluster is as it was, unless
                the message says something else.

        """
        with self.step("load objects"):
            count = loading.load(self.plane, objects)
            self.catch_up()
        self.recorder.note(STEP, "LOAD", f"{count} objects")
        return count
