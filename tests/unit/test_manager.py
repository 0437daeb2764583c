"""Which cluster a test gets when the first one does not come up, or cannot be reset."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_knav.errors import BadInput, ClusterError, HarnessError
from pytest_knav.fixtures.manager import FAILURES_MAX, ClusterManager


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    Answers: TypeAlias = Iterable[Exception | None]


class Made:
    """A control plane, or the cluster on it: what was noted in its history."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, ...]] = []
        self.recorder = self

    def note(self, *said: str) -> None:
        """Hear a note."""
        self.notes.append(said)

    def fits(self, *_needs: Any) -> bool:
        """Return that it is of the right kind."""
        return True


class Machine(ClusterManager):
    """Makes and resets as it is told, one answer after the other."""

    def __init__(
        self, directory: Path, *, made: Answers = (), begun: Answers = ()
    ) -> None:
        settings: Any = SimpleNamespace(reuse=False, kubeconfig=None)
        super().__init__(settings=settings, run_directory=directory, name="unit-test")
        self.made = iter(made)
        self.begun = iter(begun)
        self.dropped = 0

    def at(self, home: Made) -> Machine:
        """Begin with a control plane of an earlier test."""
        self._home = home  # type: ignore[assignment]
        return self

    def cluster(self) -> Made:
        """Return what a test gets."""
        lease: Any = self.lease(None, "test_it")  # type: ignore[arg-type]
        made: Made = lease.cluster
        return made

    def config_for(self, *_args: Any) -> Any:
        """Return what every control plane of a test has."""

    def _make(self, *_args: Any) -> Any:
        _answer(self.made)
        return Made()

    def _begin(self, home: Any, *_args: Any) -> Any:
        _answer(self.begun)
        return home

    def _drop(self) -> None:
        self.dropped += self._home is not None
        self._home = None

    def _die_politely(self) -> None:
        """Leave the signals of this process alone."""


def _answer(answers: Iterator[Exception | None]) -> None:
    error = next(answers)
    if error is not None:
        raise error


def test_what_does_not_come_up_is_tried_once_more(tmp_path: Path) -> None:
    """The machine may have been busy; the timeline of the test says so."""
    machine = Machine(tmp_path, made=[ClusterError("no answer"), None], begun=[None])

    cluster = machine.cluster()

    assert [note[1:] for note in cluster.notes] == [
        ("REPLACED", "did not come up: no answer")
    ]


def test_what_is_really_wrong_is_wrong_again(tmp_path: Path) -> None:
    """The second error is the one that is raised, and nothing is tried a third time."""
    errors = [ClusterError(word) for word in ("first", "second", "third")]
    machine = Machine(tmp_path, made=errors)

    with pytest.raises(ClusterError, match="second"):
        machine.cluster()

    assert list(machine.made) == errors[2:]


@pytest.mark.parametrize("error", [ClusterError("busy"), HarnessError("not recorded")])
def test_what_cannot_be_reset_is_replaced(tmp_path: Path, error: HarnessError) -> None:
    """Whatever of ours went wrong between two tests, the next one starts afresh."""
    machine = Machine(tmp_path, made=[None], begun=[error, None]).at(Made())

    cluster = machine.cluster()

    assert machine.dropped == 1
    assert [note[2] for note in cluster.notes] == [f"could not be reset: {error}"]


def test_wrong_input_is_not_tried_again(tmp_path: Path) -> None:
    """Another cluster would not help."""
    machine = Machine(tmp_path, begun=[BadInput("no such topology")]).at(Made())

    with pytest.raises(BadInput, match="no such topology"):
        machine.cluster()

    assert machine.dropped == 0


def test_after_some_that_failed_the_rest_is_not_tried(tmp_path: Path) -> None:
    """A broken machine is told of early."""
    wrong = ClusterError("no space")
    machine = Machine(tmp_path, made=[wrong] * 2 * FAILURES_MAX)
    for _ in range(FAILURES_MAX):
        with pytest.raises(ClusterError, match="no space"):
            machine.cluster()

    with pytest.raises(ClusterError, match=f"not tried: {FAILURES_MAX} clusters"):
        machine.cluster()
