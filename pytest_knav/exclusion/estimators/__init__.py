"""Estimators of failing nodes, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_knav.errors import BadInput
from pytest_knav.exclusion.estimators.armada import Armada
from pytest_knav.exclusion.estimators.base import Estimator, Sample, View
from pytest_knav.exclusion.estimators.bayes import Bayes
from pytest_knav.exclusion.estimators.window import Window


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DEFAULT",
    "ESTIMATORS",
    "Armada",
    "Bayes",
    "Estimator",
    "Sample",
    "View",
    "Window",
    "make_estimator",
]

DEFAULT: Final = "bayes"
ESTIMATORS: Final[Mapping[str, Callable[[], Estimator]]] = {
    "bayes": Bayes,
    "armada": Armada,
    "window": Window,
}


def make_estimator(name: str) -> Estimator:
    """
    Return a new estimator.

    Raises:
        BadInput: There is none of that name.

    """
    if name not in ESTIMATORS:
        raise BadInput(f"estimator {name!r}: use one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]()
