"""
What was tested, and what was not: faults, workloads and invariants.

A fault has a name of its family and of what it is, as in `node.crash`, `gpu.xid`. The
second part may also be a word of its class (`link.switch`) or of what it hit
(`link.leaf`); the family alone stands for any fault of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_knav.reports.record import TestRecord

_WORD: Final = re.compile(r"[A-Z][a-z0-9]*")
_FAULT: Final = re.compile(r"(\w+)\((.*)\) on ", re.DOTALL)
_PLACES: Final = frozenset({"leaf", "spine", "core", "rack", "rail", "zone", "domain"})
#: What a test's recoveries come to, beside the standing invariants.
RECOVERED: Final = "recovered"
#: What its tests come to: also by thresholds and assertions that are no invariants.
TEST: Final = "test"
_WORST: Final = {"fail": 2, "inconclusive": 1, "pass": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """A fault as a record names it: its kind, and the expression of its target."""

    kind: str
    target: str

    @classmethod
    def of(cls, text: str) -> Injected:
        """Return the fault of `NodeCrash(node_of(llama)) on dgx-h100-0001`."""
        found = _FAULT.match(text)
        if found is None:
            return cls(kind=text.partition("(")[0], target="")
        return cls(kind=found[1], target=found[2])


def families() -> Mapping[str, str]:
    """Return the family of each fault in the catalogue."""
    from pytest_knav.faults.catalogue import catalogue  # noqa: PLC0415 - heavy

    return {name: fault.card.family for name, fault in catalogue().items()}


def name_of(kind: str, family: str) -> str:
    """Return the name of a kind of fault: `NodeCrash` of `node` is `node.crash`."""
    words = [word.lower() for word in _WORD.findall(kind)] or [kind.lower()]
    own = [word for word in words if word != family.replace("_", "")] or words
    return f"{family}.{'-'.join(own)}"


def check_name(name: str) -> None:
    """
    Return when a name can stand for a fault.

    Raises:
        BadInput: There is no such fault.

    """
    known = families()
    family, _, what = name.partition(".")
    members = [kind for kind, home in known.items() if home == family]
    if not members:
        raise BadInput(
            f"{name!r}: there is no family {family!r}: use "
            f"{', '.join(sorted(set(known.values())))}"
        )
    fits = what in _PLACES or any(_says(kind, family, what) for kind in members)
    if what and not fits:
        names = ", ".join(sorted(name_of(kind, family) for kind in members))
        raise BadInput(f"{name!r}: there is no such fault: use {names}")


def covers(name: str, injected: Injected, known: Mapping[str, str]) -> bool:
    """Return whether a fault is what a name stands for."""
    family, _, what = name.partition(".")
    if known.get(injected.kind) != family:
        return False
    if not what or _says(injected.kind, family, what):
        return True
    return re.match(rf"{re.escape(what)}(_of)?\(", injected.target) is not None


def _says(kind: str, family: str, what: str) -> bool:
    words = [word.lower() for word in _WORD.findall(kind)]
    return what in words or name_of(kind, family) == f"{family}.{what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    What was judged under which fault.

    Attributes:
        rows: By fault and kind of workload, what each invariant came to at worst.
        invariants: Those that judged anything, in the order of the table; before them
            what the tests came to.
        faults: The names of all faults that there are but were not injected.
        unjudged: Faults that were injected only in tests that could not tell.
        unseen: Standing invariants that no fault gave anything to judge.

    """

    rows: Mapping[tuple[str, str], Mapping[str, str]]
    invariants: tuple[str, ...]
    faults: tuple[str, ...]
    unjudged: tuple[str, ...]
    unseen: tuple[str, ...]


def coverage(records: Sequence[TestRecord]) -> Coverage:
    """Return what records say was tested."""
    from pytest_knav.checks.standing import usual  # noqa: PLC0415 - heavy

    known = families()
    rows: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    judged, injected = set(), set()
    for record in records:
        for text in record.faults:
            kind = Injected.of(text).kind
            name = name_of(kind, known.get(kind, "own"))
            injected.add(name)
            if record.verdict not in {"pass", "fail", "known bug"}:
                continue
            judged.add(name)
            for workload in record.workloads or ("none",):
                _note(rows[name, workload], _cells(record, workload, text))
    names = sorted(
        {i for cells in rows.values() for i in cells},
        key=lambda name: (name != TEST, name),
    )
    every = {name_of(kind, family) for kind, family in known.items()}
    return Coverage(
        rows=dict(sorted(rows.items())),
        invariants=tuple(names),
        faults=tuple(sorted(every - injected)),
        unjudged=tuple(sorted(injected - judged)),
        unseen=tuple(sorted(usual().keys() - set(names))),
    )


def _cells(record: TestRecord, workload: str, fault: str) -> Iterable[tuple[str, str]]:
    yield TEST, "pass" if record.verdict == "pass" else "fail"
    yield from record.checks.items()
    for row in record.recoveries:
        if row.workload.partition(" ")[0] == workload and row.fault == fault:
            in_time = row.seconds is not None and row.seconds <= row.within_s
            yield RECOVERED, "pass" if in_time else "fail"


def _note(cells: dict[str, str], found: Iterable[tuple[str, str]]) -> None:
    for name, status in found:
        before = cells.get(name, "pass")
        cells[name] = max(before, status, key=lambda s: _WORST.get(s, 1))
