"""What in a run is worth a link: faults, steps, verdicts, warnings, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.history.record import COLLECTIVE, GAP, HEARTBEAT, STEP
from pytest_knav.history.record import FAULT as FAULT_KIND
from pytest_knav.reports.timeline import model
from pytest_knav.reports.timeline.model import Fault, Moment


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_knav.history import Record

    Object = Mapping[str, Any]

MOMENTS_MAX: Final = 5_000
WARNINGS_MAX: Final = 2_000
EVIDENCE_MAX: Final = 20
TEXT_MAX: Final = 300
TARGETS_MAX: Final = 5_000
_SHOWN: Final = 3
# What follows within milliseconds, or says nothing to a reader.
_QUIET: Final = frozenset({"CLEARING", "INJECTED", "INJECTING", "JUDGED", "STARTED"})
_BAD_STEPS: Final = frozenset({"DIED", "FAILED"})
_BAD_OUTCOMES: Final = (": lost", ": blind")


def failed_at(records: Iterable[Record]) -> float | None:
    """
    Return when a run went wrong, in seconds since its begin: the first moment that a
    failed check is about, where it says so, and else when it was judged.
    """
    begun_s: float | None = None
    moments = Moments()
    for record in records:
        if not record.own:
            continue
        if begun_s is None and record.kind == STEP and record.verb == "BEGIN":
            begun_s = record.monotonic
        if begun_s is not None:
            at = int((record.monotonic - begun_s) * 1000)
            moments.note(record, at, begun_s)
    failed = [m for m in moments.all() if m.bad and m.kind == model.CHECK]
    return failed[0].at / 1000 if failed else None


class Moments:
    """The moments of a run, bounded."""

    def __init__(self) -> None:
        self.left_out = 0
        self._moments: list[Moment] = []
        self._warnings = 0
        self._faults: dict[str, Fault] = {}

    def all(self) -> list[Moment]:
        """Return them, earliest first."""
        return sorted(self._moments, key=lambda moment: moment.at)

    def faults(self) -> Iterator[Fault]:
        """Yield the faults in the order of their begin."""
        yield from self._faults.values()

    def event(self, event: Object, at: int) -> None:
        """Take in an Event of the API: a warning."""
        if event.get("type") != "Warning":
            return
        self._warnings += 1
        if self._warnings > WARNINGS_MAX:
            self.left_out += 1
            return
        about = (event.get("involvedObject") or event.get("regarding") or {}).get(
            "name", ""
        )
        text = event.get("message") or event.get("note") or ""
        whole = f"{event.get('reason', '')} {about}: {text}"
        self._add(at, model.WARNING, whole, about=about)

    def note(self, record: Record, at: int, begun_s: float) -> None:
        """Take in an entry of our own."""
        data = record.data or {}
        if record.kind == FAULT_KIND:
            self._fault(record, data, at, begun_s)
        elif record.kind == STEP:
            self._step(record, data, at, begun_s)
        elif record.kind == GAP:
            text = f"{record.verb.lower()} {record.name}: {data.get('reason', '')}"
            self._add(at, model.GAP, text, bad=record.verb == "GAP")
        elif record.kind == HEARTBEAT and data.get("lag_s"):
            self._add(at, model.GAP, f"the recorder was {data['lag_s']}s late")
        elif record.kind == COLLECTIVE:
            text = f"ranks of {record.name}: {record.verb.lower()}"
            self._add(at, model.STEP, text, about=record.name)

    def _fault(self, record: Record, data: Object, at: int, begun_s: float) -> None:
        known = self._faults.get(record.name)
        if record.verb in {"INJECTING", "INJECTED"} and known is None:
            what = data.get("fault") or {}
            targets = tuple(data.get("targets", ()))
            shown = ", ".join(targets[:_SHOWN])
            more = len(targets) - _SHOWN
            shown += f" and {more} more" if more > 0 else ""
            name = f"{what.get('fault', 'fault')}({what.get('target', '')}) on {shown}"
            start = _ms(data.get("started_s"), begun_s, at)
            self._faults[record.name] = Fault(
                name=name, start=start, end=None, targets=targets[:TARGETS_MAX],
                nodes=_nodes_of(data, targets)[:TARGETS_MAX],
            )  # fmt: skip
            self._add(start, model.FAULT, f"injecting {name}", about=_one(targets))
        elif known is not None and record.verb not in _QUIET:
            if record.verb == "CLEARED":
                self._faults[record.name] = Fault(
                    name=known.name, start=known.start, end=at, targets=known.targets,
                    nodes=known.nodes,
                )  # fmt: skip
            evidence = f": {data['evidence']}" if data.get("evidence") else ""
            what = f"{record.verb.lower()} {data.get('what', '')}".rstrip()
            text = f"{what}{evidence} ({known.name})"
            self._add(at, model.FAULT, text, about=_one(known.targets))

    def _step(self, record: Record, data: Object, at: int, begun_s: float) -> None:
        if record.verb in _QUIET:
            return
        if record.verb == "VERDICT":
            self._verdict(record, data, at, begun_s)
            return
        text = f"{record.verb.lower()} {record.name}"
        if record.verb == "RECOVERY":
            bad = any(word in record.name for word in _BAD_OUTCOMES)
            self._add(at, model.CHECK, text, bad=bad)
            return
        if data.get("last_log"):
            text += f": {data['last_log']}"
        self._add(at, model.STEP, text, bad=record.verb in _BAD_STEPS)

    def _verdict(self, record: Record, data: Object, at: int, begun_s: float) -> None:
        """Take in a verdict where it was given, its evidence where that was seen."""
        text = record.name
        status = data.get("status") or next(
            (word for word in ("fail", "inconclusive") if f": {word}" in text), "pass"
        )
        bad = status != "pass"
        self._add(at, model.CHECK, text.partition("\n")[0], bad=bad)
        if not bad:
            return
        pairs = zip(data.get("evidence", ()), data.get("moments", ()), strict=False)
        for evidence, seen_s in list(pairs)[:EVIDENCE_MAX]:
            check = data.get("check") or data.get("invariant") or ""
            when = _ms(seen_s, begun_s, at)
            self._add(when, model.CHECK, f"{check}: {evidence}", bad=True)

    def _add(
        self, at: int, kind: str, text: str, *, bad: bool = False, about: str = ""
    ) -> None:
        if len(self._moments) >= MOMENTS_MAX and not bad:
            self.left_out += 1
            return
        short = text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
        self._moments.append(Moment(at=at, kind=kind, text=short, bad=bad, about=about))


def _nodes_of(data: Object, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the nodes that a fault is about: also those whose part alone it broke."""
    parts = [target.partition("/")[0] for target in targets if "/" in target]
    return tuple(dict.fromkeys([*data.get("nodes", ()), *parts]))


def _ms(seconds: object, begun_s: float, otherwise: int) -> int:
    """Return a moment on the monotonic clock as ms since the begin."""
    if not isinstance(seconds, int | float):
        return otherwise
    return max(0, int((seconds - begun_s) * 1000))


def _one(targets: tuple[str, ...]) -> str:
    return targets[0] if targets else ""
