"""The undo journal: what is begun is known, whatever happens next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_knav.control_plane.changes import label_node
from pytest_knav.errors import HarnessError
from pytest_knav.plans.journal import Journal


if TYPE_CHECKING:
    from pathlib import Path

UNDO = (label_node("n", "pytest-knav/kubelet", None, "running"),)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal(tmp_path / "journal.jsonl")


def test_what_was_begun_and_not_cleared_is_pending(journal: Journal) -> None:
    """With all that is needed to undo it."""
    journal.intend("f1", {"fault": "NodeCrash"}, {"names": ["n"]}, UNDO)
    journal.injected("f1")
    journal.intend("f2", {"fault": "NodeCrash"}, {"names": ["m"]}, UNDO)
    journal.cleared("f2")

    pending = Journal(journal.path).pending()

    assert [p.id for p in pending] == ["f1"]
    assert pending[0].undo == UNDO


def test_an_intent_alone_is_pending(journal: Journal) -> None:
    """Killed between the intent and the change: undoing nothing is harmless."""
    journal.intend("f1", {}, {}, UNDO)

    assert len(journal.pending()) == 1


def test_a_last_line_cut_short_is_passed_over(journal: Journal) -> None:
    """Its change was never made; the next line stands alone."""
    journal.intend("f1", {}, {}, UNDO)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + whole[: len(whole) // 2])

    before = journal.pending()
    journal.cleared("f1")

    assert [p.id for p in before] == ["f1"]
    assert journal.pending() == []


def test_every_cut_leaves_a_journal_that_can_be_read(journal: Journal) -> None:
    """Whichever byte the crash came at."""
    journal.intend("f1", {"fault": "NodeCrash"}, {"names": ["n"]}, UNDO)
    journal.injected("f1")
    whole = journal.path.read_bytes()
    first = whole.index(b"\n")

    for end in range(len(whole) + 1):
        journal.path.write_bytes(whole[:end])
        expected = [] if end < first else ["f1"]
        assert [p.id for p in journal.pending()] == expected


def test_damage_in_the_middle_is_said(journal: Journal) -> None:
    """A journal that cannot be trusted is not silently taken for empty."""
    journal.path.write_text('{"v": 1, "id"\n{"v": 1, "id": "a", "event": "cleared"}\n')

    with pytest.raises(HarnessError, match="line 1"):
        journal.pending()


def test_another_format_version_is_refused(journal: Journal) -> None:
    """The message has both versions."""
    journal.path.write_text('{"v": 2, "id": "a", "event": "cleared"}\n')

    with pytest.raises(HarnessError, match=r"version 2.*reads 1"):
        journal.pending()


def test_no_file_is_no_fault(journal: Journal) -> None:
    """A cluster that was never touched has nothing to undo."""
    assert journal.pending() == []
