"""
Was a node excluded, when, after how many failures, and did it hold.

What "excluded" means is a parameter, so that any mechanism can be asked: a taint, a
cordon, a label, a condition, or simply that nothing is placed there any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_knav.checks.verdict import Verdict
from pytest_knav.errors import BadInput
from pytest_knav.history.view import view_at, walk


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_knav.history import History

#: The taint of `knav exclusion`.
TAINT: Final = "taint:pytest-knav/excluded"
CORDON: Final = "cordon"
_WAYS: Final = ("taint:KEY", "label:KEY", "label:KEY=VALUE", "condition:TYPE", CORDON)
#: A binding that was under way when a node was excluded may arrive so much later.
UNDER_WAY_S: Final = 1.0
_KINDS: Final = frozenset({"Node", "Pod"})
_SHOWN_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """
    One node's exclusion.

    Attributes:
        at_s: When, in seconds since the beginning of what was judged.
        failures: How many of its pods had failed by then.
        until_s: When it was taken back; None while it lasts.

    """

    node: str
    at_s: float
    failures: int
    until_s: float | None = None


@dataclass(slots=True)
class _Watch:
    """One node while its history is read."""

    excluded_s: float | None = None
    failures: int = 0
    failures_then: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    All exclusions of a history, and what happened on the nodes.

    Attributes:
        exclusions: In the order of their beginnings.
        failures: How many pods have failed on each node.
        late: Pods that were bound to an excluded node, with when.

    """

    exclusions: tuple[Exclusion, ...]
    failures: Mapping[str, int]
    late: tuple[tuple[str, str, float], ...]

    def of(self, node: str) -> list[Exclusion]:
        """Return the exclusions of one node."""
        return [one for one in self.exclusions if one.node == node]


def check_way(by: str) -> None:
    """
    Return when it can be told from a Node object who is excluded.

    Raises:
        BadInput: It is no way of exclusion that is known.

    """
    kind, _, rest = by.partition(":")
    if by == CORDON or (kind in {"taint", "label", "condition"} and rest):
        return
    raise BadInput(f"by={by!r}: use one of {', '.join(_WAYS)}")


def is_excluded(node: Mapping[str, Any], by: str) -> bool:
    """Return whether a Node object is excluded in a way."""
    kind, _, rest = by.partition(":")
    if by == CORDON:
        return bool(node.get("spec", {}).get("unschedulable"))
    if kind == "taint":
        taints = node.get("spec", {}).get("taints") or ()
        keeps_out = (t for t in taints if t["effect"] != "PreferNoSchedule")
        return any(t["key"] == rest for t in keeps_out)
    if kind == "label":
        key, equals, value = rest.partition("=")
        found = node["metadata"].get("labels", {}).get(key)
        return found == value if equals else found is not None
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == rest and c["status"] == "True" for c in conditions)


def follow(history: History, by: str, since_revision: int, since_s: float) -> Course:
    """Return every exclusion from a revision on, and what was placed despite it."""
    view = view_at(history, since_revision, _KINDS)
    watches: dict[str, _Watch] = {}
    found: list[Exclusion] = []
    late: list[tuple[str, str, float]] = []
    bound = {uid for uid, pod in view.of("Pod").items() if _node_of(pod)}
    failed = {uid for uid, pod in view.of("Pod").items() if _failed(pod)}
    for node in view.of("Node").values():
        if is_excluded(node, by):
            watches[node["metadata"]["name"]] = _Watch(excluded_s=0.0)
    for record, _ in walk(history, since_revision, _KINDS, view):
        at_s = record.monotonic - since_s
        if record.kind == "Node":
            now = view.of("Node").get(record.uid)
            if now is not None:
                _see_node(now, by, at_s, watches, found)
            continue
        pod = view.of("Pod").get(record.uid)
        if pod is None or (name := _node_of(pod)) is None:
            continue
        watch = watches.setdefault(name, _Watch())
        if record.uid not in bound:
            bound.add(record.uid)
            out_s = watch.excluded_s
            if out_s is not None and at_s - out_s > UNDER_WAY_S:
                late.append((name, pod["metadata"]["name"], at_s))
        if _failed(pod) and record.uid not in failed:
            failed.add(record.uid)
            watch.failures += 1
    still = [
        _exclusion(name, watch, None)
        for name, watch in watches.items()
        if watch.excluded_s is not None
    ]
    return Course(
        exclusions=tuple(sorted([*found, *still], key=lambda one: one.at_s)),
        failures={name: watch.failures for name, watch in watches.items()},
        late=tuple(late),
    )


def judge_excluded(
    course: Course,
    node: str,
    *,
    within_s: float | None = None,
    within_failures: int | None = None,
) -> Verdict:
    """
    Return whether a node was excluded in time, and nothing was placed there after.

    Where no pod failed on it there was no reason to: inconclusive.
    """
    limits = [
        f"within {within_s:g}s" if within_s is not None else "",
        f"within {within_failures} failures" if within_failures is not None else "",
    ]
    check = " ".join([f"{node} excluded", *filter(None, limits)])
    found = course.of(node)
    failures = course.failures.get(node, 0)
    if not found:
        if not failures:
            why = "no pod failed there, so there was no reason to"
            return Verdict(check=check, status="inconclusive", reasons=(why,))
        why = f"it never was, after {failures} failures"
        return Verdict(check=check, status="fail", reasons=(why,))
    first = found[0]
    seen = f"after {first.at_s:.1f}s and {first.failures} failures"
    reasons = []
    if within_s is not None and first.at_s > within_s:
        reasons.append(f"only {seen}")
    if within_failures is not None and first.failures > within_failures:
        reasons.append(f"only {seen}")
    late = [one for one in course.late if one[0] == node]
    if late:
        reasons.append(f"{len(late)} pods were placed there all the same")
    return Verdict(
        check=check,
        status="fail" if reasons else "pass",
        reasons=tuple(dict.fromkeys(reasons)) or (seen,),
        evidence=tuple(f"{pod} at {at_s:.1f}s" for _, pod, at_s in late[:_SHOWN_MAX]),
        moments=tuple(at_s for _, _, at_s in late[:_SHOWN_MAX]),
    )


def judge_others(
    course: Course, bad: Collection[str], nodes: Collection[str], at_most: float
) -> Verdict:
    """Return whether at most a share of the good nodes was ever excluded."""
    good = set(nodes) - set(bad)
    out = sorted({one.node for one in course.exclusions} & good)
    check = f"at most {at_most:.0%} of {len(good)} good nodes excluded"
    if not good:
        why = "there are no good nodes"
        return Verdict(check=check, status="inconclusive", reasons=(why,))
    wrong = [one for one in course.exclusions if one.node in good]
    return Verdict(
        check=check,
        status="fail" if len(out) > at_most * len(good) else "pass",
        reasons=(f"{len(out)} were",),
        evidence=tuple(
            f"{one.node} after {one.at_s:.1f}s and {one.failures} failures"
            for one in wrong[:_SHOWN_MAX]
        ),
    )


def judge_readmitted(
    course: Course, node: str, *, after_s: float, within_s: float
) -> Verdict:
    """Return whether an excluded node was taken back in time after a moment."""
    check = f"{node} readmitted within {within_s:g}s"
    before = [one for one in course.of(node) if one.at_s <= after_s]
    if not before:
        why = "it was not excluded before"
        return Verdict(check=check, status="inconclusive", reasons=(why,))
    until_s = before[-1].until_s
    if until_s is None:
        return Verdict(check=check, status="fail", reasons=("it still is excluded",))
    took_s = max(0.0, until_s - after_s)
    return Verdict(
        check=check,
        status="pass" if took_s <= within_s else "fail",
        reasons=(f"after {took_s:.1f}s",),
    )


def _see_node(
    node: Mapping[str, Any],
    by: str,
    at_s: float,
    watches: dict[str, _Watch],
    found: list[Exclusion],
) -> None:
    name = node["metadata"]["name"]
    watch = watches.setdefault(name, _Watch())
    out = is_excluded(node, by)
    if out and watch.excluded_s is None:
        watch.excluded_s, watch.failures_then = at_s, watch.failures
    elif not out and watch.excluded_s is not None:
        found.append(_exclusion(name, watch, at_s))
        watch.excluded_s = None


def _exclusion(name: str, watch: _Watch, until_s: float | None) -> Exclusion:
    return Exclusion(
        node=name,
        at_s=watch.excluded_s or 0.0,
        failures=watch.failures_then,
        until_s=until_s,
    )


def _node_of(pod: Mapping[str, Any]) -> str | None:
    found: str | None = pod.get("spec", {}).get("nodeName")
    return found


def _failed(pod: Mapping[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")
