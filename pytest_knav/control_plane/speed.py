"""
What makes the `fast` control plane faster, as one table; `plain` has none of it.

A setting is here only if it changes how soon work is done, never what is decided: the
same controllers, the same scheduler, the same order of writes in one store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    One setting of the `fast` control plane.

    Attributes:
        component: Whose; `all` for each of them.
        plain: What it is without.
        fast: What it is with.
        measured: What it gives, on the load of `MEASURED_ON`.
        harmless: Why it changes nothing that is tested.
        flag: Name and value of a command-line flag, if it is one.
        variable: Name and value of an environment variable, if it is one.
        option: Name and value of an option of kwokctl, if it is one.

    """

    component: str
    plain: str
    fast: str
    measured: str
    harmless: str
    flag: tuple[str, str] | None = None
    variable: tuple[str, str] | None = None
    option: tuple[str, bool] | None = None


MEASURED_ON: Final = (
    "Measured by taking one setting away: a Deployment of 3,000 pods on 200 nodes, "
    "until all are Running, on 2 cores; CPU of all components. On a noisy machine, so "
    "to be read as ratios."
)
SETTINGS: Final = (
    Setting(
        component="kube-apiserver, kube-controller-manager, kube-scheduler",
        plain="clients limited to 20 and 50 requests/s, API priority and fairness on",
        fast="5,000 requests/s, bursts of 10,000; priority and fairness off",
        measured="without it the scheduler binds at most 50 pods/s, and the taints of "
        "32 new nodes take 6 s to go",
        harmless="Limits of a client delay a decision, they take none. Real clusters "
        "raise them with their size. Who tests the throttle itself uses `plain`.",
        option=("disableQPSLimits", True),
    ),
    Setting(
        component="etcd",
        plain="each write is synced to disk",
        fast="`--unsafe-no-fsync`",
        measured="etcd takes 5.0 s of CPU instead of 7.2 s; time 28 s instead of 31 s",
        harmless="Only a crash of the machine could lose a write; a killed etcd loses "
        "none, since the kernel has it (see the tests of restarts).",
        flag=("unsafe-no-fsync", "true"),
    ),
    Setting(
        component="all",
        plain="`GOGC=100`",
        fast="`GOGC=800`",
        measured="54 s of CPU instead of 70 s, time 28 s instead of 36 s; the API "
        "server's peak is 2.0 GiB instead of 0.6 GiB (200: 61 s, 0.8 GiB; 400: 63 s, "
        "1.3 GiB)",
        harmless="Garbage is collected later. The memory limit is soft: near it the "
        "collector works as often as it must.",
        variable=("GOGC", "800"),
    ),
    Setting(
        component="all",
        plain="no limit",
        fast="`GOMEMLIMIT=2GiB`",
        measured="keeps the API server's peak at 2 GiB",
        harmless="See above; without it a late collector would take 4 GB for an API "
        "server with 10,000 pods.",
        variable=("GOMEMLIMIT", "2GiB"),
    ),
)


def options(control_plane: str) -> dict[str, object]:
    """Return the options of kwokctl that a control plane is made with."""
    return dict(one.option for one in _of(control_plane) if one.option)


def flags(control_plane: str) -> dict[str, list[tuple[str, str]]]:
    """Return the flags that each component gets on top."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in _of(control_plane):
        if one.flag:
            found.setdefault(one.component, []).append(one.flag)
    return found


def environment(control_plane: str) -> dict[str, str]:
    """Return the environment variables that every component runs with."""
    return dict(one.variable for one in _of(control_plane) if one.variable)


def _of(control_plane: str) -> tuple[Setting, ...]:
    return SETTINGS if control_plane == "fast" else ()
