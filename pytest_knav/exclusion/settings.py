"""How a controller works: what the options of `knav exclusion` come to."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_knav.exclusion.lasting import SETTLED_S
from pytest_knav.exclusion.policy import Limits
from pytest_knav.exclusion.samples import QUEUE_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How a controller works.

    Attributes:
        estimator: Which one.
        limits: What holds it back.
        selector: Labels of the nodes that it looks after; empty for all.
        domain_label: The label whose value is a node's domain.
        queue_label: The label that names a pod's queue.
        cycle_s: Seconds between two decisions.
        settled_s: What may restart, and has run so long without, counts as a success.
        dry_run: Whether it only says what it would do.

    """

    estimator: str = "bayes"
    limits: Limits = field(default_factory=Limits)
    selector: str = ""
    domain_label: str = "topology.kubernetes.io/rack"
    queue_label: str = QUEUE_LABEL
    cycle_s: float = 1.0
    settled_s: float = SETTLED_S
    dry_run: bool = False
