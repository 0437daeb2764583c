"""Idle watchers are brought forward where etcd proves that they have missed nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_knav.history import idle
from pytest_knav.history.idle import BEHIND_MAX, IdleWatchers
from pytest_knav.history.resources import Resource
from pytest_knav.history.revisions import Unfillable


if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS = Resource("Job", "/jobs", etcd_prefix="/registry/jobs/")
NEWEST = BEHIND_MAX + 1_000


@dataclass
class Followed:
    """A watcher as far as revisions go."""

    revision: int
    resource: Resource = JOBS
    served: bool = True
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.ready.set()

    def advance(self, revision: int) -> None:
        """Take that nothing is to come up to a revision."""
        self.revision = max(self.revision, revision)


@dataclass
class Answers:
    """Answers when something changed last, or refuses."""

    at: int | None
    asked: list[tuple[list[str], int, int]] = field(default_factory=list)

    def changed(self, since: int, until: int) -> list[tuple[str, int]]:
        """Fail: nobody needs every change."""
        raise AssertionError((since, until))

    def last(self, prefixes: Sequence[str], since: int, until: int) -> dict[str, int]:
        """Note the question, and answer it."""
        self.asked.append((list(prefixes), since, until))
        if self.at is None:
            raise Unfillable("compacted")
        return dict.fromkeys(prefixes, self.at)


def look(watcher: Followed, answers: Answers, newest: int = NEWEST) -> None:
    """Look once after one watcher."""
    IdleWatchers(answers, lambda: [watcher], lambda: newest).look()


def test_a_watcher_that_missed_nothing_is_brought_forward() -> None:
    """Its last change is one that it has seen."""
    watcher, answers = Followed(500), Answers(at=499)

    look(watcher, answers)

    assert watcher.revision == NEWEST
    assert answers.asked == [(["/registry/jobs/"], 500, NEWEST)]


@pytest.mark.parametrize("at", [501, None])
def test_a_watcher_that_may_have_missed_something_stays(at: int | None) -> None:
    """A change that it has not seen, or an etcd that does not say: no proof."""
    watcher = Followed(500)

    look(watcher, Answers(at))

    assert watcher.revision == 500


def test_nobody_is_asked_for_a_watcher_that_is_near() -> None:
    """A busy resource follows by itself."""
    watcher, answers = Followed(NEWEST - BEHIND_MAX), Answers(at=1)

    look(watcher, answers)

    assert answers.asked == []
    assert watcher.revision == NEWEST - BEHIND_MAX


def test_before_etcd_is_compacted_even_a_near_one_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A quiet cluster has few revisions in five minutes, and forgets them all."""
    monkeypatch.setattr(idle, "ASK_S", 0.0)
    watcher = Followed(NEWEST - 1)

    look(watcher, Answers(at=1))

    assert watcher.revision == NEWEST
