"""Verdicts about exclusion, of a course that was read from a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_knav.checks.verdict import Verdict
from pytest_knav.history.view import view_at, walk


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_knav.checks.exclusion import Course
    from pytest_knav.history import History

_SHOWN_MAX: Final = 5


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


def judge_capacity(course: Course, nodes: Collection[str], at_least: float) -> Verdict:
    """Return whether a share of the nodes was in at every moment."""
    check = f"at least {at_least:.0%} of {len(nodes)} nodes in use"
    if not nodes:
        why = "there are no nodes"
        return Verdict(check=check, status="inconclusive", reasons=(why,))
    ours = [one for one in course.exclusions if one.node in nodes]
    backs = [(one.until_s, -1) for one in ours if one.until_s is not None]
    # Who comes back makes room before the next one goes.
    changes = sorted([*((one.at_s, 1) for one in ours), *backs])
    out = most = 0
    most_s = 0.0
    for at_s, change in changes:
        out += change
        if out > most:
            most, most_s = out, at_s
    kept = 1 - most / len(nodes)
    return Verdict(
        check=check,
        status="pass" if kept >= at_least else "fail",
        reasons=(f"{most} were out at once, {kept:.0%} in",),
        moments=(most_s,) if most else (),
    )


def goodput_of(history: History, since_revision: int) -> tuple[int, int]:
    """Return how many pods ended well and how many failed after a revision."""
    view = view_at(history, since_revision, {"Pod"})
    over = {uid for uid, pod in view.of("Pod").items() if _ended(pod)}
    good = bad = 0
    for record, _ in walk(history, since_revision, {"Pod"}, view):
        pod = view.of("Pod").get(record.uid)
        if pod is None or record.uid in over or not _ended(pod):
            continue
        # How it ended first counts: a pod that has ended stays so.
        over.add(record.uid)
        good += pod["status"]["phase"] == "Succeeded"
        bad += pod["status"]["phase"] == "Failed"
    return good, bad


def judge_goodput(good: int, bad: int, at_least: float) -> Verdict:
    """Return whether a share of the pods that ended came to a good end."""
    check = f"goodput of at least {at_least:.0%}"
    if not good + bad:
        why = "no pod has ended"
        return Verdict(check=check, status="inconclusive", reasons=(why,))
    share = good / (good + bad)
    return Verdict(
        check=check,
        status="pass" if share >= at_least else "fail",
        reasons=(f"{share:.1%}: {bad} of {good + bad} pods failed",),
    )


def _ended(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
