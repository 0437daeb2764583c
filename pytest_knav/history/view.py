"""The cluster at one moment of a history, and the walk from moment to moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_knav.history.record import COLLECTIVE, FAULT


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pytest_knav.history.history import History
    from pytest_knav.history.record import Record

INJECTED = "INJECTED"
CLEARED = "CLEARED"
# Of the ranks of a collective: all take part; some cannot, so that the others wait or
# go on without them; those that waited were ended; it is no longer followed.
WHOLE = "WHOLE"
BROKEN = "BROKEN"
ENDED = "ENDED"
OVER = "OVER"


@dataclass(slots=True)
class View:
    """
    Live objects by kind and uid, and what is broken in truth.

    `broken` maps the id of each fault that is in force to the names of the nodes in
    its blast radius: what the API says of them may be different. `cut` maps it to the
    nodes that run but whose links are broken (`Fault.fabric_loss`). `stuck` maps a
    workload to the uids of its pods that wait for a rank that cannot take part.
    """

    objects: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    broken: dict[str, frozenset[str]] = field(default_factory=dict)
    cut: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    stuck: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the live objects of a kind by uid."""
        return self.objects.get(kind, {})

    @property
    def broken_nodes(self) -> frozenset[str]:
        """Return the nodes in the blast radius of any fault in force."""
        return frozenset().union(*self.broken.values())

    @property
    def fabric_loss(self) -> dict[str, str | None]:
        """
        Return the nodes whose links any fault in force has broken.

        The value is None where a NIC has no link, else the name of what the node still
        reaches.
        """
        found: dict[str, str | None] = {}
        for losses in self.cut.values():
            for node, island in losses.items():
                found[node] = None if island is None else found.get(node, island)
        return found


class Condition(Protocol):
    """Something that is true of a view or not, with words for messages."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of objects that it looks at."""
        ...

    def holds(self, view: View) -> bool:
        """Return whether it is true."""
        ...

    def describe(self, view: View) -> str:
        """Return what is, for a message that says what was awaited."""
        ...


def view_at(history: History, revision: int, kinds: Collection[str]) -> View:
    """
    Return the cluster just after a revision.

    Raises:
        Inconclusive: That part of the history is not known.

    """
    view = View(objects={k: dict(history.state_at(revision, k)) for k in kinds})
    _note_own(view, history, until=revision)
    return view


def latest_view(history: History, kinds: Collection[str]) -> View:
    """Return the cluster as it was last seen."""
    view = View(objects={kind: dict(history.latest(kind)) for kind in kinds})
    _note_own(view, history)
    return view


def walk(
    history: History,
    since_revision: int,
    kinds: Collection[str],
    view: View | None = None,
) -> Iterator[tuple[Record, View]]:
    """
    Yield each record after a revision with the cluster as the record left it.

    The view is one object that changes from step to step: `view`, where the caller has
    what `view_at` returned for the same revision and kinds.

    Raises:
        Inconclusive: The state at `since_revision` is not known.

    """
    view = view_at(history, since_revision, kinds) if view is None else view
    for record, after in history.replay(since_revision, {*kinds, *_OWN}):
        if record.kind in _OWN:
            # What stands at the very beginning is in the view already.
            if record.revision > since_revision:
                _OWN[record.kind](view, record)
        elif after is None:
            view.objects.setdefault(record.kind, {}).pop(record.uid, None)
        else:
            view.objects.setdefault(record.kind, {})[record.uid] = after
        yield record, view


def _note_own(view: View, history: History, until: int | None = None) -> None:
    for kind, note in _OWN.items():
        for record in history.records(kind, until=until):
            note(view, record)


def _note_fault(view: View, record: Record) -> None:
    data = record.data or {}
    if record.verb == INJECTED:
        view.broken[record.name] = frozenset(data.get("nodes", ()))
        if data.get("fabric"):
            view.cut[record.name] = data["fabric"]
    elif record.verb == CLEARED:
        view.broken.pop(record.name, None)
        view.cut.pop(record.name, None)


def _note_collective(view: View, record: Record) -> None:
    if record.verb == BROKEN:
        view.stuck[record.name] = frozenset((record.data or {}).get("stuck", ()))
    elif record.verb in {WHOLE, OVER}:
        view.stuck.pop(record.name, None)


_OWN: Final[Mapping[str, Callable[[View, Record], None]]] = {
    FAULT: _note_fault,
    COLLECTIVE: _note_collective,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A span of seconds on the monotonic clock; `end` is None while it lasts."""

    start: float
    end: float | None

    def seconds(self, now: float) -> float:
        """Return how long it lasted, or has lasted by now."""
        return (now if self.end is None else self.end) - self.start


def intervals(
    history: History, condition: Condition, since_revision: int, since_s: float
) -> list[Interval]:
    """
    Return the spans in which a condition held, after a revision.

    Args:
        history: What was recorded.
        condition: What to look for.
        since_revision: Where to begin.
        since_s: The time of that revision: a span that began earlier begins here.

    """
    kinds = condition.kinds
    view = view_at(history, since_revision, kinds)
    began = since_s if condition.holds(view) else None
    found: list[Interval] = []
    for record, _ in walk(history, since_revision, kinds, view):
        holds = condition.holds(view)
        if holds and began is None:
            began = max(record.monotonic, since_s)
        elif not holds and began is not None:
            found.append(Interval(start=began, end=record.monotonic))
            began = None
    if began is not None:
        found.append(Interval(start=began, end=None))
    return found
