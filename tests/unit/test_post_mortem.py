"""Which state `--from` begins with, given the directory of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav.commands.states import kept_in
from pytest_knav.control_plane.restorable import STATE_FILE
from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from pathlib import Path


def keep(run: Path, test: str) -> Path:
    """Let a run keep the state of a test."""
    path = run / test / STATE_FILE
    path.parent.mkdir(parents=True)
    path.touch()
    return path


@pytest.mark.parametrize("given", [".", "test_a"])
def test_the_one_that_was_kept(tmp_path: Path, given: str) -> None:
    """A run with one failure, or the directory of its test, is all it takes."""
    (tmp_path / "test_good").mkdir()
    kept = keep(tmp_path, "test_a")

    assert kept_in(tmp_path / given) == kept


def test_several_are_to_be_chosen_from(tmp_path: Path) -> None:
    """Who has a run with two failures is told what to type for each."""
    keep(tmp_path, "test_a")
    keep(tmp_path, "test_b")

    with pytest.raises(BadInput, match="2 tests failed in it: choose one") as caught:
        kept_in(tmp_path)

    assert f"\n  --from {tmp_path / 'test_b'}" in str(caught.value)


def test_none_was_kept(tmp_path: Path) -> None:
    """A directory that is no failed run is refused with what would do."""
    with pytest.raises(BadInput, match="no state was kept there"):
        kept_in(tmp_path)
