"""
The gate: what a merge needs, in one file, and the answer to whether it has it.

`judge` is a pure function of the file and of the records of a run.
"""

from __future__ import annotations

from pytest_knav.gate.file import load_gate
from pytest_knav.gate.judge import Answer, Finding, judge
from pytest_knav.gate.rules import Gate, RecoveryRule
from pytest_knav.gate.runs import Other, Run, read_baseline, read_run, save_baseline


__all__ = [
    "Answer",
    "Finding",
    "Gate",
    "Other",
    "RecoveryRule",
    "Run",
    "judge",
    "load_gate",
    "read_baseline",
    "read_run",
    "save_baseline",
]
