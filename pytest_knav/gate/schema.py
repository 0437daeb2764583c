"""The gate's file, field by field; what users write is checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


Count = Annotated[int, Field(ge=0, le=100_000, strict=True)]
Severity = Literal["blocker", "critical", "normal", "minor", "trivial"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecoveryFile(_Strict):
    """How long the 95th percentile of recoveries may be."""

    at_most: str | float | None = Field(None, description="a duration such as 60s")
    vs: str | None = Field(
        None,
        description="the baseline: a name that `knav gate --save NAME` has saved, a "
        "run's directory, or a file of records",
    )
    worse_by: str | float = Field(
        "10%", description="how much more than the baseline, such as 10%"
    )
    samples: Annotated[int, Field(ge=1, le=100_000, strict=True)] = Field(
        20, description="how many recoveries there must be; fewer are inconclusive"
    )


class GateFile(_Strict):
    """What a merge needs."""

    inconclusive: Count = Field(0, description="tests that may not be able to tell")
    broken: Count = Field(0, description="tests that may end by harness trouble")
    flaky: Count = Field(0, description="tests that may fail in some of their turns")
    new_failures: dict[Severity, Count] = Field(
        {"trivial": 0},
        description="how many may fail newly, by severity: each bounds its own and "
        "the worse ones; by default none may",
    )
    must_cover: list[str] = Field(
        [], description="faults that must have been injected, such as node.crash"
    )
    recovery_p95: RecoveryFile | None = None
