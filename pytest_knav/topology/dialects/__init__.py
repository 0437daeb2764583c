"""How a topology is written onto nodes: the labels of those who label real ones."""

from __future__ import annotations

from pytest_knav.topology.dialects.dialect import Dialect, check_value
from pytest_knav.topology.dialects.labelling import labelled
from pytest_knav.topology.dialects.table import DIALECTS, dialect_named, levels_dialect


__all__ = [
    "DIALECTS",
    "Dialect",
    "check_value",
    "dialect_named",
    "labelled",
    "levels_dialect",
]
